"""The course of a sweep that searches: what is expected of its trials, and who waits for whom.

course = course_of(spec, trials, shared_branches(spec, trials))
course.expected.epochs, course.batches, course.waits
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ch6dist.branches import Branch, Branches, alike, branches_of, read_digests
from ch6dist.catalog.wording import DEFAULT_MARGIN, is_fraction
from ch6dist.config import TrialConfig
from sweeps.plan.by_rule import by_rule
from sweeps.plan.expected import Expected
from sweeps.plan.further_seeds import Contest, FurtherSeeds, further_seeds
from sweeps.spec.sweep_file import SweepSpec


@dataclass(frozen=True)
class Course:
    """What is expected of a sweep's trials."""

    expected: Expected
    batches: int = 1  # in which a search by a model draws its configurations
    waits: bool = False  # trials wait at rungs until all are there
    branches: Branches = field(default_factory=dict)
    further: FurtherSeeds = field(default_factory=FurtherSeeds)

    @property
    def length(self) -> float:
        """Return the epochs of a training to the end, in the mean over the configurations that have one."""
        ends = [(stair.groups * stair.steps[-1][1], stair.steps[-1][0]) for stair in self.expected.stairs]
        return sum(count * epochs for count, epochs in ends) / max(1, sum(count for count, _ in ends))

    @property
    def further_epochs(self) -> float:
        """Return the epochs that further seeds are expected to train."""
        return self.further.trials * self.length


def course_of(
    spec: SweepSpec, trials: Sequence[TrialConfig], branches: Branches, *, found: Expected | None = None
) -> Course:
    """Return the course of a sweep.

    Args:
        found: what is expected; None: by the rule alone.
    """
    batches = -(-(spec.trials or 0) // spec.batch) if spec.batch else 1
    waits = bool(spec.early_stop and spec.early_stop.name in ("top_k", "halving"))
    expected = found or by_rule(spec, trials, branches)
    return Course(expected, batches, waits, branches, _further(spec, expected.contest))


def _further(spec: SweepSpec, contest: Contest) -> FurtherSeeds:
    """Return what further seeds are expected to add; nothing where none may follow."""
    if spec.seeds.up_to is None:
        return FurtherSeeds()
    accuracy, margin = is_fraction(spec.metric.name), spec.margin if spec.seeds.margin is None else spec.seeds.margin
    if margin is None and accuracy:
        margin = DEFAULT_MARGIN
    return further_seeds(spec.seeds, contest, margin=margin if accuracy or not contest.assumed else None)


def shared_branches(spec: SweepSpec, trials: Sequence[TrialConfig]) -> dict[str, Branch]:
    """Return where trials leave others; a program with torch, seconds long, is asked where any might."""
    candidates = alike(trials) if spec.share_prefixes else []
    return branches_of(candidates, read_digests(candidates)) if candidates else {}
