"""The command line of sweeps: what is refused, with which message, and what a command imports before it answers."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.cli import run as run_app
from ch6dist.config import parse_trial
from ch6dist.runs import lease
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.writer import Writer
from sweeps.__main__ import app
from tests.support.bad_sweeps import BAD, DAMAGED
from tests.support.commands import TINY, command, environment, sweep_file
from tests.support.commands import refused as refused_elsewhere
from tests.support.ledgers import trial as hand_trial
from tests.support.ledgers import write_ledger
from tests.support.sweep_files import sweep, write

pytestmark = pytest.mark.usefixtures("in_tmp_path")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """runs/tiny with one finished and one failed trial of the same learning rate."""
    folder = tmp_path / "runs" / "tiny"
    trials = [parse_trial({**TINY["trial"], "optimizer": {"name": "SGD", "lr": 0.1}, "seed": seed}) for seed in (0, 1)]
    lines: list[dict[str, Any]] = [{"kind": "sweep", "name": "tiny", "spec": {"name": "tiny"}}]
    for trial, status in zip(trials, ("finished", "failed"), strict=True):
        lines.append(dict(trial_line(trial)))
        lines.append({"kind": "status", "trial": trial.trial_id, "attempt": 1, "status": status, "reason": "why"})
    with Writer(folder) as writer:
        writer.append(lines)
    return folder


def ask(*arguments: object) -> tuple[int, str, str]:
    """A command in this process: exit status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_app(app, name="sweeps", arguments=[str(argument) for argument in arguments])
    return status, out.getvalue(), err.getvalue()


def refused(*arguments: object, status: int = 2) -> str:
    """The one line of a refused command, which wrote nothing."""
    before = everything()
    code, out, err = ask(*arguments)
    assert (code, out) == (status, ""), err
    assert err.startswith("sweeps: ")
    assert err.count("\n") == 1
    assert everything() == before
    return err


def everything() -> dict[str, int]:
    return {str(path): path.stat().st_size for path in Path().rglob("*")}


# What is wrong in a sweep file

WRONG: dict[str, tuple[dict[str, Any], list[str]]] = BAD | {
    "more GPUs than there are": (sweep(resources={"gpus": 64}), ["resources.gpus"]),
    "more workers than fit": (sweep(resources={"workers": 64}), ["resources.workers"]),
}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_sweep_file_is_one_line(case: str, command: str, tmp_path: Path) -> None:
    content, expected = WRONG[case]
    line = refused(command, write(tmp_path, content))
    assert all(part in line for part in expected)


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_that_is_no_sweep_is_one_line(case: str) -> None:
    Path("sweep.yaml").write_text(DAMAGED[case][0])
    assert "sweep.yaml" in refused("run", "sweep.yaml")


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    assert "none.yaml" in refused("run", "none.yaml")
    assert str(tmp_path) in refused("plan", tmp_path)


@pytest.mark.parametrize(
    "override", ["epochs", "=3", "epochs=soon", "optimiser.lr=1", "seeds=-1", "optimizer.lr=[", "a.b=1"]
)
def test_a_wrong_override_is_one_line(override: str, tmp_path: Path) -> None:
    assert override.partition("=")[0].partition(".")[0] in refused("run", sweep_file(tmp_path), override)


# What is wrong around it


def test_missing_and_damaged_data_are_reported_before_the_run_folder_is_made(tmp_path: Path) -> None:
    spec = sweep_file(tmp_path)
    assert "ch6dist data cifar100" in refused("run", spec, "data.name=cifar100")
    folder = Path("data/cifar-100-python")
    folder.mkdir(parents=True)
    (folder / "train").write_bytes(b"x" * 1000)
    assert "md5" in refused("run", spec, "data.name=cifar100")


def test_packs_are_auto_off_or_a_number(tmp_path: Path, run: Path) -> None:
    spec = sweep_file(tmp_path)
    for packs in ("0", "-1", "many", "1.5", "1000"):
        for line in (refused("plan", spec, "--packs", packs), refused("run", spec, "--packs", packs)):
            assert "--packs" in line
            assert "auto, off, or a number of trials from 1 to 256" in line
    assert "--packs" in refused("resume", run, "--packs", "0")


