"""How long training runs take on their slots that wait for each other: one level of them after another.

seconds = wall_seconds(epoch, levels=expected.levels, batches=1, slots=2, packs=4, start=1.6)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

RESTART_SECONDS = 0.2  # of a pack in a process that has trained another, measured
ROUNDING = 1e-9
MANY = 500  # trials from which on chance evens out


def wall_seconds(
    epoch_seconds: float,
    *,
    levels: Sequence[tuple[int, int, float]],
    batches: int,
    slots: int,
    packs: int,
    start: float,
) -> float:
    """Return the seconds of training runs that wait at rungs for each other, or for the batch before theirs.

    Args:
        epoch_seconds: of one trial on one slot, in the mean.
        levels: from which epoch to which how many trials train, in the order of their ends.
        batches: in how many equal parts the trials come, one after another.
        packs: of all trials together.
        start: seconds in which a pack starts in a new process.
    """
    most = max((count for _, _, count in levels), default=0.0)
    total = start
    for low, high, count in levels:
        trials = count / batches
        turns = math.ceil(trials / slots - ROUNDING) if low == 0 else turns_after_a_rung(trials, slots, packs)
        restarts = math.ceil(packs * count / (most * batches * slots) - ROUNDING) if count else 0
        total += batches * (turns * (high - low) * epoch_seconds + restarts * RESTART_SECONDS)
    return total


def turns_after_a_rung(trials: float, slots: int, packs: int) -> float:
    """Return how many trials the busiest slot trains, in the mean, of those that go on after a rung.

    The pack that comes to the rung last decides it, and keeps those of its trials that go on: as many as chance gives
    it. The others have left their packs by then; they are shared out among all slots, and the first free ones begin.
    """
    count = round(trials)
    if count == 0 or count > MANY or slots == 1 or packs == 1:
        return math.ceil(trials / slots - ROUNDING)
    share = 1 / packs
    return sum(
        math.comb(count, kept) * share**kept * (1 - share) ** (count - kept) * _busiest(kept, count - kept, slots)
        for kept in range(count + 1)
    )


def _busiest(kept: int, others: int, slots: int) -> int:
    """Return the trials that the busiest slot trains: one has `kept` ones, and the others come in parts for all."""
    part = -(-others // slots)
    if others <= part * (slots - 1):  # no more parts than other slots
        return max(kept, part)
    return max(kept, min(kept, part) + part)
