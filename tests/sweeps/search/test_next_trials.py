"""The next trials are a function of the sweep and its ledger: whatever is killed, the same is decided."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.schema import Status
from ch6dist.sections import parse_section
from sweeps.search.next_trials import next_trials
from sweeps.search.replay import departures
from sweeps.spec.expand import expand
from sweeps.spec.extend import changed_sweep
from sweeps.spec.sweep_file import SweepSpec, dump
from tests.support.simulated import Simulated

LRS = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]
RULES: dict[str, dict[str, Any]] = {
    "none": {},
    "top_k": {"early_stop": {"name": "top_k", "after": 2, "keep": 3}},
    "halving": {"early_stop": {"name": "halving", "first": 1, "factor": 3}},
    "asha": {"early_stop": {"name": "asha", "first": 1, "factor": 2}},
    "asha at once": {"early_stop": {"name": "asha", "first": 1, "factor": 2, "promote": False}},
    "median": {"early_stop": {"name": "median", "after": 2}},
    "a model": {
        "method": "optuna",
        "trials": 9,
        "batch": 4,
        "seed": 0,
        "parameters": {
            "optimizer": ["SGD", "Adam"],
            "optimizer.lr": LRS,
            "optimizer.momentum": {"values": [0, 0.9], "where": {"optimizer": "SGD"}},
        },
    },
    "an evolution": {
        "method": "optuna",
        "sampler": "cmaes",
        "trials": 10,
        "batch": 4,
        "seed": 0,
        "parameters": {
            "optimizer.lr": {"distribution": "log_uniform", "min": 1e-4, "max": 0.3},
            "optimizer.momentum": {"distribution": "uniform", "min": 0, "max": 0.99},
        },
    },
    "racing": {"seeds": {"start": 1, "up_to": 4}},
    "halving and racing": {
        "early_stop": {"name": "halving", "first": 2, "factor": 2},
        "seeds": {"start": 2, "up_to": 4},
    },
}
ORDERLY = [
    "none",
    "top_k",
    "halving",
    "a model",
    "an evolution",
    "racing",
    "halving and racing",
]  # the order of arrival decides nothing


def spec_of(rule: str, **changes: Any) -> SweepSpec:
    content: dict[str, Any] = {
        "name": "tiny",
        "trial": {"data": {"name": "synthetic_mnist"}, "model": "simple_nn", "epochs": 6},
        "parameters": {"optimizer": ["SGD", "Adam"], "optimizer.lr": LRS},
        "seeds": 2,
    }
    return parse_section(SweepSpec, {**content, **RULES[rule], **changes})


def value(config: Any, epoch: int) -> float | None:
    """An accuracy that grows by epochs, best near one learning rate, with noise of the seed; the largest diverges."""
    name, lr, seed = config["optimizer"]["name"], config["optimizer"]["lr"], config["seed"]
    if lr == 0.3 and name == "Adam" and epoch == 2:
        return None
    noise = Random(f"{name} {lr} {seed} {epoch}").gauss(0, 0.01)
    place = round(-2 * math.log10(lr / 0.3)) - (2 if name == "SGD" else 4)
    return 0.5 * (1 - 0.7**epoch) - 0.05 * abs(place) + noise


def outcome(ledger: Ledger) -> dict[str, tuple[str, int]]:
    """How each trial ended, and after how many epochs."""
    reached = {row["trial"]: row["epoch"] for row in ledger.rows}
    return {trial: (ledger.status(trial), reached.get(trial, 0)) for trial in ledger.trials}


def undisturbed(folder: Path, rule: str, **changes: Any) -> Ledger:
    run = Simulated(folder, spec_of(rule), value, **changes)
    assert run.go()
    return run.ledger()


@pytest.mark.parametrize("rule", RULES)
def test_every_sweep_comes_to_an_end_in_which_each_trial_has_one(rule: str, tmp_path: Path) -> None:
    ledger = undisturbed(tmp_path, rule)
    ends = {ledger.status(trial) for trial in ledger.trials}
    assert ends <= {Status.FINISHED, Status.STOPPED, Status.DIVERGED}
    assert next_trials(ledger.spec, ledger) == []
    assert departures(ledger) == []
    assert sum(ledger.status(trial) == Status.FINISHED for trial in ledger.trials) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("rule", ORDERLY)
@settings(max_examples=8, deadline=None)
@given(kills=st.lists(st.integers(1, 60), min_size=1, max_size=3), slots=st.integers(1, 3), every=st.integers(1, 3))
def test_where_the_order_decides_nothing_a_killed_sweep_ends_as_one_that_was_not(
    rule: str, kills: list[int], slots: int, every: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected = undisturbed(Path(folder, "whole"), rule)
        run = Simulated(Path(folder, "killed"), spec_of(rule), value, slots=slots, every=every, seed=sum(kills))
        for kill in kills:
            if run.go(kill_after=kill):
                break
        assert run.go()
        assert outcome(run.ledger()) == outcome(expected)
        assert departures(run.ledger()) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in ORDERLY])
@settings(max_examples=8, deadline=None)
@given(kills=st.lists(st.integers(1, 60), min_size=1, max_size=3), slots=st.integers(1, 3), every=st.integers(1, 3))
def test_where_the_order_decides_what_was_decided_stays_so_after_a_kill(
    rule: str, kills: list[int], slots: int, every: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Simulated(Path(folder), spec_of(rule), value, slots=slots, every=every, seed=sum(kills))
        for kill in kills:
            if run.go(kill_after=kill):
                break
        assert run.go()
        assert departures(run.ledger()) == []


def test_a_sweep_begins_with_all_that_its_file_spans() -> None:
    spec = dump(spec_of("halving"))
    steps = next_trials(spec, Ledger())
    assert len(steps) == 2 * len(LRS) * 2
    assert {step.until for step in steps} == {1}


def test_a_budget_is_kept_to_an_epoch_and_a_larger_one_goes_on_where_it_ended(tmp_path: Path) -> None:
    spec = spec_of("halving", budget={"device_hours": 20 / 3600})  # an epoch of a trial takes a second
    run = Simulated(tmp_path, spec, value, slots=1, lanes=4)
    assert run.go()
    spent = len(run.ledger().rows)
    assert 20 <= spent < 20 + 4
    counts = Counter(run.ledger().status(trial) for trial in run.ledger().trials)
    assert counts[Status.PAUSED] + counts[Status.PLANNED] > 0
    assert next_trials(dump(spec), run.ledger()) == []
    run.content = dump(spec_of("halving"))
    assert run.go()
    assert outcome(run.ledger()) == outcome(undisturbed(tmp_path / "whole", "halving"))
    assert departures(run.ledger()) == []


def test_a_budget_of_trials_begins_so_many(tmp_path: Path) -> None:
    run = Simulated(tmp_path, spec_of("none", budget={"trials": 5}), value)
    assert run.go()
    assert len({row["trial"] for row in run.ledger().rows}) == 5


def test_what_is_added_to_a_sweep_is_trained_and_nothing_else_again(tmp_path: Path) -> None:
    few = {"optimizer": ["SGD", "Adam"], "optimizer.lr": LRS[1:4]}
    run = Simulated(tmp_path, spec_of("none", parameters=few, seeds=1), value)
    assert run.go()
    before = len(run.ledger().lines)
    run.content = changed_sweep(run.content, ["seeds=2", f"parameters.optimizer.lr={LRS[1:]}"])
    assert run.go()
    again = [line for line in run.ledger().lines[before:] if line["kind"] == "row"]
    assert len(again) == 6 * (2 * 6 * 2 - 2 * 3)
    assert set(outcome(run.ledger())) == {trial.trial_id for trial in expand(parse_section(SweepSpec, run.content))}


def test_stopped_trials_go_on_from_their_checkpoints_when_more_may_be_kept(tmp_path: Path) -> None:
    run = Simulated(tmp_path, spec_of("top_k", seeds=1), value)
    assert run.go()
    before = len(run.ledger().lines)
    run.content = changed_sweep(run.content, ["early_stop.keep=5"])
    assert run.go()
    more = [line for line in run.ledger().lines[before:] if line["kind"] == "row"]
    assert {line["epoch"] for line in more} == {3, 4, 5, 6}
    assert len(more) == 2 * 4
    assert departures(run.ledger()) == []


def test_racing_adds_seeds_only_where_they_may_decide(tmp_path: Path) -> None:
    ledger = undisturbed(tmp_path, "racing")
    seeds = Counter(line["configuration"] for line in ledger.trials.values())
    assert min(seeds.values()) == 1
    assert 1 < max(seeds.values()) <= 4
    far = [line for line in ledger.trials.values() if line["config"]["optimizer"]["lr"] == LRS[-1]]
    assert len(far) == 2, "the worst learning rate has one seed of each optimizer"


def test_a_row_that_the_rule_does_not_allow_and_a_stop_that_it_does_not_want_are_departures(tmp_path: Path) -> None:
    ledger = undisturbed(tmp_path, "halving")
    stopped = next(line for line in ledger.lines if line.get("rule"))
    row = next(row for row in ledger.rows if row["trial"] == stopped["trial"])
    ledger.lines.append({**row, "epoch": stopped["epoch"] + 1})
    finished = next(trial for trial in ledger.trials if ledger.status(trial) == Status.FINISHED)
    ledger.lines.append({**stopped, "trial": finished})
    assert [said.split()[1] for said in departures(ledger)] == ["trained", "was"]


def test_rungs_save_epochs_and_never_train_one_twice(tmp_path: Path) -> None:
    whole = undisturbed(tmp_path / "whole", "none")
    halved = undisturbed(tmp_path / "halved", "halving")
    assert len(halved.rows) < 0.5 * len(whole.rows)
    lines = [line for line in read(tmp_path / "halved").lines if line["kind"] == "row"]
    assert len(lines) == len(halved.rows)
