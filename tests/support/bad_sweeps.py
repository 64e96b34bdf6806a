"""Sweep files that are refused, and parts of the messages: for the tests of specs, of the schema and of commands."""

from __future__ import annotations

import math
from typing import Any

from sweeps.spec.sections import MAX_TRIALS
from tests.support.sweep_files import axes, sweep

DRAWN = {"optimizer.lr": {"distribution": "log_uniform", "min": "1e-4", "max": 0.1}}
PLANE = {**DRAWN, "optimizer.momentum": {"distribution": "uniform", "min": 0, "max": 0.9}}


def ranged(key: str = "optimizer.lr", *, otherwise: Any = (1e-4, 1), **changes: Any) -> dict[str, Any]:
    """An axis from range tests; `otherwise=None` leaves the stated bounds out."""
    stated = {} if otherwise is None else {"otherwise": list(otherwise)}
    return {key: {"from": "range_test", **stated, **changes}}


def cases(cases: Any, **axes: Any) -> dict[str, Any]:
    return sweep(parameters={"change": {"cases": cases}, **axes})


def searched(method: str, **changes: Any) -> dict[str, Any]:
    return sweep(**{"method": method, "trials": 2, "seed": 0, **changes})


def whole(low: int, high: int) -> dict[str, Any]:
    return {"distribution": "int_uniform", "min": low, "max": high}


