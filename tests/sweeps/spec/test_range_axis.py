"""Learning rates whose bounds come from range tests: which tests a sweep needs, and what is trained then."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.config import TrialConfig
from sweeps.spec.expand import case_names, expand, forecast
from sweeps.spec.load import load_spec
from sweeps.spec.range_axis import STEPS, Bounds
from sweeps.spec.sweep_file import SweepSpec, dump
from tests.support.bad_sweeps import ranged
from tests.support.sweep_files import CONFIGS, spec_of, sweep, write

OPTIMIZERS = [{"name": "SGD", "momentum": 0.9}, {"name": "Adam"}]
DRAWN = {"method": "random", "trials": 40, "seed": 3}


def spec_with(axes: dict[str, Any], *, lr: dict[str, Any] | None = None, **changes: Any) -> SweepSpec:
    return spec_of(sweep(parameters={**axes, **(lr or ranged())}, **changes))


def groups(tests: list[TrialConfig]) -> list[str]:
    return list(dict.fromkeys(test.configuration_id for test in tests))


def stage_one(spec: SweepSpec) -> list[TrialConfig]:
    tests = expand(spec)
    assert {test.type for test in tests} == {"range_test"}
    assert len({test.trial_id for test in tests}) == len(tests)
    return tests


def lrs_by_optimizer(trials: list[TrialConfig]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for trial in trials:
        found.setdefault(trial.optimizer["name"], []).append(trial.optimizer["lr"])
    return found


@pytest.mark.parametrize(
    "axis",
    [
        {"optimizer": OPTIMIZERS},
        {"optimizer.weight_decay": [0, 0.1]},
        {"data.batch_size": [64, 128]},
        {"model": ["lenet5", "cnn2"]},
        {"label_smoothing": [0, 0.1]},
        {"change": {"cases": {"small": {"data.batch_size": 32}, "Adam": {"optimizer": "Adam"}}}},
    ],
    ids=lambda axis: next(iter(axis)),
)
def test_what_changes_where_learning_rates_work_has_range_tests_of_its_own(axis: dict[str, Any]) -> None:
    tests = stage_one(spec_with(axis))
    assert len(groups(tests)) == 2
    assert [test.seed for test in tests] == [0, 1, 2] * 2


@pytest.mark.parametrize(
    "axis",
    [
        {"schedule": ["none", "CosineAnnealingLR"]},
        {"epochs": [1, 5]},
        {"data.seed": [0, 1]},
        {"change": {"cases": {"short": {"epochs": 2}, "decays": {"schedule": "CosineAnnealingLR"}}}},
    ],
    ids=lambda axis: next(iter(axis)),
)
def test_schedule_epochs_and_the_seed_of_the_data_share_range_tests(axis: dict[str, Any]) -> None:
    spec = spec_with(axis, seeds=[7, 8])
    assert len(stage_one(spec)) == 3
    bounds = dict.fromkeys(groups(expand(spec)), Bounds(0.01, 0.1))
    trials = expand(spec, bounds=bounds)
    assert len(trials) == 2 * 5 * 2
    assert {trial.seed for trial in trials} == {7, 8}


def test_each_optimizer_trains_between_the_bounds_of_its_own_range_tests() -> None:
    spec = spec_with({"optimizer": OPTIMIZERS, "schedule": ["none", "CosineAnnealingLR"]})
    sgd, adam = groups(stage_one(spec))
    trials = expand(spec, bounds={sgd: Bounds(0.009, 0.28), adam: Bounds(0.00028, 0.0076)})
    assert {trial.type for trial in trials} == {"train"}
    found = lrs_by_optimizer(trials)
    assert sorted(found["SGD"]) == [lr for lr in (0.009, 0.021, 0.05, 0.12, 0.28) for _ in range(2)]
    assert sorted(found["Adam"]) == [lr for lr in (0.00028, 0.00064, 0.0015, 0.0033, 0.0076) for _ in range(2)]
    assert all(len(trial.name) < 40 for trial in trials)


def test_a_default_stands_before_the_learning_rates_of_its_own_range_tests() -> None:
    spec = spec_with({"optimizer": OPTIMIZERS}, lr=ranged(points=3, default=True))
    sgd, adam = groups(stage_one(spec))
    assert len(forecast(spec)) == 2 * 3 + 2 * (1 + 3)
    found = lrs_by_optimizer(expand(spec, bounds={sgd: Bounds(0.01, 0.16), adam: Bounds(0.0002, 0.02)}))
    assert found == {"SGD": [0.001, 0.01, 0.04, 0.16], "Adam": [0.001, 0.0002, 0.002, 0.02]}


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(0.001, 0.1), [0.001, 0.0032, 0.01, 0.1]),  # √(0.001 · 0.01)
        (Bounds(0.0001, 0.01), [0.001, 0.0001, 0.00032, 0.01]),  # √(0.0001 · 0.001), one of two as near
        (Bounds(0.00001, 0.001), [0.001, 0.00001, 0.0001, 0.00032]),
    ],
)
def test_where_the_default_is_one_of_them_another_stands_beside_it(bounds: Bounds, expected: list[float]) -> None:
    """So that each optimizer is tried as often as the others, and no configuration twice."""
    assert bounds.beside(0.001, 3) == expected
    spec = spec_with({"optimizer": OPTIMIZERS[1:]}, lr=ranged(points=3, default=True))
    (adam,) = groups(stage_one(spec))
    assert lrs_by_optimizer(expand(spec, bounds={adam: bounds})) == {"Adam": expected}


@given(st.floats(1e-6, 10), st.floats(1.001, 1e5), st.integers(2, 9), st.floats(1e-6, 10))
def test_a_default_and_others_are_always_as_many_and_different(
    low: float, factor: float, points: int, default: float
) -> None:
    bounds = Bounds(low, low * factor)
    for given_default in (default, *bounds.grid(points)):
        found = bounds.beside(given_default, points)
        assert found[0] == given_default
        assert len(set(found)) == len(found) == points + 1
        assert found[1:] == sorted(found[1:])
        assert all(bounds.low <= lr <= bounds.high for lr in found[1:])


def test_drawn_learning_rates_lie_between_the_bounds_of_their_own_range_tests() -> None:
    spec = spec_with({"optimizer": OPTIMIZERS}, **DRAWN)
    tests = stage_one(spec)
    adam, sgd = (next(t.configuration_id for t in tests if t.optimizer["name"] == name) for name in ("Adam", "SGD"))
    trials = expand(spec, bounds={sgd: Bounds(0.01, 0.3), adam: Bounds(0.0003, 0.008)})
    found = lrs_by_optimizer(trials)
    assert len(trials) == 40
    assert 0.01 <= min(found["SGD"]) < 0.03 < 0.1 < max(found["SGD"]) <= 0.3
    assert 0.0003 <= min(found["Adam"]) < 0.001 < 0.003 < max(found["Adam"]) <= 0.008
    assert len(found["SGD"]) == len(set(found["SGD"]))


def test_other_bounds_move_learning_rates_and_nothing_else() -> None:
    """So that a plan with the stated bounds is the plan of what will be trained."""
    for method in ({}, DRAWN):
        spec = spec_with({"optimizer": OPTIMIZERS, "epochs": [1, 2]}, **method)
        bounds = dict.fromkeys(groups(stage_one(spec)), Bounds(0.02, 0.05))
        planned, trained = forecast(spec), expand(spec, bounds=bounds)
        assert planned[: len(expand(spec))] == expand(spec)
        pairs = zip(planned[len(expand(spec)) :], trained, strict=True)
        for one, other in pairs:
            moved = {"optimizer": {**one.optimizer, "lr": other.optimizer["lr"]}}
            assert one.model_copy(update=moved) == other


def test_a_range_test_of_a_sweep_is_the_one_that_a_sweep_of_range_tests_trains() -> None:
    shipped = next(path for path in CONFIGS if path.stem == "range_test")
    alone = load_spec(shipped)
    trial = {key: value for key, value in alone.trial.items() if key != "type"}
    spec = spec_of({**dump(alone), "trial": trial, "parameters": {**dump(alone)["parameters"], **ranged(seeds=5)}})
    assert [test.trial_id for test in expand(spec)] == [test.trial_id for test in expand(alone)]


def test_a_range_test_neither_captures_nor_decays() -> None:
    spec = spec_with({}, trial={"capture": {}, "schedule": "CosineAnnealingLR"})
    assert all(test.capture is None and test.schedule == {"name": "none"} for test in stage_one(spec))


def test_a_cycle_between_bounds_begins_at_a_tenth_of_each_learning_rate() -> None:
    spec = spec_with({}, trial={"schedule": {"name": "CyclicLR", "step_size_up": 5}})
    tests = stage_one(spec)
    assert {test.optimizer["lr"] for test in tests} == {1e-3}  # of no effect: it is the optimizer's default
    assert len(expand(spec, bounds=dict.fromkeys(groups(tests), Bounds(1e-9, 1e-7)))) == 5


def test_a_sweep_that_is_extended_keeps_its_range_tests() -> None:
    before = spec_with({"optimizer": OPTIMIZERS[:1]}, seeds=1)
    after = spec_with({"optimizer": OPTIMIZERS, "epochs": [10, 20]}, lr=ranged(seeds=4, points=9), seeds=3)
    assert {test.trial_id for test in expand(before)} <= {test.trial_id for test in expand(after)}


def test_cases_have_their_names_in_the_second_stage() -> None:
    spec = spec_with({"change": {"cases": {"short": {"epochs": 2}, "Adam": {"optimizer": "Adam"}}}})
    bounds = dict.fromkeys(groups(stage_one(spec)), Bounds(0.01, 0.1))
    names = case_names(spec, bounds)
    found = {names[trial.configuration_id]["change"] for trial in expand(spec, bounds=bounds)}
    assert found == {"short", "Adam"}


def test_a_dumped_spec_loads_back_equal_and_its_axis_can_be_changed(tmp_path: Path) -> None:
    path = write(tmp_path, sweep(parameters=ranged(otherwise=["1e-4", 1])))
    spec = load_spec(path)
    assert load_spec(write(tmp_path, dump(spec))) == spec
    assert dump(spec)["parameters"] == ranged()
    changed = load_spec(path, ["parameters.optimizer.lr.points=3", "parameters.optimizer.lr.widen=1"])
    assert len(expand(changed, bounds=dict.fromkeys(groups(expand(changed)), Bounds(0.01, 0.1)))) == 3
    assert {trial.type for trial in expand(load_spec(path, ["optimizer.lr=0.1"]))} == {"train"}


lows = st.floats(1e-6, 10)
ratios = st.floats(1.001, 1e6)


@settings(max_examples=60, deadline=None)
@given(lows, ratios, st.integers(2, 12))
def test_a_grid_rises_from_one_bound_to_the_other_in_equal_factors(low: float, ratio: float, points: int) -> None:
    bounds = Bounds(low, low * ratio)
    grid = bounds.grid(points)
    assert (grid[0], grid[-1], len(grid)) == (bounds.low, bounds.high, points)
    assert grid == sorted(set(grid))
    for number, lr in enumerate(grid):
        exact = math.log(ratio) * number / (points - 1)
        assert abs(math.log(lr / low) - exact) < 0.06  # two digits


@settings(max_examples=60, deadline=None)
@given(lows, ratios, st.lists(st.integers(0, STEPS), min_size=2, max_size=20, unique=True))
def test_every_step_between_bounds_has_a_learning_rate_of_its_own(low: float, ratio: float, steps: list[int]) -> None:
    bounds = Bounds(float(f"{low:.2g}"), float(f"{low:.2g}") * ratio)
    found = [bounds.at(step) for step in sorted([*steps, min(steps[0] + 1, STEPS)])]
    assert found == sorted(found)
    assert bounds.low <= found[0] <= found[-1] <= bounds.high
    inner = [bounds.at(step) for step in range(max(1, steps[0] - 2), min(STEPS - 1, steps[0] + 3))]
    assert len(inner) == len(set(inner))
