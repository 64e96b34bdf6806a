"""Split groups of trials into parts such that all slots finish at about the same time.

balanced_parts([(28, 1e6), (28, 1e6)], fewest=[1, 1], slots=4)      # [2, 2]
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

from ch6dist.config import TrialConfig
from sweeps.plan.costs import CORE_MFLOPS, PACK_SECONDS

START_MFLOP = PACK_SECONDS * CORE_MFLOPS  # what a core could compute while a pack starts
GOOD_ENOUGH = 1.02  # times the shortest possible makespan


def makespan(durations: Iterable[float], count: int) -> float:
    """Return the makespan of list scheduling: each duration goes to the first free of `count` slots."""
    ends = [0.0] * count
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def split(items: Sequence[TrialConfig], parts: int) -> list[tuple[TrialConfig, ...]]:
    """Split `items`, in order, into `parts` parts whose lengths differ by at most one."""
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    return [tuple(items[low:high]) for low, high in itertools.pairwise(bounds)]


def balanced_parts(groups: Sequence[tuple[int, float]], *, fewest: Sequence[int], slots: int) -> list[int]:
    """Return into how many parts to split each group: the fewest with which `slots` slots finish early enough.

    Args:
        groups: number of trials and MFLOP of one trial, per group.
        fewest: the least parts of each group.
    """
    longest = max((cost for _, cost in groups), default=0.0)
    total = sum(size * cost for size, cost in groups) + sum(fewest) * START_MFLOP
    bound = max(total / slots, longest + START_MFLOP)
    best, best_end = list(fewest), float("inf")
    most = slots * (max(fewest, default=0) // slots + 1)
    for wanted in range(min(fewest, default=1), most + 1):
        parts = [max(least, min(wanted, size)) for least, (size, _) in zip(fewest, groups, strict=True)]
        end = makespan(_durations(groups, parts), slots)
        if end < best_end / GOOD_ENOUGH:
            best, best_end = parts, end
        if end <= bound * GOOD_ENOUGH:
            break
    return best


def _durations(groups: Sequence[tuple[int, float]], parts: Sequence[int]) -> list[float]:
    """Return the MFLOP of every part, its start included, the longest first."""
    durations = [
        START_MFLOP + (size * (part + 1) // count - size * part // count) * cost
        for (size, cost), count in zip(groups, parts, strict=True)
        for part in range(count)
    ]
    return sorted(durations, reverse=True)