def momentum(where: Any, **axes: Any) -> dict[str, Any]:
    return {"optimizer.name": ["SGD", "Adam"], "optimizer.momentum": {"values": [0, 0.9], "where": where}, **axes}


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "unknown sweep key": (sweep(parametres={}), ["parametres", "did you mean 'parameters'"]),
    "unknown trial key": (sweep(trial={"epoch": 3}), ["trial.epoch", "did you mean 'epochs'"]),
    "unknown axis": (axes(optimiser__lr=[1]), ["parameters.optimiser", "did you mean 'optimizer'"]),
    "unknown capture": (sweep(trial={"capture": {"gradient": {}}}), ["trial.capture.gradient", "'gradients'"]),
    "unknown capture key": (
        sweep(trial={"capture": {"gradients": {"name": "fc1"}}}),
        ["trial.capture.gradients.name", "did you mean 'names'"],
    ),
    "a capture of no names": (
        sweep(trial={"capture": {"gradients": {"names": []}}}),
        ["trial.capture.gradients.names"],
    ),
    "a captured layer that is not there": (
        sweep(trial={"capture": {"activations": {"names": "relu9"}}}),
        ["trial.capture.activations.names: 'relu9'", "relu1"],
    ),
    "a capture that is too large": (
        sweep(trial={"capture": {"gradients": {"keep": "sample", "sample": 10**6}}}),
        ["trial.capture.max_bytes", "983,591,280 in all"],
    ),
    "an axis of captures": (axes(capture__gradients__every=[1, 2]), ["parameters.capture.gradients.every", "no axis"]),
    "unknown inner axis": (axes(data__bath_size=[1]), ["parameters.data.bath_size", "did you mean 'batch_size'"]),
    "unknown axis field": (sweep(parameters={"epochs": {"value": [1]}}), ["parameters.epochs.value", "'values'"]),
    "unknown metric": (sweep(metric={"name": "accuracy"}), ["metric.name", "'accuracy'", "val_accuracy"]),
    "unknown resource": (sweep(resources={"gpu": 1}), ["resources.gpu", "did you mean 'gpus'"]),
    "no cases": (cases({}), ["parameters.change.cases: {}", "a mapping of names"]),
    "a list of cases": (cases([{"epochs": 1}]), ["parameters.change.cases: [{'epochs': 1}]", "baseline: {}"]),
    "a case that is no mapping": (cases({"a": 3}), ["parameters.change.cases[a]: 3", "a mapping of trial keys"]),
    "a case without a name": (cases({"": {}}), ["parameters.change.cases: ''", "names of one line"]),
    "a case with a long name": (cases({"a" * 41: {}}), ["parameters.change.cases: 'aaa", "at most 40 characters"]),
    "an unknown key in a case": (cases({"a": {"epoch": 1}}), ["change.cases[a].epoch:", "did you mean 'epochs'"]),
    "an unknown inner key in a case": (
        cases({"a": {"optimizer": {"lrr": 1}}}),
        ["parameters.change.cases[a].optimizer.lrr", "did you mean 'lr'"],
    ),
    "a bad value in a case": (cases({"low lr": {"optimizer.lr": -1}}), ["change.cases[low lr].optimizer.lr: -1"]),
    "nothing in a section of a case": (cases({"a": {"data": {}}}), ["change.cases[a].data: {}", "keys of data"]),
    "a key of a case twice": (
        cases({"a": {"optimizer": {"lr": 1}, "optimizer.lr": 2}}),
        ["change.cases[a].optimizer.lr: 2", "each key once"],
    ),
    "a seed in a case": (cases({"a": {"seed": 1}}), ["parameters.change.cases[a].seed: 1", "`seeds`"]),
    "a capture in a case": (cases({"a": {"capture": {}}}), ["parameters.change.cases[a].capture", "under `trial`"]),
    "a test in a case": (cases({"a": {"evaluate_test": True}}), ["parameters.change.cases[a].evaluate_test"]),
    "a schedule of a case without its length": (
        cases({"a": {"schedule": "StepLR"}}),
        ["parameters.change.cases[a].schedule.step_size is required"],
    ),
    "a schedule of a case without its name": (
        cases({"a": {"schedule": {"gamma": 0.1}}}),
        ["parameters.change.cases[a].schedule.name is required"],
    ),
    "cases under the name of a key": (
        sweep(parameters={"optimizer": {"cases": {"a": {"epochs": 1}}}}),
        ["parameters.optimizer: 'optimizer'", "no key of a sweep or trial"],
    ),
    "cases under a dotted name": (
        sweep(parameters={"my.change": {"cases": {"a": {"epochs": 1}}}}),
        ["parameters.my.change", "a name without dots"],
    ),
    "cases under the name of a section": (
        sweep(parameters={"seeds": {"cases": {"a": {"epochs": 1}}}}),
        ["parameters.seeds", "no key of a sweep or trial"],
    ),
    "cases and values": (
        sweep(parameters={"change": {"cases": {"a": {"epochs": 1}}, "values": [1]}}),
        ["parameters.change.values: [1]", "nothing beside cases"],
    ),
    "the same case twice": (
        cases({"a": {"epochs": 3}, "b": {"epochs": 3}}),
        ["parameters: {'change': 'b'}", "the same as {'change': 'a'}"],
    ),
    "a key of a case and of an axis": (
        cases({"a": {}, "b": {"optimizer": {"lr": 1}}}, **{"optimizer.lr": [0.1]}),
        ["parameters.change.cases[b].optimizer.lr: 1", "nothing that the axis optimizer.lr sets too"],
    ),
    "a name in a case and in an axis": (
        cases({"a": {"optimizer": "Adam"}}, optimizer=["SGD"]),
        ["parameters.change.cases[a].optimizer.name: 'Adam'", "the axis optimizer sets too"],
    ),
    "a key of a case that an axis's value has": (
        cases({"a": {"optimizer": {"lr": 1}}}, optimizer=[{"name": "SGD", "lr": 0.1}]),
        ["parameters.change.cases[a].optimizer.lr: 1", "the axis optimizer sets too"],
    ),
    "a key of two axes of cases": (
        cases({"a": {"epochs": 1}}, other={"cases": {"b": {}, "c": {"epochs": 2}}}),
        ["parameters.change.cases[a].epochs: 1", "nothing that the axis other sets too"],
    ),
    "a list of schedules in a case and a key of one in another": (
        cases({"a": {"schedule.gamma": 0.1}}, other={"cases": {"b": {"schedule": ["LinearLR", "ConstantLR"]}}}),
        ["parameters.change.cases[a].schedule.gamma", "nothing that the axis other sets too"],
    ),
    "a parameter of some cases' optimizers": (
        cases({"a": {}, "b": {"optimizer": "Adam"}}, **{"optimizer.momentum": [0, 0.9]}),
        ["parameters.optimizer.momentum: 0", "parameters that Adam has too", "goes into their cases"],
    ),
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
    "a name alone, no list": (axes(optimizer="Adam"), ["parameters.optimizer.values: 'Adam'", "a list", "[Adam]"]),
    "no values": (axes(epochs=None), ["parameters.epochs.values: None", "a list"]),
    "nothing for an axis": (sweep(parameters={"epochs": None}), ["parameters.epochs: None", "[0.1, 0.01]"]),
    "an axis inside an axis": (
        sweep(parameters={"optimizer": {"values": ["SGD"], "lr": [0.1]}}),
        ["parameters.optimizer.lr: [0.1]", "an axis of its own"],
    ),
    "an axis in two ways": (
        sweep(parameters={"optimizer": {"lr": [0.1]}, "optimizer.lr": [0.1]}),
        ["parameters.optimizer.lr", "each axis once"],
    ),
    "a misspelt axis inside a section": (
        sweep(parameters={"optimizer": {"lrr": [0.1]}}),
        ["parameters.optimizer.lrr", "did you mean 'lr'"],
    ),
    "a misspelt field of an axis of mappings": (
        sweep(parameters={"optimizer": {"value": ["SGD"]}}),
        ["parameters.optimizer.value", "did you mean 'values'"],
    ),
    "an axis named with trial": (
        sweep(parameters={"trial.epochs": [1, 2]}),
        ["parameters.trial.epochs", "without `trial.`: epochs"],
    ),
    "a number for an axis's key": (sweep(parameters={3: [1]}), ["parameters: 3", "optimizer.lr"]),
    "a trial's key beside the trial": (sweep(epochs=3), ["epochs: 3", "trial: {epochs: …}"]),
    "a trial's dotted key beside the trial": (
        {**sweep(), "optimizer.lr": 1},
        ["optimizer.lr: 1", "trial: {optimizer: {lr: …}}"],
    ),
    "several values in the trial": (
        sweep(trial={"optimizer": {"name": "SGD", "momentum": [0.5, 0.9]}}),
        ["trial.optimizer.momentum: [0.5, 0.9]", "parameters: {optimizer.momentum: […]}"],
    ),
    "a dotted key in the trial": (sweep(trial={"optimizer.lr": 1}), ["trial.optimizer.lr: 1", "{optimizer: {lr: …}}"]),
    "a parameter of some optimizers": (
        axes(optimizer=["SGD", "Adam"], optimizer__momentum=[0.5, 0.9]),
        ["parameters.optimizer.momentum: 0.5", "that Adam has too", "{name: …, momentum: 0.5}"],
    ),
    "a goal against its metric": (
        sweep(metric={"name": "val_loss", "goal": "maximize"}),
        ["metric.goal: 'maximize'", "minimize, which follows from val_loss"],
    ),
    "a goal against the default metric": (sweep(metric={"goal": "minimize"}), ["metric.goal: 'minimize'", "maximize"]),
    "a mode against the metric of a plateau": (
        sweep(trial={"schedule": {"name": "ReduceLROnPlateau", "mode": "max"}}),
        ["trial.schedule.mode: 'max'", "min, which follows from val_loss"],
    ),
    "true for a number": (sweep(method="random", trials=True, seed=0), ["trials: True", "a whole number"]),
    "a number for true": (sweep(trial={"deterministic": 1}), ["trial.deterministic: 1", "true or false"]),
    "text for true": (sweep(resources={"span_hosts": "yes"}), ["resources.span_hosts: 'yes'", "true or false"]),
    "no seed": (sweep(seeds=0), ["seeds", "0 is not allowed"]),
    "seeds twice": (sweep(seeds=[1, 1]), ["seeds", "different"]),
    "negative seed": (sweep(seeds=[-1]), ["seeds"]),
    "true seeds": (sweep(seeds=True), ["seeds", "True"]),
    "astronomic seeds": (sweep(seeds=10**15), ["seeds"]),
    "seeds twice in words": (sweep(seeds={"count": 2, "values": [0, 1]}), ["seeds.count", "nothing beside values"]),
    "no seeds in words": (sweep(seeds={"count": 0}), ["seeds.count", "0 is not allowed"]),
    "a number for values": (sweep(seeds={"values": 3}), ["seeds.values", "count takes a number"]),
    "misspelt seeds": (sweep(seeds={"counts": 3}), ["seeds.counts", "did you mean 'count'"]),
    "what cannot vary": (sweep(seeds={"count": 3, "vary": ["splt"]}), ["seeds.vary", "did you mean 'split'"]),
    "vary in the trial": (sweep(trial={"vary": ["split"]}), ["trial.vary", "seeds: {count: 3, vary: [split]}"]),
    "an axis of what varies": (axes(vary=[["split"]]), ["parameters.vary", "`seeds`"]),
    "a negative margin": (sweep(margin=-0.1), ["margin: -0.1", "≥ 0"]),
    "a margin in words": (sweep(margin="half a point"), ["margin", "a number"]),
    "a margin in per cent": (sweep(margin=1), ["margin: 1", "0.005 is half a point"]),
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
    "unknown method": (sweep(method="bayes"), ["method", "'bayes'", "grid"]),
    "random without trials": (sweep(method="random", seed=1), ["trials is required", "method random needs it"]),
    "random without seed": (sweep(method="random", trials=1), ["seed is required", "method random needs it"]),
    "grid with trials": (sweep(trials=3), ["trials: 3", "only the methods random, quasi, optuna"]),
    "quasi without trials": (sweep(method="quasi", seed=1), ["trials is required", "method quasi needs it"]),
    "optuna without seed": (sweep(method="optuna", trials=1), ["seed is required", "method optuna needs it"]),
    "a sampler without optuna": (searched("quasi", sampler="tpe"), ["sampler: 'tpe'", "only method optuna"]),
    "a batch without optuna": (searched("random", batch=4), ["batch: 4", "only method optuna"]),
    "no batch": (searched("optuna", batch=0), ["batch: 0", "a number ≥ 1"]),
    "half a batch": (searched("optuna", batch=1.5), ["batch: 1.5", "a whole number"]),
    "an unknown sampler": (searched("optuna", sampler="tbe"), ["sampler: 'tbe'", "did you mean 'tpe'"]),
    "a search for more than there is": (
        searched("optuna", trials=9, parameters={"optimizer.lr": [0.1, 0.2], "epochs": whole(1, 4)}),
        ["trials: 9", "at most 8: the axes hold no more different points"],
    ),
    "a draw of more than there is": (
        searched("quasi", trials=9, parameters={"optimizer.lr": [0.1, 0.2], "epochs": whole(1, 4)}),
        ["trials: 9", "at most 8: the axes hold no more different points"],
    ),
    "a search with a value that cannot be trained": (
        searched("optuna", parameters={"optimizer.lr": [0.1, -1]}),
        ["parameters.optimizer.lr.values[1]: -1"],
    ),
    "a search beyond what can be trained": (
        searched("optuna", parameters={"optimizer.lr": {"distribution": "uniform", "min": -1, "max": 1}}),
        ["parameters.optimizer.lr.distribution: -1"],
    ),
    "a search for a parameter of some optimizers": (
        searched("optuna", parameters={"optimizer.name": ["SGD", "Adam"], "optimizer.momentum": [0, 0.9]}),
        ["parameters.optimizer.momentum: 0", "parameters that Adam has too", "where: {optimizer.name: …}"],
    ),
    "a search in a where that lets too much in": (
        searched("optuna", parameters=momentum({"optimizer.name": ["SGD", "Adam"]})),
        ["parameters.optimizer.momentum: 0", "parameters that Adam has too"],
    ),
    "a Gaussian process with a where": (
        searched("optuna", sampler="gp", parameters=momentum({"optimizer.name": "SGD"})),
        ["parameters.optimizer.momentum.where", "nothing with sampler gp", "sampler tpe takes it"],
    ),
    "a Gaussian process of listed values": (
        searched("optuna", sampler="gp", parameters={"optimizer.lr": [0.1, 0.2], "epochs": whole(1, 3)}),
        ["sampler: 'gp'", "tpe: no axis is drawn from uniform or log_uniform"],
    ),
    "an evolution along a list": (
        searched("optuna", sampler="cmaes", parameters={**PLANE, "optimizer.nesterov": [False, True]}),
        ["parameters.optimizer.nesterov.values: [False, True]", "uniform or log_uniform with sampler cmaes", "tpe"],
    ),
    "an evolution of one value": (
        searched("optuna", sampler="cmaes", parameters={**PLANE, "label_smoothing": 0.1}),
        ["parameters.label_smoothing.values: [0.1]", "one value goes under `trial`"],
    ),
    "an evolution of whole numbers": (
        searched("optuna", sampler="cmaes", parameters={**PLANE, "epochs": whole(1, 3)}),
        ["parameters.epochs.distribution: 'int_uniform'", "uniform or log_uniform with sampler cmaes"],
    ),
    "an evolution of cases": (
        searched("optuna", sampler="cmaes", parameters={**PLANE, "change": {"cases": {"a": {}, "b": {"epochs": 3}}}}),
        ["parameters.change.cases: ['a', 'b']", "uniform or log_uniform with sampler cmaes"],
    ),
    "an evolution between bounds to come": (
        searched("optuna", sampler="cmaes", parameters={**PLANE, **ranged()}),
        ["parameters.optimizer.lr.from: 'range_test'", "method grid, random or quasi beside it"],
    ),
    "an evolution with a where": (
        searched(
            "optuna",
            sampler="cmaes",
            parameters={**DRAWN, "optimizer.momentum": {**PLANE["optimizer.momentum"], "where": {"epochs": 3}}},
        ),
        ["parameters.optimizer.momentum.where: {'epochs': (3,)}", "nothing with sampler cmaes", "sampler tpe takes it"],
    ),
    "an evolution along one axis": (
        searched("optuna", sampler="cmaes", parameters=DRAWN),
        ["sampler: 'cmaes'", "tpe or gp", "optimizer.lr is the only axis"],
    ),
    "a generation of three": (
        searched("optuna", sampler="cmaes", batch=3, parameters=PLANE),
        ["batch: 3", "at least 4 with sampler cmaes", "6 are usual here"],
    ),
    "a where on nothing": (
        sweep(parameters=momentum({"optimizer.nmae": "SGD"})),
        ["parameters.optimizer.momentum.where.optimizer.nmae: ['SGD']", "did you mean 'optimizer.name'"],
    ),
    "a where on a value that never occurs": (
        sweep(parameters=momentum({"optimizer.name": ["SGD", "RMSpropp"]})),
        ["parameters.optimizer.momentum.where.optimizer.name: 'RMSpropp'", "one of SGD, Adam"],
    ),
    "a where on another kind of value": (
        sweep(parameters=momentum({"epochs": True}, epochs=[1, 2])),
        ["parameters.optimizer.momentum.where.epochs: True", "one of 1, 2"],
    ),
    "a where on a value that never occurs there": (
        sweep(
            parameters=momentum(
                {"optimizer.lr": 0.1}, **{"optimizer.lr": {"values": [0.2], "where": {"epochs": 3}}, "epochs": [3]}
            )
        ),
        ["parameters.optimizer.momentum.where.optimizer.lr: 0.1", "one of 0.2"],
    ),
    "a where on itself": (
        sweep(parameters=momentum({"optimizer.momentum": 0})),
        ["parameters.optimizer.momentum.where.optimizer.momentum: [0]", "another key"],
    ),
    "a where on what the axis sets": (
        sweep(parameters={"optimizer": {"values": ["SGD", "Adam"], "where": {"optimizer.name": "SGD"}}}),
        ["parameters.optimizer.where.optimizer.name: ['SGD']", "another key"],
    ),
    "axes that wait for each other": (
        sweep(
            parameters={
                "epochs": {"values": [1], "where": {"label_smoothing": 0}},
                "label_smoothing": {"values": [0], "where": {"epochs": 1}},
            }
        ),
        ["where: [", "no circle: ", "epochs → label_smoothing"],
    ),
    "a where on a drawn axis": (
        searched("random", parameters=momentum({"epochs": 1}, epochs=whole(1, 3))),
        ["parameters.optimizer.momentum.where.epochs: [1]", "those of epochs are drawn"],
    ),
    "an empty where": (sweep(parameters=momentum({})), ["parameters.optimizer.momentum.where: {}", "a trial key"]),
    "a where that is no mapping": (
        sweep(parameters=momentum("SGD")),
        ["optimizer.momentum.where: 'SGD'", "a trial key"],
    ),
    "a where without a value": (
        sweep(parameters=momentum({"optimizer.name": []})),
        ["optimizer.momentum.where.optimizer.name: []", "a list of values"],
    ),
    "a key of a where twice": (
        sweep(parameters=momentum({"optimizer": "SGD", "optimizer.name": "SGD"})),
        ["optimizer.momentum.where.optimizer.name: 'SGD'", "each key once"],
    ),
    "a where alone": (
        sweep(parameters={"optimizer.momentum": {"where": {"optimizer.name": "SGD"}}}),
        ["parameters.optimizer.momentum.values is required"],
    ),
    "too many trials with a where": (
        sweep(
            parameters=momentum(
                {"optimizer.name": "SGD"},
                **{"optimizer.lr": [1 + i for i in range(400)], "epochs": [1 + i for i in range(400)]},
            )
        ),
        ["parameters", "100001 or more configurations", str(MAX_TRIALS)],
    ),
    "grid with seed": (sweep(seed=3), ["seed", "`seeds`"]),
    "grid of a distribution": (sweep(parameters=DRAWN), ["parameters.optimizer.lr.distribution", "values"]),
    "values and min": (sweep(parameters={"epochs": {"values": [1], "min": 1}}), ["parameters.epochs.min"]),
    "negative GPUs": (sweep(resources={"gpus": -1}), ["resources.gpus", "-1"]),
    "one and a half GPUs": (sweep(resources={"gpus": 1.5}), ["resources.gpus", "1.5"]),
    "NaN GPUs": (sweep(resources={"gpus": math.nan}), ["resources.gpus", "nan"]),
    "half a GPU per worker": (sweep(resources={"gpus": 0.5, "workers": 2}), ["resources.gpus: 0.5", "auto, 0 or 1"]),
    "two GPUs per worker": (sweep(resources={"gpus": 2, "workers": 2}), ["resources.gpus: 2.0", "each of 2 workers"]),
    "no worker": (sweep(resources={"workers": 0}), ["resources.workers", "0"]),
    "an unknown batch": (sweep(resources={"batch": "local"}), ["resources.batch", "local", "per_worker"]),
    "fewer images than workers": (
        sweep(resources={"workers": 4}, trial={"data": {"batch_size": 3}}),
        ["trial.data.batch_size: 3", "at least 4, an image for each worker"],
    ),
    "an unknown engine": (sweep(resources={"engine": "warp"}), ["resources.engine", "warp", "fused"]),
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
    "epochs from range tests": (
        sweep(parameters=ranged("epochs")),
        ["parameters.epochs.from: 'range_test'", "optimizer.lr alone has range tests"],
    ),
    "an unknown source of bounds": (
        sweep(parameters=ranged(**{"from": "range-test"})),
        ["parameters.optimizer.lr.from: 'range-test'", "did you mean 'range_test'"],
    ),
    "values beside range tests": (
        sweep(parameters=ranged(values=[0.1])),
        ["parameters.optimizer.lr.values: [0.1]", "nothing beside `from`"],
    ),
    "a distribution beside range tests": (
        sweep(parameters=ranged(distribution="log_uniform"), method="random", trials=2, seed=0),
        ["parameters.optimizer.lr.distribution: 'log_uniform'", "nothing beside `from`"],
    ),
    "range tests without stated bounds": (
        sweep(parameters=ranged(otherwise=None)),
        ["parameters.optimizer.lr.otherwise is required", "two numbers > 0"],
    ),
    "stated bounds that fall": (
        sweep(parameters=ranged(otherwise=[1, 0.1])),
        ["parameters.optimizer.lr.otherwise: [1, 0.1]", "the smaller comes first"],
    ),
    "stated bounds from zero": (
        sweep(parameters=ranged(otherwise=[0, 0.1])),
        ["parameters.optimizer.lr.otherwise: [0, 0.1]", "two numbers > 0"],
    ),
    "one stated bound": (sweep(parameters=ranged(otherwise=[0.1])), ["optimizer.lr.otherwise: [0.1]", "[min, max]"]),
    "one point between bounds": (sweep(parameters=ranged(points=1)), ["parameters.optimizer.lr.points: 1", "≥ 2"]),
    "points that are drawn": (
        sweep(parameters=ranged(points=3), method="random", trials=2, seed=0),
        ["parameters.optimizer.lr.points: 3", "only method grid"],
    ),
    "a default beside what is drawn": (
        sweep(parameters=ranged(default=True), method="random", trials=2, seed=0),
        ["parameters.optimizer.lr.default: True", "only method grid"],
    ),
    "a default that is no switch": (
        sweep(parameters=ranged(default=0.1)),
        ["parameters.optimizer.lr.default: 0.1", "true or false"],
    ),
    "bounds that are narrowed": (sweep(parameters=ranged(widen=0.5)), ["parameters.optimizer.lr.widen: 0.5", "≥ 1"]),
    "no range test": (sweep(parameters=ranged(seeds=0)), ["parameters.optimizer.lr.seeds: 0", "≥ 1"]),
    "range tests that nothing asks for": (
        sweep(parameters={"optimizer.lr": {"values": [0.1], "widen": 2}}),
        ["parameters.optimizer.lr.widen: 2", "nothing without `from: range_test`"],
    ),
    "bounds for range tests": (
        sweep(trial={"type": "range_test"}, parameters=ranged()),
        ["parameters.optimizer.lr.from: 'range_test'", "nothing in a sweep of range tests"],
    ),
    "bounds that a schedule ignores": (
        sweep(trial={"schedule": {"name": "OneCycleLR", "max_lr": 0.5}}, parameters=ranged()),
        ["parameters.optimizer.lr", "no learning-rate axis beside schedule.max_lr"],
    ),
    "a cycle whose begin may lie above the bounds": (
        sweep(trial={"schedule": {"name": "CyclicLR", "base_lr": 1e-6}}, parameters=ranged()),
        ["parameters.optimizer.lr.from: 'range_test'", "no base_lr in a schedule"],
    ),
    "bad steps of range tests": (
        sweep(trial={"range_test": {"steps": 3}}, parameters=ranged()),
        ["trial.range_test.steps: 3"],
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
    "unknown parameter": (
        sweep(trial={"optimizer": {"name": "SGD", "momentun": 0.9}}),
        ["trial.optimizer.momentun", "did you mean 'momentum'"],
    ),
    "unknown parameter axis": (axes(optimizer__lrr=[0.1]), ["parameters.optimizer.lrr.values[0]", "did you mean 'lr'"]),
    "a parameter of another": (
        axes(optimizer=[{"name": "Adam", "momentum": 0.9}]),
        ["[0].momentum", "Adam takes"],
    ),
    "unknown base optimizer": (sweep(trial={"optimizer": "Adamm"}), ["trial.optimizer.name", "did you mean 'Adam'"]),
    "unknown model": (sweep(trial={"model": {"name": "lenet"}}), ["trial.model.name", "did you mean 'lenet5'"]),
    "unknown schedule": (sweep(trial={"schedule": "Cosine"}), ["trial.schedule.name", "'CosineAnnealingLR'"]),
    "unknown data set": (sweep(trial={"data": {"name": "cifar"}}), ["trial.data.name", "did you mean 'cifar10'"]),
    "negative epochs": (sweep(trial={"epochs": -1}), ["trial.epochs: -1"]),
    "no epochs in an axis": (axes(epochs=[0]), ["parameters.epochs.values[0]: 0"]),
    "a warm-up beside a cycle": (
        sweep(trial={"schedule": {"name": "OneCycleLR", "warmup": {"epochs": 2}}}),
        ["trial.schedule.warmup", "nothing beside OneCycleLR"],
    ),
    "a plateau in a list": (
        sweep(trial={"schedule": [{"name": "LinearLR", "epochs": 2}, "ReduceLROnPlateau"]}),
        ["trial.schedule.1.name: 'ReduceLROnPlateau'"],
    ),
    "unknown checkpoint": (sweep(checkpoints={"keep": ["worst"]}), ["checkpoints.keep.0", "one of last, best"]),
    "one checkpoint, no list": (sweep(checkpoints={"keep": "last"}), ["checkpoints.keep: 'last'", "a list"]),
    "negative seconds": (sweep(checkpoints={"seconds": -1}), ["checkpoints.seconds: -1"]),
    "unknown checkpoint key": (sweep(checkpoints={"sekonds": 1}), ["checkpoints.sekonds", "did you mean 'seconds'"]),
    "a validation metric without validation images": (
        sweep(trial={"data": {"train_size": 50_000, "val_size": 0}}),
        ["metric.name: 'val_accuracy' is not allowed"],
    ),
    "more validation images than there are": (
        sweep(trial={"data": {"name": "synthetic_cifar100", "val_size": 60_000}}),
        ["trial.data.val_size: 60000"],
    ),
    "an unknown rule": (sweep(early_stop={"name": "halfing", "first": 2}), ["early_stop.name", "mean 'halving'"]),
    "a rule without a name": (sweep(early_stop={"after": 3}), ["early_stop.name is required", "top_k, halving"]),
    "a rule that is a list": (sweep(early_stop=[3]), ["early_stop: [3]", "a mapping such as"]),
    "a rule without its keys": (sweep(early_stop="asha"), ["early_stop.first is required"]),
    "a key of another rule": (
        sweep(early_stop={"name": "halving", "first": 2, "keep": 8}),
        ["early_stop.keep: 8", "a key of top_k; halving takes first, factor"],
    ),
    "a misspelt key of a rule": (
        sweep(early_stop={"name": "median", "afer": 2}),
        ["early_stop.afer", "did you mean 'after'", "median takes"],
    ),
    "a factor of one": (
        sweep(early_stop={"name": "halving", "first": 2, "factor": 1}),
        ["early_stop.factor: 1", "a number ≥ 2"],
    ),
    "a factor in between": (
        sweep(early_stop={"name": "asha", "first": 2, "factor": 2.5}),
        ["early_stop.factor: 2.5", "a whole number"],
    ),
    "a rung of no epochs": (sweep(early_stop={"name": "asha", "first": 0}), ["early_stop.first: 0", "≥ 1"]),
    "none to keep": (sweep(early_stop={"name": "top_k", "after": 2, "keep": 0}), ["early_stop.keep: 0", "≥ 1"]),
    "a promotion in words": (
        sweep(early_stop={"name": "asha", "first": 2, "promote": "never"}),
        ["early_stop.promote: 'never'", "true or false"],
    ),
    "a rule that begins at the end": (
        sweep(trial={"epochs": 3}, early_stop={"name": "top_k", "after": 3, "keep": 2}),
        ["early_stop.after: 3", "less than 3, the most epochs that a trial has", "could stop nothing"],
    ),
    "early stopping of range tests": (
        {
            **axes(optimizer__momentum=[0.9, 0.0]),
            "trial": {"type": "range_test"},
            "early_stop": {"name": "median", "after": 2},
        },
        ["early_stop: 'median'", "nothing for a sweep of range tests"],
    ),
    "early stopping by a metric without images": (
        sweep(trial={"data": {"val_size": 0}}, early_stop={"name": "median", "after": 2}),
        ["metric.name: 'val_accuracy'", "data.val_size is 0"],
    ),
    "an hour for nothing": (sweep(price=0), ["price.per_device_hour: 0", "a number > 0"]),
    "an hour that pays": (sweep(price={"per_device_hour": -1.5}), ["price.per_device_hour: -1.5", "a number > 0"]),
    "a price in words": (sweep(price="cheap"), ["price.per_device_hour: 'cheap'", "a number"]),
    "a currency alone": (sweep(price={"currency": "EUR"}), ["price.per_device_hour is required"]),
    "a currency that is a sentence": (
        sweep(price={"per_device_hour": 1, "currency": "euros and cents"}),
        ["price.currency: 'euros and cents'", "up to 8 letters, such as EUR"],
    ),
    "a misspelt price": (
        sweep(price={"per_device_hour": 1, "curency": "EUR"}),
        ["price.curency", "did you mean 'currency'"],
    ),
    "sharing in words": (sweep(share_prefixes="often"), ["share_prefixes: 'often'", "true or false"]),
    "a budget of no hours": (sweep(budget={"device_hours": 0}), ["budget.device_hours: 0", "a number > 0"]),
    "a budget of no trials": (sweep(budget={"trials": 0}), ["budget.trials: 0", "≥ 1"]),
    "a budget of no time": (sweep(budget={"wall_time": "0 h"}), ["budget.wall_time: '0 h'", "a time above zero"]),
    "a budget of a number": (sweep(budget={"wall_time": 90}), ["budget.wall_time", "with its unit"]),
    "a budget of nothing": (sweep(budget={}), ["budget", "at least one of device_hours"]),
    "bounds the wrong way round": (
        searched("random", parameters={"optimizer.lr": {"distribution": "log_uniform", "min": 0.1, "max": 0.01}}),
        ["parameters.optimizer.lr", "0.1"],
    ),
    "bounds without room": (
        searched("quasi", parameters={"optimizer.lr": {"distribution": "uniform", "min": 0.1, "max": 0.1}}),
        ["parameters.optimizer.lr", "0.1"],
    ),
    "early stopping by an unknown metric": (
        sweep(metric="val_acuracy", early_stop={"name": "halving", "first": 1}),
        ["metric.name: 'val_acuracy'", "did you mean 'val_accuracy'"],
    ),
    "trials of a grid with a rule": (
        sweep(trials=5, early_stop={"name": "halving", "first": 1}),
        ["trials: 5", "only the methods random, quasi, optuna take it"],
    ),
    "ignored lrs inside an axis": (
        {
            **axes(optimizer=[{"name": "SGD", "lr": 0.1}, {"name": "SGD", "lr": 0.01}]),
            "trial": {"schedule": {"name": "OneCycleLR", "max_lr": 0.1}},
        },
        ["parameters.optimizer", "one learning rate for all beside"],
    ),
}
YAML_1_1: dict[str, list[str]] = {  # text of what follows a name and a parameters line → parts of the message
    "trial: {epochs: 010}": ["trial.epochs: '010' (8 in YAML 1.1)", "a whole number"],
    "trial: {data: {train_size: 10:00}}": ["trial.data.train_size: '10:00' (600 in YAML 1.1)"],
    "trial: {deterministic: no}": ["trial.deterministic: 'no' (false in YAML 1.1)", "true or false"],
    "trial: {optimizer: {name: SGD, nesterov: On}}": ["trial.optimizer.nesterov: 'On' (true in YAML 1.1)"],
    "trial: {schedule: {name: StepLR, step_size: 017}}": ["trial.schedule.step_size: '017' (15 in YAML 1.1)"],
    "{method: random, trials: yes, seed: 0}": ["trials: 'yes' (true in YAML 1.1)"],
    "{method: random, trials: 1, seed: on}": ["seed: 'on' (true in YAML 1.1)"],
    "max_retries: off": ["max_retries: 'off' (false in YAML 1.1)"],
    "seeds: 0b11": ["seeds: '0b11' (3 in YAML 1.1)"],
    "seeds: [1, 02]": ["seeds: [1, '02' (2 in YAML 1.1)]"],
    "checkpoints: {total: 010}": ["checkpoints.total: '010' (8 in YAML 1.1)"],
    "resources: {gpus: yes}": ["resources.gpus: 'yes' (true in YAML 1.1)"],
}
DAMAGED = {  # text of a file → part of the message
    "a tag": ("name: !!python/object/apply:os.system ['touch evil']", "line 1"),
    "a tag of its own": ("name: !thing x\n", "line 1"),
    "a torn list": ("name: demo\nparameters: {a: [1, 2}", "line 2"),
    "a key twice": ("name: demo\nname: other\n", "'name' a second time"),
    "a tab": ("name: demo\n\tparameters: 3\n", "line 2"),
    "a list": ("- name\n", "a mapping"),
    "nothing": ("", "a mapping"),
    "nested without end": ("[" * 5000, "plain YAML"),
    "references": ("a: &a [x, x]\nb: &b [*a, *a]\nname: *b\n", "sweep takes"),
    "control characters": ("\x00\x01", "plain YAML"),
}
