"""A run continues with other resources: the same trials, equal losses up to rounding, and nothing else changed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import yaml

from ch6dist.errors import InputError
from ch6dist.runs.ledger import read
from ch6dist.runs.names import SWEEP_FILE
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.resources import change_resources
from sweeps.spec.sweep_file import dump
from tests.support.commands import TINY, driving, refused, succeed, sweep_file, sweeps
from tests.support.runs import row_count, statuses, without_ray

ONE = {"parameters": {"optimizer.lr": {"values": [0.001]}}, "checkpoints": {"seconds": 0}, "precision": "fp64"}
EPOCHS = 12


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), pytest.param(2, 1, marks=pytest.mark.exhaustive)])
def test_a_killed_run_continues_with_other_workers(before: int, after: int, tmp_path: Path) -> None:
    normed = {"parameters": ONE["parameters"] | {"model": {"values": ["conv3bn"]}}}
    data = TINY["trial"]["data"] | {"train_size": 64, "val_size": 32, "batch_size": 17}
    spec = sweep_file(tmp_path, epochs=EPOCHS, data=data, resources={"workers": before}, **ONE | normed)
    run = tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > 3)
        os.kill(driver.pid, signal.SIGKILL)
    succeed("resume", run, f"resources.workers={after}", cwd=tmp_path)
    ledger, alone = read(run), without_ray(spec, tmp_path / "alone")
    [trial] = ledger.trials
    begun = [line for line in ledger.history[trial] if line["status"] == "running"]
    assert [line["workers"] for line in begun] == [before, after]
    assert begun[1]["epoch"] > 1, "it resumed from a checkpoint"
    assert statuses(ledger) == statuses(alone) == {trial: "finished"}
    for name in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        assert [row[name] for row in ledger.rows] == pytest.approx([row[name] for row in alone.rows], rel=1e-9)
    assert yaml.safe_load((run / SWEEP_FILE).read_text())["resources"]["workers"] == after
    again = sweeps("resume", run, "resources.workers=64", cwd=tmp_path)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)


@pytest.mark.slow
def test_a_final_training_continues_with_fewer_workers(tmp_path: Path) -> None:
    data = TINY["trial"]["data"]
    without_ray(sweep_file(tmp_path, **ONE, data=data), tmp_path / "runs" / "tiny")
    final = tmp_path / "runs" / "tiny-final"
    with driving("final", "tiny", "--workers", 2, "--epochs", 60, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(final) > 2)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
    done = succeed("final", "tiny", "--resume", "--workers", 1, cwd=tmp_path)
    assert "resuming runs/tiny-final" in done.stdout
    [trial] = read(final).trials
    assert [line["workers"] for line in read(final).history[trial] if line["status"] == "running"] == [2, 1]
    assert read(final).rows[-1]["test_accuracy"] is not None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("epochs=9", "epochs: 9 is not allowed; allowed: resources.KEY, parameters"),
        ("resources.worker=2", "did you mean 'workers'"),
        ("resources.workers=0", "resources.workers"),
        ("resources.workers=64", "at most"),
        ("resources.cpus=999", "at most"),
        ("workers", "key=value"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_is_written(change: str, expected: str, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "tiny"
    without_ray(sweep_file(tmp_path, **ONE), run, epochs=1)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert expected in refused("resume", run, change, cwd=tmp_path)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "content",
    [
        {"trial": {"data": {"name": "mnist", "batch_size": 32}}, "parameters": {"optimizer.lr": {"values": [0.1]}}},
        {"trial": {}, "parameters": {"data.batch_size": {"values": [16, 32]}}},
        {
            "trial": {"epochs": 2},
            "parameters": {"data": {"values": [{"name": "mnist"}, {"name": "mnist", "batch_size": 16}]}},
        },
        {
            "trial": {},
            "parameters": {"data.batch_size": {"distribution": "int_uniform", "min": 9, "max": 12}},
            "method": "random",
            "trials": 3,
            "seed": 1,
        },
    ],
    ids=["base", "axis", "sections", "drawn"],
)
def test_a_batch_of_each_worker_is_written_out_as_the_global_one(content: dict, tmp_path: Path) -> None:  # type: ignore[type-arg]
    path = tmp_path / "product.yaml"
    path.write_text(yaml.safe_dump({"name": "product", **content, "resources": {"workers": 2, "batch": "per_worker"}}))
    spec = dump(load_spec(path))
    changed = change_resources(spec, ["resources.workers=4"])
    path.write_text(yaml.safe_dump(changed))
    assert changed["resources"]["batch"] == "global"
    sizes = [trial.data.batch_size for trial in expand(load_spec(path))]
    path.write_text(yaml.safe_dump(spec))
    before = [trial.data.batch_size for trial in expand(load_spec(path))]
    if content.get("method") == "random":  # drawn again from other bounds: other numbers
        assert all(18 <= size <= 24 for size in sizes)
    else:
        assert sizes == before


def test_without_a_change_the_sweep_stays_as_it_is() -> None:
    spec = {"name": "a", "resources": {"workers": 2}}
    assert change_resources(spec, []) == spec
    assert change_resources(spec, ["resources.workers=2"]) == spec
    with pytest.raises(InputError, match="resources"):
        change_resources(spec, ["seeds=1"])
