"""Captures of whole trainings: killed and resumed, or of several workers, they are what they would be undisturbed."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
import yaml

from ch6dist.__main__ import app
from ch6dist.cli import run as run_command
from ch6dist.config import parse_trial
from ch6dist.distributed.group import SOLO
from ch6dist.errors import UsageError
from ch6dist.runs.captures import decode_captured, join_series, read_captures
from ch6dist.runs.columns import SIGNS
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.names import CAPTURES, capture_name
from ch6dist.runs.schema import Status
from ch6dist.training.captures import Captures
from ch6dist.training.loop import train
from tests.support.ranks import in_ranks
from tests.support.touches import train_until_touch
from tests.support.trials import DATA, Seen, files_in, in_process, small_trial

torch.set_num_threads(1)
CAPTURE = {
    "gradients": {"keep": "summary"},
    "parameters": {"keep": "sample", "sample": 9, "every": 3},
    "activations": {"keep": "summary", "names": ["relu1", "fc2"]},
    "optimizer_state": {},
}
TRIAL = {
    "data": DATA,
    "model": "simple_nn",
    "optimizer": {"name": "Adam", "lr": 0.001},
    "schedule": "OneCycleLR",
    "epochs": 3,
    "capture": CAPTURE,
}
NEVER = 10**9


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(yaml.safe_dump(TRIAL))
    return path


TORN_AT = 2_000  # bytes; a shard is small


def undisturbed(file, seconds):
    run = file.parent / "whole"
    assert in_process(train_until_touch, file, run, NEVER, "kill", seconds, TORN_AT) == 0
    return run, int((file.parent / "touches").read_text())


def assert_equal_captures(whole, other):
    a, b = read(whole), read(other)
    assert differences(a, b) == []
    (trial,) = a.trials
    assert b.status(trial) == Status.FINISHED
    line = b.artifacts[trial, "captures"]
    assert {key: line[key] for key in ("path", "bytes", "epoch")} == {
        key: a.artifacts[trial, "captures"][key] for key in ("path", "bytes", "epoch")
    }
    found, expected = read_captures(other, b, trial), read_captures(whole, a, trial)
    assert list(found) == list(CAPTURE)
    assert found["gradients"].steps.tolist() == list(range(1, 13))
    for kind, series in expected.items():
        assert found[kind].steps.tolist() == series.steps.tolist()
        for what, values in series.values.items():
            assert found[kind].values[what].tobytes() == values.tobytes(), (kind, what)
    files = [capture_name(trial, epoch) for epoch in (1, 2, 3)]
    for run in (whole, other):  # a writer that was killed may leave half of a copy
        assert [name for name in files_in(run / CAPTURES) if not name.endswith(".tmp")] == files
    for name in files:
        assert (whole / CAPTURES / name).read_bytes() == (other / CAPTURES / name).read_bytes()


def kill_and_resume(file, run, moment, how, seconds):
    killed = in_process(train_until_touch, file, run, moment, how, seconds, TORN_AT)
    assert killed in ({"kill": -signal.SIGKILL, "tear": -signal.SIGXFSZ}[how], 0)  # 0: what was to be torn is small
    assert in_process(train_until_touch, file, run, NEVER, how, seconds, TORN_AT) == 0


@pytest.mark.parametrize(("seconds", "shares"), [(0.0, (0.3, 0.55, 0.8)), (100.0, (0.45, 0.7))])
def test_a_capture_that_was_killed_and_resumed_is_the_undisturbed_one(file, seconds, shares):
    whole, touches = undisturbed(file, seconds)
    assert touches > 12
    for number, share in enumerate(shares):
        how = ("kill", "tear")[number % 2]
        kill_and_resume(file, file.parent / f"killed-{number}", round(share * touches), how, seconds)
        assert_equal_captures(whole, file.parent / f"killed-{number}")


@pytest.mark.slow
def test_a_capture_killed_at_any_touch_of_a_file_is_the_undisturbed_one(file):
    whole, touches = undisturbed(file, 0.0)
    for moment in range(1, touches + 1):
        kill_and_resume(file, file.parent / f"killed-{moment}", moment, "kill", 0.0)
        assert_equal_captures(whole, file.parent / f"killed-{moment}")


def call(*arguments):
    return run_command(app, name="ch6dist", arguments=[str(argument) for argument in arguments])


@pytest.fixture
def trained(file, tmp_path):
    run = tmp_path / "one"
    assert call("train", file, "--run", run) == 0
    ledger = read(run)
    return run, ledger, next(iter(ledger.trials))


def test_the_rows_say_what_is_wrong_inside_and_the_lines_of_the_log_only_then(file, tmp_path, capsys):
    assert call("train", file, "--run", tmp_path / "good") == 0
    assert [row[name] for row in read(tmp_path / "good").rows for name in SIGNS] == [0] * 9
    assert "steps ·" not in capsys.readouterr().out
    bad = ["optimizer.name=SGD", "optimizer.lr=3000", "schedule=none", "divergence_factor=1e30"]
    assert call("train", file, *bad, "--run", tmp_path / "bad") == 0
    ledger = read(tmp_path / "bad")
    assert ledger.rows[0]["exploding_steps"] >= 2
    assert f"{ledger.rows[0]['exploding_steps']} exploding steps ·" in capsys.readouterr().out


def test_a_diverged_training_keeps_the_capture_of_its_last_epoch(file, tmp_path):
    bad = ["optimizer.name=SGD", "optimizer.lr=1e20", "schedule=none"]
    assert call("train", file, *bad, "--run", tmp_path / "one") == 0
    ledger = read(tmp_path / "one")
    (trial,) = ledger.trials
    assert ledger.status(trial) == Status.DIVERGED
    found = read_captures(tmp_path / "one", ledger, trial)
    assert found["gradients"].steps.tolist() == [1, 2, 3, 4]
    assert not np.isfinite(found["gradients"].values["norm"]).all()
    assert ledger.rows[0]["exploding_steps"] > 0


def test_a_file_beyond_the_rows_does_not_count_and_a_missing_or_damaged_one_is_refused(trained):
    run, ledger, trial = trained
    shards = [run / CAPTURES / capture_name(trial, epoch) for epoch in (1, 2, 3, 4)]
    before = read_captures(run, ledger, trial)
    shards[3].write_bytes(b"of an epoch that was never reported")
    assert read_captures(run, ledger, trial)["gradients"].steps.tolist() == before["gradients"].steps.tolist()
    content = shards[1].read_bytes()
    shards[1].write_bytes(content[:-9])
    with pytest.raises(UsageError, match=r"epoch-000002.npz is no readable capture"):
        read_captures(run, ledger, trial)
    shards[1].unlink()
    with pytest.raises(UsageError, match=r"epoch-000002.npz is missing"):
        read_captures(run, ledger, trial)


def test_a_trial_that_captures_nothing_has_no_captures(file, tmp_path):
    assert call("train", file, "capture=null", "--run", tmp_path / "one") == 0
    ledger = read(tmp_path / "one")
    assert read_captures(tmp_path / "one", ledger, next(iter(ledger.trials))) == {}
    assert not (tmp_path / "one" / CAPTURES).exists()
    assert not any(name in row for row in ledger.rows for name in SIGNS)


@pytest.mark.parametrize("change", ["capture=null", "capture.gradients.every=2"])
def test_a_run_is_not_continued_with_another_capture(trained, file, capsys, change):
    run, _, _ = trained
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    capsys.readouterr()
    assert call("train", file, change, "--run", run, "--resume") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "capture.gradients.every is 1 there and" in message
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")) == before


def test_a_name_that_is_not_there_is_refused_before_anything_is_written(file, tmp_path, capsys):
    assert call("train", file, "capture.activations.names=[relu7]", "--run", tmp_path / "one") == 2
    error = capsys.readouterr().err
    assert "capture.activations.names: 'relu7' is not allowed; did you mean 'relu1'?" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "one").exists()


def test_each_attempt_has_files_of_its_own(tmp_path):
    trial = parse_trial({**TRIAL, "epochs": 1})
    for attempt in (1, 2):
        attempts, seen = {trial.trial_id: attempt}, Seen()
        train([trial], report=seen, captures=Captures(tmp_path / CAPTURES, attempts), attempts=attempts, device="cpu")
        (line,) = [line for line in seen.of_kind("artifact") if line["name"] == "captures"]
        assert (tmp_path / line["path"] / "epoch-000001.npz").stat().st_size == line["bytes"]
    assert files_in(tmp_path / CAPTURES) == [
        f"{trial.trial_id}/attempt-2/epoch-000001.npz",
        f"{trial.trial_id}/epoch-000001.npz",
    ]


def test_lanes_of_a_pack_have_their_own_files_and_one_that_captures_nothing_has_none(tmp_path):
    trials = [small_trial(optimizer={"name": "SGD", "lr": lr}, capture={"gradients": {}}) for lr in (0.1, 0.01)]
    train([*trials, small_trial()], report=Seen(), captures=Captures(tmp_path), device="cpu")
    expected = sorted(capture_name(trial.trial_id, epoch) for trial in trials for epoch in (1, 2, 3))
    assert files_in(tmp_path) == expected
    for trial in trials:
        train([trial], report=Seen(), captures=Captures(tmp_path / "alone"), device="cpu")
        for epoch in (1, 2, 3):
            name = capture_name(trial.trial_id, epoch)
            assert (tmp_path / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_range_test_is_captured_too(tmp_path):
    trial = small_trial(type="range_test", range_test={"steps": 10}, capture={"gradients": {}})
    train([trial], report=Seen(), captures=Captures(tmp_path), device="cpu")
    assert len(files_in(tmp_path)) == 3


UNEVEN = {"train_size": 29, "batch_size": 7, "val_size": 13, "augment": "none"}  # 7, 7, 7, 7 and 1 images


def captured_by(group, folder, trial):
    """What the ranks of a group report, and what lies in the folder of each."""
    seen = Seen()
    train([trial], report=seen, captures=Captures(folder / f"captures-{group.rank}"), device="cpu", group=group)
    return seen


@pytest.mark.parametrize("model", [pytest.param("simple_nn", marks=pytest.mark.slow), "cnn2"])
def test_two_workers_capture_the_gradients_of_all_and_the_outputs_of_the_first(tmp_path, model):
    capture = {
        "gradients": {"keep": "sample", "sample": 50},
        "parameters": {"keep": "summary"},
        "optimizer_state": {},
        "activations": {"keep": "sample", "sample": 5, "names": ["fc2"]},
    }
    how = {"model": model, "data": UNEVEN, "precision": "fp64", "optimizer": {"name": "Adam", "lr": 1e-3}}
    trial = small_trial(**how, epochs=2, capture=capture)
    seen = in_ranks(2, tmp_path / "ranks", captured_by, trial)[0]
    captured_by(SOLO, tmp_path, trial)
    assert not (tmp_path / "ranks" / "captures-1").exists()
    (opening,) = [line for line in seen.of_kind("status") if line["status"] == "running"]
    assert opening["notes"] == ["activations are captured of the first worker's share of each batch, one of 2"]
    two, one = of_all_epochs(tmp_path / "ranks" / "captures-0", trial), of_all_epochs(tmp_path / "captures-0", trial)
    for kind in ("gradients", "parameters", "optimizer_state"):
        for what, values in one[kind].values.items():
            assert np.allclose(two[kind].values[what], values, rtol=1e-9, atol=1e-12), (kind, what)
    outputs = two["activations"].values["sample"]
    assert np.isnan(outputs[[4, 9]]).all(), "the last batch has one image, which is the second worker's"
    assert np.isfinite(np.delete(outputs, [4, 9], axis=0)).all()
    assert not np.allclose(outputs[0], one["activations"].values["sample"][0])


def of_all_epochs(folder, trial):
    parts = [
        decode_captured((folder / capture_name(trial.trial_id, epoch)).read_bytes(), place="here") for epoch in (1, 2)
    ]
    assert [about["epoch"] for about, _ in parts] == [1, 2]
    return join_series([found for _, found in parts], place="here")
