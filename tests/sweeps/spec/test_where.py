"""Conditional axes: which apply where, by every method; what the command line and other resources make of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.catalog.labels import label_all
from ch6dist.errors import InputError
from ch6dist.sections import parse_section
from sweeps.spec.axes import Axis
from sweeps.spec.expand import case_names, expand
from sweeps.spec.load import load_spec
from sweeps.spec.resources import change_resources
from sweeps.spec.sweep_file import SweepSpec, dump
from sweeps.spec.where import Conditions
from tests.support.bad_sweeps import momentum, searched
from tests.support.sweep_files import refusal, spec_of, sweep, write

TREE: dict[str, Any] = {  # written with the axis that waits for others first
    "optimizer.nesterov": {"values": [False, True], "where": {"optimizer": "SGD", "optimizer.momentum": [0.5, "9e-1"]}},
    "optimizer.momentum": {"values": [0, 0.5, 0.9], "where": {"optimizer.name": ["SGD", "RMSprop"]}},
    "optimizer.name": ["SGD", "RMSprop", "Adam"],
}


def found(spec: SweepSpec) -> list[tuple[Any, ...]]:
    """Return of every trial the optimizer's name, momentum and nesterov, None where it has none."""
    sections = [trial.optimizer for trial in expand(spec)]
    return [tuple(section.get(key) for key in ("name", "momentum", "nesterov")) for section in sections]


def test_a_grid_has_each_combination_of_the_axes_that_apply_once_in_the_order_of_the_file() -> None:
    assert found(spec_of(sweep(parameters={key: TREE[key] for key in reversed(TREE)}))) == [
        ("SGD", 0, False),
        ("SGD", 0.5, False),
        ("SGD", 0.5, True),
        ("SGD", 0.9, False),
        ("SGD", 0.9, True),
        ("RMSprop", 0, None),
        ("RMSprop", 0.5, None),
        ("RMSprop", 0.9, None),
        ("Adam", None, None),
    ]


@pytest.mark.parametrize("keys", list(itertools.permutations(TREE)))
def test_the_order_of_the_axes_changes_no_more_than_that_of_the_trials(keys: tuple[str, ...]) -> None:
    specs = [spec_of(sweep(parameters={key: TREE[key] for key in order})) for order in (TREE, keys)]
    assert sorted(map(repr, found(specs[0]))) == sorted(map(repr, found(specs[1])))


@pytest.mark.parametrize("method", ["random", "quasi"])
def test_draws_have_the_values_of_the_axes_that_apply_and_find_all_points(method: str) -> None:
    drawn = found(spec_of(searched(method, trials=9, parameters=TREE)))
    assert sorted(map(repr, drawn)) == sorted(map(repr, found(spec_of(sweep(parameters=TREE)))))
    with pytest.raises(InputError, match=r"trials: 10 .* at most 9: the axes hold no more different points"):
        expand(spec_of(searched(method, trials=10, parameters=TREE)))


AXES = st.dictionaries(
    st.sampled_from(["epochs", "label_smoothing", "data.batch_size", "data.seed"]),
    st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True),
    min_size=2,
)


