"""A sweep whose bounds come from range tests, run by the real driver: its second stage follows, whatever is killed."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Status
from ch6dist.sections import parse_section
from sweeps.search.next_trials import Search, next_trials
from sweeps.search.range_stage import range_trials
from sweeps.search.replay import departures
from sweeps.spec.sweep_file import SweepSpec, dump
from sweeps.status.queries import status
from sweeps.status.views import render_status
from tests.support.bad_sweeps import ranged
from tests.support.printing import printed
from tests.support.simulated import Simulated

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "trial": {"data": {"name": "synthetic_mnist"}, "model": "simple_nn", "epochs": 3},
    "parameters": {"optimizer": ["SGD", "Adam"], **ranged(seeds=2, points=3, widen=2, otherwise=[0.5, 2])},
    "seeds": [4, 5],
}
RULES: dict[str, dict[str, Any]] = {
    "none": {},
    "halving": {"early_stop": {"name": "halving", "first": 1, "factor": 3}},
    "racing": {"seeds": {"start": 1, "up_to": 3}},
}


def spec_of(**changes: Any) -> SweepSpec:
    return parse_section(SweepSpec, {**CONTENT, **changes})


def finds(config: Any) -> dict[str, Any]:
    """SGD: 0.02 to 0.2 whatever the seed; Adam: nothing."""
    if config["optimizer"]["name"] == "Adam":
        return {"no_signal": True, "advice": "take more steps"}
    return {"interval": [0.02, 0.2], "valley": 0.2, "minimum": None, "no_signal": False}


def value(config: Any, epoch: int) -> float:
    noise = Random(f"{config['optimizer']['lr']} {config['seed']} {epoch}").gauss(0, 0.01)
    return 0.5 - 0.1 * abs(math.log10(config["optimizer"]["lr"]) + 1) + noise


def outcome(ledger: Ledger) -> dict[str, str]:
    return {trial: str(ledger.status(trial)) for trial in ledger.trials}


def learning_rates(ledger: Ledger, optimizer: str) -> set[float]:
    configs = [line["config"] for line in ledger.trials.values() if line["config"]["type"] == "train"]
    return {config["optimizer"]["lr"] for config in configs if config["optimizer"]["name"] == optimizer}


def simulated(folder: Path, spec: SweepSpec, *, seed: int = 0) -> Simulated:
    return Simulated(folder, spec, value, seed=seed, finds=finds)


def test_training_runs_begin_when_all_range_tests_have_ended_and_lie_between_their_bounds(tmp_path: Path) -> None:
    spec = spec_of()
    run = simulated(tmp_path / "run", spec)
    assert run.go()
    ledger = run.ledger()
    assert set(outcome(ledger).values()) == {"finished"}
    assert learning_rates(ledger, "SGD") == {0.01, 0.063, 0.4}
    assert learning_rates(ledger, "Adam") == {0.5, 1.0, 2.0}
    tests = {test.trial_id for test in range_trials(spec)}
    order = [line for line in ledger.lines if line["kind"] in ("status", "trial")]
    begin = next(i for i, line in enumerate(order) if line["kind"] == "trial" and line["trial"] not in tests)
    ended = {line["trial"] for line in order[:begin] if line.get("status") == "finished"}
    assert ended == tests
    assert len(ledger.trials) == 4 + 2 * 3 * 2
    assert next_trials(dump(spec), ledger) == []


def test_the_record_says_why_the_bounds_are_these(tmp_path: Path) -> None:
    run = simulated(tmp_path / "run", spec_of())
    run.go()
    whys = {line["why"] for line in run.ledger().decisions if line["what"] == "begin"}
    assert whys == {
        "SGD: 2 range tests, median 0.02 to 0.2, widened by 2: 0.01 to 0.4",
        "Adam: 2 of 2 range tests found nothing (take more steps): the stated bounds, 0.5 to 2",
    }
    assert departures(run.ledger()) == []
    assert set(status(run.run)["bounds"]) == whys
    assert all(why in printed(render_status(status(run.run))) for why in whys)


@pytest.mark.parametrize("rule", RULES)
def test_a_sweep_that_is_killed_anywhere_ends_as_one_that_was_not(rule: str, tmp_path: Path) -> None:
    spec = spec_of(**RULES[rule])
    whole = simulated(tmp_path / "whole", spec)
    whole.go()
    expected = outcome(whole.ledger())
    for limit in (1, 3, 5, 7, 9, 11, 14, 18):
        run = simulated(tmp_path / str(limit), spec, seed=limit)
        for _ in range(60):
            if run.go(kill_after=limit):
                break
            limit += 1
        assert outcome(run.ledger()) == expected
        assert departures(run.ledger()) == []


def test_a_range_test_that_is_trained_again_moves_no_bounds(tmp_path: Path) -> None:
    spec = spec_of()
    run = simulated(tmp_path / "run", spec)
    run.go()
    ledger = run.ledger()
    search = Search.of(dump(spec), ledger)
    test = next(t for t in range_trials(spec) if t.optimizer["name"] == "Adam").trial_id
    place = {"trial": test, "attempt": 2, "epoch": 1, "time": 0.0}
    again = {"interval": [1e-4, 1e-3], "valley": 1e-3, "minimum": None, "no_signal": False}
    search.take(
        [
            {"kind": "status", **place, "status": Status.PLANNED},
            {"kind": "artifact", **place, "name": "range_test", "value": again},
            {"kind": "status", **place, "status": Status.FINISHED},
        ]
    )
    assert search.new_trials() == []


def test_a_run_is_extended_by_an_optimizer_and_loses_nothing(tmp_path: Path) -> None:
    spec = spec_of()
    run = simulated(tmp_path / "run", spec)
    run.go()
    before = set(run.ledger().trials)
    wider = spec_of(
        parameters={**CONTENT["parameters"], "optimizer": ["SGD", "Adam", {"name": "SGD", "momentum": 0.9}]}
    )
    search = Search.of(dump(wider), run.ledger(), extended=True)
    own, spanned = search.spans()
    assert own == before
    assert own <= spanned
    assert {new.line["config"]["type"] for new in search.new_trials()} == {"range_test"}
    again = simulated(tmp_path / "run", wider)
    again.go()
    assert len(again.ledger().trials) == len(before) + 2 + 3 * 2
