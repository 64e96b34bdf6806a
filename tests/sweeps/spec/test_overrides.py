"""`key=value` on the command line: where a key reaches, and what it does to an axis."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from ch6dist.errors import InputError, UsageError
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import SweepSpec
from tests.support.sweep_files import axes, refusal, sweep, write


def overridden(folder: Path, content: dict[str, Any], *overrides: str) -> SweepSpec:
    return load_spec(write(folder, content), overrides)


def test_an_override_reaches_the_sweep_or_its_trial(tmp_path: Path) -> None:
    spec = overridden(tmp_path, sweep(), "seeds=2", "trial.epochs=4", "data.batch_size=64", "label_smoothing=1e-1")
    trials = expand(spec)
    assert len(trials) == 4
    assert {(t.epochs, t.data.batch_size, t.label_smoothing) for t in trials} == {(4, 64, 0.1)}


def test_an_override_of_an_axis_makes_it_one_value(tmp_path: Path) -> None:
    spec = overridden(tmp_path, sweep(seeds=1), "optimizer.lr=1e-3")
    assert [trial.optimizer["lr"] for trial in expand(spec)] == [0.001]


def test_an_override_inside_an_axis_of_mappings_holds_for_each_of_them(tmp_path: Path) -> None:
    spec = overridden(tmp_path, axes(optimizer=["SGD", {"name": "Adam", "lr": 0.5}]), "optimizer.lr=0.2")
    assert [(t.optimizer["name"], t.optimizer["lr"]) for t in expand(spec)] == [("SGD", 0.2), ("Adam", 0.2)]


def test_an_override_reaches_into_a_bare_name_and_a_missing_section(tmp_path: Path) -> None:
    bare = overridden(tmp_path, {**axes(epochs=[1]), "trial": {"optimizer": "Adam"}}, "optimizer.lr=0.2")
    assert expand(bare)[0].optimizer["name"] == "Adam"
    missing = overridden(tmp_path, axes(epochs=[1]), "optimizer.momentum=0.9")
    assert expand(missing)[0].optimizer["momentum"] == 0.9


def test_an_override_can_change_the_values_of_an_axis(tmp_path: Path) -> None:
    spec = overridden(tmp_path, sweep(), "parameters.optimizer.lr.values=[1e-3, 1e-4, 1e-5]", "max_retries=0")
    assert [trial.optimizer["lr"] for trial in expand(spec)] == [1e-3, 1e-4, 1e-5]
    assert spec.max_retries == 0


def test_what_an_override_made_the_next_one_may_change(tmp_path: Path) -> None:
    spec = overridden(tmp_path, sweep(), "parameters={epochs: 2, optimizer: [SGD]}", "optimizer.lr=0.2", "epochs=3")
    assert [(t.epochs, t.optimizer["lr"]) for t in expand(spec)] == [(3, 0.2)]
    nested = overridden(tmp_path, sweep(), "parameters.optimizer={lr: factor10}", "parameters.optimizer.lr.values=0.5")
    assert [trial.optimizer["lr"] for trial in expand(nested)] == [0.5]
    drawn = ("method=random", "trials=2", "seed=1", "parameters.optimizer.lr.distribution=uniform")
    bounds = ("parameters.optimizer.lr.max=0.3", "parameters.optimizer.lr.min=0.2")
    content = {**sweep(), "parameters": {"epochs": [1]}}
    assert all(0.2 <= t.optimizer["lr"] <= 0.3 for t in expand(overridden(tmp_path, content, *drawn, *bounds)))


ODD = ("5", "x", "~", "[]", "[[]]", "[1, {}]", "{}", "{a: 1}", "{1: 2}", "{values: 3}", "{min: 3}", "{name: SGD}")
PLACES = [
    *("parameters", "parameters.optimizer", "parameters.optimizer.values", "parameters.optimizer.min", "parameters."),
    *("parameters.optimizer.lr", "optimizer", "optimizer.lr", "trial", "trial.optimizer", "epochs", "metric", "seeds"),
]


@pytest.mark.parametrize("first", PLACES)
def test_two_overrides_of_any_kind_are_planned_or_refused(first: str, tmp_path: Path) -> None:
    path, refusals = write(tmp_path, sweep()), []
    for texts in itertools.product([f"{first}={odd}" for odd in ODD], PLACES, ("3", "SGD", "{values: [1]}")):
        overrides = [texts[0], f"{texts[1]}={texts[2]}"]
        try:
            load_spec(path, overrides)
        except (InputError, UsageError) as error:
            refusals.append(str(error))
    assert refusals
    assert not [message for message in refusals if "\n" in message]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("epochs", ["'epochs'", "key=value"]),
        ("=3", ["key=value"]),
        ("epoch=3", ["epoch", "did you mean 'epochs'"]),
        ("optimizer.lrr=3", ["optimizer.lrr", "did you mean 'lr'"]),
        ("epochs=[1", ["epochs", "'[1'"]),
        ("epochs=0", ["trial.epochs", "0"]),
        ("seed=1", ["seed", "`seeds`"]),
        ("epochs.warm=1", ["trial.epochs"]),
        ("parameters=5", ["parameters: 5", "a mapping of axes"]),
        ("parameters.optimizer.lr=[]", ["parameters.optimizer.lr.values", "at least one value"]),
        ("optimizer.lr=nan", ["parameters.optimizer.lr.values[0]", "nan"]),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(override: str, parts: list[str], tmp_path: Path) -> None:
    message = refusal(write(tmp_path, sweep(trial={"epochs": 3})), override)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("given", "overrides", "values", "vary"),
    [
        ({"count": 3, "vary": ["split"]}, ["seeds=2"], (0, 1), ("split",)),
        ({"count": 3, "vary": ["split"]}, ["seeds=[5, 6]"], (5, 6), ("split",)),
        ({"values": [7, 8], "vary": ["split"]}, ["seeds.count=1"], (0,), ("split",)),
        ({"count": 3, "vary": ["split"]}, ["seeds.values=[4]"], (4,), ("split",)),
        ({"count": 3, "vary": ["split"]}, ["seeds.vary=[]"], (0, 1, 2), ()),
        ([3, 4], ["seeds.vary=[split]"], (3, 4), ("split",)),
        (2, ["seeds.vary=[split]"], (0, 1), ("split",)),
        ([3, 4], ["seeds.vary=split", "seeds=1"], (0,), ("split",)),
        (2, ["seeds={count: 1, vary: [split]}"], (0,), ("split",)),
        ({"count": 3, "vary": ["split"]}, ["seeds={count: 2}"], (0, 1), ()),
    ],
)
def test_an_override_of_the_seeds_leaves_what_varies_with_them(
    given: Any, overrides: list[str], values: tuple[int, ...], vary: tuple[str, ...], tmp_path: Path
) -> None:
    seeds = overridden(tmp_path, sweep(seeds=given), *overrides).seeds
    assert (seeds.values, seeds.vary) == (values, vary)
