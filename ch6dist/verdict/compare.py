"""Which configurations may be the best: Hsu's multiple comparison with the best, over the scores of seeds.

    groups = Groups.of(scores)                       # a configuration each; larger is better
    found = compare(groups, pool(scores))
    found.inside                                     # (k,) True: cannot be told from the best

Hsu, J. C. (1984), Constrained simultaneous confidence intervals for multiple comparisons with the best, Annals of
Statistics 12; Hsu (1996), Multiple Comparisons, chapter 4. A configuration i leaves the set when

    mean_best − mean_i > d_i · s · √(1/n_i + 1/n_best),

d_i the one-sided Dunnett quantile of i against all others. The best then stays with 95 %, although the leader was
chosen from the same data. A configuration whose standard deviation is its own (see `pool`) is compared as in Games and
Howell (1976): with the pair's variances, Welch's degrees of freedom, and the quantile for these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from ch6dist.verdict.dunnett import Floats, dunnett_quantile, pairwise_quantiles

UNEQUAL = 0.05  # p of the Brown–Forsythe test below which nothing is pooled
OWN = 0.25  # p of an F test below which a configuration keeps its own standard deviation; see `pool`
OWN_LEADER = 0.05  # the same for the leader, in whose favour a wide comparison with all others would be
Bools = NDArray[np.bool_]
Scores = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Groups:
    """Mean, standard deviation (ddof = 1; NaN with one seed) and number of seeds of k configurations, each (k,)."""

    means: Floats
    sds: Floats
    counts: Floats

    @classmethod
    def of(cls, scores: Scores) -> Groups:
        """Make them of the scores of each configuration's seeds, at least one each."""
        counts = np.array([len(values) for values in scores], dtype=np.float64)
        starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(int)
        flat = np.concatenate([np.asarray(values, dtype=np.float64) for values in scores])
        means = np.add.reduceat(flat, starts) / counts
        squares = np.add.reduceat((flat - np.repeat(means, counts.astype(int))) ** 2, starts)
        sds = np.sqrt(squares / np.where(counts > 1, counts - 1, np.nan))
        return cls(means, sds, counts)

    @cached_property
    def leader(self) -> int:
        """The index of the largest mean."""
        return int(np.argmax(self.means))

    def order(self) -> NDArray[np.intp]:
        """Return the indices from the largest mean to the smallest, equal ones in their order."""
        return np.argsort(-self.means, kind="stable")


@dataclass(frozen=True)
class Spread:
    """How much scores differ from seed to seed."""

    sd: float  # pooled; NaN: no configuration has two seeds
    df: float  # its degrees of freedom
    own: Bools  # (k,) the configurations that keep their own standard deviation; never one with a single seed
    pooled: int  # number of configurations that are pooled
    why: str  # why all keep their own; empty if they do not


@dataclass(frozen=True)
class Comparison:
    """Each configuration beside the leader, arrays (k,). Larger is better."""

    behind: Floats  # mean_leader − mean_i, ≥ 0
    allowed: Floats  # the largest such difference that chance explains; infinite: there is nothing to judge it by
    inside: Bools  # behind ≤ allowed


