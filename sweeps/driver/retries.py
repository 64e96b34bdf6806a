"""What follows when a pack breaks: its trials are tried again, in smaller packs where that helps, or given up.

    follow = after_break(rest, report, board, max_retries=2)
    follow.packs, follow.status         # who is tried again together; the status of those who are given up

A report says what broke: `failed`, `out_of_memory`, `data` or `storage`; why; and where its worker said so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.runs.folders import has_checkpoint
from ch6dist.runs.schema import Status
from ch6dist.storage.files import Folder
from sweeps.driver.jobs import HOST_LOST
from sweeps.driver.trial_table import Board, Entry

SPLIT_AFTER = 2  # strikes


@dataclass(frozen=True)
class Follow:
    """The packs in which trials are tried again; none when they are given up, with `status`."""

    packs: tuple[tuple[str, ...], ...]
    status: Status = Status.FAILED


def after_break(rest: Sequence[str], report: dict[str, Any], board: Board, *, max_retries: int) -> Follow:
    """What becomes of `rest`, what a broken pack left unfinished. A lost host is nobody's fault and costs no try."""
    together, alone = (tuple(rest),), tuple((trial,) for trial in rest)
    if report["reason"] == HOST_LOST:
        return Follow(together)
    if report["broken"] == "out_of_memory":
        half = (len(rest) + 1) // 2
        halves = (tuple(rest[:half]), tuple(rest[half:]))
        return Follow(halves) if len(rest) > 1 else Follow((), Status.OUT_OF_MEMORY)
    strikes = max(board.strike(trial) for trial in rest)
    if len(rest) > 1 and (strikes >= SPLIT_AFTER or strikes > max_retries):
        for trial in rest:
            board.entries[trial].strikes = 0  # one of them was to blame: each shows by itself who
        return Follow(alone)
    return Follow(() if strikes > max_retries else together)


def break_line(rest: Sequence[str], report: dict[str, Any], board: Board, follow: Follow) -> dict[str, Any]:
    """The ledger's line of a break: what broke, where, why, and what followed."""
    count = len(follow.packs)
    what = "given up" if not count else "tried again" if count == 1 else f"split into {count} packs"
    entries = [board.entries[trial] for trial in rest]
    places = {"trials": list(rest), "epochs": [entry.epoch for entry in entries], "host": entries[0].host}
    return {"kind": "event", **places, "broken": report["broken"], "reason": report["reason"], **_now(what)}


def halt_line(reason: str) -> dict[str, Any]:
    """The ledger's line of a driver that was halted: by whom or by what."""
    return {"kind": "event", "trials": [], "epochs": [], "host": "", "broken": "halted", "reason": reason, **_now("")}


def from_zero(entries: Iterable[Entry], checkpoints: Folder) -> list[dict[str, Any]]:
    """Lines that open a new attempt for each trial that has rows but no checkpoint to go on from.

    OSError where the checkpoints cannot be reached: then nobody knows.
    """
    lines = []
    for entry in entries:
        if entry.last and not has_checkpoint(checkpoints, entry.trial, attempt=entry.attempt):
            line = {"kind": "status", "trial": entry.trial, "attempt": entry.attempt + 1, "status": Status.PLANNED}
            lines.append({**line, "reason": "no checkpoint: from zero", "time": time.time()})
    return lines


def _now(what: str) -> dict[str, Any]:
    return {"what": what or "the driver ended", "time": time.time()}
