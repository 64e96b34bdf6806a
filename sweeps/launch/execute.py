"""Trains the packs of a run on Ray: a driver, a session, a launch, and the last words.

    with opened(run, storage, say=console.print) as record:
        status = drive(Task(board, packs, Settings.of(content), hosts), record, Launch())

Exit statuses: 0 done (diverged trials are results), 1 a trial failed, 130 stopped before the end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from ch6dist.catalog.dataset_files import data_root
from ch6dist.config import parse_trial
from ch6dist.host.hardware import Devices
from ch6dist.storage.files import is_remote, open_folder
from sweeps.driver.jobs import WORKER, Job, PackJob
from sweeps.driver.pack_driver import Driver, HaltedError
from sweeps.driver.progress import Progress
from sweeps.driver.trial_table import Board
from sweeps.on_ray.session import ray_session
from sweeps.on_ray.tune_run import launch
from sweeps.plan.calibration import calibration_key, record_calibration
from sweeps.plan.hosts import storage_note, workers_words
from sweeps.plan.slots import Slots, place
from sweeps.record.record import Record
from sweeps.spec.sweep_file import CheckpointRules, Resources
from sweeps.units import duration


def plain_console() -> Console:
    """Paths and reasons are printed as they are: a bracket in one is no markup, and a long line no short ones."""
    return Console(soft_wrap=True, markup=False, highlight=False)


@dataclass(frozen=True)
class Launch:
    """How a run is trained: what a person may choose anew at every start."""

    address: str | None = None  # of a running Ray; None starts one for this run
    packs: str | int = "auto"
    console: Console = field(default_factory=plain_console)
    worker: str = WORKER  # module:function that trains a pack; another one to measure what is not training


@dataclass(frozen=True)
class Settings:
    """What the driver needs to know of a sweep beside its trials."""

    resources: Resources
    max_retries: int
    checkpoints: CheckpointRules
    storage: str | None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Settings:
        """The settings in a sweep as `spec.dump` gives it."""
        resources = Resources.model_validate(content.get("resources", {}))
        rules = CheckpointRules.model_validate(content.get("checkpoints", {}))
        return cls(resources, content.get("max_retries", 2), rules, content.get("storage"))


@dataclass(frozen=True)
class Task:
    """What is to be trained, and where."""

    board: Board
    packs: Sequence[PackJob]
    settings: Settings
    hosts: Sequence[Devices]
    room_bytes: int | None = None  # for checkpoints of trials that have ended (space.room)


def drive(task: Task, record: Record, how: Launch) -> int:
    """Train until nothing is left to do or the driver halts; say how it ended, and return the exit status."""
    run, board, settings = record.run, task.board, task.settings
    how.console.print(f"run folder: {run}")
    slots = place(settings.resources, task.hosts)
    for note in _notes(task, record, slots):
        how.console.print(note)
    progress, folder = Progress(board, how.console, title=run.name), open_folder(record.checkpoints)
    driver = Driver(
        record,
        board,
        progress,
        folder,
        packs=_todo(task),
        max_retries=settings.max_retries,
        needs=_needs(slots),
        hosts=len(task.hosts),
    )
    here = task.hosts[0]
    session = ray_session(address=how.address, cpus=here.cpus, gpus=len(here.gpus))
    with driver.interruptible(second=_at_once), progress, session, contextlib.suppress(HaltedError):
        driver.keep(settings.checkpoints.keep, room_bytes=task.room_bytes)
        driver.begin()
        if not driver.over:
            progress.doing = ""
            launch(_job(task, record, driver.lineup.packs, slots, how), driver=driver)
    driver.note_halt()
    if how.address is None and slots.workers == 1:  # a calibration is of one process on this machine
        remember_speeds(board, slots.device)
    return _verdict(run, board, driver, how.console, address=how.address)


def _at_once() -> None:
    raise KeyboardInterrupt


def _todo(task: Task) -> list[PackJob]:
    """What of the packs is not ended, the largest first."""
    left = set(task.board.unfinished())
    packs = [replace(pack, trials=tuple(trial for trial in pack.trials if trial in left)) for pack in task.packs]
    return sorted((pack for pack in packs if pack.trials), key=lambda pack: len(pack.trials), reverse=True)


def _notes(task: Task, record: Record, slots: Slots) -> list[str]:
    """What a person should know before the launch: what hosts must share, and how workers share a trial."""
    if len(task.hosts) == 1 and slots.workers == 1:
        return []
    trials = [parse_trial(entry.config) for entry in task.board.entries.values()]
    kept = record.checkpoints if is_remote(record.checkpoints) else record.run
    shared = storage_note(task.hosts, trials, run=kept)
    return ([shared] if shared else []) + ([workers_words(trials, slots)] if slots.workers > 1 else [])


def _needs(slots: Slots) -> str:
    """What a pack needs, in words."""
    gpus = f" and {slots.gpus:g} GPU" if slots.gpus else ""
    each = f"{slots.cpus} core(s){gpus}"
    if slots.workers == 1:
        return f"each needs {each}"
    return f"each needs {slots.workers} × {each} on {'any hosts' if slots.span_hosts else 'one host'}"


def _job(task: Task, record: Record, packs: Sequence[PackJob], slots: Slots, how: Launch) -> Job:
    entries = {trial: task.board.entries[trial] for pack in packs for trial in pack.trials}
    return Job(
        packs=tuple(packs),
        trials={trial: entry.config for trial, entry in entries.items()},
        attempts={trial: entry.attempt for trial, entry in entries.items()},
        checkpoints=record.checkpoints,
        slots=slots,
        data_root=str(data_root().absolute()),
        checkpoint_seconds=task.settings.checkpoints.seconds,
        worker=how.worker,
    )


def remember_speeds(board: Board, device: str) -> None:
    """What this run measured, for the next `plan` on this machine: median images per second of a process."""
    speeds: dict[str, list[float]] = {}
    for entry in board.entries.values():
        if entry.config["type"] == "train" and entry.last:
            key = calibration_key(device, entry.config["model"]["name"], entry.engine)
            speeds.setdefault(key, []).append(entry.last["images_per_second"])
    for key, values in speeds.items():
        with contextlib.suppress(OSError):  # a cache that cannot be written costs a run nothing
            record_calibration(key, median(values))


def _verdict(run: Path, board: Board, driver: Driver, console: Console, *, address: str | None) -> int:
    """The last words, and the exit status."""
    for note in board.notes:
        console.print(f"note: {note}")
    status = driver.verdict(console.print, resume=f"sweeps resume {run}" + (f" --address {address}" if address else ""))
    if not driver.halted:
        console.print(f"done in {duration(time.monotonic() - board.started)}; next: analysis report {run}")
    return status
