"""Runs sweeps on Ray Tune: `start` a new one, `resume` one, `rerun` trials of one.

    run, status = start(dump(spec), expand(spec), Launch())

Exit statuses: 0 done (diverged trials are results), 1 a trial failed, 2 wrong input, 130 stopped before the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ch6dist.catalog.dataset_files import check_files
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.host.hardware import Devices, visible_devices
from ch6dist.packs import engine_for
from ch6dist.runs.fetch import refresh
from ch6dist.runs.folders import checkpoints_root, home_of, new_run, runs_root
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.provenance import sweep_line, trial_line
from ch6dist.runs.schema import BROKEN, ENDED, EngineName, Status
from ch6dist.runs.write_ahead import lost_lines
from ch6dist.storage.files import is_remote, open_folder
from sweeps.driver.jobs import PackJob
from sweeps.driver.trial_table import Board
from sweeps.launch.execute import Launch, Settings, Task, drive
from sweeps.on_ray.cluster import cluster_hosts
from sweeps.plan.disk import room, total_bytes
from sweeps.plan.packs import make_packs, notes
from sweeps.plan.slots import Slots, place
from sweeps.record import stop_requests
from sweeps.record.record import opened
from sweeps.record.uploader import names_there
from sweeps.spec.sweep_file import Resources


def start(
    content: dict[str, Any],
    trials: Sequence[TrialConfig],
    how: Launch,
    *,
    name: str | None = None,
    runs: Path | None = None,
) -> tuple[Path, int]:
    """Train `trials` in a new run folder; the folder and the exit status. All is checked before the folder is made.

    `content` is the sweep as `spec.dump` gives it: what the folder's sweep.yaml and its ledger say of the sweep.
    """
    hosts, settings = hosts_of(how), Settings.of(content)
    packs = packed(trials, hosts, settings.resources, how)
    check_data(trials)
    storage = settings.storage
    home = home_of(runs, storage)
    left = room_left(trials, packs, settings, hosts, home=checkpoints_root(runs_root(home), storage=storage))
    run = new_run(name or content["name"], root=home, explicit=name is not None, taken=names_there(storage))
    (run / "sweep.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    with opened(run, storage, say=how.console.print) as record:
        lines = [trial_line(trial) for trial in trials]
        record.writer.append([sweep_line(content) | {"trials": len(lines), "address": how.address}, *lines])
        board = Board({line["trial"]: line["config"] for line in lines})
        status = drive(Task(board, packs, settings, hosts, left), record, how)
    return run, record.status(status)


def resume(run: Path, how: Launch, *, again: Sequence[str] = ()) -> int:
    """Go on where a run stopped. `again` names ended trials to train anew, as a new attempt."""
    refresh(run, read(run).spec.get("storage"))
    ledger = read(run)
    spec = ledger.spec
    if len(ledger.trials) < max([line.get("trials", 1) for line in ledger.sweeps], default=1):
        raise InputError("RUN", str(run), "a run that had begun (this one was cut off before: run the sweep anew)")
    if not again and all(ledger.status(trial) in ENDED for trial in ledger.trials):
        how.console.print(f"{run}: nothing to do, every trial has ended")
        return 1 if any(ledger.status(trial) in BROKEN for trial in ledger.trials) else 0
    trials = [parse_trial(line["config"], file=str(run)) for line in ledger.trials.values()]
    check_data([trial for trial in trials if ledger.status(trial.trial_id) not in ENDED or trial.trial_id in again])
    hosts, settings = hosts_of(how), Settings.of(spec)
    todo = {trial for trial in ledger.trials if trial in again or ledger.status(trial) not in ENDED}
    packs = recorded_packs(ledger, todo) if how.packs == "auto" else []
    slots = place(settings.resources, hosts)  # refused, where it is, before anything is written
    known = {trial for pack in packs for trial in pack.trials}
    rest = [trial for trial in trials if trial.trial_id in todo - known]
    packs += packed(rest, hosts, settings.resources, how, engines=recorded_engines(ledger))
    for note in kept_engines(ledger, packs, slots=slots, wanted=settings.resources.engine):
        how.console.print(note)
    left = room_left(trials, packs, settings, hosts, home=checkpoints_root(run, storage=settings.storage))
    with opened(run, settings.storage, say=how.console.print) as record:
        stop_requests.clear(run)
        lost = lost_lines(open_folder(record.checkpoints), ledger) if is_remote(record.checkpoints) else []
        record.writer.append(
            [sweep_line(spec) | {"address": how.address}, *lost, *(_anew(ledger, trial) for trial in again)]
        )
        status = drive(Task(Board.from_ledger(read(run)), packs, settings, hosts, left), record, how)
    return record.status(status)


def room_left(
    trials: Sequence[TrialConfig], packs: Sequence[PackJob], settings: Settings, hosts: Sequence[Devices], *, home: str
) -> int | None:
    """Bytes for checkpoints of ended trials beside those of the trials that run; InputError when these do not fit.

    Args:
        home: a folder, or a URL, where the checkpoints lie or near which they will.
    """
    known = {trial.trial_id: trial for trial in trials}
    total = total_bytes(settings.checkpoints.total, home)
    running = [[known[trial] for trial in pack.trials] for pack in packs]
    return room(total, running, at_once=place(settings.resources, hosts).count, place=home)


def hosts_of(how: Launch) -> list[Devices]:
    """Where a launch can train: this machine, or the hosts of the cluster that it joins."""
    return [visible_devices()] if how.address is None else cluster_hosts(how.address)


def packed(
    trials: Sequence[TrialConfig],
    hosts: Sequence[Devices],
    resources: Resources,
    how: Launch,
    *,
    engines: Mapping[str, EngineName] | None = None,
) -> list[PackJob]:
    """Packs of trials, by id; those that an engine has begun stay with it. InputError if a pack can never be placed."""
    by_engine: dict[EngineName | None, list[TrialConfig]] = {}
    for trial in trials:
        by_engine.setdefault(engines.get(trial.trial_id) if engines else None, []).append(trial)
    made = []
    for engine, members in by_engine.items():
        wanted = resources.model_copy(update={"engine": engine}) if engine else resources
        made += make_packs(members, devices=hosts, packs=how.packs, resources=wanted)
    for note in notes(made):
        how.console.print(note)
    return [PackJob(tuple(trial.trial_id for trial in pack.trials), pack.engine) for pack in made]


def recorded_packs(ledger: Ledger, todo: set[str]) -> list[PackJob]:
    """The packs that trials were last in: a resumed trial keeps its company, its lane count and its engine."""
    packs, seen = [], set()
    for line in reversed(ledger.packs):
        pack = [trial for trial in line["trials"] if trial in todo and trial not in seen]
        seen |= set(line["trials"])
        packs += [PackJob(tuple(pack), line["engine"])] if pack else []
    return packs[::-1]


def recorded_engines(ledger: Ledger) -> dict[str, EngineName]:
    """The engine that each trial was last packed for."""
    return {trial: line["engine"] for line in ledger.packs for trial in line["trials"]}


def kept_engines(ledger: Ledger, packs: Sequence[PackJob], *, slots: Slots, wanted: str) -> list[str]:
    """Where packs keep an engine that this machine would not choose: that they do."""
    found: Counter[tuple[str, str]] = Counter()
    for pack in packs:
        optimizer = ledger.trials[pack.trials[0]]["config"]["optimizer"]["name"]
        chosen, _ = engine_for(optimizer, kind=slots.kind, wanted=wanted, workers=slots.workers)
        if chosen != pack.engine:
            found[pack.engine, chosen] += len(pack.trials)
    words = "trials that keep the {} engine they began with: {} (here it would be {})"
    return [words.format(kept, count, chosen) for (kept, chosen), count in found.items()]


def check_data(trials: Sequence[TrialConfig]) -> None:
    """InputError when files of a data set that the trials read are missing or damaged."""
    for name, root, test in sorted({(t.data.name, t.data.root or "", t.evaluate_test) for t in trials}):
        check_files(name, root=root or None, test=test)


def _anew(ledger: Ledger, trial: str) -> dict[str, Any]:
    line = {"kind": "status", "trial": trial, "attempt": ledger.attempt(trial) + 1, "status": Status.PLANNED}
    return {**line, "reason": "rerun", "epoch": 0, "time": time.time()}
