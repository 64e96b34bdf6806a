"""Captures of a sweep: planned with their disk, kept where checkpoints go, shown, and in an object store too."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ch6dist.runs.capture_signs import capture_signs
from ch6dist.runs.captures import Series, decode_captured, join_series, read_captures
from ch6dist.runs.columns import SIGNS
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.names import CAPTURES, capture_name
from ch6dist.storage.files import join, open_folder
from ch6dist.training.captures import Captures
from ch6dist.training.loop import train
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from tests.support.commands import TINY, driving, succeed, sweep_file
from tests.support.runs import row_count, without_ray
from tests.support.trials import Seen, files_in

EPOCHS = 12
CAPTURE: dict[str, Any] = {"gradients": {}, "activations": {"keep": "summary", "names": "relu*", "every": 3}}


def capturing(folder: Path, **changes: Any) -> Path:
    return sweep_file(folder, **{"trial": {**TINY["trial"], "capture": CAPTURE}, **changes})


def part(captured: Mapping[str, Series], steps: range) -> dict[str, Series]:
    """What was captured in some of the steps."""
    cut = {}
    for kind, series in captured.items():
        kept = np.isin(series.steps, steps)
        values = {what: array[kept] for what, array in series.values.items()}
        cut[kind] = replace(series, steps=series.steps[kept], values=values)
    return cut


@pytest.mark.slow
def test_what_a_killed_sweep_captured_is_the_undisturbed_capture_and_stays_without_checkpoints(tmp_path: Path) -> None:
    trial = {**TINY["trial"], "capture": CAPTURE, "epochs": EPOCHS}
    spec = capturing(tmp_path, trial=trial, checkpoints={"keep": [], "seconds": 0.2})
    run = tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > EPOCHS)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    succeed("resume", run, cwd=tmp_path)
    ledger = read(run)
    alone = expand(load_spec(spec))
    found = {trial: read_captures(run, ledger, trial) for trial in ledger.trials}
    for row in ledger.rows:
        steps = range(row["step"] - 3, row["step"] + 1)
        assert {name: row[name] for name in SIGNS} == capture_signs(part(found[row["trial"]], steps))
    assert not list((run / "checkpoints").rglob("*.pt"))
    expected = [capture_name(t, e, attempt=ledger.attempt(t)) for t in ledger.trials for e in range(1, EPOCHS + 1)]
    assert set(expected) <= set(files_in(run / CAPTURES))
    assert differences(ledger, without_ray(spec, tmp_path / "alone")) == []
    for one in alone:
        train([one], report=Seen(), captures=Captures(tmp_path / "again" / CAPTURES), device="cpu", threads=1)
        undisturbed = [
            decode_captured((tmp_path / "again" / CAPTURES / capture_name(one.trial_id, e)).read_bytes(), place="here")[
                1
            ]
            for e in range(1, EPOCHS + 1)
        ]
        for kind, series in join_series(undisturbed, place="here").items():
            assert found[one.trial_id][kind].steps.tolist() == series.steps.tolist()
            for what, values in series.values.items():
                assert found[one.trial_id][kind].values[what].tobytes() == values.tobytes()
    shown = json.loads(succeed("show", run, alone[0].trial_id, "--json", cwd=tmp_path).stdout)
    assert shown["artifacts"]["captures"] == f"{CAPTURES}/{alone[0].trial_id}"
    assert "exploding steps" in succeed("show", run, alone[0].trial_id, cwd=tmp_path, COLUMNS="200").stdout
    assert "capture" not in succeed("best", run, cwd=tmp_path).stdout


@pytest.mark.slow
def test_a_sweep_of_two_workers_captures_once(tmp_path: Path) -> None:
    spec = capturing(tmp_path, parameters={"optimizer.lr": [0.01]}, resources={"workers": 2})
    succeed("run", spec, cwd=tmp_path)
    run = tmp_path / "runs" / "tiny"
    ledger = read(run)
    (trial,) = ledger.trials
    assert files_in(run / CAPTURES) == [capture_name(trial, epoch) for epoch in (1, 2)]
    found = read_captures(run, ledger, trial)
    one = tmp_path / "one"
    (alone,) = expand(load_spec(spec))
    train([alone], report=Seen(), captures=Captures(one / CAPTURES), device="cpu", threads=1)
    same = read_captures(one, ledger, trial)
    assert np.allclose(found["gradients"].values["norm"], same["gradients"].values["norm"], rtol=1e-3)


def test_captures_in_an_object_store_are_read_from_there(storage: str, tmp_path: Path) -> None:
    spec = capturing(tmp_path, storage=storage)
    trial = expand(load_spec(spec))[0]
    root = join(storage, "tiny", CAPTURES)
    train([trial], report=Seen(), captures=Captures(root), device="cpu", threads=1)
    assert sorted(open_folder(root).sizes()) == [capture_name(trial.trial_id, epoch) for epoch in (1, 2)]
    ledger = without_ray(spec, tmp_path / "runs" / "tiny")
    assert not (tmp_path / "runs" / "tiny" / CAPTURES).exists()
    found = read_captures(tmp_path / "runs" / "tiny", ledger, trial.trial_id)
    assert found["gradients"].steps.tolist() == list(range(1, 9))
    assert found["activations"].steps.tolist() == [1, 4, 7]
