"""What is compared has a name of its own: short, and different from its neighbours'."""

from __future__ import annotations

import pytest

from analysis.study.labels import optimizer_labels, schedule_labels, setting_labels
from ch6dist.config import parse_trial


def resolved(**content):
    return parse_trial(content).model_dump()


def test_flavours_of_sgd_are_different_optimizers():
    given = [
        {"name": "SGD", "lr": 0.1},
        {"name": "SGD", "momentum": 0.9},
        {"name": "SGD", "momentum": 0.9, "nesterov": True},
        {"name": "Adam"},
    ]
    labels = optimizer_labels([resolved(optimizer=section)["optimizer"] for section in given])
    assert labels == ["SGD", "SGD momentum 0.9", "SGD nesterov 0.9", "Adam"]


def test_the_learning_rate_is_never_in_a_label():
    labels = optimizer_labels([resolved(optimizer={"name": "Adam", "lr": lr})["optimizer"] for lr in (1e-3, 1e-2)])
    assert labels == ["Adam", "Adam"]


@pytest.mark.parametrize("extra", [{}, {"nesterov": True}])
def test_a_searched_momentum_does_not_make_every_trial_its_own_optimizer(extra):
    sections = [{"name": "SGD", "momentum": m / 20, **extra} for m in range(1, 20)]
    labels = optimizer_labels([resolved(optimizer=section)["optimizer"] for section in sections])
    assert set(labels) == {"SGD nesterov" if extra else "SGD"}


def test_schedules_of_one_name_differ_by_what_differs():
    given = ["none", {"name": "StepLR", "step_size": 2}, {"name": "StepLR", "step_size": 5}]
    labels = schedule_labels([resolved(schedule=section, epochs=10)["schedule"] for section in given])
    assert len(set(labels)) == 3


def test_what_else_differs_is_the_setting():
    configs = [resolved(data={"batch_size": size}, seed=size) for size in (128, 256)]
    assert setting_labels(configs) == ["batch 128", "batch 256"]
    assert setting_labels([configs[0], {**configs[0], "seed": 1}]) == ["", ""]


def test_a_range_test_does_not_change_the_setting_of_the_training_runs():
    test = resolved(type="range_test", data={"batch_size": 512})
    assert setting_labels([resolved(), resolved(seed=1), test]) == ["", "", ""]
