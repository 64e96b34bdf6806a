"""Kills of a sweep that decides while it trains, on Ray: it decides and trains what it would have without them."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from sweeps.search.replay import departures
from tests.support.commands import TINY, driving, succeed, sweep_file
from tests.support.runs import needless_attempts, raw_lines, statuses
from tests.sweeps.launch.test_kills import any_trainer, kill, repeated, rows_written

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = TINY["trial"]["data"] | {"train_size": 128, "val_size": 32}
OFTEN = {"checkpoints": {"seconds": 0}, "max_retries": 1000, "data": SMALL, "epochs": 27}
HALVING = {"name": "halving", "first": 3, "factor": 3}
OPTIMIZERS = [{"name": "SGD", "momentum": 0.9}, {"name": "Adam"}]
LOG = {"distribution": "log_uniform", "min": 1e-4, "max": 1e-1}
SWEEPS: dict[str, dict[str, Any]] = {
    "halving with two seeds": {
        "parameters": {"optimizer": {"values": OPTIMIZERS}, "optimizer.lr": {"values": [0.01, 0.003, 0.001]}},
        "seeds": 2,
        "early_stop": HALVING,
    },
    "a model with early stopping": {
        "method": "optuna",
        "trials": 8,
        "batch": 4,
        "seed": 0,
        "parameters": {"optimizer": {"values": OPTIMIZERS}, "optimizer.lr": LOG},
        "early_stop": HALVING,
    },
    "racing": {
        "parameters": {"optimizer": {"values": OPTIMIZERS}, "optimizer.lr": {"values": [0.003, 0.001]}},
        "seeds": {"start": 1, "up_to": 3},
    },
}
LAST_MOMENT = 0.7  # of the rows; so every kill comes before the end
PAUSE_SECONDS = 0.3  # at most, between a row and a kill


@pytest.mark.parametrize("name", SWEEPS)
def test_a_killed_search_ends_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    rng = Random(name)
    spec, run = sweep_file(tmp_path, **OFTEN, **SWEEPS[name]), tmp_path / "runs" / "tiny"
    succeed("run", spec, "--name", "undisturbed", cwd=tmp_path)
    undisturbed = read(tmp_path / "runs" / "undisturbed")
    first, second, third = sorted(rng.uniform(0, LAST_MOMENT) * len(undisturbed.rows) for _ in range(3))
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: rows_written(run) >= first)
        time.sleep(rng.uniform(0, PAUSE_SECONDS))
        kill(any_trainer(driver, rng))
        driver.until(lambda: rows_written(run) >= second)
        time.sleep(rng.uniform(0, PAUSE_SECONDS))
        kill(driver.pid)
        driver.wait()
    with driving("resume", run, cwd=tmp_path) as driver:
        driver.until(lambda: rows_written(run) >= third)
        kill(any_trainer(driver, rng))
        assert driver.wait() == 0, driver.output()
    ledger = read(run)
    assert set(statuses(ledger).values()) <= {"finished", "stopped"}
    assert differences(ledger, undisturbed) == []
    assert departures(ledger) == departures(undisturbed) == []
    assert repeated(raw_lines(run)) == []
    assert needless_attempts(run) == []
    assert len(raw_lines(run, "event")) >= 1, "a worker was killed"
