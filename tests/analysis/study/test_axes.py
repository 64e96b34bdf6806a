"""Which axes a sweep had, whatever its optimizers are called."""

from __future__ import annotations

from itertools import product

import pytest

from analysis.study.axes import axes_of
from analysis.study.load import load_study
from tests.support.ledgers import trial, twelve, write_ledger


def axes(folder, trials, **sweep):
    return axes_of(load_study([write_ledger(folder, trials, **sweep)]))


def test_the_axes_of_the_twelve_trials(tmp_path):
    found = axes_of(load_study([twelve(tmp_path)]))
    assert found.names == ["optimizer", "learning rate"]
    assert found.numeric == ("learning rate",)
    assert found.table.to_numpy().tolist() == [["SGD", 0.1], ["SGD", 0.01], ["Adam", 0.001], ["Adam", 0.1]]


def test_a_number_swept_for_several_optimizers_is_an_axis_and_no_part_of_their_names(tmp_path):
    trials = [
        trial(name, lr=lr, curve=[0.1] * 3, parameters={"weight_decay": decay})
        for name, lr, decay in product(("Adam", "SGD"), (0.1, 0.01), (0.0, 5e-4))
    ]
    found = axes(tmp_path, trials)
    assert found.names == ["optimizer", "learning rate", "weight decay"]
    assert set(found.table["optimizer"]) == {"Adam", "SGD"}
    assert sorted(found.table["weight decay"].unique()) == [0.0, 5e-4]


def test_variants_of_one_optimizer_stay_optimizers(tmp_path):
    variants = [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}]
    found = axes(tmp_path, [trial("SGD", curve=[0.1] * 3, parameters=parameters) for parameters in variants])
    assert found.names == ["optimizer"]
    assert set(found.table["optimizer"]) == {"SGD", "SGD momentum 0.9", "SGD nesterov 0.9"}


@pytest.mark.parametrize("swept", [True, False])
def test_a_sweep_says_which_numbers_are_axes(tmp_path, swept):
    spec = {"name": "n", "parameters": {"optimizer.momentum": {"values": [0.0, 0.9]}}} if swept else {"name": "n"}
    trials = [trial("SGD", curve=[0.1] * 3, parameters={"momentum": momentum}) for momentum in (0.0, 0.9)]
    assert axes(tmp_path, trials, spec=spec).names == (["momentum"] if swept else ["optimizer"])


def test_what_a_search_drew_is_an_axis_also_with_nesterov(tmp_path):
    trials = [
        trial("SGD", curve=[0.1] * 3, parameters={"momentum": 0.5 + index / 50, "nesterov": True})
        for index in range(12)
    ]
    found = axes(tmp_path, trials)
    assert found.names == ["momentum"]
    assert found.table["momentum"].nunique() == 12


def test_an_optimizer_without_the_number_has_none(tmp_path):
    trials = [trial("SGD", curve=[0.1] * 3, parameters={"momentum": m}) for m in (0.0, 0.5, 0.9)]
    found = axes(tmp_path, [*trials, trial("Adam", curve=[0.1] * 3)])
    assert found.table["momentum"].isna().tolist() == [False, False, False, True]


def test_schedules_batch_sizes_and_models_are_axes_and_seeds_are_none(tmp_path):
    trials = [
        trial(curve=[0.1] * 3, schedule=schedule, data={"batch_size": batch}, seed=seed)
        for schedule in ({"name": "none"}, {"name": "StepLR", "step_size": 1})
        for batch in (64, 128)
        for seed in (0, 1)
    ]
    found = axes(tmp_path, trials)
    assert found.names == ["schedule", "batch size"]
    assert found.numeric == ("batch size",)
    assert len(found.table) == 4


def test_several_runs_are_an_axis(tmp_path):
    study = load_study([twelve(tmp_path / "a"), twelve(tmp_path / "b")])
    assert axes_of(study).names == ["optimizer", "learning rate", "run"]


CHANGES = {  # case → epochs, optimizer, learning rate
    "baseline": (6, "Adam", 1e-3),
    "low": (9, "Adam", 1e-5),
    "SGD": (9, "SGD", 0.01),
}


def modified(decays):
    return [
        trial(name, lr=lr, curve=[0.1] * epochs, parameters={"weight_decay": decay}, case={"modification": case})
        for case, (epochs, name, lr) in CHANGES.items()
        for decay in decays
    ]


def test_cases_are_one_axis_and_what_follows_from_them_is_none(tmp_path):
    found = axes(tmp_path, modified([0.0, 0.1]))
    assert found.names == ["modification", "weight decay"]
    assert found.table["modification"].tolist() == ["baseline", "baseline", "low", "low", "SGD", "SGD"]
    assert set(found.optimizers) == {"Adam", "SGD"} == set(found.looks)


def test_what_also_varies_within_a_case_stays_an_axis(tmp_path):
    more = [
        trial("Adam", lr=1e-2, curve=[0.1] * 6, case={"modification": "baseline"}),
        *modified([0.0]),
    ]
    assert axes(tmp_path, more).names == ["modification", "learning rate"]


def test_a_configuration_without_a_case_beside_others_has_none(tmp_path):
    found = axes(tmp_path, [*modified([0.0]), trial("RMSprop", lr=0.5, curve=[0.1] * 9)])
    assert found.table["modification"].tolist() == ["baseline", "low", "SGD", "–"]


def test_cases_may_be_called_as_an_axis_is(tmp_path):
    trials = [
        trial("SGD", lr=lr, curve=[0.1] * epochs, case={"learning rate": name})
        for lr in (0.1, 0.2)
        for name, epochs in (("a", 3), ("b", 6))
    ]
    assert axes(tmp_path, trials).names == ["learning rate (cases)", "learning rate"]
