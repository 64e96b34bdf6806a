"""What a launch begins with: packs as the ledger has them, engines that are kept, speeds that are remembered."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ch6dist.config import TrialConfig
from ch6dist.host.hardware import Devices
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.writer import Writer
from sweeps.driver.jobs import PackJob
from sweeps.driver.trial_table import TrialTable
from sweeps.launch.execute import remember_speeds
from sweeps.launch.packing import kept_engine_notes, pack_new, recorded_engines, recorded_packs
from sweeps.plan.calibration import read_calibration
from sweeps.plan.slots import find_slots
from sweeps.spec.sweep_file import Resources
from tests.support.plans import TWO_CORES, one_gpu, trials

SMALL_GPU = one_gpu(12 * 10**9)


def ids(given: list[TrialConfig]) -> tuple[str, ...]:
    return tuple(trial.trial_id for trial in given)


def ledger(folder: Path, given: list[TrialConfig], *packs: tuple[str, tuple[str, ...]]) -> Ledger:
    """A ledger of trials and of the packs they were in, one after the other."""
    with Writer(folder) as writer:
        writer.append(map(trial_line, given))
        writer.append({"kind": "pack", "trials": list(names), "engine": engine} for engine, names in packs)
    return read(folder)


def test_a_resumed_trial_keeps_its_newest_pack_and_engine(tmp_path: Path) -> None:
    a, b, c, d, e = names = ids(trials(5))
    found = ledger(tmp_path, trials(5), ("fused", (a, b, c)), ("fused", (d, e)), ("fused", (b, c, e)))
    assert recorded_packs(found, set(names) - {a}) == [PackJob((d,), "fused"), PackJob((b, c, e), "fused")]
    assert recorded_packs(found, {c}) == [PackJob((c,), "fused")]
    assert recorded_engines(found) == dict.fromkeys(names, "fused")


def test_a_kept_engine_is_reported_only_where_another_would_be_chosen(tmp_path: Path) -> None:
    given = trials(3)
    found = ledger(tmp_path, given)
    packs = [PackJob(ids(given[:2]), "fused"), PackJob(ids(given[2:]), "eager")]
    notes = kept_engine_notes(found, packs, slots=find_slots(Resources(), TWO_CORES), wanted="auto")
    assert notes == ["2 trials keep the fused engine that began them (here it would be eager)"]
    notes = kept_engine_notes(found, packs, slots=find_slots(Resources(), SMALL_GPU), wanted="auto")
    assert notes == ["1 trials keep the eager engine that began them (here it would be fused)"]
    assert kept_engine_notes(found, packs[:1], slots=find_slots(Resources(), TWO_CORES), wanted="fused") == []


@pytest.mark.parametrize("devices", [TWO_CORES, SMALL_GPU], ids=["cpu", "gpu"])
def test_new_packs_keep_the_engine_of_a_trial_that_has_begun(devices: Devices) -> None:
    given = trials(6)
    engines: dict[str, Any] = dict.fromkeys(ids(given[:2]), "fused") | dict.fromkeys(ids(given[2:4]), "eager")
    packs = pack_new(given, devices, Resources(), 2, engines=engines)
    found = {name: pack.engine for pack in packs for name in pack.trials}
    assert {name: found[name] for name in engines} == engines
    assert {found[name] for name in ids(given[4:])} == {"fused" if devices.gpus else "eager"}


def test_a_run_says_when_memory_splits_the_packs_asked_for() -> None:
    console = Console(file=io.StringIO(), width=200)
    packs = pack_new(trials(64, model="conv3bn"), SMALL_GPU, Resources(), 64, say=console.print)
    assert [len(pack.trials) for pack in packs] == [32, 32]
    assert console.file.getvalue().count("packs of 64 asked for, but 12 GB hold 38 lanes") == 1  # type: ignore[attr-defined]


def test_speeds_are_remembered_by_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    table = TrialTable({trial.trial_id: trial.model_dump() for trial in trials(2)})
    for entry, engine in zip(table.entries.values(), ("eager", "fused"), strict=True):
        fields = {"trial": entry.trial, "attempt": 1}
        running = {**fields, "kind": "status", "status": "running", "engine": engine}
        speed = 1e4 if engine == "eager" else 1e6
        table.take([running, {**fields, "kind": "row", "epoch": 1, "images_per_second": speed}])
    remember_speeds(table, "GPU")
    assert read_calibration() == {"GPU/lenet5": 1e4, "GPU/lenet5/fused": 1e6}


def test_the_table_of_a_resumed_run_has_what_its_ledger_has(tmp_path: Path) -> None:
    (first, second), fields = trials(2), {"attempt": 1, "kind": "status"}
    with Writer(tmp_path) as writer:
        writer.append(map(trial_line, (first, second)))
        for trial, status in ((first, "running"), (first, "failed"), (second, "running")):
            line = {**fields, "trial": trial.trial_id, "status": status, "reason": f"why {status}", "engine": "fused"}
            writer.append([line])
        row = {"kind": "row", "trial": second.trial_id, "attempt": 1, "step": 8, "epoch": 2}
        again = {**fields, "trial": first.trial_id, "attempt": 2, "status": "planned"}
        writer.append([row, again])
    table = TrialTable.from_ledger(read(tmp_path))
    found = [(entry.status, entry.attempt, entry.epoch, entry.engine) for entry in table.entries.values()]
    assert found == [("planned", 2, 0, "fused"), ("running", 1, 2, "fused")]
