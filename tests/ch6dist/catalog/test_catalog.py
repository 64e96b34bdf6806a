"""The catalog of optimizers and schedules holds what torch has, and names what it holds."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
import torch
import yaml

from ch6dist.catalog.lookup import cycles_momentum
from ch6dist.catalog.naming import LIMIT, optimizer_label, short_name
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import DERIVED, REQUIRED, Parameter
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.catalog.schedules import WARMUP, lr_overrides, resolve_schedule
from ch6dist.config import parse_trial
from ch6dist.errors import InputError

SWITCHES = {"foreach", "fused", "capturable", "differentiable", "maximize"}
OURS = {"interval", "monitor", "recipe"}
CODE_OR_DOUBLE = {"scale_fn", "scale_mode", "epochs", "steps_per_epoch", "lr_lambda", "schedulers", "optimizer"}
FOLLOWS_THE_TRIAL = {
    ("PolynomialLR", "total_iters"),
    ("CosineAnnealingLR", "T_max"),
    ("OneCycleLR", "max_lr"),
    ("OneCycleLR", "total_steps"),
    ("OneCycleLR", "cycle_momentum"),
    ("CyclicLR", "base_lr"),
    ("CyclicLR", "max_lr"),
    ("CyclicLR", "cycle_momentum"),
    ("ReduceLROnPlateau", "mode"),
}
OF_TORCH = {name for name, entry in SCHEDULES.items() if name != "none" and not entry.ours}
COSINE = {"name": "CosineAnnealingLR"}
PLATEAU = {"name": "ReduceLROnPlateau"}
EVERY_PARAMETER = [
    pytest.param(parameter, id=f"{entry.name}-{parameter.name}")
    for entry in (*OPTIMIZERS.values(), *SCHEDULES.values(), *LAMBDA_PRESETS.values(), WARMUP)
    for parameter in entry.parameters
]


def signature(cls: type, *, without: set[str]) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters
    return {
        name: REQUIRED if p.default is p.empty else list(p.default) if isinstance(p.default, tuple) else p.default
        for name, p in parameters.items()
        if name not in {"params", "last_epoch", *without}
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_has_torchs_parameters_and_defaults(name: str) -> None:
    ours = {p.name: p.default for p in OPTIMIZERS[name].parameters}
    assert ours == signature(getattr(torch.optim, name), without=SWITCHES)


@pytest.mark.parametrize("name", sorted(OF_TORCH))
def test_schedule_has_torchs_parameters_and_defaults(name: str) -> None:
    ours = {p.name: p.default for p in SCHEDULES[name].parameters if p.name not in OURS}
    theirs = signature(getattr(torch.optim.lr_scheduler, name), without=CODE_OR_DOUBLE)
    assert ours.keys() == theirs.keys()
    assert {(name, key) for key, value in ours.items() if value is DERIVED} == {
        pair for pair in FOLLOWS_THE_TRIAL if pair[0] == name
    }
    assert {k: v for k, v in ours.items() if v is not DERIVED} == {k: theirs[k] for k in ours if ours[k] is not DERIVED}


def test_every_generic_torch_optimizer_and_every_scheduler_is_there() -> None:
    special = {"Optimizer", "LBFGS", "Muon", "SparseAdam"}  # a closure, 2-D parameters, sparse gradients
    classes = {name for name, c in vars(torch.optim).items() if inspect.isclass(c)}
    assert classes - special == set(OPTIMIZERS)
    schedulers = {
        name
        for name, c in vars(torch.optim.lr_scheduler).items()
        if inspect.isclass(c) and issubclass(c, torch.optim.lr_scheduler.LRScheduler)
    }
    assert {name for name in schedulers if not name.endswith("LRScheduler")} == OF_TORCH


@pytest.mark.parametrize("parameter", EVERY_PARAMETER)
def test_default_given_explicitly_is_the_default(parameter: Parameter) -> None:
    if parameter.default not in (REQUIRED, DERIVED):
        assert repr(parameter.parse(parameter.default)) == repr(parameter.default)  # 0 and 0.0: two identities


@pytest.mark.parametrize("parameter", EVERY_PARAMETER)
def test_parameter_refuses_what_is_no_value(parameter: Parameter) -> None:
    for bad in (float("nan"), float("inf"), "fast", "nan", [], {}, object(), 10**400, [None, True]):
        with pytest.raises(InputError) as caught:
            parameter.parse(bad)
        assert caught.value.key == parameter.name
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_name_and_label_of_an_optimizer_are_its_own(name: str) -> None:
    trial = parse_trial({"optimizer": name})
    assert optimizer_label(trial.optimizer) == name
    assert short_name(trial.model_dump()) == f"{name.lower()}-lr{trial.optimizer['lr']:g}"


def test_short_names_read_as_documented() -> None:
    nesterov = {"name": "SGD", "momentum": 0.9, "nesterov": True, "lr": 0.1}
    names = [
        ({"optimizer": nesterov}, "sgd-nesterov0.9-lr0.1"),
        ({"optimizer": {"name": "SGD", "momentum": 0.9}}, "sgd-momentum0.9-lr0.001"),
        ({"optimizer": "Adam", "schedule": "CosineAnnealingLR"}, "adam-lr0.001-cosine"),
        ({"optimizer": "Adam", "type": "range_test", "schedule": "CosineAnnealingLR"}, "range-adam"),
        ({"model": "resnet18"}, "sgd-lr0.001-resnet18"),
        ({"schedule": {"name": "CosineAnnealingLR", "warmup": {"epochs": 5}}}, "sgd-lr0.001-warmup5-cosine"),
    ]
    assert [short_name(parse_trial(content).model_dump()) for content, _ in names] == [name for _, name in names]


def test_short_name_is_a_short_file_name_whatever_is_changed() -> None:
    optimizer = {"name": "Adafactor", "lr": 1.23456789e-5, "beta2_decay": -0.7, "eps": [1e-30, 2e-3], "d": 2.5}
    schedule = [{"name": "LinearLR", "epochs": 1}, {"name": "StepLR", "step_size": 2, "epochs": 3}, "CosineAnnealingLR"]
    name = short_name(parse_trial({"optimizer": optimizer, "schedule": schedule, "model": "resnet18"}).model_dump())
    assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    assert len(name) <= LIMIT


LENGTHS = [case for case in EVERY_PARAMETER if case.values[0].kind in ("duration", "durations")]


@pytest.mark.parametrize("parameter", LENGTHS)
@pytest.mark.parametrize(
    ("given", "length"), [(1, 1), ("1", 1), (1.0, 1.0), ("1.0", 1.0), ("1e0", 1.0), (0.5, 0.5), (2.0, 2), ("2", 2)]
)
def test_every_length_is_a_fraction_up_to_1_0_and_a_count_from_1(parameter: Parameter, given: Any, length: Any) -> None:
    several = parameter.kind == "durations"
    found = parameter.parse([given] if several else given)
    for value in (found, json.loads(json.dumps(found)), yaml.safe_load(yaml.safe_dump(found)), parameter.parse(found)):
        item = value[0] if several else value
        assert (item, type(item)) == (length, type(length))


@pytest.mark.parametrize("parameter", LENGTHS)
@pytest.mark.parametrize("bad", [0, 0.0, -1, 1.5, True, "010", "1.0001", "x"])
def test_what_is_no_length_is_refused(parameter: Parameter, bad: Any) -> None:
    with pytest.raises(InputError, match=parameter.name):
        parameter.parse([bad] if parameter.kind == "durations" else bad)


def test_momentum_can_cycle_where_torch_has_one_above_zero() -> None:
    with_defaults = {name for name in OPTIMIZERS if cycles_momentum(parse_trial({"optimizer": name}).optimizer)}
    assert with_defaults == {"Adam", "AdamW", "NAdam", "RAdam", "Adamax"}
    for name in ("SGD", "RMSprop"):
        assert cycles_momentum(parse_trial({"optimizer": {"name": name, "momentum": 0.5}}).optimizer)


def test_lr_overrides_are_those_that_replace_the_optimizers_lr() -> None:
    adam = parse_trial({"optimizer": "Adam"}).optimizer
    for name in ("OneCycleLR", "CyclicLR"):
        assert lr_overrides(resolve_schedule({"name": name, "max_lr": 0.01}, optimizer=adam)) == ["schedule.max_lr"]
        assert lr_overrides(resolve_schedule(name, optimizer=adam)) == []
    assert lr_overrides({"name": "none"}) == []


@pytest.mark.parametrize(
    ("schedule", "optimizer", "key", "allowed"),
    [
        ("CosineAnealingLR", "SGD", "schedule.name", "did you mean 'CosineAnnealingLR'"),
        ({"name": "StepLR", "stepsize": 3}, "SGD", "schedule.stepsize", "did you mean 'step_size'"),
        ({"name": "StepLR"}, "SGD", "schedule.step_size", "step_size is required"),
        ({"name": "StepLR", "step_size": 0}, "SGD", "schedule.step_size", "whole number"),
        ({"name": "StepLR", "step_size": 2.5}, "SGD", "schedule.step_size", "fraction"),
        ({"name": "StepLR", "step_size": {"epoch": 2}}, "SGD", "schedule.step_size", "{epochs: x}"),
        ({"name": "MultiStepLR", "milestones": [8, 3]}, "SGD", "schedule.milestones", "increasing"),
        ({"name": "ReduceLROnPlateau", "factor": 1.0}, "SGD", "schedule.factor", "< 1"),
        ({"name": "ReduceLROnPlateau", "verbose": True}, "SGD", "schedule.verbose", "takes"),
        ({"name": "OneCycleLR", "interval": "epoch"}, "SGD", "schedule.interval", "batch"),
        ({"name": "OneCycleLR", "warmup": {"epochs": 1}}, "SGD", "schedule.warmup", "of its own"),
        ({"name": "CyclicLR", "warmup": {"epochs": 1}}, "SGD", "schedule.warmup", "of its own"),
        ({"name": "OneCycleLR", "cycle_momentum": True}, "SGD", "schedule.cycle_momentum", "momentum > 0"),
        ({"name": "CyclicLR", "cycle_momentum": True}, "Adagrad", "schedule.cycle_momentum", "betas"),
        ({"name": "CyclicLR", "base_lr": 0.1}, {"name": "SGD", "lr": 0.01}, "schedule.base_lr", "< max_lr (0.01)"),
        ({"name": "OneCycleLR", "three_phase": True, "pct_start": 0.6}, "SGD", "schedule.pct_start", "0.5"),
        ({**COSINE, "warmup": {"epochs": 0}}, "SGD", "schedule.warmup.epochs", "≥ 1"),
        ({**COSINE, "warmup": {"epochs": 4}}, "SGD", "schedule.warmup.epochs", "less than the 4 epochs"),
        ({**COSINE, "warmup": 3}, "SGD", "schedule.warmup", "{epochs: n"),
        ({**COSINE, "warmup": {"epochs": 1, "start": 0.1}}, "SGD", "schedule.warmup.start", "start_factor"),
        ([COSINE], "SGD", "schedule", "at least two"),
        ([COSINE, PLATEAU], "SGD", "schedule.0.epochs", "epochs is required: a whole number"),
        ([{**COSINE, "epochs": 2}, PLATEAU], "SGD", "schedule.1.name", "one of StepLR"),
        ([{**COSINE, "epochs": 2}, "OneCycleLR"], "SGD", "schedule.1.name", "one of StepLR"),
        ([{**COSINE, "epochs": 2}, {**COSINE, "epochs": 2}], "SGD", "schedule.1.epochs", "nothing"),
        ([{**COSINE, "epochs": 2}, {**COSINE, "interval": "batch"}], "SGD", "schedule.1.interval", "epoch"),
        ([{**COSINE, "epochs": 4}, COSINE], "SGD", "schedule.milestones", "below the 4"),
        ({"name": "SequentialLR", "schedulers": [COSINE] * 2, "milestones": [1, 2]}, "SGD", "schedule.milestones", "2"),
        ({"name": "ChainedScheduler", "schedulers": [COSINE, PLATEAU]}, "SGD", "schedule.schedulers.1.name", "one of"),
        ({"name": "ChainedScheduler"}, "SGD", "schedule.schedulers", "a list"),
        ({"name": "LambdaLR", "recipe": "lambda t: t"}, "SGD", "schedule.recipe", "step_power"),
        ({"name": "LambdaLR", "recipe": "inverse_sqrt", "gamma": 1}, "SGD", "schedule.gamma", "timescale"),
        ("warmup_cosine", "SGD", "schedule.warmup", "warmup is required"),
        ({"name": "WSD", "decay": {"epochs": 5}}, "SGD", "schedule.decay", "(4 epochs) of the schedule"),
        ({"name": "WSD", "decay": 1.0, "warmup": {"epochs": 1}}, "SGD", "schedule.decay", "(3 epochs) of the schedule"),
        ({"name": "WSD", "shape": "1-sqrt"}, "SGD", "schedule.shape", "linear, cosine, sqrt"),
        ({"name": "REX", "interval": "epoch"}, "SGD", "schedule.interval", "batch"),
        ({"name": "ChainedScheduler", "schedulers": ["REX", "REX"]}, "SGD", "schedule.schedulers.0.name", "one of"),
        (None, "SGD", "schedule.name", "a schedule's name"),
        (3, "SGD", "schedule.name", "a schedule's name"),
        ({"name": ["StepLR"]}, "SGD", "schedule.name", "a schedule's name"),
    ],
)
def test_bad_schedule_is_refused_by_its_key(schedule: Any, optimizer: Any, key: str, allowed: str) -> None:
    with pytest.raises(InputError, match=re.escape(allowed)) as caught:
        parse_trial({"schedule": schedule, "optimizer": optimizer, "epochs": 4})
    assert caught.value.key == key
    assert "\n" not in str(caught.value)


def test_plateau_without_validation_is_refused() -> None:
    with pytest.raises(InputError, match="val_size is 0"):
        parse_trial({"schedule": PLATEAU, "data": {"val_size": 0}})
    parse_trial({"schedule": {**PLATEAU, "monitor": "train_loss"}, "data": {"val_size": 0}})
