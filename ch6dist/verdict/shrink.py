"""What the leader will do on fresh seeds: less than its mean, because it was chosen for a high one.

expected_on_fresh_seeds(groups, spread, inside)
"""

from __future__ import annotations

import numpy as np

from ch6dist.verdict.compare import Bools, Groups, Spread
from ch6dist.verdict.dunnett import Floats
from ch6dist.verdict.posterior import selection_bias


def expected_on_fresh_seeds(groups: Groups, spread: Spread, inside: Bools) -> float | None:
    """Return the leader's mean less what its choice from the set `inside` added; None without a standard deviation.

    How much that is depends on the true means, for which the James–Stein estimates of the set stand. These alone,
    `james_stein` of the leader, leave more than half of the excess where means lie far apart
    (`python -m benchmarks.verdict`).
    """
    if not spread.df:
        return None
    means = groups.means[inside]
    sds = np.where(spread.own & bool(spread.why), groups.sds, spread.sd)
    errors = (sds / np.sqrt(groups.counts))[inside]
    centres = james_stein(means, float(np.mean(errors**2)))
    return float(groups.means[groups.leader] - selection_bias(centres, errors))


def james_stein(means: Floats, variance: float) -> Floats:
    """Return k means, (k,), shrunken towards their own mean; as they are for k < 4.

    Positive-part James–Stein (Efron and Morris 1973): the factor is 1 − (k − 3) σ² / Σ (x_i − x̄)², at least 0.

    Args:
        variance: σ² of each mean, that is the squared standard error.
    """
    centre = means.mean()
    around = float(((means - centre) ** 2).sum())
    if len(means) < 4 or not around:
        return means.copy()
    return np.asarray(centre + max(0.0, 1 - (len(means) - 3) * variance / around) * (means - centre))
