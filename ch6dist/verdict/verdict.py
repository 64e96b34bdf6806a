"""The verdict on a sweep: which configurations may be the best, how sure that is, what it costs to be wrong.

    verdict = judge(candidates, metric=Metric("val_accuracy"), margin=0.005)
    verdict.members[0].p_best           # the set of the best, most probable first
    verdict.choice                      # what to train next

Candidates are plain numbers, which candidates.py makes of a ledger; words.py says in words what a verdict says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ch6dist.catalog.wording import is_fraction
from ch6dist.runs.schema import Metric
from ch6dist.verdict.compare import Comparison, Groups, Spread
from ch6dist.verdict.contenders import Candidate, Contenders, Missing, State, contend
from ch6dist.verdict.posterior import Belief, believe
from ch6dist.verdict.resolution import seeds_to_tell, smallest_difference
from ch6dist.verdict.shrink import expected_on_fresh_seeds

SETTLED = (0.01, 0.005)  # accuracies: differences whose seeds the verdict counts; of a loss, twice these shares of it
SAME_COST = 0.05  # costs that differ by no more are equal


@dataclass(frozen=True)
class Member:
    """A configuration among the compared; `behind` and `allowed` in the unit of the metric, ≥ 0."""

    configuration: str
    mean: float
    sd: float | None  # over its own seeds; None: one seed
    n: int
    behind: float  # how far the leader is ahead
    allowed: float  # the largest such difference that chance explains; infinite: nothing to judge it by
    inside: bool  # in the set of the best: behind ≤ allowed
    p_best: float | None  # None: no configuration has two seeds
    loss: float | None  # what taking it gives away, on average
    seconds: float | None  # of a seed: training and evaluation
    own: bool = False  # compared by a standard deviation of its own
    equivalent: bool = False  # to the leader: the interval of the difference lies within the margin


@dataclass(frozen=True)
class Unfinished:
    """A configuration that is not complete, so not compared; nor out, but where the sweep's own rule stopped it."""

    configuration: str
    missing: Missing
    so_far: float | None  # mean of the seeds that have a score


@dataclass(frozen=True)
class Verdict:
    """What a sweep says. Lists hold configurations; every number is in the unit of the metric, None if unknown."""

    metric: Metric
    state: State
    compared: tuple[Member, ...] = ()  # all of them, best mean first
    leader: str | None = None
    choice: str | None = None  # the leader, or what is equivalent to it and cheaper or simpler
    choice_reason: Literal["", "cheaper", "simpler"] = ""
    fresh: bool = False  # the means are of fresh seeds, after a confirmation
    expected: float | None = None  # of the leader on fresh seeds
    sd: float | None = None  # pooled over `pooled` configurations
    df: float = 0.0
    pooled: int = 0
    own: int = 0  # configurations compared by a standard deviation of their own
    why_not_pooled: str = ""
    resolution: float | None = None  # smallest difference that the seeds tell apart
    seeds_needed: dict[float, int | None] = field(default_factory=dict)  # difference → seeds of each member
    margin: float | None = None
    unfinished: tuple[Unfinished, ...] = ()
    confirming: bool = False  # a confirmation has trials that have not ended
    before: int = 0  # complete configurations that were told apart before a confirmation, and are not compared now
    rule: str = ""  # the name of the sweep's early stopping
    over_budget: bool = False  # what is not finished waits on a larger budget
    diverged: tuple[str, ...] = ()  # with a diverged seed: out
    at_chance: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """The set of the best, most probable first."""
        inside = [member for member in self.compared if member.inside]
        return tuple(sorted(inside, key=lambda member: -(member.p_best or 0.0)))

    @property
    def equivalent(self) -> tuple[str, ...]:
        """The configurations that are equivalent to the leader, without it."""
        return tuple(m.configuration for m in self.compared if m.equivalent and m.configuration != self.leader)


