"""What one process asks of another: a person of a driver, by small files in the run folder; a driver of its workers.

ask_stop(run)               # the whole sweep; what is unfinished can be resumed
ask_stop(run, trial_id)     # one trial; it ends as `stopped` at its next epoch's end
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ch6dist.runs.schema import EngineName
from sweeps.plan.slots import Slots

WORKER = "sweeps.on_ray.pack_worker:train_pack"  # by name: torch is imported where it trains, not in the driver
MEMBER = "sweeps.on_ray.pack_worker:train_member"
DEAD = "its worker process died"  # why a pack broke that said nothing itself
HOST_LOST = "its host was lost"
FOLDER = "requests"
STOP_ALL = "stop"
STOP_TRIAL = "stop-"


@dataclass(frozen=True)
class PackJob:
    """A pack as it is launched."""

    trials: tuple[str, ...]  # ids
    engine: EngineName = "eager"


@dataclass(frozen=True, eq=False)
class Job:
    """What every pack of a launch has in common, and the packs."""

    packs: tuple[PackJob, ...]
    trials: Mapping[str, dict[str, Any]]  # configurations by id: a trial may join another pack than its own
    attempts: Mapping[str, int]
    checkpoints: str  # folder, on storage that driver and workers share
    slots: Slots  # the places the packs are trained in
    data_root: str = ""  # where the driver finds the data sets, for hosts whose CH6DIST_DATA says nothing
    checkpoint_seconds: float = 30.0  # how often a running trial's `last` is written
    worker: str = WORKER  # module:function that trains a pack
    member: str = MEMBER  # module:function of the other workers of a pack, where there are several
    mailbox: str = field(default_factory=lambda: f"ch6dist-orders-{uuid.uuid4().hex}")  # actor that holds the orders


@dataclass(frozen=True)
class MemberOrder:
    """What the process of a pack asks of its other workers: to train this with it."""

    pack: PackJob
    attempts: Mapping[str, int]
    address: str  # of rank 0
    port: int
    rank: int = 0


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
