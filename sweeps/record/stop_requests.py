"""Requests to stop, as small files in the run folder: written by `sweeps stop`, read by the driver.

ask_stop(run)               # the whole sweep; what is unfinished can be resumed
ask_stop(run, trial_id)     # one trial; it ends as `stopped` at the end of its epoch
"""

from __future__ import annotations

from pathlib import Path

FOLDER = "requests"
STOP_ALL = "stop"
STOP_TRIAL = "stop-"


def ask_stop(run: Path, trial: str | None = None) -> None:
    """Ask the driver of `run` to stop it, or only `trial`; answered within about a second."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / (STOP_ALL if trial is None else STOP_TRIAL + trial)).touch()


def asked_to_stop(run: Path) -> tuple[bool, set[str]]:
    """Whether the whole sweep shall stop, and the trials that shall."""
    folder = run / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return STOP_ALL in names, {n.removeprefix(STOP_TRIAL) for n in names if n.startswith(STOP_TRIAL)}


def clear(run: Path) -> None:
    """Forget requests that an earlier driver left unanswered."""
    for path in (run / FOLDER).glob("stop*"):
        path.unlink(missing_ok=True)
