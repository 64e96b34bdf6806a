"""Requests to stop, as small files in the run folder: written by `sweeps stop`, read by the driver.

request_stop(run)               # the whole sweep; what is unfinished can be resumed
request_stop(run, trial_id)     # one trial; it ends as `stopped` at the end of its epoch
"""

from __future__ import annotations

from pathlib import Path

from ch6dist.runs.names import REQUESTS

STOP_ALL = "stop"
STOP_TRIAL = "stop-"


def request_stop(run: Path, trial: str | None = None) -> None:
    """Request the driver of `run` to stop it, or only `trial`; it answers within about a second."""
    folder = run / REQUESTS
    folder.mkdir(exist_ok=True)
    (folder / (STOP_ALL if trial is None else STOP_TRIAL + trial)).touch()


def pending_stops(run: Path) -> tuple[bool, set[str]]:
    """Return whether the whole sweep is to stop, and the ids of trials that are."""
    folder = run / REQUESTS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return STOP_ALL in names, {n.removeprefix(STOP_TRIAL) for n in names if n.startswith(STOP_TRIAL)}


def clear(run: Path) -> None:
    """Remove requests that an earlier driver left unanswered."""
    for path in (run / REQUESTS).glob("stop*"):
        path.unlink(missing_ok=True)
