"""What follows when a pack fails: its trials are retried, in smaller packs where that helps, or given up.

    retry = after_failure(rest, failure, table, max_retries=2)
    retry.packs, retry.status           # which trials are retried together; the status of those that are given up

A failure has a kind (`failed`, `out_of_memory`, `data` or `storage`) and a reason.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from ch6dist.runs.folders import has_checkpoint
from ch6dist.runs.schema import HALTED, EventLine, Line, Status, StatusLine
from ch6dist.storage.files import Folder
from sweeps.driver.trial_table import TrialState, TrialTable
from sweeps.wire.messages import Failed

DEAD = "its worker process died"  # the reason of a pack that reported none itself
HOST_LOST = "its host was lost"
SPLIT_AFTER = 2  # failures


@dataclass(frozen=True)
class Retry:
    """The packs in which trials are retried; none when they are given up, with `status`."""

    packs: tuple[tuple[str, ...], ...]
    status: Status = Status.FAILED


def after_failure(rest: Sequence[str], failure: Failed, table: TrialTable, *, max_retries: int) -> Retry:
    """Decide what becomes of `rest`, the trials that a failed pack left unfinished. A lost host costs no retry."""
    together, alone = (tuple(rest),), tuple((trial,) for trial in rest)
    if failure.reason == HOST_LOST:
        return Retry(together)
    if failure.kind == "out_of_memory":
        half = (len(rest) + 1) // 2
        halves = (tuple(rest[:half]), tuple(rest[half:]))
        return Retry(halves) if len(rest) > 1 else Retry((), Status.OUT_OF_MEMORY)
    failures = max(table.count_failure(trial) for trial in rest)
    if len(rest) > 1 and (failures >= SPLIT_AFTER or failures > max_retries):
        for trial in rest:
            table.entries[trial].failures = 0  # one of them caused it: trained alone, it shows which
        return Retry(alone)
    return Retry(() if failures > max_retries else together)


def failure_line(rest: Sequence[str], failure: Failed, table: TrialTable, retry: Retry) -> EventLine:
    """Make the ledger's line of a failure: which trials, where, why, and what follows."""
    entries, count = [table.entries[trial] for trial in rest], len(retry.packs)
    what = "given up" if not count else "retried" if count == 1 else f"split into {count} packs"
    return _event(failure.reason, broken=failure.kind, what=what, entries=entries)


def halt_line(reason: str) -> EventLine:
    """Make the ledger's line of a driver that was halted."""
    return _event(reason, broken=HALTED, what="the driver ended")


def _event(reason: str, *, broken: str, what: str, entries: Sequence[TrialState] = ()) -> EventLine:
    return {
        "kind": "event",
        "trials": [entry.trial for entry in entries],
        "epochs": [entry.epoch for entry in entries],
        "host": entries[0].host if entries else "",
        "broken": broken,
        "reason": reason,
        "what": what,
        "time": time.time(),
    }


def status_line(trial: str, status: Status, reason: str, *, attempt: int, epoch: int = 0) -> StatusLine:
    """Make the line of a status that the driver decides; a planned trial starts from scratch."""
    place = {"trial": trial, "attempt": attempt, "epoch": epoch}
    return cast(StatusLine, {"kind": "status", **place, "status": status.value, "reason": reason, "time": time.time()})


def from_scratch(entries: Iterable[TrialState], checkpoints: Folder) -> list[Line]:
    """Make the lines that open a new attempt of each trial that has rows but no checkpoint to resume from.

    Raises OSError where the checkpoints cannot be reached.
    """
    return [
        status_line(entry.trial, Status.PLANNED, "no checkpoint: from scratch", attempt=entry.attempt + 1)
        for entry in entries
        if entry.last and not has_checkpoint(checkpoints, entry.trial, attempt=entry.attempt)
    ]
