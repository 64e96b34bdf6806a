"""A fused run is its own repetition: kernel variants are chosen by chance here, and recorded before they are used."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.columns import VOLATILE_COLUMNS
from ch6dist.runs.ledger import read
from ch6dist.training.checkpoint import Checkpoints
from tests.support.commands import Driving, driving, succeed, sweep_file
from tests.support.processes import workers
from tests.support.runs import raw_lines, row_count, statuses
from tests.support.trials import same_weights

TIMED = "tests.support.random_timing"
EPOCHS, TRIALS = 4, 4


def fused(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """A sweep whose kernel variants differ in the last bits; and its run folder."""
    data = {"name": "synthetic_cifar100", "train_size": 128, "val_size": 32, "batch_size": 64, "augment": "none"}
    trial = {"data": data, "model": "conv3bn", "epochs": EPOCHS}
    lrs = {"optimizer.lr": {"values": [0.003, 0.001]}}
    spec = sweep_file(folder, trial=trial, parameters=lrs, seeds=2, resources={"engine": "fused"}, **changes)
    return spec, folder / "runs" / "tiny"


def weights(run: Path) -> dict[str, Any]:
    """The last weights of each trial's newest attempt."""
    ledger = read(run)
    store = Checkpoints(run / "checkpoints", {trial: ledger.attempt(trial) for trial in ledger.trials})
    return {trial: store.load(trial, "last")["lane"]["model"] for trial in ledger.trials}  # type: ignore[index]


def repeated_cells(run: Path) -> int:
    """How many rows were written more than once; each must be, in every attempt, what it was at first."""
    first: dict[tuple[str, int], dict[str, Any]] = {}
    again = 0
    for row in raw_lines(run, "row"):
        kept = {key: value for key, value in row.items() if key not in VOLATILE_COLUMNS | {"attempt"}}
        again += (row["trial"], row["step"]) in first
        assert first.setdefault((row["trial"], row["step"]), kept) == kept
    return again


def kill(driver: Driving, whom: str) -> None:
    os.kill(driver.pid if whom == "driver" else workers(driver.pid)[0], signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize(
    ("whom", "seconds"),
    [
        pytest.param("driver", 0, id="driver, after a checkpoint", marks=pytest.mark.exhaustive),
        pytest.param("worker", 1e9, id="worker, before any checkpoint"),
        pytest.param("driver", 1e9, id="driver, before any checkpoint", marks=pytest.mark.exhaustive),
        pytest.param("worker", 0, id="worker, after a checkpoint", marks=pytest.mark.exhaustive),
    ],
)
def test_a_killed_run_and_its_rerun_end_with_the_same_rows_and_weights(
    whom: str, seconds: float, tmp_path: Path
) -> None:
    spec, run = fused(tmp_path, checkpoints={"seconds": seconds})
    with driving("run", spec, cwd=tmp_path, module=TIMED) as driver:
        driver.until(lambda: row_count(run) >= TRIALS * 2)  # of the second epoch: all have saved, if they do, the first
        kill(driver, whom)
        driver.wait()
    if whom == "driver":
        succeed("resume", run, cwd=tmp_path, module=TIMED)
    assert set(statuses(read(run)).values()) == {"finished"}
    ended = weights(run)
    succeed("rerun", run, *ended, cwd=tmp_path, module=TIMED)
    assert repeated_cells(run) >= TRIALS * EPOCHS
    assert all(same_weights(found, ended[trial]) for trial, found in weights(run).items())
