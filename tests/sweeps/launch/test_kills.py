"""Kills at moments drawn by chance: no row lost, none doubled, nothing repeated that a checkpoint holds.

CH6DIST_TEST_KILLS=100 python -m pytest tests/sweeps/launch/test_kills.py      # left out: 60
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ch6dist.catalog.wording import format_count
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import Ledger, read
from tests.support.commands import TINY, Driving, driving, succeed, sweep_file, sweeps
from tests.support.namespaces import wait_for
from tests.support.paths import ROOT
from tests.support.processes import alive, offspring, trainers
from tests.support.runs import needless_attempts, raw_lines, statuses, without_ray

DRIVER, WORKER = "driver", "worker"
LEAST = 10  # of fewer kills none may be of a worker, and what is counted of these is nothing
# a hundred take some eight minutes of two busy cores
KILLS = max(LEAST, int(os.environ.get("CH6DIST_TEST_KILLS", "60")))
TOGETHER = [WORKER] * max(KILLS // 8 - 1, 1) + [DRIVER]  # kills of a sweep whose trials have two workers
DRIVERS = max(KILLS // 16, 1)  # with few kills too a driver is killed: its resumption is what is counted
ALONE = [WORKER] * (KILLS - len(TOGETHER) - DRIVERS) + [DRIVER] * DRIVERS  # of one whose trials have one
LAST_MOMENT = 0.9  # of a run's rows; so every kill comes before its end
PAUSE_SECONDS = 0.5  # at most, between a row and a kill: epochs, checkpoints and starts are all hit
EPOCHS = 60
SMALL = TINY["trial"]["data"] | {"train_size": 128, "val_size": 32}
OFTEN = {"checkpoints": {"seconds": 0}, "max_retries": 1000}  # a trial that is hit each time is still not faulty
SEEDS = 5 if KILLS >= 30 else 1  # of each of ten configurations: few kills need no fifty trials
MANY = {
    "parameters": {
        "optimizer": {"values": [{"name": "SGD", "momentum": 0.9}, {"name": "Adam"}]},
        "optimizer.lr": {"values": [0.01, 0.003, 0.001, 0.0003, 0.0001]},
    },
    "seeds": SEEDS,
}
SIX = {"parameters": {"optimizer.lr": {"values": [0.01, 0.003, 0.001]}}, "seeds": 2, "resources": {"workers": 2}}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_of_workers_and_drivers_cost_nothing(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=EPOCHS, data=SMALL, **MANY, **OFTEN), tmp_path / "runs" / "tiny"
    drivers = survive(spec, run, ALONE, trials=10 * SEEDS, rng=Random(1))
    nothing_happened_to(run, without_ray(spec, tmp_path / "alone"), trials=10 * SEEDS)
    check_status(run, kills=ALONE.count(WORKER), drivers=drivers)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_kills_of_workers_that_train_together_cost_nothing(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=EPOCHS, data=SMALL, **SIX, **OFTEN), tmp_path / "runs" / "tiny"
    drivers = survive(spec, run, TOGETHER, trials=6, rng=Random(2))
    succeed("run", spec, "--name", "undisturbed", cwd=tmp_path)
    nothing_happened_to(run, read(tmp_path / "runs" / "undisturbed"), trials=6)
    check_status(run, kills=TOGETHER.count(WORKER), drivers=drivers)


def test_a_needless_repetition_would_be_seen() -> None:
    def line(kind: str, epoch: int, status: str = "running") -> dict[str, Any]:
        return {"kind": kind, "trial": "sgd", "epoch": epoch, **({"status": status} if kind == "status" else {})}

    begun = [line("status", 0), *(line("row", epoch) for epoch in range(1, 6))]
    assert repeated([*begun, line("status", 4), line("row", 5), line("status", 5, "finished")]) == []
    assert len(repeated([*begun, line("status", 3)])) == 1
    assert len(repeated([*begun, line("status", 0)])) == 1
    assert len(repeated([*begun, line("status", 5, "finished"), line("row", 5)])) == 1


def survive(spec: Path, run: Path, kills: Sequence[str], *, trials: int, rng: Random) -> int:
    """Bring a sweep to its end through `kills`, whose moments are drawn over its rows; how many drivers it took.

    A killed driver is followed by a resume at once, while what it has started is still dying.
    """
    moments = sorted(rng.uniform(0, LAST_MOMENT * trials * EPOCHS) for _ in kills)
    plan = list(zip(moments, rng.sample(kills, len(kills)), strict=True))
    below: set[int] = set()
    command: tuple[object, ...] = ("run", spec)
    drivers = 1 + kills.count(DRIVER)
    for _ in range(drivers):
        with driving(*command, cwd=spec.parent) as driver:
            while plan:
                moment, kind = plan.pop(0)
                driver.until(lambda: rows_written(run) >= moment)  # noqa: B023
                time.sleep(rng.uniform(0, PAUSE_SECONDS))
                below |= set(offspring(driver.pid))
                kill(driver.pid if kind == DRIVER else any_trainer(driver, rng))
                if kind == DRIVER:
                    break
            else:
                assert driver.wait() == 0, driver.output()
            driver.wait()
        command = ("resume", run)
    assert plan == []
    wait_for(lambda: not [line for line in alive(sorted(below)) if "Agent" not in line])
    return drivers


def any_trainer(driver: Driving, rng: Random) -> int:
    """One of the processes that train, as soon as there are any."""
    found: list[int] = []
    driver.until(lambda: found.extend(trainers(driver.pid)) or found)
    return rng.choice(found)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive([pid]))  # or it might be killed twice, and be counted so


def rows_written(run: Path) -> int:
    """Every row that was ever written, those of epochs that were trained again too."""
    return sum(path.read_bytes().count(b'"kind":"row"') for path in (run / "ledger").glob("*.jsonl"))


def nothing_happened_to(run: Path, undisturbed: Ledger, *, trials: int) -> None:
    """The ledger, when read, is that of a run without a kill; each epoch once, and none trained without need."""
    ledger = read(run)
    assert set(statuses(ledger).values()) == {"finished"}
    epochs = {trial: [row["epoch"] for row in rows] for trial, rows in ledger.rows_by_trial().items()}
    assert epochs == {trial: list(range(1, EPOCHS + 1)) for trial in undisturbed.trials}
    assert len(epochs) == trials
    assert differences(ledger, undisturbed) == []
    assert repeated(raw_lines(run)) == []
    assert needless_attempts(run) == []  # a further attempt is for what was hit before its first checkpoint


def repeated(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Epochs of a ledger that were trained again without need; with a checkpoint of each epoch one may be.

    A kill between an epoch's row and its checkpoint costs that epoch.
    """
    newest: Counter[str] = Counter()
    ended, found = set[str](), []
    for line in (line for line in lines if line["kind"] in ("row", "status")):
        trial, epoch = line["trial"], line["epoch"]
        if trial in ended:
            found.append(f"{trial} after its end: {line}")
        elif line["kind"] == "row":
            newest[trial] = epoch
        elif line["status"] == "running" and epoch < newest[trial] - 1:
            found.append(f"{trial} again at epoch {epoch}, though it had {newest[trial]}")
        elif line["status"] not in ("running", "planned", "paused") and not line.get("rule"):  # it may come back
            ended.add(trial)
    return found


def check_status(run: Path, *, kills: int, drivers: int) -> None:
    """`sweeps status` counts failures and how often the run was resumed.

    A pack whose two workers are killed fails once, and a failure just before its driver is killed is not recorded.
    """
    events = raw_lines(run, "event")
    assert kills // 2 <= len(events) <= kills
    assert {(event["broken"], event["reason"]) for event in events} == {("failed", "its worker process died")}
    found = json.loads(sweeps("status", run, "--json", cwd=ROOT).stdout)
    assert (found["retries"], found["drivers"], found["failures"]) == ({"failed": len(events)}, drivers, [])
    text = " ".join(sweeps("status", run, cwd=ROOT).stdout.split())  # the terminal wraps lines
    assert f"resumed {format_count(drivers - 1, 'time')} failures {format_count(len(events), 'worker failure')}" in text
    assert "its worker process died; retried" in text
