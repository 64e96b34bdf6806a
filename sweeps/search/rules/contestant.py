"""What a rule compares, and what it says of each: the two types that all rules share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sweeps.search.rules.words import coming

LAST = -math.inf  # the value of what is there and has none: it ranks last


@dataclass(frozen=True)
class Contestant:
    """A configuration with its seeds together, or one trial, in a group that is compared."""

    name: str
    values: Mapping[int, float]  # of the metric by epoch, larger is better; only finite ones
    arrived: Mapping[int, int]  # by epoch, a position in the ledger: of every epoch that is there, finite or not
    ended: bool = False  # it gets no further, whatever is decided: diverged, broken, stopped by a person

    def goes_on_after(self, epoch: int) -> bool:
        """Return whether, by itself, it can go on after an epoch at which it is, or has."""
        return epoch in self.values and (not self.ended or any(later > epoch for later in self.arrived))

    def ends_before(self, epoch: int) -> bool:
        """Return whether it will never come to an epoch."""
        return self.ended and epoch not in self.arrived

    def value_after(self, epoch: int) -> float:
        """Return the value by which it ranks for a place after an epoch: the last of all if it cannot go on.

        What went on and ended later keeps its place; what ended while it waited leaves it to the next.
        """
        return self.values[epoch] if self.goes_on_after(epoch) else LAST


@dataclass(frozen=True)
class Decision:
    """How far a contestant may train by now, and why."""

    until: int  # epochs
    out: bool  # that is its end, unless trials are added to the sweep, or one that has a place ends without using it
    say: Callable[[], str] = field(compare=False, repr=False)  # written only when somebody asks: of thousands, of few

    @property
    def why(self) -> str:
        """Return one sentence, for `sweeps explain`."""
        return self.say()


def up_to(rung: int, group: Sequence[Contestant]) -> list[Decision]:
    """Return that each may train up to the first rung, or never will come there."""
    on_its_way, late = (Decision(rung, ended, partial(coming, rung, ended)) for ended in (False, True))
    return [late if one.ended else on_its_way for one in group]
