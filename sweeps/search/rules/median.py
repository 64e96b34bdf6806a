"""The median rule of Vizier (Golovin et al. 2017): after each epoch, what is worse than most were by then is out.

With another percentile it is the stricter, or the milder, rule of Optuna.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from functools import partial

from sweeps.search.rules.comparison import InOrder, quantile
from sweeps.search.rules.contestant import LAST, Contestant, Decision
from sweeps.search.rules.words import Words

HALF = 50.0  # per cent: the median
LEAST = 3  # that came before, until which nobody is out


class AgainstTheMedian(InOrder):
    """The best value so far is compared with the median of running means, after each epoch.

    The means are over all epochs so far, of those that came to this one before, at least LEAST. What ended on the way
    to an epoch has never come there. Without a finite value at an epoch one is out, and its mean the lowest.
    """

    def __init__(self, group: Sequence[Contestant], rungs: Sequence[int], *, percentile: float, words: Words) -> None:
        """Begin; `rungs` are all epochs but the last, from the first on after which one may end."""
        super().__init__(group, rungs)
        self._words, self._percentile = words, percentile
        self._means: list[list[float]] = [[] for _ in self.rungs]  # of those that came to each, rising
        self._sums = [0.0] * len(self.group)
        self._bests = [LAST] * len(self.group)

    def goes_on(self, i: int, number: int) -> bool:
        """Decide of one at the rung to which it has come; return whether it goes on."""
        rung, one, means = self.rungs[number], self.group[i], self._means[number]
        for epoch in range(1 if number == 0 else rung, rung + 1):
            value = one.values.get(epoch, LAST)
            self._sums[i] += value
            self._bests[i] = max(self._bests[i], value)
        best, limit = self._bests[i], self._limit(means)
        on = best >= limit and one.goes_on_after(rung)
        out = not on or one.ends_before(rung + 1)
        why = partial(_compared, rung, on, best, limit, len(means), self._percentile, self._words)
        self.decisions[i] = Decision(rung + 1 if on else rung, out, why)
        insort(means, self._sums[i] / rung)
        return on

    def _limit(self, means: Sequence[float]) -> float:
        """Return what one has to reach beside the running means, rising, of those that came before."""
        if len(means) < LEAST:
            return LAST
        return _median(means) if self._percentile == HALF else quantile(means, 1 - self._percentile / 100)


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _compared(rung: int, on: bool, best: float, limit: float, seen: int, percentile: float, words: Words) -> str:
    said = f"epoch {rung}: best {words.alone(best)}, {'goes on' if on else 'is out'}: "
    if seen < LEAST:
        return said + f"fewer than {LEAST} came before it"
    which = "the median" if percentile == HALF else f"the best {percentile:g} %"
    return said + f"{which} of the {seen} before it {'is' if percentile == HALF else 'begin at'} {words.value(limit)}"
