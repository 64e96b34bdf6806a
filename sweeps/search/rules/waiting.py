"""The rules whose rungs wait until all that may come are there: top_k and halving. No order of arrival matters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from sweeps.search.rules.comparison import Comparison
from sweeps.search.rules.contestant import Contestant, Decision
from sweeps.search.rules.words import Words, at, go


class WhenAllAreThere(Comparison):
    """Rungs that keep the best `keep(n)` of the n that may come to each."""

    def __init__(
        self,
        group: Sequence[Contestant],
        rungs: Sequence[int],
        *,
        epochs: int,
        keep: Callable[[int], int],
        words: Words,
    ) -> None:
        """Begin at the first rung.

        Args:
            rungs: epochs, rising, at least one.
            epochs: how far what passes the last of them may train.
        """
        super().__init__(group, rungs)
        self._ends = [*rungs[1:], epochs]  # how far what passes a rung may train
        self._keep, self._words = keep, words
        self._number = 0  # of the rung that waits
        self._here: Collection[int] = range(len(self.group))  # who may come to it, in the order of the group
        self._missing = set(self._here)

    def take(self, came: Collection[int]) -> Collection[int]:
        """Decide by what has come of some; return whose decisions may be others now."""
        changed: set[int] = set()
        while self._number < len(self.rungs):
            rung, group = self.rungs[self._number], self.group
            there = [i for i in self._missing.intersection(came) if group[i].ended or rung in group[i].arrived]
            self._missing.difference_update(there)
            changed.update(there)
            if self._missing:
                waits = Decision(rung, False, partial(self._waits, rung))
                for i in there:
                    if not group[i].ended:
                        self.decisions[i] = waits
                break
            changed.update(self._here)
            came = self._here = self._decide(rung, self._ends[self._number])
            self._missing = set(self._here)
            self._number += 1
        return changed

    def _decide(self, rung: int, following: int) -> list[int]:
        """Write the decisions of a rung at which all are there; return who goes on, in the order of the group."""
        group, here = self.group, self._here
        values = {i: group[i].value_after(rung) for i in here}
        order = sorted(here, key=lambda i: -values[i])  # stable: ties stay in the order of the group
        going = [i for i in order[: self._keep(len(here))] if group[i].goes_on_after(rung)]
        limit = values[going[-1]] if going else 0.0
        count, on = len(order), len(going)
        for rank, i in enumerate(order, 1):
            why = partial(_ranked, rung, rank, count, values[i], on, limit, self._words)
            out = rank > on
            self.decisions[i] = Decision(rung if out else following, out or group[i].ends_before(following), why)
        return sorted(going)

    def _waits(self, rung: int) -> str:
        return f"{at(rung)}: waits for {len(self._missing)} of {len(self._here)}"


def _ranked(rung: int, rank: int, count: int, value: float, going: int, limit: float, words: Words) -> str:
    those = f"{go(going)}, from {words.value(limit)}" if going else go(0)
    return f"{at(rung)}: {words.place(rank, count, value)}, {'goes on' if rank <= going else 'is out'}: {those}"