def pool(groups: Groups, scores: Scores, *, among: Bools | None = None) -> Spread:
    """Return the spread of k configurations that learn.

    One standard deviation is pooled over those in `among` (all, if left out) with two seeds or more. A configuration
    keeps its own where an F test against the others calls it larger (p < 25 %, the leader: 5 %): a wrong pooled one
    would throw out the best in up to 24 % of sweeps, a needless own one only widens the set a little. All keep their
    own where there are only two, or where a Brown–Forsythe test says at 5 % that standard deviations differ.
    """
    k = len(groups.means)
    chosen = (groups.counts > 1) & (np.ones(k, dtype=bool) if among is None else among)
    squares = np.where(chosen, (groups.counts - 1) * np.nan_to_num(groups.sds) ** 2, 0.0)
    dfs = np.where(chosen, groups.counts - 1, 0.0)
    df = float(dfs.sum())
    if not df:
        return Spread(np.nan, 0.0, np.zeros(k, dtype=bool), 0, "")
    sd, pooled = float(np.sqrt(squares.sum() / df)), int(chosen.sum())
    repeated = [
        np.asarray(values, dtype=np.float64) for values, is_chosen in zip(scores, chosen, strict=True) if is_chosen
    ]
    if k == 2:
        return Spread(sd, df, groups.counts > 1, pooled, "there are only two")
    if brown_forsythe(repeated) < UNEQUAL:
        why = "standard deviations differ (Brown–Forsythe, 5 %)"
        return Spread(sd, df, groups.counts > 1, pooled, why)
    rest, rest_squares = df - dfs, squares.sum() - squares
    with np.errstate(invalid="ignore", divide="ignore"):
        p = fdtrc(groups.counts - 1, rest, groups.sds**2 * rest / rest_squares)
    limit = np.full(k, OWN)
    limit[groups.leader] = OWN_LEADER
    return Spread(sd, df, np.nan_to_num(p, nan=1.0) < limit, pooled, "")


def brown_forsythe(samples: Sequence[Floats]) -> float:
    """Return p of the hypothesis that samples have one spread; 1 where there is nothing to test.

    Brown and Forsythe (1974): a one-way analysis of variance of |x − median|, as `scipy.stats.levene`.
    """
    distances = [np.abs(values - np.median(values)) for values in samples]
    within_df, between_df = sum(map(len, distances)) - len(distances), len(distances) - 1
    if between_df < 1 or within_df < 1:
        return 1.0
    grand = np.concatenate(distances).mean()
    between = sum(len(values) * (values.mean() - grand) ** 2 for values in distances) / between_df
    within = sum(((values - values.mean()) ** 2).sum() for values in distances) / within_df
    if not within:
        return 0.0 if between else 1.0
    return float(fdtrc(between_df, within_df, between / within))


def compare(groups: Groups, spread: Spread) -> Comparison:
    """Compare k ≥ 1 configurations with the one of the largest mean."""
    behind = groups.means[groups.leader] - groups.means
    allowed = quantiles(groups, spread) * standard_errors(groups, spread)
    allowed[groups.leader] = 0.0
    return Comparison(behind, allowed, behind <= allowed)


def standard_errors(groups: Groups, spread: Spread) -> Floats:
    """Return the standard error of each difference from the leader, (k,); infinite where nothing tells it."""
    variances = _variances(groups, spread) / groups.counts
    errors = np.sqrt(variances + variances[groups.leader])
    return np.where(np.isfinite(errors), errors, np.inf)


def quantiles(groups: Groups, spread: Spread) -> Floats:
    """Return the factor of each standard error, (k,): Dunnett's, by the pooled degrees of freedom or the pair's own."""
    k, numbers = len(groups.means), Counter(groups.counts.tolist())
    if k == 1 or not spread.df:
        return np.ones(k)
    by_count = {n: dunnett_quantile(df=spread.df, control=n, others=numbers - Counter([n])) for n in numbers}
    pooled = np.array([by_count[n] for n in groups.counts])
    apart = spread.own | spread.own[groups.leader]
    if not apart.any():
        return pooled
    own = pairwise_quantiles(_welch_df(groups, spread), comparisons=k - 1)
    return np.where(apart, own, pooled)


def _variances(groups: Groups, spread: Spread) -> Floats:
    return np.where(spread.own, groups.sds**2, spread.sd**2)


def _welch_df(groups: Groups, spread: Spread) -> Floats:
    """Return the degrees of freedom of each difference from the leader (Welch 1947), (k,)."""
    parts = _variances(groups, spread) / groups.counts
    dfs = np.where(spread.own, groups.counts - 1, spread.df)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = parts**2 / dfs
        found = (parts + parts[groups.leader]) ** 2 / (terms + terms[groups.leader])
    return np.where(np.isfinite(found), found, spread.df)
