"""The record has types and a version: lines fit their types, older runs are read, newer ones refused by name."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from pydantic import ConfigDict, TypeAdapter, with_config

from ch6dist.errors import InputError, UsageError
from ch6dist.runs.columns import ROW_COLUMNS
from ch6dist.runs.ledger import Ledger, add_lines, observe, read, read_heads, read_spec
from ch6dist.runs.schema import FORMAT, LINES, Metric, RowLine, Status
from ch6dist.runs.writer import Writer
from ch6dist.training.checkpoint import Checkpoints
from sweeps.driver.retries import halt_line
from tests.support.commands import succeed, sweep_file, sweeps
from tests.support.runs import raw_lines

STRICT = {kind: TypeAdapter(with_config(ConfigDict(extra="forbid", strict=True))(line)) for kind, line in LINES.items()}


def head(**changes: object) -> dict[str, object]:
    return {"kind": "sweep", "name": "a", "spec": {"name": "a"}, "time": 1.0, **changes}


def row(step: int, trial: str = "a", attempt: int = 1) -> dict[str, object]:
    return {"kind": "row", "trial": trial, "attempt": attempt, "epoch": step, "step": step}


def write(run: Path, *lines: dict[str, object]) -> Path:
    with Writer(run) as writer:
        writer.append(lines)
    return run


@pytest.mark.slow
def test_every_line_of_a_real_sweep_fits_its_type(tmp_path: Path) -> None:
    """Trials of which a rung lets one go on and one diverges, a fused range test, a rerun, a confirmation, a final."""
    axes = {"model": ["simple_nn"], "optimizer": [{"name": "SGD", "momentum": 0.9}], "optimizer.lr": [0.01, 1e6]}
    data = {"name": "synthetic_mnist", "train_size": 1000, "val_size": 500, "batch_size": 100}
    stop = {"name": "top_k", "after": 1, "keep": 1}
    spec = sweep_file(tmp_path, parameters=axes, data=data, checkpoints={"keep": ["best"]}, early_stop=stop)
    succeed("run", spec, cwd=tmp_path)
    trial = next(iter(read(tmp_path / "runs" / "tiny").trials))
    succeed("rerun", "tiny", trial, cwd=tmp_path)
    succeed("confirm", "tiny", "--seeds", 1, cwd=tmp_path)
    fused = {"resources": {"engine": "fused"}}
    ranges = sweep_file(tmp_path, name="ranges", parameters={"type": {"values": ["range_test"]}}, **fused)
    succeed("run", ranges, cwd=tmp_path)
    succeed("final", "tiny", "--trial", trial, cwd=tmp_path)
    kinds = set()
    for name in ("tiny", "ranges", "tiny-final"):
        for line in raw_lines(tmp_path / "runs" / name):
            STRICT[line["kind"]].validate_python(line)
            kinds.add(line["kind"])
            assert line["kind"] != "sweep" or line["format"] == FORMAT
            assert line["kind"] != "row" or abs(time.time() - line["time"]) < 600
    assert kinds == set(LINES) - {"event"}


@pytest.mark.slow
def test_a_failure_and_a_halt_fit_their_type(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path), tmp_path / "runs" / "tiny"
    succeed("run", spec, cwd=tmp_path)
    for path in (run / "checkpoints").rglob("last.pt"):
        path.write_bytes(b"no checkpoint")
    with Writer(run) as writer:
        for trial in read(run).trials:
            line = {"kind": "status", "trial": trial, "attempt": 1, "status": "running", "epoch": 1, "time": 1.0}
            writer.append([line])
    assert sweeps("resume", "tiny", cwd=tmp_path).returncode == 1
    events = raw_lines(run, "event")
    assert events
    for line in [*events, halt_line("interrupted"), *raw_lines(run, "status")]:
        STRICT[line["kind"]].validate_python(line)


def test_the_columns_of_a_row_are_those_of_its_type() -> None:
    assert set(RowLine.__annotations__) == {column.name for column in ROW_COLUMNS} | {"kind"}


def test_a_ledger_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, head(format=FORMAT), row(1))
    write(tmp_path, head(format=FORMAT + 1), row(2))
    for reader in (read, observe, read_heads, read_spec):
        with pytest.raises(UsageError, match=f"format {FORMAT + 1}.*update ch6dist"):
            reader(tmp_path)


def test_a_checkpoint_of_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save("a", "last", {"trial": "a"})
    state = torch.load(store.path("a", "last"), weights_only=True)
    assert state["format"] == FORMAT
    torch.save(state | {"format": FORMAT + 1}, store.path("a", "last"))
    with pytest.raises(UsageError, match=f"format {FORMAT + 1}.*update ch6dist"):
        store.load("a", "last")
    torch.save({"trial": "a", "epoch": 3}, store.path("a", "last"))  # as before there was a format
    assert store.load("a", "last") == {"trial": "a", "epoch": 3}


def test_a_run_made_before_there_was_a_format_is_read(tmp_path: Path) -> None:
    ledger = read(write(tmp_path, head(), row(1)))
    assert (ledger.spec, [line["step"] for line in ledger.rows]) == ({"name": "a"}, [1])


@pytest.mark.parametrize("older", range(1, FORMAT))
def test_a_run_of_an_older_format_is_read(older: int, tmp_path: Path) -> None:
    ledger = read(write(tmp_path, head(format=older), row(1)))
    assert ([line["format"] for line in ledger.sweeps], len(ledger.rows)) == ([older], 1)
    assert FORMAT == 3, "an older reader knows no trial that is paused"


def test_lines_keep_the_order_of_their_arrival(tmp_path: Path) -> None:
    lines = [head(), row(2, "b"), row(1, "a"), row(2, "a"), row(1, "b", attempt=2), row(1, "a")]
    ledger = read(write(tmp_path, *lines))
    assert ledger.lines == lines
    assert [(line["trial"], line["step"]) for line in ledger.rows] == [("a", 1), ("a", 2), ("b", 1)]


def test_lines_that_are_added_count_as_if_they_had_been_read(tmp_path: Path) -> None:
    state = {"kind": "status", "trial": "a", "attempt": 2, "status": "planned", "epoch": 0, "time": 2.0}
    artifact = {"kind": "artifact", "trial": "a", "attempt": 1, "name": "last", "path": "x"}
    first, second = [head(), row(1), row(2), artifact], [head(time=3.0), state, row(1, attempt=2), row(1, "b")]
    added = read(write(tmp_path / "one", *first))
    add_lines(added, second)
    whole = read(write(tmp_path / "both", *first, *second))
    assert (added.rows, added.statuses, added.artifacts, added.lines) == (
        whole.rows,
        whole.statuses,
        whole.artifacts,
        whole.lines,
    )
    assert added.sweeps == whole.sweeps


def test_heads_are_read_without_the_rest(tmp_path: Path) -> None:
    write(tmp_path, head(), row(1))
    write(tmp_path)  # a driver that was killed before its first line
    write(tmp_path, head(spec={"name": "b"}), row(2))
    path = sorted((tmp_path / "ledger").iterdir())[0]
    path.write_bytes(path.read_bytes() + b"damaged\n")
    assert [line["spec"]["name"] for line in read_heads(tmp_path)] == ["a", "b"]
    assert read_spec(tmp_path) == {"name": "b"}


def test_a_running_trial_without_a_driver_is_interrupted(tmp_path: Path) -> None:
    line = {"kind": "status", "trial": "a", "attempt": 1, "status": "running", "epoch": 0, "time": 1.0}
    ledger, driver = observe(write(tmp_path, head(), line))
    assert (ledger.status("a"), driver) == (Status.INTERRUPTED, None)
    assert json.loads((tmp_path / "ledger" / "000001.jsonl").read_text().splitlines()[-1])["status"] == "running"


@pytest.mark.parametrize(
    ("spec", "metric"),
    [
        ({}, Metric("val_accuracy", "maximize")),
        ({"metric": {"name": "val_loss"}}, Metric("val_loss", "minimize")),
        ({"metric": {"name": "train_accuracy", "goal": "maximize"}}, Metric("train_accuracy", "maximize")),
        ({"metric": {"name": "val_loss", "goal": "maximize"}}, Metric("val_loss", "minimize")),  # of an older version
    ],
)
def test_a_sweeps_metric_has_one_reader(spec: dict[str, dict[str, str]], metric: Metric) -> None:
    assert Metric.of(spec) == metric
    assert Metric.of(Ledger(sweeps=[head(spec=spec)]).spec) == metric  # type: ignore[list-item]


@pytest.mark.parametrize(("name", "goal"), [("val_loss", "maximize"), ("train_accuracy", "minimize")])
def test_a_goal_against_the_metric_is_refused_and_in_old_runs_noted(name: str, goal: str) -> None:
    with pytest.raises(InputError, match=f"goal: '{goal}' is not allowed; allowed: .*which follows from {name}"):
        Metric(name, goal)
    assert Metric.note({"metric": {"name": name, "goal": goal}}).endswith(f"although the sweep says goal: {goal}")
    assert Metric.note({"metric": {"name": name}}) == Metric.note({}) == ""
