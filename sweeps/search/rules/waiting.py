"""The rules whose rungs wait until all that may come are there: top_k and halving. No order of arrival matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sweeps.search.rules.contestant import Contestant, Decision, up_to
from sweeps.search.rules.words import Words, at, go


def when_all_are_there(
    group: Sequence[Contestant], rungs: Sequence[int], *, epochs: int, keep: Callable[[int], int], words: Words
) -> list[Decision]:
    """Return the decisions of rungs that keep the best `keep(n)` of the n that may come to each.

    Args:
        rungs: epochs, rising, at least one.
        epochs: how far what passes the last of them may train.
    """
    decisions = up_to(rungs[0], group)
    here = list(range(len(group)))
    for rung, following in zip(rungs, [*rungs[1:], epochs], strict=True):
        missing = sum(rung not in group[i].arrived and not group[i].ended for i in here)
        if missing:
            waits = Decision(rung, False, partial(_waits, rung, missing, len(here)))
            for i in here:
                if rung in group[i].arrived and not group[i].ended:
                    decisions[i] = waits
            break
        here = _decide(group, here, rung, following, keep(len(here)), decisions, words)
    return decisions


def _decide(
    group: Sequence[Contestant],
    here: Sequence[int],
    rung: int,
    following: int,
    keep: int,
    decisions: list[Decision],
    words: Words,
) -> list[int]:
    """Write the decisions of a rung at which all are there; return who goes on, in the order of the group."""
    values = {i: group[i].value_after(rung) for i in here}
    order = sorted(here, key=lambda i: -values[i])  # stable: ties stay in the order of the group
    going = [i for i in order[:keep] if group[i].goes_on_after(rung)]
    limit = values[going[-1]] if going else 0.0
    for rank, i in enumerate(order, 1):
        on = rank <= len(going)
        why = partial(_ranked, rung, on, rank, len(here), values[i], len(going), limit, words)
        decisions[i] = Decision(following, group[i].ends_before(following), why) if on else Decision(rung, True, why)
    return sorted(going)


def _waits(rung: int, missing: int, count: int) -> str:
    return f"{at(rung)}: waits for {missing} of {count}"


def _ranked(rung: int, on: bool, rank: int, count: int, value: float, going: int, limit: float, words: Words) -> str:
    those = f"{go(going)}, from {words.value(limit)}" if going else go(0)
    return f"{at(rung)}: {words.place(rank, count, value)}, {'goes on' if on else 'is out'}: {those}"
