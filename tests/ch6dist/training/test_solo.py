"""`ch6dist train` with a run folder: killed at every moment and resumed, it ends where the undisturbed one ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from rich.console import Console

from ch6dist.__main__ import app
from ch6dist.cli import run as run_command
from ch6dist.config import parse_trial
from ch6dist.runs.differences import differences
from ch6dist.runs.lease import hold
from ch6dist.runs.ledger import read
from ch6dist.runs.names import LEDGER
from ch6dist.runs.schema import Status
from ch6dist.runs.writer import Writer
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.solo import run_trial
from ch6dist.yamlfile import read_mapping
from tests.support.paths import ROOT
from tests.support.touches import train_until_touch
from tests.support.trials import DATA, in_process, same_weights, saved_weights

TRIAL = {
    "data": DATA,
    "model": "simple_nn",
    "optimizer": {"name": "SGD", "lr": 0.05, "momentum": 0.9},
    "schedule": "OneCycleLR",
    "epochs": 3,
}
NEVER = 10**9


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(yaml.safe_dump(TRIAL))
    return path


def undisturbed(file):
    """The run folder of a training run that is not killed, and how often it touches a file."""
    run = file.parent / "whole"
    assert in_process(train_until_touch, file, run, NEVER, "kill") == 0
    return run, int((file.parent / "touches").read_text())


def assert_equal_runs(file, whole, other):
    trial = parse_trial(read_mapping(file))
    a, b = read(whole), read(other)
    assert differences(a, b) == []
    assert [row["epoch"] for row in b.rows] == [1, 2, 3]
    assert b.status(trial.trial_id) == Status.FINISHED
    assert [(k, v["path"], v["epoch"]) for k, v in a.artifacts.items()] == [
        (k, v["path"], v["epoch"]) for k, v in b.artifacts.items()
    ]
    for name in ("last", "best"):
        weights = [saved_weights(Checkpoints(run / "checkpoints"), trial, name) for run in (whole, other)]
        assert same_weights(*weights)


def kill_and_resume(file, run, moment, how):
    signal_of = {"kill": -signal.SIGKILL, "tear": -signal.SIGXFSZ}
    assert in_process(train_until_touch, file, run, moment, how) in (
        signal_of[how],
        0,
    )  # 0: what was to be torn is small
    assert in_process(train_until_touch, file, run, NEVER, how) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("how", ["kill", "tear"])
def test_a_killed_training_resumes_to_an_equal_ledger_and_equal_weights(file, share, how):
    whole, touches = undisturbed(file)
    assert touches > 15
    kill_and_resume(file, file.parent / "killed", round(share * touches), how)
    assert_equal_runs(file, whole, file.parent / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "tear"])
def test_a_training_killed_at_any_touch_of_a_file_resumes_to_its_equal(file, how):
    whole, touches = undisturbed(file)
    for moment in range(1, touches + 1):
        kill_and_resume(file, file.parent / f"killed-{moment}", moment, how)
        assert_equal_runs(file, whole, file.parent / f"killed-{moment}")


def test_a_training_killed_again_and_again_ends_equal(file):
    whole, touches = undisturbed(file)
    run = file.parent / "killed"
    for moment in (touches // 2, touches // 3, 8, touches // 2):
        in_process(train_until_touch, file, run, moment, "kill")
    assert in_process(train_until_touch, file, run, NEVER, "kill") == 0
    assert_equal_runs(file, whole, run)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_installed_command_killed_between_rows_resumes_to_its_equal(file):
    whole, _ = undisturbed(file)
    for rows in (0, 1, 2):
        run = file.parent / f"killed-{rows}"
        arguments = [sys.executable, "-m", "ch6dist", "train", str(file), "--run", str(run), "--resume"]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL)
        ledger = run / LEDGER / "000001.jsonl"
        while process.poll() is None and not (ledger.exists() and ledger.read_bytes().count(b'"row"') >= rows):
            time.sleep(0.001)
        process.kill()
        process.wait()
        assert subprocess.run(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0
        assert_equal_runs(file, whole, run)


def call(*arguments):
    return run_command(app, name="ch6dist", arguments=[str(argument) for argument in arguments])


def test_an_ended_training_is_not_trained_again(file, tmp_path, capsys):
    run = tmp_path / "one"
    assert call("train", file, "--run", run) == 0
    before = (run / LEDGER / "000001.jsonl").read_bytes()
    capsys.readouterr()
    assert call("train", file, "--run", run, "--resume") == 0
    assert capsys.readouterr().out.endswith("has ended: finished\n")
    assert [path.read_bytes() for path in (run / LEDGER).iterdir()] == [before]


def test_a_training_that_failed_stays_failed(file, tmp_path, capsys):
    trial = parse_trial(TRIAL)
    with Writer(tmp_path / "one") as writer:
        writer.append([{"kind": "status", "trial": trial.trial_id, "attempt": 1, "status": "failed"}])
    assert call("train", file, "--run", tmp_path / "one", "--resume") == 1
    assert "has ended: failed" in capsys.readouterr().out


def test_an_existing_ledger_is_not_written_into_without_resume(file, tmp_path, capsys):
    run = tmp_path / "one"
    assert call("train", file, "--run", run) == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    capsys.readouterr()
    assert call("train", file, "--run", run) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_a_run_that_another_driver_holds_is_refused_with_its_process(file, tmp_path, capsys):
    run = tmp_path / "one"
    run.mkdir()
    with hold(run):
        assert call("train", file, "--run", run) == 2
    assert f"process {os.getpid()}" in capsys.readouterr().err
    assert not (run / LEDGER).exists()


def test_the_ledger_says_where_the_result_comes_from(file, tmp_path):
    run = tmp_path / "one"
    assert call("train", file, "optimizer.lr=0.01", "--run", run) == 0
    ledger = read(run)
    (line,) = ledger.trials.values()
    assert parse_trial(line["config"]).trial_id == line["trial"]
    assert line["config"]["optimizer"]["lr"] == 0.01
    sweep = ledger.sweeps[0]
    assert sweep["versions"]["torch"]
    assert sweep["hardware"]["cpus"] >= 1
    assert parse_trial(sweep["spec"]["trial"] | {"seed": 0}).trial_id == line["trial"]
    assert [state["status"] for state in ledger.history[line["trial"]]] == ["running", "finished"]


def test_brackets_in_a_path_are_text_and_no_markup(file, tmp_path, capsys):
    run = tmp_path / "a[bold]b[" / "red]"
    assert call("train", file, "epochs=1", "--run", run) == 0
    assert f"run folder: {run}\n" in capsys.readouterr().out


def test_a_range_test_prints_its_suggestions(file, tmp_path, capsys):
    settings = ["range_test.end_lr=10", "range_test.steps=60", "range_test.start_lr=1e-4"]
    assert call("range-test", file, *settings, "--run", tmp_path / "one") == 0
    ledger = read(tmp_path / "one")
    (trial,) = ledger.trials
    value = ledger.artifacts[trial, "range_test"]["value"]
    assert value["lr"] == [row["lr"] for row in ledger.rows]
    out = capsys.readouterr().out
    assert "suggested learning rates: steepest" in out or "no signal" in out
    assert json.dumps(value)


@pytest.mark.parametrize("changes", [["epochs=4"], ["seed=1"], ["optimizer.lr=0.1", "model=lenet5"]])
def test_a_run_is_not_continued_with_another_trial(file, tmp_path, capsys, changes):
    run = tmp_path / "one"
    assert call("train", file, "--run", run) == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    capsys.readouterr()
    assert call("train", file, *changes, "--run", run, "--resume") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    for change in changes:
        key, _, value = change.partition("=")
        assert re.search(rf"{key}(\.name)? is \S+ there and {value} here", message)
    assert "name another folder with --run" in message
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_a_resume_without_a_run_folder_is_refused(file, capsys):
    assert call("train", file, "--resume") == 2
    assert "--run is required" in capsys.readouterr().err


def test_processes_that_start_at_once_get_a_folder_each(file, tmp_path):
    command = [sys.executable, "-m", "ch6dist", "train", str(file), "epochs=1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CH6DIST_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen([*command, f"seed={seed}"], cwd=tmp_path, env=env) for seed in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    seeds = [line["seed"] for run in (tmp_path / "runs").iterdir() for line in read(run).trials.values()]
    assert sorted(seeds) == [0, 1, 2]


def test_processes_that_start_at_once_with_one_clock_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.setenv("CH6DIST_RUNS", str(tmp_path))
    monkeypatch.setattr(time, "strftime", lambda form: "-now")
    for _ in range(3):
        assert run_trial(parse_trial({**TRIAL, "epochs": 1}), console=Console(quiet=True)) == 0
    assert [len(read(run).rows) for run in tmp_path.iterdir()] == [1, 1, 1]


def test_a_folder_that_was_made_for_a_trial_which_cannot_begin_is_removed(file, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "append", full)
    assert call("train", file, "--run", tmp_path / "runs" / "one") == 1
    assert list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    assert call("train", file, "--run", tmp_path / "mine") == 1
    assert (tmp_path / "mine" / "notes").exists()