def test_a_given_name_must_be_free_and_plain(tmp_path: Path, run: Path) -> None:
    spec = sweep_file(tmp_path)
    assert "--name" in refused("run", spec, "--name", "tiny")
    for name in ("../x", "a/b", "", ".hidden", "x" * 200):
        assert "name" in refused("run", spec, "--name", name)


def test_an_impossible_runs_folder_is_one_line(tmp_path: Path) -> None:
    spec = sweep_file(tmp_path)
    for runs, status in (("tiny.yaml/runs", 1), ("/proc/none/runs", 2)):  # the second has no free byte for a checkpoint
        assert runs.removesuffix("/runs") in refused("run", spec, "--runs", runs, status=status)


@pytest.mark.parametrize("command", ["resume", "stop", "status", "top", "best", "confirm", "final"])
def test_a_folder_that_is_no_run_is_refused_with_the_runs_that_are(command: str, tmp_path: Path, run: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none", str(tmp_path / "empty")):
        line = refused(command, name)
        assert name in line
        assert "tiny" in line


@pytest.mark.parametrize("command", ["show", "stop", "rerun"])
def test_an_unknown_trial_is_refused_with_those_that_are(command: str, run: Path) -> None:
    assert "sgd-lr0.1-s0" in refused(command, run, "nothing")
    assert "sgd-lr0.1-s1" in refused(command, run, "sgd")  # the beginning of two


def test_there_must_be_something_to_stop_or_rerun(run: Path) -> None:
    assert "nothing to stop" in refused("stop", run)
    assert "--failed" in refused("rerun", run)


def test_a_second_driver_is_refused(run: Path) -> None:
    with lease.hold(run):
        assert str(os.getpid()) in refused("rerun", run, "--failed")


def test_a_confirmation_of_what_cannot_be_is_one_line_and_writes_nothing(run: Path) -> None:
    assert "no configuration has all of its seeds trained" in (line := refused("confirm", run))
    assert "rerun" in line
    assert "--seeds" in refused("confirm", run, "--seeds", "0")


def test_a_run_that_has_ended_has_nothing_to_resume(run: Path) -> None:
    before = everything()
    status, out, err = ask("resume", run)
    assert (status, err) == (1, "")  # one of its trials failed: that is still so
    assert "nothing to do" in out
    assert everything() == before


@pytest.mark.parametrize("option", [("--epochs", "0"), ("--seeds", "0"), ("--workers", "0"), ("--epochs", "x")])
def test_final_takes_whole_numbers_from_one(option: tuple[str, str], run: Path) -> None:
    assert option[0] in refused("final", run, *option)


@pytest.mark.parametrize("arguments", [("launch",), ("run",), ("top", "tiny", "-n", "0"), ("top", "tiny", "--colour")])
def test_a_wrong_command_is_one_line(arguments: tuple[str, ...], run: Path) -> None:
    refused(*arguments)


def test_in_a_process_of_its_own_the_line_and_the_status_are_the_same(tmp_path: Path) -> None:
    refused_elsewhere("run", sweep_file(tmp_path), "optimizer.lr=-1", cwd=tmp_path)


# What answers at once


HEAVY = ("torch", "ray", "pandas", "matplotlib", "scipy")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("run", "--help"),
        ("schema",),
        ("plan", "tiny.yaml"),
        ("plan", "tiny.yaml", "epochs=3", "early_stop={name: halving, first: 1}", "price=1.5", "seeds=2"),
        ("status", "tiny"),
        ("top", "tiny"),
        ("show", "tiny", "sgd-lr0.1-s0"),
        ("run", "tiny.yaml", "epochs=0"),
    ],
)
def test_commands_that_only_read_import_nothing_heavy(arguments: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    sweep_file(tmp_path)
    assert imported_by(*arguments).isdisjoint(HEAVY)


def test_what_to_train_next_takes_statistics_and_nothing_that_trains(run: Path) -> None:
    found = imported_by("best", "tiny")
    assert "scipy" in found
    assert found.isdisjoint({*HEAVY} - {"scipy"})


def imported_by(*arguments: str) -> set[str]:
    """Return the top-level modules that a command imports."""
    timed = [sys.executable, "-X", "importtime", *command(*arguments)[1:]]
    found = subprocess.run(timed, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert "Traceback" not in found.stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in found.stderr.splitlines()}
    assert "sweeps" in imported
    return imported


@pytest.mark.parametrize(
    "arguments", [("plan", "tiny.yaml"), ("status", "tiny"), ("top", "tiny"), ("show", "tiny", "sgd-lr0.1-s0")]
)
def test_json_is_one_document(arguments: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    sweep_file(tmp_path)
    status, out, err = ask(*arguments, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)


# stop


def test_stop_writes_requests_for_the_running_driver(run: Path) -> None:
    with lease.hold(run):
        assert ask("stop", run)[0] == 0
        assert ask("stop", run, "sgd-lr0.1-s1")[0] == 0
        named = next(path.name for path in (run / "requests").iterdir() if path.name != "stop")
    assert named.startswith("stop-sgd-lr0.1-s1")


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    spec = sweep_file(tmp_path)
    write_ledger(tmp_path / "runs" / "grid", [hand_trial(lr=lr, curve=[0.1, lr]) for lr in (0.1, 0.01)])
    before = everything()
    assert ask("plan", spec)[0] == 0
    stopping = ("epochs=2", "early_stop={name: median, after: 1}", "price=1.5")
    assert "rehearsed on the curves of grid" in ask("plan", spec, *stopping, "--from", "grid")[1]
    assert everything() == before


def test_a_plan_rehearses_only_where_there_is_something_to_rehearse(run: Path, tmp_path: Path) -> None:
    spec, stopping = sweep_file(tmp_path), "early_stop={name: halving, first: 1}"
    assert "the sweep has no early_stop" in refused("plan", spec, "--from", "tiny")
    assert "RUN: 'nowhere'" in refused("plan", spec, "epochs=3", stopping, "--from", "nowhere")
    assert "they say nothing about its end" in refused("plan", spec, "epochs=99", stopping, "--from", "tiny")


def test_best_writes_a_trial_file_that_can_be_read_back(run: Path) -> None:
    refused("best", run)  # a seed has failed: no configuration can win
    trial = parse_trial({**TINY["trial"], "optimizer": {"name": "Adam"}, "epochs": 2})
    row = {"kind": "row", "trial": trial.trial_id, "attempt": 1, "step": 8, "epoch": 2, "val_accuracy": 0.5}
    ended = {"kind": "status", "trial": trial.trial_id, "attempt": 1, "status": "finished"}
    with Writer(run) as writer:
        writer.append([trial_line(trial), row, ended])
    status, out, _ = ask("best", run, "-o", "best.yaml")
    assert (status, out) == (0, "written: best.yaml\n")
    assert parse_trial(yaml.safe_load(Path("best.yaml").read_text())) == trial
    assert ask("best", run)[1] == Path("best.yaml").read_text()
    assert "cannot write nowhere/best.yaml: No such file" in refused("best", run, "-o", "nowhere/best.yaml")


@pytest.mark.parametrize(
    "option", [("--epochs", 3), ("--seeds", 2), ("--trial", "sgd"), ("--all-data",)], ids=lambda option: option[0]
)
def test_a_final_training_is_resumed_as_it_was_chosen(option: tuple[object, ...], run: Path) -> None:
    assert "nothing beside --resume" in refused("final", run, "--resume", *option)


def test_a_rerun_of_what_has_failed_says_when_nothing_has(run: Path) -> None:
    trial = parse_trial({**TINY["trial"], "optimizer": {"name": "SGD", "lr": 0.1}, "seed": 1}).trial_id
    with Writer(run) as writer:
        writer.append([{"kind": "status", "trial": trial, "attempt": 2, "status": "finished", "reason": ""}])
    assert "no trial of" in refused("rerun", run, "--failed")


@pytest.mark.parametrize("url", ["ftp://x/y", "s3://user:word@bucket/x", "s3://"])
def test_storage_that_cannot_be_is_refused_by_its_key(url: str, tmp_path: Path) -> None:
    assert "storage: " in (line := refused("plan", sweep_file(tmp_path), f"storage={url}"))
    assert "storage.storage" not in line
