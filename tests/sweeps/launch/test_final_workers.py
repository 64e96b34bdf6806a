"""A final training over two workers of a cluster: the ledger is that of a run without a fault, whatever is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import sweep_line
from ch6dist.runs.writer import Writer
from sweeps.launch.final import result
from tests.support.commands import driving, succeed, sweep_file, sweeps
from tests.support.namespaces import wait_for
from tests.support.processes import trainers
from tests.support.ray_cluster import left_in
from tests.support.runs import needless_attempts, row_count, statuses, without_ray

pytestmark = pytest.mark.slow
EPOCHS = 60


def finished_sweep(folder: Path, **settings: Any) -> Path:
    """The run folder of a sweep of one configuration that has ended; its final training uses its `settings`."""
    spec = sweep_file(folder, parameters={"optimizer.lr": {"values": [0.003]}}, epochs=1)
    run = folder / "runs" / "tiny"
    without_ray(spec, run)
    with Writer(run) as writer:
        writer.append([sweep_line({**read(run).spec, "checkpoints": {"seconds": 0.1}, **settings})])
    return run


def final(source: Path, address: str, *more: object) -> list[object]:
    size = ["--workers", 2, "--seeds", 2, "--epochs", EPOCHS, "--runs", source.parent]
    return ["final", source, *size, "--address", address, *more]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, address: str) -> Path:
    """A final training of two seeds over two workers to which nothing happened."""
    folder = tmp_path_factory.mktemp("undisturbed")
    found = succeed(*final(finished_sweep(folder), address), cwd=folder)
    assert found.stderr == ""
    return folder / "runs" / "tiny-final"


def test_each_seed_is_tested_once_and_nothing_stays_behind(address: str, undisturbed: Path) -> None:
    tested = [row for row in read(undisturbed).rows if row.get("test_accuracy") is not None]
    assert [row["epoch"] for row in tested] == [EPOCHS, EPOCHS]
    assert result(undisturbed)["seeds"] == 2
    assert left_in(address) == []


def test_killed_workers_and_drivers_leave_no_trace_in_the_ledger(
    tmp_path: Path, address: str, undisturbed: Path
) -> None:
    run, there = tmp_path / "runs" / "tiny-final", ["--address", address]
    with driving(*final(finished_sweep(tmp_path), address), cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > 8)
        os.kill(trainers(os.getpid())[-1], signal.SIGKILL)
        driver.until(lambda: "retrying" in driver.output())
        before = row_count(run)
        driver.until(lambda: row_count(run) > before + 4)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
        assert f"resume with: sweeps resume runs/tiny-final --address {address}" in driver.output()
    before = row_count(run)
    with driving("final", "tiny", "--resume", *there, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > before + 8)
        os.kill(driver.pid, signal.SIGKILL)
    wait_for(lambda: not trainers(os.getpid()))
    succeed("final", "tiny", "--resume", *there, cwd=tmp_path)
    assert differences(read(run), read(undisturbed)) == []
    assert needless_attempts(run) == []
    assert left_in(address) == []


def test_a_final_training_that_fits_no_host_is_refused_and_nothing_is_written(tmp_path: Path, address: str) -> None:
    source = finished_sweep(tmp_path)
    found = sweeps("final", source, "--workers", 3, "--runs", source.parent, "--address", address, cwd=tmp_path)
    assert found.returncode == 2
    assert "at most 2" in found.stderr
    assert not (tmp_path / "runs" / "tiny-final").exists()


def test_a_trial_that_fails_by_itself_ends_as_failed(tmp_path: Path, address: str) -> None:
    run, source = tmp_path / "runs" / "tiny-final", finished_sweep(tmp_path, max_retries=0)
    with driving(*final(source, address), cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > 8)
        driver.interrupt()
        assert driver.wait() == 130
    first, second = read(run).trials
    (run / "checkpoints" / first / "last.pt").write_bytes(b"no checkpoint")
    found = sweeps("resume", run, "--address", address, cwd=tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert statuses(read(run)) == {first: "failed", second: "finished"}
    assert "is no readable checkpoint" in read(run).statuses[first]["reason"]
    wait_for(lambda: not trainers(os.getpid()))
