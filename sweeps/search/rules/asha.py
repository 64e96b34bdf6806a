"""Asynchronous successive halving: a rung decides by what it has seen, in the order in which it came.

`promoting` is that of Li et al. (2020): what is not among the best waits, and may go on when more have come. `at_once`
is that of Ray Tune: each is compared once, with those that came before, and nobody waits.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from functools import partial
from heapq import heappop, heappush, heappushpop

from sweeps.search.rules.contestant import LAST, Contestant, Decision, up_to
from sweeps.search.rules.words import Words, at


def promoting(
    group: Sequence[Contestant], rungs: Sequence[int], *, epochs: int, factor: int, words: Words
) -> list[Decision]:
    """Return the decisions of rungs at which one goes on as soon as it is in the top floor(seen / factor).

    When all that may come to a rung are there and none was promoted, the best that can go on does. What ended on the
    way to a rung counts as seen there, from its last epoch on, and ranks last; what ended while it waited keeps its
    rank, so that what was decided beside it stays.
    """
    decisions = up_to(rungs[0], group)
    here, is_complete = list(range(len(group))), True  # whether no more will be sent to the rung
    for rung, following in zip(rungs, [*rungs[1:], epochs], strict=True):
        there = [i for i in here if group[i].ended or rung in group[i].arrived]
        is_complete = is_complete and len(there) == len(here)
        values = {i: group[i].values.get(rung, LAST) for i in there}
        on_top = _once_on_top([(i, values[i]) for i in sorted(there, key=lambda i: _when(group[i], rung))], factor)
        promoted = {i for i in on_top if group[i].goes_on_after(rung)}
        order = sorted(there, key=lambda i: -values[i])  # stable: ties stay in the order of the group
        if is_complete and not promoted:
            promoted = set([i for i in order if group[i].goes_on_after(rung)][:1])
        for rank, i in enumerate(order, 1):
            on = i in promoted
            reason = _reason(on, i in on_top, is_complete, group[i].ended)
            why = partial(_ranked, rung, rank, len(there), values[i], reason, factor, words)
            out = group[i].ends_before(following) if on else is_complete or group[i].ended
            decisions[i] = Decision(following if on else rung, out, why)
        here = sorted(promoted)
    return decisions


def at_once(
    group: Sequence[Contestant], rungs: Sequence[int], *, epochs: int, factor: int, words: Words
) -> list[Decision]:
    """Return the decisions of Ray Tune's AsyncHyperBandScheduler with one bracket.

    At a rung one goes on unless it is worse than the (1 − 1 / factor) quantile, interpolated, of those that came
    before; the first goes on. What ended on the way to a rung has never come there.
    """
    decisions = up_to(rungs[0], group)
    here = list(range(len(group)))
    for rung, following in zip(rungs, [*rungs[1:], epochs], strict=True):
        seen: list[float] = []
        going = []
        came = [i for i in here if rung in group[i].arrived]
        for i in sorted(came, key=lambda i: group[i].arrived[rung]):
            value = group[i].values.get(rung, LAST)
            limit = _quantile(seen, 1 - 1 / factor) if seen else LAST
            on = value >= limit and group[i].goes_on_after(rung)
            out = not on or group[i].ends_before(following)
            why = partial(_compared, rung, on, value, limit, len(seen), factor, words)
            decisions[i] = Decision(following if on else rung, out, why)
            if on:
                going.append(i)
            insort(seen, value)
        here = sorted(going)
    return decisions


def _when(one: Contestant, rung: int) -> int:
    """Return when one came to a rung, or when it was seen last before it ended on the way."""
    return one.arrived[rung] if rung in one.arrived else max(one.arrived.values(), default=-1)


def _once_on_top(arrivals: Sequence[tuple[int, float]], factor: int) -> set[int]:
    """Return who was once in the top floor(seen / factor), of indices and values in the order in which they came.

    Of equal values the first of the group is better, whatever came first.
    """
    top: list[tuple[float, int]] = []  # a heap: the worst is at hand
    rest: list[tuple[float, int]] = []  # a heap of negated pairs: the best is at hand
    found: set[int] = set()
    for seen, (index, value) in enumerate(arrivals, 1):
        worst, last = heappushpop(top, (value, -index))
        if -last != index:
            found.add(index)
        heappush(rest, (-worst, -last))
        if seen // factor > len(top):
            best, first = heappop(rest)
            heappush(top, (-best, -first))
            found.add(first)
    return found


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return numpy's quantile of an ordered list, to the last bit: interpolated between two neighbours."""
    place = (len(ordered) - 1) * (share * 100 / 100)  # per cent, there and back: that is what Ray Tune asks for
    index = math.floor(place)
    low, high = ordered[index], ordered[min(index + 1, len(ordered) - 1)]
    if low == LAST:
        return LAST
    part, step = place - index, high - low
    return high - step * (1 - part) if part >= 0.5 else low + step * part


def _ranked(rung: int, rank: int, count: int, value: float, reason: str, factor: int, words: Words) -> str:
    return f"{at(rung)}: {words.place(rank, count, value)}, {reason.format(factor)}"


def _reason(on: bool, was_on_top: bool, is_complete: bool, has_ended: bool) -> str:
    """Return why one goes on, waits or is out; `{}` stands for the factor."""
    if on and was_on_top:
        return "goes on: it was among the best 1 in {} of those that had come"
    if on:
        return "goes on: all have come, and of those that can go on it is the best"
    if has_ended:
        return "is out: it has ended"
    if is_complete:
        return "is out: all have come, and it was never among the best 1 in {}"
    return "waits: it is not yet among the best 1 in {} of those that have come"


def _compared(rung: int, on: bool, value: float, limit: float, seen: int, factor: int, words: Words) -> str:
    said = f"{at(rung)}: {words.alone(value)}, {'goes on' if on else 'is out'}: "
    if not seen:
        return said + "none came before it"
    if limit == LAST:
        return said + f"{seen} came before it, with no better value"
    return said + f"the best 1 in {factor} of the {seen} before it begin at {words.value(limit)}"
