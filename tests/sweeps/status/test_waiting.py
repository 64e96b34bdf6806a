"""Where a budget is spent, status names a change that lets all that waits go on, and it suffices."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch6dist.runs.ledger import read
from ch6dist.runs.schema import ENDED
from ch6dist.sections import parse_section
from sweeps.spec.budget import Budget, seconds_of
from sweeps.spec.extend import changed_sweep
from sweeps.spec.sweep_file import SweepSpec
from sweeps.status.queries import status, top
from sweeps.status.waiting import enough_hours, enough_time, waiting
from tests.support.simulated import Simulated

SWEEP: dict[str, Any] = {
    "name": "tiny",
    "trial": {"data": {"name": "synthetic_mnist"}, "model": "simple_nn", "epochs": 6},
    "parameters": {"optimizer.lr": [0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]},
    "seeds": 1,
}
DRAWN = {"method": "optuna", "trials": 6, "batch": 2, "seed": 0}
SWEEPS: dict[str, dict[str, Any]] = {
    "device hours": {"budget": {"device_hours": 15 / 3600}},  # an epoch of a trial takes a second
    "trials": {"budget": {"trials": 2}},
    "two bounds": {"budget": {"device_hours": 15 / 3600, "trials": 4}},
    "halving": {"budget": {"device_hours": 8 / 3600}, "early_stop": {"name": "halving", "first": 2, "factor": 2}},
    "a model": {"budget": {"device_hours": 10 / 3600}, **DRAWN},
    "a model, trials": {"budget": {"trials": 2}, **DRAWN},
}


def value(config: Any, epoch: int) -> float:
    return float(1 - 0.7**epoch - abs(config["optimizer"]["lr"] - 0.01))


@pytest.mark.parametrize("name", SWEEPS)
def test_the_change_that_status_names_lets_everything_go_on_to_its_end(name: str, tmp_path: Path) -> None:
    spec = parse_section(SweepSpec, {**SWEEP, **SWEEPS[name]})
    assert Simulated(tmp_path, spec, value).go()
    found = waiting(tmp_path)
    assert found is not None
    said = status(tmp_path)["next"]
    assert said.startswith(f"the budget is spent: {found['why'].partition(': ')[2]}, and ")
    command = shlex.split(said.partition("`")[2].partition("`")[0])
    assert command[:2] == ["sweeps", "resume"]
    assert command[3:] == found["changes"]
    bounds = {change.partition("=")[0] for change in command[3:]}
    assert bounds <= {f"budget.{bound}" for bound in SWEEPS[name]["budget"]}
    changed = parse_section(SweepSpec, changed_sweep(read(tmp_path).spec, command[3:]))
    assert Simulated(tmp_path, changed, value).go()
    ledger = read(tmp_path)
    assert {ledger.status(trial) for trial in ledger.trials} <= ENDED
    assert len(ledger.trials) == 6
    assert waiting(tmp_path) is None
    assert "the budget" not in status(tmp_path)["next"]


@given(st.floats(1e-4, 1e7))
def test_a_bound_that_is_named_can_be_written_and_is_enough(number: float) -> None:
    hours = Budget.model_validate({"device_hours": enough_hours(number)}).device_hours
    assert hours is not None
    assert number * (1 - 1e-6) <= hours <= 1.11 * number
    seconds = seconds_of(enough_time(3600 * number))
    assert 3600 * number * (1 - 1e-6) <= seconds <= max(60.0, 2 * 3600 * number)


def test_a_killed_sweep_under_its_budget_waits_for_a_resume_and_nothing_else(tmp_path: Path) -> None:
    spec = parse_section(SweepSpec, {**SWEEP, "budget": {"device_hours": 1}})
    assert not Simulated(tmp_path, spec, value).go(kill_after=6)
    assert waiting(tmp_path) is None
    assert "the driver is not running" in status(tmp_path)["next"]


def test_status_and_top_tell_what_the_rule_stopped_from_what_waits(tmp_path: Path) -> None:
    spec = parse_section(SweepSpec, {**SWEEP, **SWEEPS["halving"], "budget": {"device_hours": 14 / 3600}})
    assert Simulated(tmp_path, spec, value, slots=1).go()
    data = status(tmp_path)
    assert data["rule"] == "halving"
    assert data["stopped_by_rule"] == data["counts"].get("stopped", 0) > 0
    notes = {item["note"].partition(" after")[0] for item in top(tmp_path)["top"] if item["rank"] is None}
    assert notes == {"1 of 1 stopped by halving", "1 of 1 paused"}
