"""Sweep files: what they mean, what is refused, and with which message."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.config import parse_trial
from ch6dist.errors import InputError, UsageError
from sweeps.spec.axes import PRESETS
from sweeps.spec.expand import expand
from sweeps.spec.sweep_file import MAX_TRIALS, dump, load_spec
from tests.support.sweep_files import CONFIGS, axes, refusal, spec_of, sweep, write

DRAWN = {"optimizer.lr": {"distribution": "log_uniform", "min": "1e-4", "max": 0.1}}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_file_in_configs_expands_and_opens_with_question_and_cost(path: Path) -> None:
    assert expand(load_spec(path), file=str(path))
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# yaml-language-server: ")
    assert lines[1].startswith("# Question: ")
    assert lines[2].startswith("# Cost: ")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_dumped_spec_loads_back_equal(path: Path, tmp_path: Path) -> None:
    spec = load_spec(path)
    again = load_spec(write(tmp_path, dump(spec)))
    assert again == spec
    assert [t.trial_id for t in expand(again)] == [t.trial_id for t in expand(spec)]


def test_a_dumped_random_spec_with_nulls_loads_back_equal(tmp_path: Path) -> None:
    optimizers = [{"name": "Adafactor", "eps": [None, "1e-3"]}, {"name": "Adam"}]
    content = sweep(method="random", trials=5, seed=0, parameters={**DRAWN, "optimizer": {"values": optimizers}})
    spec = spec_of(content)
    assert load_spec(write(tmp_path, dump(spec))) == spec


def test_the_optimizer_sweep_has_four_optimizers_seven_lrs_and_three_seeds() -> None:
    path = next(path for path in CONFIGS if path.stem == "optimizer_lr")
    trials = expand(load_spec(path))
    assert len(trials) == 4 * 7 * 3
    assert len({trial.configuration_id for trial in trials}) == 28
    assert Counter(trial.seed for trial in trials) == {0: 28, 1: 28, 2: 28}
    assert {trial.optimizer["lr"] for trial in trials} == {0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4}


def test_the_last_axis_changes_fastest_and_seeds_stay_together() -> None:
    trials = expand(spec_of({**axes(epochs=[1, 2], optimizer__lr=[0.1, 0.2]), "seeds": [7, 3]}))
    found = [(trial.epochs, trial.optimizer["lr"], trial.seed) for trial in trials]
    assert found == [(e, lr, s) for e in (1, 2) for lr in (0.1, 0.2) for s in (7, 3)]


@pytest.mark.parametrize("keys", [("optimizer", "optimizer.lr"), ("optimizer.lr", "optimizer")])
def test_an_inner_axis_comes_after_the_mapping_around_it_whatever_the_order(keys: tuple[str, str]) -> None:
    values = {"optimizer": [{"name": "SGD", "momentum": 0.9}, "Adam"], "optimizer.lr": [0.5, 0.25]}
    trials = expand(spec_of(sweep(parameters={key: {"values": values[key]} for key in keys})))
    found = {(trial.optimizer["name"], trial.optimizer.get("momentum"), trial.optimizer["lr"]) for trial in trials}
    assert found == {("SGD", 0.9, 0.5), ("SGD", 0.9, 0.25), ("Adam", None, 0.5), ("Adam", None, 0.25)}


def test_presets_are_the_grids_of_the_chapter() -> None:
    assert PRESETS["factor3"] == (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
    assert PRESETS["factor10"] == (0.1, 0.01, 1e-3, 1e-4, 1e-5)
    assert len(expand(spec_of(axes(optimizer__lr="factor10")))) == 5


def test_goal_follows_the_metric() -> None:
    assert spec_of(sweep(metric={"name": "val_loss"})).metric.goal == "minimize"
    assert spec_of(sweep(metric={"name": "train_accuracy"})).metric.goal == "maximize"


def test_a_text_number_makes_the_trial_of_the_number() -> None:
    as_text, as_number = (expand(spec_of(axes(optimizer__lr=[value])))[0] for value in ("1e-3", 0.001))
    assert as_text.trial_id == as_number.trial_id


def test_seeds_are_a_number_or_a_list() -> None:
    assert spec_of(sweep(seeds=3)).seeds == (0, 1, 2)
    assert spec_of(sweep(seeds=[4, 2])).seeds == (4, 2)


def test_a_seed_changes_only_the_seed() -> None:
    first, second = expand(spec_of({**axes(optimizer__lr=[0.1]), "seeds": 2}))
    again = parse_trial({**second.model_dump(), "seed": 0})
    assert again == first
    assert again.trial_id == first.trial_id != second.trial_id


def test_a_batch_per_worker_makes_the_trial_that_is_really_trained(tmp_path: Path) -> None:
    content = axes(data__batch_size=[32, 64])
    per_worker = {**content, "resources": {"workers": 2, "batch": "per_worker"}}
    trials = expand(spec_of(per_worker))
    assert trials == expand(spec_of(axes(data__batch_size=[64, 128])))
    shared_out = expand(spec_of({**content, "resources": {"workers": 2}}))
    assert shared_out == expand(spec_of(content))  # a global batch: the same trials, on any number of workers

    spec = load_spec(write(tmp_path, dump(spec_of(per_worker))))
    assert expand(spec) == trials
    again = load_spec(write(tmp_path, dump(load_spec(write(tmp_path, dump(spec)), ["seeds=1"]))))
    assert expand(again) == trials


# Method random


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(2, 30))
def test_random_points_are_different_in_range_and_a_longer_sweep_begins_with_them(seed: int, count: int) -> None:
    parameters = {**DRAWN, "epochs": {"distribution": "int_uniform", "min": 1, "max": 4}}
    content = sweep(method="random", trials=count, seed=seed, parameters=parameters)
    trials, more = expand(spec_of(content)), expand(spec_of({**content, "trials": count + 5}))
    assert len({trial.trial_id for trial in trials}) == count
    assert all(1e-4 <= trial.optimizer["lr"] <= 0.1 and 1 <= trial.epochs <= 4 for trial in trials)
    assert more[:count] == trials


def test_log_uniform_lrs_fill_each_decade_alike() -> None:
    trials = expand(spec_of(sweep(method="random", trials=3000, seed=1, parameters=DRAWN)))
    decades = Counter(math.floor(math.log10(trial.optimizer["lr"])) for trial in trials)
    assert all(abs(decades[decade] - 1000) < 4 * math.sqrt(3000 * 2 / 9) for decade in (-4, -3, -2))


def test_more_random_points_than_there_are_is_refused() -> None:
    content = sweep(method="random", trials=3, seed=0)
    with pytest.raises(InputError, match="at most 2"):
        expand(spec_of(content))


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("auto", "auto"),
        ("20 GB", 20 * 10**9),
        ("500 MB", 5 * 10**8),
        ("1.5TB", 15 * 10**11),
        ("2 g", 2 * 10**9),
        (" 7 kB ", 7000),
        ("3 GiB", 3 * 2**30),
        ("12", 12),
        (12, 12),
        (12.7, 12),
        ("1e9", 10**9),
        (0, 0),
    ],
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(written: Any, count: Any, tmp_path: Path) -> None:
    spec = spec_of(sweep(checkpoints={"total": written}))
    assert spec.checkpoints.total == count
    assert load_spec(write(tmp_path, dump(spec))) == spec


@pytest.mark.parametrize("bad", ["1,5 TB", "1.5.5 GB", "20 GB or so", "many", "20 QB", "-3 GB", -3, True, None, [], {}])
def test_what_is_no_size_is_refused_in_one_line(bad: Any, tmp_path: Path) -> None:
    message = refusal(write(tmp_path, sweep(checkpoints={"total": bad})))
    assert f"checkpoints.total: {bad!r} is not allowed; allowed: auto, or a size such as 20 GB" in message


# What is refused

BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown sweep key": (sweep(parametres={}), ["parametres", "did you mean 'parameters'"]),
    "unknown trial key": (sweep(trial={"epoch": 3}), ["trial.epoch", "did you mean 'epochs'"]),
    "unknown axis": (axes(optimiser__lr=[1]), ["parameters.optimiser", "did you mean 'optimizer'"]),
    "unknown inner axis": (axes(data__bath_size=[1]), ["parameters.data.bath_size", "did you mean 'batch_size'"]),
    "unknown axis field": (sweep(parameters={"epochs": {"value": [1]}}), ["parameters.epochs.value", "'values'"]),
    "unknown metric": (sweep(metric={"name": "accuracy"}), ["metric.name", "'accuracy'", "val_accuracy"]),
    "unknown resource": (sweep(resources={"gpu": 1}), ["resources.gpu", "did you mean 'gpus'"]),
    "no name": ({"parameters": sweep()["parameters"]}, ["name is required"]),
    "no parameters": ({"name": "demo"}, ["parameters is required"]),
    "an empty axis": (sweep(parameters={"epochs": {}}), ["parameters.epochs.values is required"]),
    "half a distribution": (
        sweep(parameters={"epochs": {"distribution": "uniform", "min": 1}}),
        ["parameters.epochs.max is required"],
    ),
    "an optimizer without a name": (sweep(trial={"optimizer": {"lr": 1}}), ["trial.optimizer.name is required", "SGD"]),
    "a value without a name": (axes(optimizer=[{"lr": 1}]), ["parameters.optimizer.values[0].name is required"]),
    "a schedule without a name": (axes(schedule=[{"gamma": 1}]), ["parameters.schedule.values[0].name is required"]),
    "a schedule without its length": (sweep(trial={"schedule": "StepLR"}), ["trial.schedule.step_size is required"]),
    "a warm-up without its length": (
        sweep(trial={"schedule": {"name": "CosineAnnealingLR", "warmup": {}}}),
        ["trial.schedule.warmup.epochs is required"],
    ),
    "a list for a mapping": (sweep(resources=[1]), ["resources: [1]", "a mapping"]),
    "unknown preset": (axes(optimizer__lr="factor30"), ["values", "did you mean 'factor3'"]),
    "no axis": (sweep(parameters={}), ["parameters", "at least one axis"]),
    "no value": (axes(epochs=[]), ["parameters.epochs.values", "[]"]),
    "one value, no list": (axes(epochs=5), ["parameters.epochs.values", "5", "a list"]),
    "no seed": (sweep(seeds=0), ["seeds", "0 is not allowed"]),
    "seeds twice": (sweep(seeds=[1, 1]), ["seeds", "different"]),
    "negative seed": (sweep(seeds=[-1]), ["seeds"]),
    "true seeds": (sweep(seeds=True), ["seeds", "True"]),
    "astronomic seeds": (sweep(seeds=10**15), ["seeds"]),
    "NaN lr": (axes(optimizer__lr=[0.1, math.nan]), ["parameters.optimizer.lr.values[1]", "nan", "> 0"]),
    "infinite lr": (axes(optimizer__lr=[math.inf]), ["parameters.optimizer.lr.values[0]", "inf"]),
    "negative lr": (axes(optimizer__lr=[-0.1]), ["parameters.optimizer.lr.values[0]", "-0.1"]),
    "text lr": (axes(optimizer__lr=["fast"]), ["parameters.optimizer.lr.values[0]", "'fast'"]),
    "unknown optimizer": (axes(optimizer=["Adamm"]), ["parameters.optimizer.values[0].name", "did you mean 'Adam'"]),
    "bad mapping": (
        axes(optimizer=["Adam", {"name": "SGD", "momentum": -1}]),
        ["parameters.optimizer.values[1].momentum: -1"],
    ),
    "bad together": (
        {**axes(optimizer__momentum=[0.9, 0.0]), "trial": {"optimizer": {"name": "SGD", "nesterov": True}}},
        ["parameters.optimizer.momentum.values[1]", "nesterov"],
    ),
    "bad base": (sweep(trial={"epochs": 0}), ["trial.epochs: 0"]),
    "the same twice": (axes(optimizer__lr=[0.001, "1e-3"]), ["0.001", "'1e-3'", "once"]),
    "the default and itself": (axes(optimizer=["SGD", {"name": "SGD", "momentum": 0}]), ["once"]),
    "trial seed": (sweep(trial={"seed": 3}), ["trial.seed", "`seeds`"]),
    "seed axis": (axes(seed=[0, 1]), ["parameters.seed", "`seeds`"]),
    "test set": (sweep(trial={"evaluate_test": True}), ["trial.evaluate_test", "test set"]),
    "test set axis": (axes(evaluate_test=[True]), ["parameters.evaluate_test"]),
    "path for a name": (sweep(name="../evil"), ["name", "'../evil'"]),
    "number for a name": (sweep(name=7), ["name", "7"]),
    "optuna": (sweep(method="optuna"), ["method", "not there yet"]),
    "unknown method": (sweep(method="bayes"), ["method", "'bayes'", "grid"]),
    "random without trials": (sweep(method="random", seed=1), ["trials is required", "method random needs it"]),
    "random without seed": (sweep(method="random", trials=1), ["seed is required", "method random needs it"]),
    "grid with trials": (sweep(trials=3), ["trials", "only method random"]),
    "grid with seed": (sweep(seed=3), ["seed", "`seeds`"]),
    "grid of a distribution": (sweep(parameters=DRAWN), ["parameters.optimizer.lr.distribution", "values"]),
    "values and min": (sweep(parameters={"epochs": {"values": [1], "min": 1}}), ["parameters.epochs.min"]),
    "negative GPUs": (sweep(resources={"gpus": -1}), ["resources.gpus", "-1"]),
    "one and a half GPUs": (sweep(resources={"gpus": 1.5}), ["resources.gpus", "1.5"]),
    "NaN GPUs": (sweep(resources={"gpus": math.nan}), ["resources.gpus", "nan"]),
    "half a GPU per worker": (sweep(resources={"gpus": 0.5, "workers": 2}), ["resources.gpus: 0.5", "auto, 0 or 1"]),
    "two GPUs per worker": (sweep(resources={"gpus": 2, "workers": 2}), ["resources.gpus: 2.0", "each of 2 workers"]),
    "no worker": (sweep(resources={"workers": 0}), ["resources.workers", "0"]),
    "a batch nobody has": (sweep(resources={"batch": "local"}), ["resources.batch", "local", "per_worker"]),
    "fewer images than workers": (
        sweep(resources={"workers": 4}, trial={"data": {"batch_size": 3}}),
        ["trial.data.batch_size: 3", "at least 4, an image for each worker"],
    ),
    "an engine nobody has": (sweep(resources={"engine": "warp"}), ["resources.engine", "warp", "fused"]),
    "no core": (sweep(resources={"cpus": 0}), ["resources.cpus", "0"]),
    "negative retries": (sweep(max_retries=-1), ["max_retries", "-1"]),
    "too many trials": (
        {**axes(optimizer__lr=[0.1] * 1000, epochs=[1] * 1000)},
        ["parameters", "1000000 configurations", str(MAX_TRIALS)],
    ),
    "ignored lr axis": (
        {**axes(optimizer__lr=[0.1, 0.2]), "trial": {"schedule": {"name": "OneCycleLR", "max_lr": 0.5}}},
        ["parameters.optimizer.lr", "schedule.max_lr"],
    ),
    "lost base": (
        {**axes(optimizer=["Adam"]), "trial": {"optimizer": {"name": "SGD", "momentum": 0.9}}},
        ["trial.optimizer", "the axis optimizer"],
    ),
    "lost value": (
        axes(optimizer=[{"name": "Adam", "lr": 0.5}], optimizer__lr=[0.1, 0.2]),
        ["parameters.optimizer.values", "the axis optimizer.lr"],
    ),
    "inside a number": (axes(epochs__warm=[1]), ["trial.epochs", "epochs.warm=1"]),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_one_line_with_file_key_value_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    content, parts = BAD[name]
    message = refusal(write(tmp_path, content))
    for part in parts:
        assert part in message


def test_a_relative_cycle_under_an_lr_axis_is_allowed() -> None:
    content = {**axes(optimizer__lr=[0.1, 0.2]), "trial": {"schedule": "OneCycleLR"}}
    assert len(expand(spec_of(content))) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("name: !!python/object/apply:os.system ['touch evil']", "line 1"),
        ("name: demo\nparameters: {a: [1, 2}", "line 2"),
        ("name: demo\nname: other\n", "'name' a second time"),
        ("name: demo\n\tparameters: 3\n", "line 2"),
        ("- name\n", "a mapping"),
        ("", "a mapping"),
        ("[" * 5000, "plain YAML"),
    ],
)
def test_damaged_and_dangerous_yaml_is_refused_in_one_line(
    text: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = InputError if word == "a mapping" else UsageError
    assert word in refusal(write(tmp_path, text), kind=kind)
    assert not (tmp_path / "evil").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(UsageError, match=f"cannot read {path}"):
            load_spec(path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(UsageError, match="UTF-8"):
        load_spec(tmp_path / "binary.yaml")


def test_ten_thousand_trials_expand_in_order() -> None:
    lrs = [1e-3 * (1 + number / 1000) for number in range(1000)]
    trials = expand(spec_of({**axes(optimizer__lr=lrs), "seeds": 10}))
    assert len({trial.trial_id for trial in trials}) == 10_000
    assert [trial.optimizer["lr"] for trial in trials[::10]] == lrs


def test_a_validation_metric_without_validation_images_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    axis = "{optimizer.lr: {values: [0.1, 0.01]}}"
    path.write_text(f"name: tiny\ntrial: {{data: {{train_size: 50000, val_size: 0}}}}\nparameters: {axis}\n")
    with pytest.raises(InputError, match=r"metric\.name: 'val_accuracy' is not allowed"):
        expand(load_spec(path))


def test_lrs_inside_an_optimizer_axis_are_refused_beside_max_lr_too(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    values = "[{name: SGD, lr: 0.1}, {name: SGD, lr: 0.01}]"
    schedule = "{schedule: {name: OneCycleLR, max_lr: 0.1}}"
    path.write_text(f"name: tiny\ntrial: {schedule}\nparameters: {{optimizer: {{values: {values}}}}}\n")
    with pytest.raises(InputError, match="one learning rate for all beside"):
        expand(load_spec(path))
