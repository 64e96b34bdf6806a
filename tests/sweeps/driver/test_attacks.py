"""Whatever happens to a sweep, it comes to its end as its rules say: drawn sweeps, drawn deaths, stops and kills."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.errors import InputError
from ch6dist.optim.digests import digests
from ch6dist.runs.schema import Status
from sweeps.search import sharing
from sweeps.spec.sweep_file import SweepSpec, dump
from tests.support.attacked import Attacked
from tests.support.simulated import Simulated
from tests.sweeps.search.test_next_trials import LRS, RULES, outcome, spec_of, value
from tests.sweeps.search.test_sharing import SCHEDULES

EARLY = [None, *(rule["early_stop"] for rule in RULES.values() if "seeds" not in rule and "early_stop" in rule)]
SEEDS: list[Any] = [1, 2, 3, {"start": 1, "up_to": 2}, {"start": 1, "up_to": 4}, {"start": 2, "up_to": 4}]
BY_ARRIVAL = ("asha", "median")  # what they decide, the order decides


@pytest.fixture(autouse=True, scope="module")
def _without_a_program() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "read_digests", digests)
        yield


def drawn_sweep(rng: Random) -> SweepSpec:
    """Any method, rule, seeds and budget, few or many trials, with shared epochs or none."""
    changes: dict[str, Any] = {"seeds": rng.choice(SEEDS)}
    if rule := rng.choice(EARLY):
        changes["early_stop"] = dict(rule)
    if rng.random() < 0.4:
        changes["budget"] = drawn_budget(rng)
    method = rng.choice(["none", "none", "random", "quasi", "a model", "an evolution"])
    if method in ("random", "quasi"):
        drawn = {**RULES["an evolution"]["parameters"], "optimizer": ["SGD"]}
        changes |= {"method": method, "trials": rng.randint(1, 14), "seed": rng.randint(0, 9), "parameters": drawn}
        method = "none"
    elif method == "none":
        lrs = sorted(rng.sample(LRS, rng.randint(1, len(LRS))), reverse=True)
        changes["parameters"] = {"optimizer": ["SGD", "Adam"], "optimizer.lr": lrs}
        if rng.random() < 0.3:
            changes["parameters"]["schedule"] = SCHEDULES[: rng.randint(2, 4)]
    data = {"name": "synthetic_mnist"}
    changes["trial"] = {"data": data, "model": "simple_nn", "epochs": rng.choice([3, 6, 8])}
    try:
        return spec_of(method, **changes)
    except InputError:  # a rule that could stop nothing
        return drawn_sweep(rng)


def drawn_budget(rng: Random) -> dict[str, Any]:
    bounds = {"device_hours": rng.randint(1, 150) / 3600, "trials": rng.randint(1, 30)}
    bounds["wall_time"] = f"{rng.randint(5, 400)} s"
    return {key: bounds[key] for key in rng.sample(sorted(bounds), rng.randint(1, 2))}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_sweep_under_any_attack_keeps_to_its_rules(seed: int) -> None:
    rng = Random(seed)
    spec = drawn_sweep(rng)
    size = {"slots": rng.randint(1, 4), "lanes": rng.randint(1, 9), "every": rng.randint(1, 3)}
    trouble = {
        "deaths": rng.choice([0, 0, 0.02, 0.1]),
        "stops": rng.choice([0, 0, 0.05]),
        "memory": rng.choice([None, None, 1, 3]),
        "max_retries": rng.choice([0, 2, 1000]),
    }
    with tempfile.TemporaryDirectory() as folder:
        run = Attacked(Path(folder, "attacked"), spec, value, seed=seed, **size, **trouble)
        for _ in range(rng.choice([0, 0, 1, 2])):
            if run.go(kill_after=rng.randint(1, 80)):
                break
            run.forget_requests()
        assert run.go()
        run.check()
        if spec.budget:  # lifted, it goes on
            run.forget_requests()
            spec = spec.model_copy(update={"budget": None})
            run.content = dump(spec)
            assert run.go()
            run.check()
        by_arrival = spec.early_stop is not None and spec.early_stop.name in BY_ARRIVAL
        if not trouble["stops"] and trouble["max_retries"] == 1000 and not by_arrival:
            whole = Simulated(Path(folder, "whole"), spec, value)
            assert whole.go()
            assert outcome(run.ledger()) == outcome(whole.ledger())


def test_a_trial_that_waits_at_a_rung_can_be_stopped_by_a_person(tmp_path: Path) -> None:
    run = Attacked(tmp_path, spec_of("halving"), value, slots=1, lanes=4)
    assert not run.go(kill_after=9)
    waiting = [t for t in run.ledger().trials if run.ledger().status(t) == Status.PAUSED]
    assert waiting, "some have come to the rung, and wait for the others"
    run.ask_next = [waiting[0]]
    assert run.go()
    [*_, last] = run.ledger().history[waiting[0]]
    assert (last["status"], last["reason"], last["epoch"]) == ("stopped", "asked to stop", 1)
    run.check()


def test_a_worker_that_dies_at_a_rung_has_its_trials_decided_all_the_same(tmp_path: Path) -> None:
    """Between the row of the rung and the word that the trial waits: the trial is at its rung, and nobody has it."""
    expected = Simulated(tmp_path / "whole", spec_of("halving"), value)
    assert expected.go()
    run = Attacked(tmp_path / "dying", spec_of("halving"), value, deaths=0.3, max_retries=1000, every=3, seed=5)
    assert run.go()
    run.check()
    deaths = [line for line in run.ledger().lines if line["kind"] == "event"]
    assert len(deaths) > 10
    assert outcome(run.ledger()) == outcome(expected.ledger())
