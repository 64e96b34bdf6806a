"""A group at the rungs of a rule, as far as it has come: what comes later is decided without all that came before.

    comparison = compare(rule, group, epochs=9, metric=metric)      # sweeps/search/rules/decide.py
    comparison.decisions[3]                                         # of the fourth of the group
    comparison.take([3])                                            # something has come of it: whose changed

A comparison that has taken contestants one by one, in the order in which they came, decides as one that is made of all
of them at once. It holds for rows of new epochs alone: when a contestant ends, or a value changes, make a new one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence

from sweeps.search.rules.contestant import LAST, Contestant, Decision, up_to


class Comparison(ABC):
    """The contestants of a group, and the decision of each; those who make one let it take all of them first."""

    def __init__(self, group: Sequence[Contestant], rungs: Sequence[int]) -> None:
        self.group, self.rungs = list(group), list(rungs)
        self.decisions: list[Decision] = up_to(rungs[0], group)

    @abstractmethod
    def take(self, came: Collection[int]) -> Collection[int]:
        """Decide by what has come of some; return whose decisions may be others now. All are places in the group."""


class InOrder(Comparison):
    """Each is compared once at each rung, with those that came there before; nobody waits."""

    def __init__(self, group: Sequence[Contestant], rungs: Sequence[int]) -> None:
        super().__init__(group, rungs)
        self._next = [0] * len(self.group)  # the number of the rung at which each is compared next

    @abstractmethod
    def goes_on(self, i: int, number: int) -> bool:
        """Decide of one at the rung to which it has come; return whether it goes on."""

    def take(self, came: Collection[int]) -> Collection[int]:
        """Decide by what has come of some; return whose decisions may be others now."""
        arrivals = sorted((at, number, i) for i in came for at, number in self._to_come(i))
        for _, number, i in arrivals:
            if self._next[i] == number:
                self._next[i] = number + 1 if self.goes_on(i, number) else len(self.rungs)
        return came

    def _to_come(self, i: int) -> Iterator[tuple[int, int]]:
        """Yield when one came to the rungs at which it has not been compared, and their numbers."""
        arrived = self.group[i].arrived
        for number in range(self._next[i], len(self.rungs)):
            if self.rungs[number] in arrived:
                yield arrived[self.rungs[number]], number


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return numpy's quantile of an ordered list, to the last bit: interpolated between two neighbours."""
    place = (len(ordered) - 1) * (share * 100 / 100)  # per cent, there and back: that is what Ray Tune asks for
    index = math.floor(place)
    low, high = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    if low == LAST:
        return LAST
    part, step = place - index, high - low
    return high - step * (1 - part) if part >= 0.5 else low + step * part
