"""Cases: values of several keys that belong together, as one axis; what they make, and what is refused."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from sweeps.spec.expand import case_names, expand
from sweeps.spec.load import load_spec
from sweeps.spec.resources import change_resources
from sweeps.spec.sweep_file import dump
from tests.support.paths import ROOT
from tests.support.sweep_files import refusal, spec_of, sweep, write

CONVNET = ROOT / "sweeps" / "configs" / "chapter6" / "mnist_convnet.yaml"
TRIAL = {"optimizer": {"name": "Adam", "lr": 1e-3, "weight_decay": 0.1}, "epochs": 6}


def cases(trial: dict[str, Any] | None = None, /, **given: Any) -> dict[str, Any]:
    """Return a sweep of one axis of cases, `change`; `_` in their names is a space."""
    named = {name.replace("_", " "): case for name, case in given.items()}
    return sweep(trial=trial or {}, parameters={"change": {"cases": named}})


def trials_of(content: dict[str, Any]) -> list[TrialConfig]:
    return expand(spec_of(content))


def test_the_convnet_of_the_chapter_is_a_baseline_and_its_four_modifications() -> None:
    spec = load_spec(CONVNET)
    found = [trial for trial in expand(spec) if trial.seed == 0]
    data = {"name": "mnist", "batch_size": 100, "train_size": 10200, "val_size": 10200}
    shared = {"data": data, "model": {"name": "convnet"}, "epochs": 10}
    adam, cosine = {"name": "Adam", "lr": 1e-3}, {"name": "CosineAnnealingLR"}
    sgd = {"name": "SGD", "lr": 0.01, "momentum": 0.9, "nesterov": True}
    written_out = [
        {**shared, "optimizer": adam, "epochs": 6},
        {**shared, "optimizer": {"name": "Adam", "lr": 1e-5}},
        {**shared, "optimizer": adam, "schedule": cosine},
        {**shared, "optimizer": sgd, "schedule": cosine},
        {**shared, "optimizer": sgd, "schedule": cosine, "data": {**data, "train_size": 49800}},
    ]
    assert found == [parse_trial(content) for content in written_out]
    assert len(expand(spec)) == 15


def test_a_case_is_put_over_the_trial_key_by_key() -> None:
    base, low, wide = trials_of(cases(TRIAL, base={}, low={"optimizer": {"lr": 1e-5}}, wide={"data.batch_size": 64}))
    assert base == parse_trial(TRIAL)
    assert low.optimizer == {**base.optimizer, "lr": 1e-5}
    assert (wide.data.batch_size, wide.optimizer) == (64, base.optimizer)


def test_a_name_in_a_case_replaces_another_with_all_its_keys_and_keeps_its_own() -> None:
    same, other, bare = trials_of(
        cases(
            TRIAL,
            same={"optimizer": {"name": "Adam", "lr": 0.1}},
            other={"optimizer": {"name": "SGD", "lr": 0.1}},
            bare={"optimizer": "SGD"},
        )
    )
    assert same.optimizer["weight_decay"] == 0.1
    assert other.optimizer == parse_trial({"optimizer": {"name": "SGD", "lr": 0.1}}).optimizer
    assert bare.optimizer == parse_trial({"optimizer": "SGD"}).optimizer


def test_a_list_of_schedules_replaces_one_and_a_warm_up_is_put_into_it() -> None:
    several = [{"name": "LinearLR", "epochs": 2}, {"name": "CosineAnnealingLR"}]
    trial = {"schedule": {"name": "CosineAnnealingLR", "eta_min": 1e-4}, "epochs": 8}
    listed, warm = trials_of(cases(trial, listed={"schedule": several}, warm={"schedule": {"warmup": {"epochs": 2}}}))
    assert listed == parse_trial({**trial, "schedule": several})
    assert warm == parse_trial({**trial, "schedule": {**trial["schedule"], "warmup": {"epochs": 2}}})  # type: ignore[dict-item]


NAMES = st.text("abc ", min_size=1, max_size=8).map(lambda name: " ".join(name.split())).filter(bool)
LRS = st.floats(1e-6, 1)
CASES = st.fixed_dictionaries(
    {"epochs": st.integers(1, 50)},
    optional={
        "optimizer": st.one_of(
            st.fixed_dictionaries({"lr": LRS}),
            st.fixed_dictionaries({"name": st.sampled_from(["SGD", "Adam"]), "lr": LRS}),
        ),
        "schedule": st.sampled_from(["none", "CosineAnnealingLR"]),
        "data": st.fixed_dictionaries({"train_size": st.integers(1000, 2000)}),
    },
)


def written_out(case: dict[str, Any]) -> dict[str, Any]:
    """Return what a case makes of the default trial."""
    optimizer = {"name": "SGD", **case.get("optimizer", {})}
    return {**case, "optimizer": optimizer}


@settings(deadline=None, max_examples=40)
@given(
    named=st.dictionaries(NAMES, CASES, min_size=1, max_size=5),
    decays=st.lists(st.sampled_from([0, 0.1, 1e-3, 1e-4]), min_size=1, max_size=3, unique=True),
    first=st.booleans(),
)
def test_cases_cross_with_other_axes_in_order_and_have_the_ids_of_what_they_say(
    named: dict[str, Any], decays: list[float], first: bool
) -> None:
    axes = {"change": {"cases": named}, "optimizer.weight_decay": decays}
    order = list(axes) if first else list(axes)[::-1]
    content = sweep(parameters={key: axes[key] for key in order}, seeds=2)
    points = list(product(named, decays) if first else ((name, decay) for decay, name in product(decays, named)))
    wanted = []
    for name, decay in points:
        whole = written_out(named[name])
        wanted.append(parse_trial({**whole, "optimizer": {**whole["optimizer"], "weight_decay": decay}}))
    spec = spec_of(content)
    if len({trial.trial_id for trial in wanted}) < len(wanted):
        with pytest.raises(InputError, match="each configuration once"):
            expand(spec)
        return
    trials = expand(spec)
    assert [trial.trial_id for trial in trials[::2]] == [trial.trial_id for trial in wanted]
    assert trials == expand(spec)
    assert list(case_names(spec).values()) == [{"change": name} for name, _ in points]
    assert expand(spec_of(dump(spec))) == trials


def test_two_axes_of_cases_cross_also_where_one_sets_the_name_and_the_other_the_keys() -> None:
    parameters = {
        "how": {"cases": {"sgd": {"optimizer": "SGD"}, "adam": {"optimizer": "Adam"}}},
        "length": {
            "cases": {"short": {"epochs": 2, "optimizer.lr": 0.1}, "long": {"epochs": 4, "optimizer": {"lr": 0.2}}}
        },
    }
    spec = spec_of(sweep(parameters=parameters))
    found = [(trial.optimizer["name"], trial.epochs, trial.optimizer["lr"]) for trial in expand(spec)]
    assert found == [("SGD", 2, 0.1), ("SGD", 4, 0.2), ("Adam", 2, 0.1), ("Adam", 4, 0.2)]
    assert list(case_names(spec).values())[1] == {"how": "sgd", "length": "long"}


def test_keys_of_cases_go_into_what_another_axis_chooses() -> None:
    budget = {"short": {"epochs": 2, "optimizer.lr": 0.1}, "long": {"epochs": 4, "optimizer.lr": 0.2}}
    optimizers = ["SGD", {"name": "SGD", "momentum": 0.9}]
    trials = trials_of(sweep(parameters={"length": {"cases": budget}, "optimizer": optimizers}))
    found = [(trial.epochs, trial.optimizer["lr"], trial.optimizer["momentum"]) for trial in trials]
    assert found == [(2, 0.1, 0), (2, 0.1, 0.9), (4, 0.2, 0), (4, 0.2, 0.9)]


def test_a_search_draws_among_cases_as_among_values() -> None:
    content = cases(short={"epochs": 2}, long={"epochs": 4}) | {"method": "random", "trials": 12, "seed": 0}
    content["parameters"]["optimizer.lr"] = {"distribution": "log_uniform", "min": 1e-4, "max": 0.1}
    spec = spec_of(content)
    assert {trial.epochs for trial in expand(spec)} == {2, 4}
    assert expand(spec_of(dump(spec))) == expand(spec)
    assert [case["change"] for case in case_names(spec).values()] == [
        {2: "short", 4: "long"}[trial.epochs] for trial in expand(spec)
    ]


@pytest.mark.parametrize(
    ("overrides", "epochs", "optimizers"),
    [
        (["epochs=1"], [1, 1, 1], [("Adam", 1e-3), ("Adam", 1e-5), ("SGD", 0.01)]),
        (["trial.epochs=1"], [1, 1, 1], [("Adam", 1e-3), ("Adam", 1e-5), ("SGD", 0.01)]),
        (["optimizer.lr=0.5", "change=[base, sgd]"], [6, 8], [("Adam", 0.5), ("SGD", 0.5)]),
        (["change=low lr"], [10], [("Adam", 1e-5)]),
        (["change=[sgd, base]", "epochs=2"], [2, 2], [("Adam", 1e-3), ("SGD", 0.01)]),
        (["parameters.change.cases={one: {epochs: 3}}"], [3], [("Adam", 1e-3)]),
        (["optimizer={name: SGD, lr: 0.3}"], [6, 10, 8], [("SGD", 0.3)] * 3),
        (["parameters.change.cases={one: {epochs: 3}, two: {optimizer.lr: 1}}", "epochs=4"], [4, 4], None),
    ],
)
def test_an_override_holds_for_every_case_or_chooses_among_them(
    overrides: list[str], epochs: list[int], optimizers: list[tuple[str, float]] | None, tmp_path: Path
) -> None:
    content = cases(
        TRIAL,
        base={},
        low_lr={"optimizer": {"lr": 1e-5}, "epochs": 10},
        sgd={"optimizer": {"name": "SGD", "lr": 0.01}, "epochs": 8},
    )
    trials = expand(load_spec(write(tmp_path, content), overrides))
    assert [trial.epochs for trial in trials] == epochs
    assert optimizers is None or [(t.optimizer["name"], t.optimizer["lr"]) for t in trials] == optimizers


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("change=bsae", ["change: 'bsae'", "did you mean 'base'?", "low lr"]),
        ("change=[]", ["change: []", "the name of a case"]),
        ("change.cases.base.epochs=3", ["change.cases.base.epochs: 3", "change=NAME", "KEY=VALUE for all of them"]),
        ("parameters.change.cases.base.epochs=3", ["parameters.change.cases.base.epochs: 3", "change=NAME"]),
        ("parameters.change.values=[1]", ["parameters.change.values: [1]", "change=NAME"]),
        ("parameters.change=[1]", ["parameters.change", "change"]),
        ("parameters.change.cases={}", ["parameters.change.cases: {}", "a mapping of names"]),
        ("parameters.epochs=[1, 2]", ["parameters.change.cases[low lr].epochs: 10", "the axis epochs sets too"]),
        ("epochs=[1, 2]", ["epochs: [1, 2]", "a whole number"]),
        ("data.batch_size=0", ["data.batch_size: 0"]),
    ],
)
def test_a_wrong_override_of_cases_is_refused_in_one_line(override: str, parts: list[str], tmp_path: Path) -> None:
    content = cases(TRIAL, base={}, low_lr={"optimizer": {"lr": 1e-5}, "epochs": 10})
    message = refusal(write(tmp_path, content), override)
    for part in parts:
        assert part in message


def test_cases_that_an_override_makes_equal_are_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, cases(short={"epochs": 2}, long={"epochs": 4})), "epochs=1")
    assert "parameters: {'change': 'long'}" in message
    assert "the same as {'change': 'short'}" in message


def test_batches_per_worker_stay_what_they_were_in_cases_too_when_a_run_continues(tmp_path: Path) -> None:
    per_worker = {"workers": 2, "batch": "per_worker"}
    spec = spec_of(cases(small={"data": {"batch_size": 16}}, usual={"epochs": 2}) | {"resources": per_worker})
    changed = load_spec(write(tmp_path, change_resources(dump(spec), ["resources.workers=1"])))
    assert changed.resources.batch == "global"
    assert expand(changed) == expand(spec)


def test_a_data_root_in_a_case_is_absolute_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert trials_of(cases(here={"data": {"root": "images"}}))[0].data.root == str(tmp_path / "images")
