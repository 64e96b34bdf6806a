"""The driver's orders reach real workers: stops in the epoch in which they were ordered, trials unknown before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import trial_line
from sweeps.driver.driver import Driver
from sweeps.driver.trial_table import TrialState
from sweeps.launch.execute import Launch
from sweeps.launch.run import start
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump
from sweeps.wire.messages import Lines, Message, Reply
from tests.support.commands import QUIET, sweep_file
from tests.support.runs import raw_lines, statuses, without_ray

Decide = Callable[[Driver, int, Message], Reply | None]
reply = Driver.reply


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)


def driven(spec: Path, monkeypatch: pytest.MonkeyPatch, decide: Decide) -> Path:
    """Run a sweep in packs of two, whose driver replies as `decide` says; its folder."""
    monkeypatch.setattr(Driver, "reply", decide)
    sweep = load_spec(spec)
    run, status = start(dump(sweep), expand(sweep), Launch(packs=2), runs=spec.parent / "runs")
    assert status == 0
    return run


def test_a_stop_is_obeyed_at_the_end_of_the_epoch_in_which_it_was_ordered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a search stops them: each trial at another epoch, decided when its row arrives."""
    ends: dict[str, int] = {}

    def decide(driver: Driver, number: int, message: Message) -> Reply | None:
        for line in message.lines if isinstance(message, Lines) else ():
            if line["kind"] == "row" and line["epoch"] == ends.setdefault(line["trial"], 2 + len(ends) % 3):
                driver.stops.add(line["trial"])
        return reply(driver, number, message)

    run = driven(sweep_file(tmp_path, epochs=50), monkeypatch, decide)
    ledger = read(run)
    assert set(statuses(ledger).values()) == {"stopped"}
    assert {trial: rows[-1]["epoch"] for trial, rows in ledger.rows_by_trial().items()} == ends
    assert len(set(ends.values())) > 1


def test_a_trial_that_nobody_knew_at_the_launch_joins_a_running_pack_and_is_its_solo_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = sweep_file(tmp_path, epochs=4, parameters={"optimizer.lr": {"values": [0.01, 0.001]}})
    late: list[TrialConfig] = []

    def decide(driver: Driver, number: int, message: Message) -> Reply | None:
        found = reply(driver, number, message)
        rows = [line for line in (message.lines if isinstance(message, Lines) else ()) if line["kind"] == "row"]
        if found is None or late or not rows or rows[0]["epoch"] != 2:
            return found
        config: dict[str, Any] = driver.table.entries[rows[0]["trial"]].config
        late.append(parse_trial({**config, "optimizer": {**config["optimizer"], "lr": 0.005}}))
        name = late[0].trial_id
        driver.table.entries[name] = TrialState(name, late[0].model_dump())
        driver.ledger.write([trial_line(late[0])])
        pack = driver.queue.packs[number]
        driver.queue.packs[number] = replace(pack, trials=(*pack.trials, name))
        driver.refilled.add(number)
        return driver.admit([name])

    run = driven(spec, monkeypatch, decide)
    joined = [row for row in raw_lines(run, "row") if row["trial"] == late[0].trial_id]
    assert [row["epoch"] for row in joined] == [1, 2, 3, 4]
    assert [row["lanes"] for row in joined][:2] == [3, 3]
    both = sweep_file(tmp_path, epochs=4, parameters={"optimizer.lr": {"values": [0.01, 0.001, 0.005]}})
    alone = without_ray(both, tmp_path / "alone")
    assert differences(read(run), alone) == []
