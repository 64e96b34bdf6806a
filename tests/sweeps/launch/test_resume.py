"""Drivers and workers that die or are stopped: nothing is lost, repeated or left behind."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.lease import current
from ch6dist.runs.ledger import read
from ch6dist.training.checkpoint import Checkpoints
from tests.support.commands import Driving, driving, refused, succeed, sweep_file, sweeps
from tests.support.namespaces import wait_for
from tests.support.processes import alive, offspring, workers
from tests.support.runs import ended, newest_epochs, raw_lines, row_count, statuses, without_ray

EPOCHS = 40  # two seconds or more: what is killed at its first rows has not ended
LONG = 100_000  # epochs; never reached


def gone(pids: list[int], run: Path, *, spared: str = "nothing") -> bool:
    return current(run) is None and not [line for line in alive(pids) if spared not in line]


def begun(run: Path, driver: Driving) -> list[int]:
    """Wait until packs train; every process below the driver."""
    before = row_count(run)
    driver.until(lambda: row_count(run) > before)
    return offspring(driver.pid)


def test_killed_driver_and_killed_worker_leave_no_trace_in_the_ledger(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=EPOCHS), tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        below = begun(run, driver)
        assert "torch" not in Path(f"/proc/{driver.pid}/maps").read_text()  # a driver needs no gigabyte
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        wait_for(lambda: gone(below, run, spared="Agent"))  # Ray's two agents need a minute to see it, and go then
    assert set(statuses(read(run)).values()) <= {"planned", "running", "finished"}
    assert "resume" in sweeps("status", run, cwd=tmp_path).stdout

    with driving("resume", run, cwd=tmp_path) as driver:
        begun(run, driver)
        os.kill(workers(driver.pid)[0], signal.SIGKILL)
        assert str(driver.pid) in refused("resume", run, cwd=tmp_path)
        assert driver.wait() == 0, driver.output()
        assert "retrying" in driver.output()
        assert "worker process died" in driver.output()
        assert max(map(len, driver.output().splitlines())) < 200  # Ray's own message is ten times as long
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []


def test_ctrl_c_saves_what_is_trained_however_short_ago_it_began(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=LONG), tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: min(newest_epochs(run).values(), default=0) > 3 and len(newest_epochs(run)) == 4)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
    store = Checkpoints(run / "checkpoints")
    saved = {trial: store.load(trial, "last") for trial in newest_epochs(run)}
    assert {trial: state and state["epoch"] for trial, state in saved.items()} == newest_epochs(run)
    assert set(statuses(read(run)).values()) == {"running"}


def test_ctrl_c_ends_it_and_a_stopped_trial_stays_stopped(tmp_path: Path) -> None:
    spec = sweep_file(tmp_path, epochs=LONG, parameters={"optimizer": {"values": ["SGD", "Adam"]}})
    run = tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        below = begun(run, driver)
        succeed("stop", run, "sgd", cwd=tmp_path)
        driver.until(lambda: ended(run) == 1)
        assert sorted(statuses(read(run)).values()) == ["running", "stopped"]
        begun(run, driver)  # the other continues
        driver.interrupt()
        assert driver.wait() == 130
        assert f"sweeps resume {run.relative_to(tmp_path)}" in driver.output()
        assert "Traceback" not in driver.output()
        wait_for(lambda: gone(below, run))
    stopped = [line for line in raw_lines(run, "status") if line["status"] == "stopped"]
    assert stopped[0]["reason"] == "asked to stop"
    assert (run / "checkpoints" / stopped[0]["trial"] / "last.pt").exists()

    rows = Counter(row["trial"] for row in raw_lines(run, "row"))
    with driving("resume", run, cwd=tmp_path) as driver:
        begun(run, driver)
        succeed("stop", run, cwd=tmp_path)
        assert driver.wait() == 130
        assert "asked to stop" in driver.output()
    again = Counter(row["trial"] for row in raw_lines(run, "row"))
    assert again[stopped[0]["trial"]] == rows[stopped[0]["trial"]]
    assert sorted(statuses(read(run)).values()) == ["planned", "stopped"] or "running" in statuses(read(run)).values()


@pytest.mark.slow
def test_sigterm_is_a_ctrl_c_and_may_come_while_ray_starts(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=LONG), tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        below = begun(run, driver)
        os.kill(driver.pid, signal.SIGTERM)
        assert driver.wait() == 130
        assert "sweeps resume" in driver.output()
        assert "***" not in driver.output()
        wait_for(lambda: gone(below, run))
    with driving("resume", run, cwd=tmp_path) as driver:
        driver.until(lambda: current(run))
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
        assert "Traceback" not in driver.output()
        assert current(run) is None


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_worker_killed_after_a_checkpoint_resumes_from_it(tmp_path: Path) -> None:
    run, axis, often = tmp_path / "runs" / "tiny", {"optimizer.lr": {"values": [0.001]}}, {"seconds": 0.1}
    spec = sweep_file(tmp_path, epochs=150, parameters=axis, checkpoints=often)
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > 40)
        os.kill(workers(driver.pid)[0], signal.SIGKILL)
        below = row_count(run)
        assert driver.wait() == 0, driver.output()
    assert {line["attempt"] for line in raw_lines(run, "status")} == {1}
    resumed = [line["epoch"] for line in raw_lines(run, "status") if line["status"] == "running"]
    assert 0 < resumed[1] <= below + 1
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []


def test_a_refused_rerun_leaves_the_ledger_as_it_was(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path), tmp_path / "runs" / "tiny"
    without_ray(spec, run)
    before, trial = {path: path.read_bytes() for path in (run / "ledger").iterdir()}, next(iter(read(run).trials))
    refused("rerun", "tiny", trial, "--packs", "100000", cwd=tmp_path)
    assert {path: path.read_bytes() for path in (run / "ledger").iterdir()} == before
