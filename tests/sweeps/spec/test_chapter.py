"""The ready sweeps have the numbers of the experiments that they repeat, and a baseline for each of their questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from ch6dist.config import TrialConfig
from ch6dist.optim.schedules import preview
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from tests.support.paths import ROOT
from tests.support.sweep_files import CONFIGS

FOLDER = ROOT / "sweeps" / "configs"


def trials_of(name: str) -> list[TrialConfig]:
    path = FOLDER / f"{name}.yaml"
    return expand(load_spec(path), file=str(path))


def optimizers_of(name: str) -> set[tuple[Any, ...]]:
    """Name, learning rate, momentum and whether it looks ahead, of every optimizer of a sweep."""
    keys = ("name", "lr", "momentum", "nesterov")
    return {tuple(trial.optimizer.get(key) or 0 for key in keys) for trial in trials_of(name)}


def schedules_of(name: str) -> dict[str, Mapping[str, Any]]:
    """The schedules of a sweep as resolved, by their names."""
    return {trial.schedule["name"]: trial.schedule for trial in trials_of(name)}


def only(values: Iterable[Any]) -> Any:
    """Return what all have in common."""
    (value,) = set(values)
    return value


SGD, MOMENTUM, NESTEROV = ("SGD", 0.01, 0, 0), ("SGD", 0.01, 0.9, 0), ("SGD", 0.01, 0.9, True)
ADAM = ("Adam", 1e-3, 0, 0)


def test_the_optimizers_are_compared_at_their_own_learning_rates() -> None:
    assert optimizers_of("chapter6/optimizers") == {SGD, MOMENTUM, NESTEROV, ADAM}
    trials = trials_of("chapter6/optimizers")
    assert only(trial.data.batch_size for trial in trials) == 128
    assert only(trial.epochs for trial in trials) == 50
    assert only(tuple(trial.optimizer["betas"]) for trial in trials if "betas" in trial.optimizer) == (0.9, 0.999)


def test_the_modifications_of_the_convnet_have_the_numbers_of_the_code_and_not_of_the_text_around_it() -> None:
    """Nesterov SGD at 0.01, which the text calls 0.1; a training part of 83 %, where 17 % were trained on at first."""
    found = optimizers_of("chapter6/mnist_convnet")
    assert found >= {ADAM, ("Adam", 1e-5, 0, 0), NESTEROV}
    assert all(lr <= 0.01 for _, lr, *_ in found)
    sizes = {(trial.data.train_size, trial.data.val_size) for trial in trials_of("chapter6/mnist_convnet")}
    assert (49_800, 10_200) in sizes
    assert all(train + val <= 60_000 for train, val in sizes)


def test_the_two_layers_on_mnist_halve_their_learning_rate_every_five_epochs() -> None:
    trials = trials_of("chapter6/mnist_simple_nn")
    assert optimizers_of("chapter6/mnist_simple_nn") == {ADAM}
    assert only((trial.data.batch_size, trial.epochs, trial.model["dropout"]) for trial in trials) == (32, 20, 0.2)
    found = schedules_of("chapter6/mnist_simple_nn")
    assert set(found) == {"none", "StepLR"}
    assert (found["StepLR"]["step_size"], found["StepLR"]["gamma"]) == (5, 0.5)


def test_the_six_schedules_of_the_paths_are_the_books() -> None:
    assert optimizers_of("chapter6/schedule_paths") == {("SGD", 0.1, 0.9, 0), ("SGD", 0.1, 0.9, True)}
    found = schedules_of("chapter6/schedule_paths")
    assert set(found) == {"none", "StepLR", "CyclicLR"}
    assert found["StepLR"].items() >= {"step_size": 4, "gamma": 0.5}.items()
    cycle = {"base_lr": 0.025, "max_lr": 0.1, "step_size_up": 10, "mode": "triangular2"}
    assert found["CyclicLR"].items() >= cycle.items()


def test_the_five_schedules_on_cifar_are_the_documents_and_the_milestones_our_own() -> None:
    found = schedules_of("schedules")
    assert found["ReduceLROnPlateau"].items() >= {"patience": 5, "factor": 0.5, "mode": "min"}.items()
    cycle = {"base_lr": 0.001, "max_lr": 0.01, "step_size_up": 500, "mode": "triangular2"}
    assert found["CyclicLR"].items() >= cycle.items()
    for name, changes in (("StepLR", [15, 30, 45]), ("MultiStepLR", [25, 40])):
        trial = next(trial for trial in trials_of("schedules") if trial.schedule["name"] == name)
        lrs = [lr for lr, _ in preview(trial, steps_per_epoch=1)]
        assert [epoch for epoch in range(1, 50) if lrs[epoch] != lrs[epoch - 1]] == changes


def test_a_warm_up_and_one_cycle_are_compared_with_neither() -> None:
    trials = trials_of("chapter6/one_cycle")
    peaks = (trial.schedule["max_lr"] / trial.optimizer["lr"] for trial in trials if "max_lr" in trial.schedule)
    assert only(peaks) == pytest.approx(10)
    warmups = [trial.schedule["warmup"] for trial in trials if "warmup" in trial.schedule]
    assert only((warmup["epochs"], warmup["start_factor"]) for warmup in warmups) == (5, 0.1)
    assert {"none", "CosineAnnealingLR", "OneCycleLR"} <= set(schedules_of("chapter6/one_cycle"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_whoever_compares_schedules_also_trains_without_one(path) -> None:
    trials = expand(load_spec(path), file=str(path))
    names = {trial.schedule["name"] for trial in trials}
    assert "none" in names or len(names) == 1