@settings(deadline=None, max_examples=60)
@given(axes=AXES, chosen=st.data())
def test_a_conditional_grid_is_the_whole_grid_without_what_does_not_apply(axes: Any, chosen: st.DataObject) -> None:
    names = chosen.draw(st.permutations(list(axes)))
    conditional = {}
    for place, key in enumerate(names):
        where = {
            other: chosen.draw(st.lists(st.sampled_from(axes[other]), min_size=1, unique=True))
            for other in chosen.draw(st.lists(st.sampled_from(names[:place]), unique=True) if place else st.just([]))
        }
        conditional[key] = parse_section(Axis, {"values": axes[key], **({"where": where} if where else {})})
    ordered = {key: conditional[key] for key in axes}
    points = list(Conditions(ordered, {}).grid())
    by_hand: dict[str, None] = {}
    for values in itertools.product(*axes.values()):
        kept = dict(zip(axes, values, strict=True))
        for key in names:  # those that are looked at come first
            where = ordered[key].where or {}
            if not all(kept.get(other) in allowed for other, allowed in where.items()):
                del kept[key]
        by_hand.setdefault(repr(kept), None)
    assert {repr(point) for point in points} == set(by_hand)
    assert len(points) == len(by_hand)


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {  # axes, trial, trials with momentum
    "a key of its own": ({"optimizer.name": ["SGD", "Adam"]}, {}, 2),
    "mappings": ({"optimizer": [{"name": "SGD"}, "Adam", {"name": "SGD", "weight_decay": 0.1}]}, {}, 4),
    "cases": ({"change": {"cases": {"a": {}, "b": {"optimizer": "Adam"}, "c": {"epochs": 2}}}}, {}, 4),
    "the trial": ({"epochs": [1, 2]}, {"optimizer": {"name": "SGD", "lr": 0.1}}, 4),
    "the trial's default": ({"epochs": [1, 2]}, {}, 4),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_condition_sees_the_key_of_the_trial_whatever_sets_it(way: str) -> None:
    axes, trial, count = WAYS[way]
    where = {"values": [0.5, 0.9], "where": {"optimizer.name": "SGD"}}
    drawn = found(spec_of(sweep(trial=trial, parameters={**axes, "optimizer.momentum": where})))
    assert sum(momentum in (0.5, 0.9) for _, momentum, _ in drawn) == count
    assert all(name == "SGD" for name, momentum, _ in drawn if momentum)


def test_a_condition_may_be_a_case_and_an_axis_of_cases_may_have_one() -> None:
    parameters = {
        "change": {"cases": {"a": {}, "b": {"epochs": 3}}},
        "label_smoothing": {"values": [0, 0.1], "where": {"change": "b"}},
        "other": {"cases": {"c": {}, "d": {"precision": "fp64"}}, "where": {"label_smoothing": 0.1}},
    }
    spec = spec_of(sweep(parameters=parameters))
    names = case_names(spec)
    assert [names[trial.configuration_id] for trial in expand(spec)] == [
        {"change": "a"},
        {"change": "b"},
        {"change": "b", "other": "c"},
        {"change": "b", "other": "d"},
    ]


def test_labels_of_a_conditional_sweep_are_all_different() -> None:
    configs = [trial.model_dump() for trial in expand(spec_of(sweep(parameters=TREE)))]
    labels = [str(label) for label in label_all(configs).labels]
    assert len(set(labels)) == len(configs)


DATA = {"data": {"values": [{"root": "~/images"}, {"batch_size": 64}], "where": {"epochs": 2}}, "epochs": [1, 2]}


@pytest.mark.parametrize(("axes", "conditional"), [(TREE, 2), (DATA, 1)])
def test_a_where_is_part_of_the_sweep(axes: dict[str, Any], conditional: int, tmp_path: Path) -> None:
    spec = spec_of(sweep(parameters=axes))
    assert sum(axis.where is not None for axis in spec.parameters.values()) == conditional
    assert load_spec(write(tmp_path, dump(spec))) == spec


def test_what_only_some_optimizers_have_is_refused_with_the_where_that_lets_it_in(tmp_path: Path) -> None:
    axes = {"optimizer.name": ["SGD", "Adam"], "optimizer.momentum": [0, 0.9]}
    message = refusal(write(tmp_path, sweep(parameters=axes)))
    assert "parameters that Adam has too; what only some have has a where: {optimizer.name: …} beside its" in message
    axes["optimizer.momentum"] = {"values": axes["optimizer.momentum"], "where": {"optimizer.name": "SGD"}}  # type: ignore[assignment]
    assert len(expand(spec_of(sweep(parameters=axes)))) == 3


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["optimizer.name=Adam"], {("Adam", None, None)}),
        (["optimizer.name=RMSprop", "optimizer.momentum=0.5"], {("RMSprop", 0.5, None)}),
        (["optimizer.momentum=0"], {("SGD", 0, False), ("RMSprop", 0, None), ("Adam", None, None)}),
        (["parameters.optimizer.name=[SGD, Adam]", "parameters.optimizer.momentum.where={optimizer.name: SGD}"], None),
    ],
)
def test_the_command_line_decides_for_a_where_too(
    overrides: list[str], expected: set[tuple[Any, ...]] | None, tmp_path: Path
) -> None:
    drawn = found(load_spec(write(tmp_path, sweep(parameters=TREE)), overrides))
    assert set(drawn) == expected if expected else len(drawn) == 6


def test_a_case_of_the_command_line_decides_for_a_where_too(tmp_path: Path) -> None:
    where = {"values": [0, 0.1], "where": {"change": "b"}}
    axes = {"change": {"cases": {"a": {}, "b": {"epochs": 3}}}, "label_smoothing": where, "data.seed": [0, 1]}
    path = write(tmp_path, sweep(parameters=axes))
    assert [len(expand(load_spec(path, [change]))) for change in ("change=a", "change=b")] == [2, 4]


def test_a_value_that_the_command_line_misspells_is_still_refused(tmp_path: Path) -> None:
    path = write(tmp_path, sweep(parameters=TREE))
    assert "where.optimizer.name: 'Adm'" in refusal(path, "parameters.optimizer.momentum.where={optimizer.name: Adm}")


def test_batches_per_worker_scale_in_conditions_too(tmp_path: Path) -> None:
    axes = {
        "data.batch_size": {"values": [32, 64], "where": {"epochs": 1}},
        "epochs": [1, 2],
        "label_smoothing": {"values": [0, 0.1], "where": {"data.batch_size": 64}},
        "change": {"cases": {"a": {}, "b": {"data.seed": 1}}, "where": {"epochs": 2}},
    }
    spec = spec_of(sweep(parameters=axes, resources={"workers": 2, "batch": "per_worker"}))
    changed = spec_of(change_resources(dump(spec), ["resources.workers=4"]))
    assert [trial.trial_id for trial in expand(changed)] == [trial.trial_id for trial in expand(spec)]


def test_a_search_beside_conditions_checks_every_value_where_it_applies() -> None:
    axes = momentum({"optimizer.name": "SGD"})
    axes["optimizer.momentum"]["values"] = [0, 0.9, -1]
    axes["optimizer.name"] = ["Adam", "SGD"]  # the first one has none
    with pytest.raises(InputError, match=r"parameters.optimizer.momentum.values\[2\]: -1"):
        expand(spec_of(searched("optuna", parameters=axes)))


def test_a_search_checks_values_of_one_section_in_pairs() -> None:
    axes: dict[str, Any] = {"optimizer.momentum": [0.9, 0], "optimizer.nesterov": [False, True], "epochs": [1, 2]}
    with pytest.raises(InputError, match="nesterov"):
        expand(spec_of(searched("optuna", parameters=axes)))
    axes["optimizer.nesterov"] = {"values": [False, True], "where": {"optimizer.momentum": 0.9}}
    assert expand(spec_of(searched("optuna", trials=6, parameters=axes))) == []
