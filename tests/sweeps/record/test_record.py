"""The one way in which a sweep's driver begins to write: lease, requests, sweep.yaml, head line, lost lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.config import parse_trial
from ch6dist.errors import UsageError
from ch6dist.runs import lease, ledger
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.names import LEASE, SWEEP_FILE
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.schema import FORMAT
from sweeps.launch.execute import Launch
from sweeps.launch.run import resume
from sweeps.record.record import opened
from sweeps.record.stop_requests import pending_stops, request_stop
from tests.support.commands import sweep_file
from tests.support.paths import ROOT
from tests.support.runs import without_ray

SPEC: dict[str, Any] = {"name": "a", "question": "why?", "resources": {"workers": 1}}
TRIALS = [parse_trial({"seed": seed, "epochs": 2}) for seed in (0, 1)]
FIRST = TRIALS[0].trial_id


def files(run: Path) -> dict[str, bytes]:
    """What lies in a run folder, less the lock that guards its lease."""
    return {str(path): path.read_bytes() for path in run.rglob("*") if path.is_file() and path.suffix != ".lock"}


def begun(run: Path) -> Ledger:
    """The ledger of a run whose driver has written its trials."""
    run.mkdir()
    with opened(run, SPEC, say=pytest.fail, lines=[trial_line(trial) for trial in TRIALS]):
        pass
    return read(run)


def test_a_new_run_is_headed_by_its_sweep_and_its_trials(tmp_path: Path) -> None:
    run, found = tmp_path / "a", Ledger()
    run.mkdir()
    lines = [trial_line(trial) for trial in TRIALS]
    with opened(run, SPEC, say=pytest.fail, ledger=found, lines=lines, address="here:1") as record:
        holder = lease.current(run)
        assert holder is not None
        assert holder.here
        record.append([{"kind": "status", "trial": FIRST, "attempt": 1, "status": "running", "epoch": 0, "time": 1.0}])
    [head] = read(run).sweeps
    assert (head["format"], head["trials"], head["address"], head["spec"]) == (FORMAT, 2, "here:1", SPEC)
    assert list(read(run).trials) == [trial.trial_id for trial in TRIALS] == list(found.trials)
    assert found.spec == SPEC
    assert yaml.safe_load((run / SWEEP_FILE).read_text()) == SPEC
    assert not (run / LEASE).exists()
    assert record.status(0) == 0


def test_requests_to_an_earlier_driver_are_removed(tmp_path: Path) -> None:
    found = begun(tmp_path / "a")
    request_stop(tmp_path / "a")
    request_stop(tmp_path / "a", FIRST)
    with opened(tmp_path / "a", SPEC, say=pytest.fail, ledger=found):
        assert pending_stops(tmp_path / "a") == (False, set())
        request_stop(tmp_path / "a", FIRST)
        assert pending_stops(tmp_path / "a") == (False, {FIRST})


def test_a_run_that_changed_after_it_was_read_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "a"
    stale = begun(run)
    with opened(run, SPEC, say=pytest.fail, ledger=read(run)):
        pass  # another driver, quicker than this one
    before = files(run)
    with pytest.raises(UsageError, match="try again"), opened(run, {**SPEC, "seeds": [7]}, say=print, ledger=stale):
        pytest.fail("it began")
    assert files(run) == before


def test_a_run_that_is_held_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "a"
    found = begun(run)
    with opened(run, SPEC, say=pytest.fail, ledger=found):
        before = files(run)
        with pytest.raises(UsageError, match="in use by another driver"), opened(run, SPEC, say=print, ledger=found):
            pytest.fail("it began")
        assert files(run) == before


def test_a_resume_parses_the_ledger_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "runs" / "tiny"
    without_ray(sweep_file(tmp_path), run, epochs=1)
    lines = sum(path.read_bytes().count(b"\n") for path in (run / "ledger").iterdir())
    parsed, parse = [], ledger.from_json
    monkeypatch.setattr(ledger, "from_json", lambda raw, **how: parsed.append(raw) or parse(raw, **how))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where the workers find the stub
    assert resume(run, Launch(worker="tests.support.stub_worker:train_pack")) == 0
    segments = len(list((run / "ledger").iterdir())) - 1
    assert len(parsed) == lines + segments, "every line once, and the head line of each segment before a refresh"
