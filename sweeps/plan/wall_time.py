"""How long packs take on their slots: where trials wait for each other, one level of them after another.

seconds = wall_seconds(costs, levels=expected.levels, batches=1, slots=2, packs=4, start=1.6)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ROUNDING = 1e-9


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

    At each level as many slots train as there are trials, each slot the same number of them, one more or one less; the
    packs are made anew, and start again.

    Args:
        epoch_seconds: of one trial on one slot, in the mean.
        levels: from which epoch to which how many trials train, in the order of their ends.
        batches: in how many equal parts the trials come, one after another.
        packs: of all trials together.
        start: seconds in which a pack starts.
    """
    most = max((count for _, _, count in levels), default=0.0)
    total = 0.0
    for low, high, count in levels:
        trials = count / batches
        in_turn = math.ceil(trials / slots - ROUNDING)
        restarts = math.ceil(packs * count / (most * batches * slots) - ROUNDING)
        total += batches * (in_turn * (high - low) * epoch_seconds + restarts * start)
    return total
