"""The median rule of Vizier (Golovin et al. 2017): after each epoch, what is worse than most were by then is out."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from functools import partial

from sweeps.search.rules.contestant import LAST, Contestant, Decision, up_to
from sweeps.search.rules.words import Words

LEAST = 3  # that came before, until which nobody is out


def against_the_median(group: Sequence[Contestant], rungs: Sequence[int], *, words: Words) -> list[Decision]:
    """Return the decisions of comparing the best value so far with the median of running means, after each epoch.

    The means are over all epochs so far, of those that came to this one before, at least LEAST; nobody waits. What
    ended on the way to an epoch has never come there. Without a finite value at an epoch one is out, and its mean the
    lowest.

    Args:
        rungs: all epochs but the last, from the first on after which one may end.
    """
    decisions = up_to(rungs[0], group)
    begins = range(1, rungs[0])
    sums = [sum([one.values.get(epoch, LAST) for epoch in begins]) for one in group]
    bests = [max([one.values.get(epoch, LAST) for epoch in begins], default=LAST) for one in group]
    here = list(range(len(group)))
    for rung in rungs:
        came = sorted([i for i in here if rung in group[i].arrived], key=lambda i: group[i].arrived[rung])
        seen: list[float] = []
        here = []
        for i in came:
            value = group[i].values.get(rung, LAST)
            sums[i] += value
            bests[i] = max(bests[i], value)
            limit = _median(seen) if len(seen) >= LEAST else LAST
            on = bests[i] >= limit and group[i].goes_on_after(rung)
            out = not on or group[i].ends_before(rung + 1)
            why = partial(_compared, rung, on, bests[i], limit, len(seen), words)
            decisions[i] = Decision(rung + 1 if on else rung, out, why)
            insort(seen, sums[i] / rung)
            if on:
                here.append(i)
    return decisions


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _compared(rung: int, on: bool, best: float, limit: float, seen: int, words: Words) -> str:
    said = f"epoch {rung}: best {words.alone(best)}, {'goes on' if on else 'is out'}: "
    if seen < LEAST:
        return said + f"fewer than {LEAST} came before it"
    return said + f"the median of the {seen} before it is {words.value(limit)}"