def judge(
    candidates: Sequence[Candidate],
    *,
    metric: Metric,
    margin: float | None,
    confirming: bool = False,
    before: int = 0,
    rule: str = "",
    over_budget: bool = False,
) -> Verdict:
    """Return the verdict on configurations, in any order.

    Args:
        margin: differences below it do not matter, in the unit of the metric; None: all do.
        confirming, before, rule, over_budget: as in `Verdict`.
    """
    contenders = contend(candidates, metric=metric)
    others = Verdict(
        metric,
        contenders.state,
        margin=margin,
        unfinished=tuple(
            Unfinished(c.configuration, c.missing, _mean(c.scores)) for c in candidates if c.missing and not c.diverged
        ),
        confirming=confirming,
        before=before,
        rule=rule,
        over_budget=over_budget,
        diverged=tuple(c.configuration for c in candidates if c.diverged),
        at_chance=tuple(c.configuration for c in contenders.at_chance),
    )
    return _compared(others, contenders) if contenders.learned else others


def _mean(scores: Sequence[float]) -> float | None:
    return float(np.mean(scores)) if scores else None


def _compared(base: Verdict, contenders: Contenders) -> Verdict:
    """Return the verdict with everything that follows from comparing configurations that learn."""
    learned, groups, spread, found = contenders.learned, contenders.groups, contenders.spread, contenders.comparison
    sign, belief = 1.0 if base.metric.goal == "maximize" else -1.0, believe(groups, spread)
    members = [_member(i, learned[i], groups, spread, found, belief, base.margin, sign) for i in range(len(learned))]
    expected = expected_on_fresh_seeds(groups, spread, found.inside) if not learned[0].fresh else None
    sd = spread.sd if spread.df else None
    chosen, reason = _choose(learned, members)
    differences = [share * (1.0 if is_fraction(base.metric.name) else 2 * abs(groups.means[0])) for share in SETTLED]
    later = len(learned) if learned[0].fresh else int(found.inside.sum())  # what the next verdict will compare
    return replace(
        base,
        compared=tuple(members),
        leader=learned[0].configuration,
        choice=chosen,
        choice_reason=reason,
        fresh=learned[0].fresh,
        expected=None if expected is None else sign * expected,
        sd=sd,
        df=spread.df,
        pooled=spread.pooled,
        own=int(spread.own.sum()),
        why_not_pooled=spread.why,
        resolution=None if sd is None else _resolution(groups, spread),
        seeds_needed={} if sd is None else {d: seeds_to_tell(d, sd=sd, k=max(2, later)) for d in differences},
    )


def _member(
    i: int,
    candidate: Candidate,
    groups: Groups,
    spread: Spread,
    found: Comparison,
    belief: Belief | None,
    margin: float | None,
    sign: float,
) -> Member:
    behind, allowed = float(found.behind[i]), float(found.allowed[i])
    return Member(
        configuration=candidate.configuration,
        mean=sign * float(groups.means[i]),
        sd=float(groups.sds[i]) if groups.counts[i] > 1 else None,
        n=int(groups.counts[i]),
        behind=behind,
        allowed=allowed,
        inside=bool(found.inside[i]),
        p_best=None if belief is None else float(belief.p_best[i]),
        loss=None if belief is None else float(belief.loss[i]),
        seconds=candidate.seconds,
        own=bool(spread.own[i]),
        equivalent=i == groups.leader or (margin is not None and behind + allowed <= margin),
    )


def _choose(learned: Sequence[Candidate], members: Sequence[Member]) -> tuple[str, Literal["", "cheaper", "simpler"]]:
    """Return what to take of those that are equivalent to the leader: the cheapest, then the simplest."""
    leader = learned[0]
    equal = [c for c, member in zip(learned, members, strict=True) if member.equivalent]
    cost = {c.configuration: math.inf if c.seconds is None else c.seconds for c in equal}
    least = min(cost.values())
    cheap = [c for c in equal if cost[c.configuration] <= least * (1 + SAME_COST) or cost[c.configuration] == least]
    if leader not in cheap:
        return min(cheap, key=lambda c: (c.parts, cost[c.configuration])).configuration, "cheaper"
    simplest = min(cheap, key=lambda c: (c.parts, c is not leader))
    if simplest.parts < leader.parts:
        return simplest.configuration, "simpler"
    return leader.configuration, ""


def _resolution(groups: Groups, spread: Spread) -> float:
    n = float(np.median(groups.counts))
    return smallest_difference(sd=spread.sd, k=max(2, len(groups.means)), n=n, df=spread.df)
