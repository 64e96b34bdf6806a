"""Train the packs of a run on Ray: a driver, a session, a Tune run, and the closing messages.

    with opened(run, spec, ledger=ledger, say=console.print) as record:
        task = Task(TrialTable.from_ledger(ledger), packs, Settings.of(spec), hosts)
        status = execute(task, ledger, record, Launch())

Exit statuses: 0 done (diverged trials are results), 1 a trial failed, 130 stopped before the end.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

from rich.console import Console

from ch6dist.catalog.dataset_files import data_root
from ch6dist.catalog.wording import format_count
from ch6dist.config import parse_trial
from ch6dist.host.hardware import Devices
from ch6dist.paths import shown_path
from ch6dist.runs.folders import captures_root
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.own_code import OwnCode
from ch6dist.runs.schema import BROKEN
from ch6dist.shell import command
from ch6dist.storage.files import is_remote
from sweeps.driver.driver import Driver, Rules
from sweeps.driver.halt import HaltedError
from sweeps.driver.jobs import WORKER, Job, PackJob
from sweeps.driver.progress import Progress
from sweeps.driver.retries import halt_line
from sweeps.driver.trial_table import TrialTable
from sweeps.launch.on_finish import call_on_finish
from sweeps.launch.packing import pack_new
from sweeps.on_ray.session import ray_session
from sweeps.plan.calibration import calibration_key, record_calibration
from sweeps.plan.hosts import describe_workers, shared_storage_note
from sweeps.plan.slots import Slots, find_slots
from sweeps.record.pace_file import remove_pace
from sweeps.record.record import Record
from sweeps.search.next_trials import Search
from sweeps.spec.sweep_file import CheckpointRules, Resources, SweepSpec
from sweeps.units import format_seconds
from sweeps.wire.messages import Address
from sweeps.wire.server import Server


def plain_console() -> Console:
    """Make a console that prints names and reasons as they are, `[red]` and `:fire:` too, and wraps no line."""
    return Console(soft_wrap=True, markup=False, emoji=False, highlight=False)


@dataclass(frozen=True)
class Launch:
    """How a run is trained: what a person may choose again at every start."""

    address: str | None = None  # of a running Ray; None starts one for this run
    packs: str | int = "auto"
    console: Console = field(default_factory=plain_console)
    worker: str = WORKER  # module:function that trains a pack; another one to measure what is not training
    trust: bool = False  # code that a run folder brings may run, although it has not run here before
    paths: tuple[str, ...] = ()  # folders that workers import from, besides the installed libraries and this project


@dataclass(frozen=True)
class Settings:
    """What a sweep says beside its trials."""

    resources: Resources
    max_retries: int
    checkpoints: CheckpointRules
    storage: str | None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Settings:
        """Read the settings of a sweep as `dump` gives it."""
        resources = Resources.model_validate(spec.get("resources", {}))
        rules = CheckpointRules.model_validate(spec.get("checkpoints", {}))
        retries = spec.get("max_retries", SweepSpec.model_fields["max_retries"].default)
        return cls(resources, retries, rules, spec.get("storage"))


@dataclass(frozen=True)
class Task:
    """What is to be trained, and where."""

    search: Search
    table: TrialTable
    packs: Sequence[PackJob]  # of what the search wants first
    settings: Settings
    hosts: Sequence[Devices]
    ended_limit_bytes: int | None = None  # for checkpoints of trials that have ended (plan/disk.py)
    code: OwnCode = field(default_factory=OwnCode)


def execute(task: Task, ledger: Ledger, record: Record, how: Launch) -> int:
    """Train until nothing is left to do or the driver halts; print how it ended, and return the exit status.

    Args:
        ledger: of the run as it is now; its rows are released when they are no longer needed.
    """
    say, table = how.console.print, task.table
    say(f"run folder: {shown_path(record.run)}")
    slots = find_slots(task.settings.resources, task.hosts)
    for note in _notes(task, record, slots):
        say(note)
    progress = Progress(table, how.console, title=record.run.name)
    pack = partial(_pack_more, task, how)
    driver = Driver(record, table, progress, _rules(task, slots), search=task.search, pack=pack)
    here = task.hosts[0]
    session = ray_session(address=how.address, cpus=here.cpus, gpus=len(here.gpus), paths=how.paths)
    meanwhile = ThreadPoolExecutor(1)  # Ray's start is waiting, mostly
    tune = meanwhile.submit(importlib.import_module, "sweeps.on_ray.tune_run")
    with (
        _closed_record(record, driver),
        meanwhile,
        driver.halt.on_signals(),
        progress,
        session as host,
        contextlib.suppress(HaltedError),
    ):
        driver.begin(ledger, _largest_first(task.packs))
        ledger.release_rows()
        if not driver.over:
            progress.doing = ""
            with Server(driver.on_messages, host=host) as server:
                tune.result().tune_run(_job(task, record, slots, how, server.address), driver=driver)
            if server.error:
                raise server.error
    task.search.keep_journal(record.run)
    if how.address is None and slots.workers == 1:  # a calibration is of one process on this machine
        remember_speeds(table, slots.device)
    target = task.search.content.get("on_finish")
    return call_on_finish(target, record.run, _close(driver, how), say=say, halted=driver.halt.reason)


@contextlib.contextmanager
def _closed_record(record: Record, driver: Driver) -> Iterator[None]:
    """Let the record say how the block ended, whatever ended it, and nothing of what runs before or after it."""
    remove_pace(record.run)  # a killed driver's
    try:
        yield
    finally:
        remove_pace(record.run)
        if driver.halted:
            with contextlib.suppress(OSError):
                record.append([halt_line(driver.halt.reason)])


def _close(driver: Driver, how: Launch) -> int:
    """Print what a person should know now; return the exit status."""
    say, run, table = how.console.print, driver.record.run, driver.table
    for note in table.notes:
        say(f"note: {note}")
    failed = [entry for entry in table.entries.values() if entry.status in BROKEN]
    for entry in failed:
        say(f"{entry.status}: {entry.trial}: {entry.reason}")
    if driver.halted:
        there = ["--address", how.address] if how.address else []
        say(f"{driver.halt.reason}\nresume with: {command('sweeps', 'resume', run, *there)}")
        return driver.halt.exit_status
    if table.epochs_shared:
        shared = format_count(table.epochs_shared, "epoch")
        say(f"{format_count(table.epochs_done, 'epoch')} trained, {shared} more shared with another trial")
    took = format_seconds(time.monotonic() - table.started)
    if waiting := len(table.unfinished()):
        on = command("sweeps", "status", run)
        say(f"the budget is spent, after {took}: {format_count(waiting, 'trial')} left; {on} says how they go on")
    else:
        say(f"done in {took}; next: {command('analysis', 'report', run)}")
    return 1 if failed else 0


def _largest_first(packs: Sequence[PackJob]) -> list[PackJob]:
    return sorted(packs, key=lambda pack: len(pack.trials), reverse=True)


def _pack_more(task: Task, how: Launch, configs: Sequence[Mapping[str, Any]]) -> list[PackJob]:
    """Return packs of trials that the search wants while the sweep runs; those with rows keep their engine."""
    trials = [parse_trial(config) for config in configs]
    entries = task.table.entries
    engines = {t.trial_id: entries[t.trial_id].engine for t in trials if entries[t.trial_id].last}
    return _largest_first(pack_new(trials, task.hosts, task.settings.resources, how.packs, engines=engines))


def _notes(task: Task, record: Record, slots: Slots) -> list[str]:
    """Return what a person should know before the launch: what hosts must share, and how workers share a trial."""
    if len(task.hosts) == 1 and slots.workers == 1:
        return []
    trials = [parse_trial(entry.config) for entry in task.table.entries.values()]
    kept = record.checkpoints if is_remote(record.checkpoints) else record.run
    shared = shared_storage_note(task.hosts, trials, run=kept)
    return ([shared] if shared else []) + ([describe_workers(trials, slots)] if slots.workers > 1 else [])


def _rules(task: Task, slots: Slots) -> Rules:
    settings = task.settings
    return Rules(
        settings.max_retries,
        settings.checkpoints.keep,
        task.ended_limit_bytes,
        needs=_needs(slots),
        hosts=len(task.hosts),
        slots=slots.count,
    )


def _needs(slots: Slots) -> str:
    """Return what a pack needs, as text."""
    gpus = f" and {slots.gpus:g} GPU" if slots.gpus else ""
    each = f"{format_count(slots.cpus, 'core')}{gpus}"
    if slots.workers == 1:
        return f"each needs {each}"
    where = "any hosts" if slots.span_hosts else "one host"
    fewer = "if hosts are lost, `sweeps stop` the run and `sweeps resume` it with fewer resources.workers"
    return f"each needs {slots.workers} × {each} on {where}; {fewer}"


def _job(task: Task, record: Record, slots: Slots, how: Launch, wire: Address) -> Job:
    return Job(
        wire=wire,
        checkpoints=record.checkpoints,
        captures=captures_root(record.run, storage=task.settings.storage),
        slots=slots,
        data_root=str(data_root()),
        checkpoint_seconds=task.settings.checkpoints.seconds,
        code=task.code,
        worker=how.worker,
    )


def remember_speeds(table: TrialTable, device: str) -> None:
    """Keep what this run measured for the next `plan` on this machine: median images per second of a process.

    Of all epochs, not of the last of each trial: under early stopping most trials end with the first, which warms up.
    """
    for (model, engine), values in table.speeds.items():
        with contextlib.suppress(OSError):  # a cache that cannot be written costs a run nothing
            record_calibration(calibration_key(device, model, engine), median(values))
