"""Refill on Ray: a lane that diverges is refilled at once; whatever is killed then, no row is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from tests.support.commands import driving, environment, succeed, sweep_file
from tests.support.processes import workers
from tests.support.runs import raw_lines, statuses, without_ray

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_core")]
LRS = [0.01, 0.001, 1000.0, 0.003, 0.002]  # in packs of 3: the last three begin, of them the first diverges at once


def refilled(folder: Path, *, epochs: int, **changes: Any) -> tuple[Path, Path]:
    """The sweep and its run folder."""
    spec = sweep_file(folder, epochs=epochs, parameters={"optimizer.lr": {"values": LRS}}, **changes)
    return spec, folder / "runs" / "tiny"


def packs(run: Path) -> list[list[str]]:
    """Every line of a pack, trials by their learning rates."""
    lrs = {line["trial"]: line["config"]["optimizer"]["lr"] for line in raw_lines(run, "trial")}
    return [[lrs[trial] for trial in line["trials"]] for line in raw_lines(run, "pack")]


def admitted(run: Path) -> bool:
    """Whether a trial that took over a lane has rows."""
    lrs = {line["trial"]: line["config"]["optimizer"]["lr"] for line in raw_lines(run, "trial")}
    return 0.001 in {lrs[row["trial"]] for row in raw_lines(run, "row")}


def test_a_waiting_trial_takes_the_lane_of_one_that_diverged(tmp_path: Path) -> None:
    spec, run = refilled(tmp_path, epochs=4)
    succeed("run", spec, "--packs", "3", cwd=tmp_path)
    assert packs(run) == [[1000.0, 0.003, 0.002], [0.01, 0.001], [0.003, 0.002, 0.001], [0.003, 0.002, 0.001, 0.01]]
    beside = [row["lanes"] for row in raw_lines(run, "row") if row["trial"].startswith("sgd-lr0.003")]
    assert beside == [3, 3, 3, 3]
    keys = Counter((row["trial"], row["attempt"], row["step"]) for row in raw_lines(run, "row"))
    assert set(keys.values()) == {1}
    assert Counter(statuses(read(run)).values()) == {"finished": 4, "diverged": 1}
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []


@pytest.mark.exhaustive
def test_trials_that_are_rerun_in_lanes_of_others_begin_from_scratch_too(tmp_path: Path) -> None:
    spec, run = refilled(tmp_path, epochs=4)
    succeed("run", spec, "--packs", "3", cwd=tmp_path)
    once = read(run)
    succeed("rerun", run, *once.trials, "--packs", "3", cwd=tmp_path)
    again = [line for line in raw_lines(run, "row") if line["attempt"] == 2]
    assert Counter(row["trial"] for row in again) == Counter(row["trial"] for row in once.rows)
    assert len(packs(run)) == 8, "lanes were refilled"
    assert {path.parent.name for path in (run / "checkpoints").glob("*/*/last.pt")} == {"attempt-2"}
    assert differences(read(run), once) == []


def test_a_worker_killed_after_an_admission_loses_and_doubles_nothing(tmp_path: Path) -> None:
    spec, run = refilled(tmp_path, epochs=60)
    with driving("run", spec, "--packs", "3", cwd=tmp_path) as driver:
        driver.until(lambda: admitted(run))
        os.kill(workers(driver.pid)[0], signal.SIGKILL)
        assert driver.wait() == 0, driver.output()
        assert "retrying" in driver.output()
    assert [0.003, 0.002, 0.001] in packs(run)
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []


@pytest.mark.exhaustive
def test_a_driver_killed_after_an_admission_resumes_with_the_new_pack(tmp_path: Path) -> None:
    spec, run = refilled(tmp_path, epochs=60)
    with driving("run", spec, "--packs", "3", cwd=tmp_path) as driver:
        driver.until(lambda: admitted(run))
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    before = len(packs(run))
    succeed("resume", run, cwd=tmp_path)
    assert packs(run)[before] == [0.003, 0.002, 0.001]
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []


@pytest.mark.exhaustive
def test_fused_lanes_are_refilled_too_and_each_is_its_solo_run_up_to_rounding(tmp_path: Path) -> None:
    spec, run = refilled(tmp_path, epochs=4, resources={"engine": "fused"})
    succeed("run", spec, "trial.precision=fp64", "--packs", "3", cwd=tmp_path)
    assert {line["engine"] for line in raw_lines(run, "pack")} == {"fused"}
    assert packs(run)[2] == [0.003, 0.002, 0.001]
    alone = without_ray(run / "sweep.yaml", tmp_path / "alone").rows
    fused = read(run).rows
    assert [(row["trial"], row["step"]) for row in fused] == [(row["trial"], row["step"]) for row in alone]
    sound = [row for row in fused if row.get("val_loss") is not None]
    assert len(sound) == 4 * 4
    losses = {(row["trial"], row["step"]): row.get("val_loss") for row in alone}
    for row in sound:
        assert row["val_loss"] == pytest.approx(losses[row["trial"], row["step"]], rel=1e-9)


MANY = """
import sys
from pathlib import Path
from sweeps.spec.expand import expand
from sweeps.launch.run import Launch, start
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump

spec = load_spec(sys.argv[1])
how = Launch(packs=20, worker="tests.support.stub_worker:train_pack")
sys.exit(start(dump(spec), expand(spec), how, runs=Path("runs"))[1])
"""


def test_a_thousand_trials_in_refilled_packs_each_train_once(tmp_path: Path) -> None:
    spec = sweep_file(tmp_path, epochs=5, parameters={"optimizer.lr": {"values": [1e-4 * n for n in range(1, 1001)]}})
    options = {"cwd": tmp_path, "env": environment(), "capture_output": True, "text": True, "check": False}
    found = subprocess.run([sys.executable, "-c", MANY, str(spec)], **options)
    assert found.returncode == 0, found.stdout + found.stderr
    run = tmp_path / "runs" / "tiny"
    keys = Counter((row["trial"], row["epoch"]) for row in raw_lines(run, "row"))
    assert set(keys.values()) == {1}
    begun = Counter(line["trial"] for line in raw_lines(run, "status") if line["status"] == "running")
    assert begun == Counter(line["trial"] for line in raw_lines(run, "trial"))
    ends = Counter(statuses(read(run)).values())
    assert ends == {"finished": 900, "diverged": 100}
    assert len(raw_lines(run, "pack")) > 1000 / 20  # some were refilled
    assert max(row["lanes"] for row in raw_lines(run, "row")) == 20
