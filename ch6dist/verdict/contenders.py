"""Who can be the best: configurations as plain numbers, and those that cannot be told from the best of them.

    found = contend(candidates, metric=Metric("val_accuracy"))
    found.state, found.inside, found.equivalent(margin=0.005)

A race of seeds asks for this part of a verdict, round by round; how sure it is, and what it costs to be wrong, says
verdict.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ch6dist.runs.schema import Metric
from ch6dist.verdict.compare import Bools, Comparison, Groups, Spread, compare, pool

IN_THE_RACE = 0.5  # of the leader's gain over chance: those that reach it are pooled
State = Literal["empty", "nothing", "diverged", "chance", "repeat", "compared"]
Missing = Literal["", "not finished", "failed", "stopped early", "stopped by the rule", "without a score"]
BY_RULE: Missing = "stopped by the rule"  # by the sweep's own early stopping: out. Stopped early: by a person


@dataclass(frozen=True)
class Candidate:
    """A configuration and what counts about it. Scores are in the unit of the metric, one per seed that counts."""

    configuration: str
    scores: tuple[float, ...]
    diverged: int  # seeds
    missing: Missing = ""  # why it is not complete
    gain: float | None = None  # accuracy above chance at the end; None: unknown
    at_chance: bool = False
    seconds: float | None = None  # of training and evaluation, mean over seeds
    parts: int = 0  # settings beyond the defaults, schedule included: the fewer, the simpler
    fresh: bool = False  # the scores are of seeds that took no part in the choice


@dataclass(frozen=True)
class Contenders:
    """Configurations that have learned something, best mean first. Scores are turned so that larger ones are better."""

    state: State
    at_chance: tuple[Candidate, ...] = ()  # complete, but no better than guessing
    learned: tuple[Candidate, ...] = ()
    scores: tuple[tuple[float, ...], ...] = ()  # of `learned`

    @cached_property
    def groups(self) -> Groups:
        """Means, standard deviations and numbers of seeds of `learned`."""
        return Groups.of(self.scores)

    @cached_property
    def spread(self) -> Spread:
        """How much their scores differ from seed to seed."""
        return pool(self.groups, self.scores, among=_in_the_race(self.learned))

    @cached_property
    def comparison(self) -> Comparison:
        """Each of `learned` compared with the first."""
        return compare(self.groups, self.spread)

    @property
    def inside(self) -> tuple[str, ...]:
        """Return those that cannot be told from the best, the best first."""
        kept = zip(self.learned, self.comparison.inside, strict=True)
        return tuple(one.configuration for one, is_inside in kept if is_inside)

    def equivalent(self, margin: float | None) -> set[str]:
        """Return those that are behind the best by less than `margin` for sure, and the best."""
        found = {self.learned[0].configuration}
        if margin is None:
            return found
        sure = self.comparison.behind + self.comparison.allowed <= margin
        return found | {one.configuration for one, is_sure in zip(self.learned, sure, strict=True) if is_sure}


def contend(candidates: Sequence[Candidate], *, metric: Metric) -> Contenders:
    """Return who of the candidates, in any order, can be compared."""
    sign = 1.0 if metric.goal == "maximize" else -1.0
    usable = [c for c in candidates if c.scores and not c.missing and not c.diverged]
    learned = [c for c in usable if not c.at_chance]
    state = _state(candidates, usable, learned)
    at_chance = tuple(c for c in usable if c.at_chance)
    if not learned:
        return Contenders(state, at_chance)
    scores = [tuple(sign * score for score in c.scores) for c in learned]
    order = Groups.of(scores).order()
    return Contenders(state, at_chance, tuple(learned[i] for i in order), tuple(scores[i] for i in order))


def _state(candidates: Sequence[Candidate], usable: Sequence[Candidate], learned: Sequence[Candidate]) -> State:
    if learned:
        return "compared" if any(len(c.scores) > 1 for c in learned) else "repeat"
    if usable:
        return "chance"
    if not candidates:
        return "empty"
    return "diverged" if all(c.diverged for c in candidates) else "nothing"


def _in_the_race(learned: Sequence[Candidate]) -> Bools:
    """Return which configurations are pooled: those that reach half of the leader's gain over chance.

    What has just begun to learn differs more from seed to seed than a contender does, what is at chance less. Standard
    deviations are independent of means, so choosing by means does not bias them. All, where fewer than three are left.
    """
    best = learned[0].gain
    if best is None or any(c.gain is None for c in learned):
        return np.ones(len(learned), dtype=bool)
    chosen = np.array([c.gain is not None and c.gain >= IN_THE_RACE * best for c in learned])
    enough = sum(len(c.scores) > 1 for c, is_chosen in zip(learned, chosen, strict=True) if is_chosen) >= 3
    return chosen if enough else np.ones(len(learned), dtype=bool)
