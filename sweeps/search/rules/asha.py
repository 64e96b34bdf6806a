"""Asynchronous successive halving: a rung decides by what it has seen, in the order in which it came.

`Promoting` is that of Li et al. (2020): what is not among the best waits, and may go on when more have come. `AtOnce`
is that of Ray Tune: each is compared once, with those that came before, and nobody waits.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Sequence
from functools import partial
from heapq import heappop, heappush, heappushpop

from sweeps.search.rules.comparison import Comparison, InOrder, quantile
from sweeps.search.rules.contestant import LAST, Contestant, Decision, up_to
from sweeps.search.rules.words import Words, at


class Promoting(Comparison):
    """Rungs at which one goes on as soon as it is in the top floor(seen / factor).

    When all that may come to a rung are there and none was promoted, the best that can go on does. What ended on the
    way to a rung counts as seen there, from its last epoch on, and ranks last; what ended while it waited keeps its
    rank, so that what was decided beside it stays.
    """

    def __init__(
        self, group: Sequence[Contestant], rungs: Sequence[int], *, epochs: int, factor: int, words: Words
    ) -> None:
        """Begin at the first rung; `epochs` is how far what passes the last one may train."""
        super().__init__(group, rungs)
        self._epochs, self._factor, self._words = epochs, factor, words
        self._rungs: list[_Rung] = []
        self._begin()

    def take(self, came: Collection[int]) -> Collection[int]:
        """Decide by what has come of some; return whose decisions may be others now."""
        changed: set[int] = set()
        is_complete = True  # whether no more will be sent to the rung
        for rung, following in zip(self._rungs, [*self._rungs[1:], None], strict=True):
            new = sorted((self._when(i, rung.epoch), i) for i in came if rung.lacks(i) and self._is_there(i, rung))
            if new and new[0][0] < rung.newest:  # it was sent here late, and had long been there: the order is another
                return self._anew()
            found = [one for at, i in new for one in rung.take(i, at, self.group[i].values.get(rung.epoch, LAST))]
            promoted = [i for i in found if self.group[i].goes_on_after(rung.epoch)]
            is_complete = is_complete and len(rung.values) == len(rung.here)
            touched = {i for _, i in new}.union(promoted)
            if is_complete and not rung.is_complete:
                rung.is_complete = True
                if not rung.promoted and not promoted:
                    order = sorted(rung.values, key=rung.ranks().__getitem__)
                    promoted = [i for i in order if self.group[i].goes_on_after(rung.epoch)][:1]
                touched.update(set(rung.values).difference(rung.promoted))
            rung.promoted.update(promoted)
            for i in touched:
                self._write(i, rung)
            changed |= touched
            if following:
                following.here.update(promoted)
            came = {*came, *promoted}
        return changed

    def _begin(self) -> None:
        ends = [*self.rungs[1:], self._epochs]
        self._rungs = [_Rung(epoch, end, self._factor) for epoch, end in zip(self.rungs, ends, strict=True)]
        self._rungs[0].here.update(range(len(self.group)))

    def _anew(self) -> Collection[int]:
        self.decisions = up_to(self.rungs[0], self.group)
        self._begin()
        everyone = range(len(self.group))
        self.take(everyone)
        return everyone

    def _is_there(self, i: int, rung: _Rung) -> bool:
        return self.group[i].ended or rung.epoch in self.group[i].arrived

    def _when(self, i: int, epoch: int) -> int:
        """Return when one came to a rung, or when it was seen last before it ended on the way."""
        arrived = self.group[i].arrived
        return arrived[epoch] if epoch in arrived else max(arrived.values(), default=-1)

    def _write(self, i: int, rung: _Rung) -> None:
        one, on = self.group[i], i in rung.promoted
        out = one.ends_before(rung.end) if on else rung.is_complete or one.ended
        self.decisions[i] = Decision(rung.end if on else rung.epoch, out, partial(self._ranked, rung, i))

    def _ranked(self, rung: _Rung, i: int) -> str:
        place = self._words.place(rung.ranks()[i], len(rung.values), rung.values[i])
        reason = _reason(i in rung.promoted, i in rung.on_top, rung.is_complete, self.group[i].ended)
        return f"{at(rung.epoch)}: {place}, {reason.format(self._factor)}"


class _Rung:
    """One rung: who may come, who is there, who was once in the top floor(seen / factor).

    Of equal values the first of the group is better, whatever came first.
    """

    def __init__(self, epoch: int, end: int, factor: int) -> None:
        self.epoch, self.end, self.factor = epoch, end, factor  # end: how far what is promoted may train
        self.here: set[int] = set()
        self.values: dict[int, float] = {}  # of those that are there
        self.newest = -2  # when the last of them came
        self.promoted: set[int] = set()
        self.on_top: set[int] = set()
        self.is_complete = False
        self._top: list[tuple[float, int]] = []  # a heap: the worst is at hand
        self._rest: list[tuple[float, int]] = []  # a heap of negated pairs: the best is at hand
        self._ranks: dict[int, int] = {}

    def lacks(self, i: int) -> bool:
        """Return whether one may come and is not there."""
        return i in self.here and i not in self.values

    def take(self, i: int, when: int, value: float) -> list[int]:
        """Take one; return who is on top for the first time."""
        self.values[i], self.newest = value, when
        found = []
        worst, last = heappushpop(self._top, (value, -i))
        if -last != i:
            found.append(i)
        heappush(self._rest, (-worst, -last))
        if len(self.values) // self.factor > len(self._top):
            best, first = heappop(self._rest)
            heappush(self._top, (-best, -first))
            found.append(first)
        found = [one for one in dict.fromkeys(found) if one not in self.on_top]
        self.on_top.update(found)
        return found

    def ranks(self) -> dict[int, int]:
        """Return the rank of each that is there, from 1."""
        if len(self._ranks) != len(self.values):
            order = sorted(self.values, key=lambda i: (-self.values[i], i))
            self._ranks = {i: rank for rank, i in enumerate(order, 1)}
        return self._ranks


class AtOnce(InOrder):
    """Ray Tune's AsyncHyperBandScheduler with one bracket.

    At a rung one goes on unless it is worse than the (1 − 1 / factor) quantile, interpolated, of those that came
    before; the first goes on. What ended on the way to a rung has never come there.
    """

    def __init__(
        self, group: Sequence[Contestant], rungs: Sequence[int], *, epochs: int, factor: int, words: Words
    ) -> None:
        """Begin at the first rung; `epochs` is how far what passes the last one may train."""
        super().__init__(group, rungs)
        self._ends, self._factor, self._words = [*rungs[1:], epochs], factor, words
        self._seen: list[list[float]] = [[] for _ in self.rungs]  # the values at each rung, rising

    def goes_on(self, i: int, number: int) -> bool:
        """Decide of one at the rung to which it has come; return whether it goes on."""
        rung, end, one, seen = self.rungs[number], self._ends[number], self.group[i], self._seen[number]
        value = one.values.get(rung, LAST)
        limit = quantile(seen, 1 - 1 / self._factor) if seen else LAST
        on = value >= limit and one.goes_on_after(rung)
        why = partial(_compared, rung, on, value, limit, len(seen), self._factor, self._words)
        self.decisions[i] = Decision(end if on else rung, not on or one.ends_before(end), why)
        insort(seen, value)
        return on


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
