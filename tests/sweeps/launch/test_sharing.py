"""Sharing on Ray: a sweep of every schedule, killed twice, is the one that shares nothing, bit for bit."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import Ledger, read
from sweeps.search.replay import departures
from tests.support.commands import driving, succeed, sweep_file
from tests.support.processes import workers
from tests.support.runs import row_count
from tests.support.schedules import EVERY_SCHEDULE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_core")]


def weights(run: Path, trial: str) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / trial / "last.pt", weights_only=True)["lane"]["model"]
    return dict(state)


def trained(ledger: Ledger) -> int:
    return sum(line["kind"] == "row" and "shared" not in line for line in ledger.lines)


def test_every_schedule_of_a_killed_sweep_that_shares_is_what_it_is_alone(tmp_path: Path) -> None:
    schedules = [*EVERY_SCHEDULE.values(), {"name": "StepLR", "step_size": 3}, {"name": "WSD", "decay": {"epochs": 1}}]
    spec = sweep_file(
        tmp_path,
        epochs=5,
        parameters={"optimizer": [{"name": "SGD", "momentum": 0.9}], "optimizer.lr": [0.01], "schedule": schedules},
        checkpoints={"seconds": 0},
    )
    runs = tmp_path / "runs"
    succeed("run", spec, "share_prefixes=false", "--name", "apart", cwd=tmp_path)
    with driving("run", spec, "--name", "shared", cwd=tmp_path) as driver:
        driver.until(lambda: row_count(runs / "shared") > len(schedules))
        os.kill(workers(driver.pid)[0], signal.SIGKILL)
        driver.until(lambda: row_count(runs / "shared") > 3 * len(schedules))
        os.kill(driver.pid, signal.SIGKILL)
    succeed("resume", "shared", cwd=tmp_path)
    shared, apart = read(runs / "shared"), read(runs / "apart")
    assert differences(shared, apart) == []
    assert departures(shared) == []
    assert trained(shared) < trained(apart)
    for trial in apart.trials:
        here, there = weights(runs / "shared", trial), weights(runs / "apart", trial)
        assert all(torch.equal(here[name], there[name]) for name in there), trial
