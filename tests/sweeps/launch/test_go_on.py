"""`sweeps run --resume`: the same command starts a sweep, goes on after a kill, and does nothing once all is done."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.names import LEDGER
from ch6dist.runs.provenance import sweep_line
from ch6dist.runs.writer import Writer
from sweeps.launch import go_on
from sweeps.launch.go_on import first_difference, other_resources, refuse_another
from sweeps.spec.load import load_spec
from sweeps.spec.sections import Resources
from sweeps.spec.sweep_file import SweepSpec, dump
from tests.support.commands import TINY, Driving, command, driving, environment, refused, succeed, sweep_file
from tests.support.runs import needless_attempts, row_count, statuses, without_ray

EPOCHS = 60
SMALL = TINY["trial"]["data"] | {"train_size": 128, "val_size": 32}
OFTEN = {"checkpoints": {"seconds": 0}, "parameters": {"optimizer.lr": {"values": [0.01, 0.001]}}, "data": SMALL}
NAMED = ("--name", "night", "--resume")


def spec_of(path: Path, *overrides: str) -> dict[str, Any]:
    return dump(load_spec(path, overrides))


def begin(run: Path, driver: Driving) -> None:
    before = row_count(run)
    driver.until(lambda: row_count(run) > before + 4)


@pytest.mark.slow
def test_the_same_command_after_a_kill_ends_as_an_undisturbed_run(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=EPOCHS, **OFTEN), tmp_path / "runs" / "night"
    with driving("run", spec, *NAMED, cwd=tmp_path) as driver:
        begin(run, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert "finished" not in statuses(read(run)).values(), "there is something left to do"
    with driving("run", spec, *NAMED, cwd=tmp_path) as driver:
        begin(run, driver)
        second = refused("run", spec, *NAMED, cwd=tmp_path)  # while the first one trains
        assert f"in use by another driver (process {driver.pid} " in second
        assert driver.wait() == 0, driver.output()
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []
    assert needless_attempts(run) == []
    assert len(read(run).sweeps) == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["night"]
    assert "nothing to do, every trial has ended" in succeed("run", spec, *NAMED, cwd=tmp_path).stdout
    line = refused("run", spec, "trial.epochs=61", *NAMED, cwd=tmp_path)
    assert f"{spec.name}: trial.epochs: 61 is not allowed; allowed: {EPOCHS}, as in night" in line
    assert len(read(run).sweeps) == 2, "nothing was written"


@pytest.mark.slow
def test_of_two_commands_at_once_one_trains_and_the_other_is_refused(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=EPOCHS, **OFTEN), tmp_path / "runs" / "night"
    whole = {"cwd": tmp_path, "env": environment(), "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    both = [subprocess.Popen(command("run", spec, *NAMED), text=True, **whole) for _ in range(2)]
    said = [process.communicate(timeout=240)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    (line,) = [text for process, text in zip(both, said, strict=True) if process.returncode == 2]
    assert line.count("\n") == 1
    assert "in use by another driver" in line or "--name" in line or "in this moment" in line
    assert set(statuses(read(run)).values()) == {"finished"}
    assert len(read(run).sweeps) == 1


def test_without_a_name_it_is_refused(tmp_path: Path) -> None:
    assert "--name is required" in refused("run", sweep_file(tmp_path), "--resume", cwd=tmp_path)
    assert not (tmp_path / "runs").exists()


# Which sweep a run is of


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["trial.epochs=3"], "trial.epochs: 3 is not allowed; allowed: 2, as in night"),
        (["seeds=2"], "seeds: [0, 1] is not allowed; allowed: [0], as in night"),
        (["metric=val_loss"], "metric.name: 'val_loss'"),
        (["parameters.optimizer.lr.values=[0.01]"], "parameters.optimizer.lr.values: [0.01]"),
        (["max_retries=7"], "max_retries: 7"),
        (["margin=0.1"], "margin: 0.1 is not allowed; allowed: nothing, as in the run night"),
        (["resources.batch=per_worker"], "resources.batch: 'per_worker'"),
    ],
)
def test_another_sweep_is_refused_by_the_key_that_differs(changes: list[str], said: str, tmp_path: Path) -> None:
    run, path = tmp_path / "night", sweep_file(tmp_path)
    with Writer(run) as writer:
        writer.append([sweep_line(spec_of(path))])
    refuse_another(spec_of(path), read(run), name="night", file="a.yaml")
    with pytest.raises(ValueError, match=r"a\.yaml: ") as error:
        refuse_another(spec_of(path, *changes), read(run), name="night", file="a.yaml")
    assert said in str(error.value)


def test_a_run_that_goes_on_with_other_resources_or_was_changed_since_is_still_of_its_sweep(tmp_path: Path) -> None:
    run, path = tmp_path / "night", sweep_file(tmp_path)
    with Writer(run) as writer:
        writer.append([sweep_line(spec_of(path)), sweep_line(spec_of(path, "resources.workers=2", "max_retries=5"))])
    refuse_another(spec_of(path, "resources.cpus=2"), read(run), name="night", file="a.yaml")


def test_a_run_of_before_a_key_was_there_is_of_the_sweep_with_its_default(tmp_path: Path) -> None:
    run, path = tmp_path / "night", sweep_file(tmp_path)
    older = {key: value for key, value in spec_of(path).items() if key not in ("max_retries", "checkpoints")}
    with Writer(run) as writer:
        writer.append([sweep_line(older)])
    refuse_another(spec_of(path), read(run), name="night", file="a.yaml")


@pytest.mark.parametrize("key", Resources.model_fields)
def test_resources_that_differ_are_changed_as_by_resume(key: str, tmp_path: Path) -> None:
    value = {"gpus": 0, "cpus": 2, "workers": 2, "span_hosts": True, "batch": "per_worker", "engine": "eager"}[key]
    path = sweep_file(tmp_path)
    has, wanted = spec_of(path), spec_of(path, f"resources.{key}={value}")
    assert other_resources(has, has) == []
    changes = other_resources(wanted, has)
    assert changes == [] if key == "batch" else len(changes) == 1
    for change in changes:
        name, _, text = change.partition("=")
        assert name == f"resources.{key}"
        assert yaml.safe_load(text) == value


def test_workers_that_each_take_a_batch_are_part_of_the_sweep() -> None:
    def spec(workers: int) -> dict[str, Any]:
        return {"name": "a", "resources": {"batch": "per_worker", "workers": workers}}

    ledger = go_on.Ledger(sweeps=[{"spec": spec(2)}])
    refuse_another(spec(2), ledger, name="a", file="a.yaml")
    with pytest.raises(ValueError, match=r"resources\.workers: 4"):
        refuse_another(spec(4), ledger, name="a", file="a.yaml")


def test_the_first_difference_is_found_at_any_depth() -> None:
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) is None
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == ("a.b", 1, 2)
    assert first_difference({}, {"a": 1}) == ("a", go_on.ABSENT, 1)
    assert first_difference({"a": [1]}, {"a": {}}) == ("a", [1], {})


# What a kill leaves before the first trial's line


@pytest.mark.parametrize(
    "left", ["nothing", "an empty ledger", "half a sweep.yaml", "half a head line", "a head line without its trials"]
)
def test_a_start_that_was_cut_off_is_started_again(left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go_on, "BEGIN_SECONDS", 0.1)
    run = tmp_path / "night"
    (run / LEDGER).mkdir(parents=True)
    segment = run / LEDGER / "000001.jsonl"
    if left == "nothing":
        (run / LEDGER).rmdir()
    elif left == "a head line without its trials":
        shutil.rmtree(run)
        with Writer(run) as writer:
            writer.append([{**sweep_line(spec_of(sweep_file(tmp_path))), "trials": 4}])
    elif left == "half a sweep.yaml":
        (run / ".sweep.yaml.host.1.tmp").write_text("name: ni")
    else:
        segment.write_bytes(b'{"kind":"swe' if left == "half a head line" else b"")
    said: list[str] = []
    assert go_on._begun(run, said.append) is False
    assert not run.exists()
    assert "left before its first trial was written" in said[0]


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "night" / "thesis.tex"
    kept.parent.mkdir()
    kept.write_text("years of work")
    with pytest.raises(ValueError, match="--name: 'night'"):
        go_on._begun(tmp_path / "night", print)
    assert kept.read_text() == "years of work"


def test_every_key_of_a_sweep_is_compared(tmp_path: Path) -> None:
    spec = spec_of(sweep_file(tmp_path))
    for key in SweepSpec.model_fields.keys() - {"resources", "presets"}:
        changed = {**spec, key: {"another": 1}}
        assert go_on._comparable(changed) != go_on._comparable(spec), key
