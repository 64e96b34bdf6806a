"""The JSON Schema allows what `sweeps plan` allows, marks what is misspelt, and is the one that ships."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import REQUIRED, as_number
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.sections import parse_section
from sweeps.spec.expand import expand
from sweeps.spec.schema import DRAFT, schema_text, sweep_schema
from sweeps.spec.sweep_file import SweepSpec
from tests.support.bad_sweeps import BAD, PLANE, ranged
from tests.support.paths import ROOT
from tests.support.sweep_files import CONFIGS, sweep

jsonschema = pytest.importorskip("jsonschema")

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SHIPPED = ROOT / "sweeps" / "configs" / "sweep.schema.json"
FIRST_LINE = f"# yaml-language-server: $schema={SHIPPED.name}"
RENEW = f"renew it: sweeps schema > {SHIPPED.relative_to(ROOT)}"
STEPS = {"durations": [2, 4], "duration": 2, "float": 0.5, "choice": "inverse_sqrt"}


def validator() -> Any:
    schema = sweep_schema()
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


VALIDATOR = validator()


def in_yaml_1_2(content: Any) -> Any:
    """Return what an editor sees: `1e-3` is a number in YAML 1.2, text for PyYAML."""
    if isinstance(content, dict):
        return {key: in_yaml_1_2(value) for key, value in content.items()}
    if isinstance(content, list):
        return [in_yaml_1_2(value) for value in content]
    number = as_number(content) if isinstance(content, str) else None
    return content if number is None else number


def examples() -> list[Any]:
    """Return the sweep files that stand in the documents."""
    found = []
    for path in DOCUMENTS:
        for number, block in enumerate(re.findall(r"```ya?ml\n(.*?)```", path.read_text(), re.DOTALL)):
            content = yaml.safe_load(block)
            if isinstance(content, dict) and "parameters" in content:
                found.append(pytest.param(content, id=f"{path.name}-{number}"))
    return found


def test_the_shipped_schema_is_what_the_command_prints() -> None:
    assert SHIPPED.read_text() == schema_text(), RENEW
    assert sweep_schema()["$schema"] == DRAFT


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_sweep_file_names_the_schema_and_follows_it(path: Path) -> None:
    schema = os.path.relpath(SHIPPED, path.parent)  # beside the file, or above its folder
    assert path.read_text().splitlines()[0] == FIRST_LINE.replace(SHIPPED.name, schema)
    VALIDATOR.validate(in_yaml_1_2(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize("content", examples())
def test_every_sweep_file_in_the_documents_follows_the_schema(content: dict[str, Any]) -> None:
    VALIDATOR.validate(in_yaml_1_2(content))


@pytest.mark.parametrize(
    ("section", "registry"), [("model", MODELS), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)]
)
def test_every_entry_follows_the_schema_bare_with_its_parameters_and_as_a_value(section: str, registry: Any) -> None:
    for name, entry in registry.items():
        parameters = {p.name: STEPS.get(p.kind) for p in entry.parameters if p.default is REQUIRED}
        more = {"schedulers": [{"name": "StepLR", "step_size": 1}] * 2} if "Sched" in name or "Sequ" in name else {}
        if name == "SequentialLR":
            parameters["milestones"] = [2]
        if getattr(entry, "needs_warmup", False):
            more = {"warmup": {"epochs": 1}}
        full = {"name": name, **parameters, **more}
        contents = [sweep(trial={section: full}), sweep(parameters={section: {"values": [full]}})]
        for content in contents:
            expand(parse_section(SweepSpec, content))
            VALIDATOR.validate(in_yaml_1_2(content))
        VALIDATOR.validate(in_yaml_1_2(sweep(trial={section: name})))


GOOD: dict[str, dict[str, Any]] = {
    "seeds": sweep(seeds=3),
    "a list of seeds": sweep(seeds=[3, 5]),
    "a preset": sweep(parameters={"optimizer.lr": {"values": "factor3"}}),
    "random": sweep(
        method="random",
        trials=3,
        seed=0,
        parameters={"optimizer.lr": {"distribution": "log_uniform", "min": 1e-4, "max": 0.1}},
    ),
    "sizes": sweep(checkpoints={"total": "20 GB", "keep": []}, resources={"gpus": 0.5}),
    "a warm-up": sweep(trial={"schedule": {"name": "CosineAnnealingLR", "warmup": {"epochs": 2}}}),
    "a list of schedules": sweep(
        trial={"schedule": [{"name": "LinearLR", "epochs": 2}, {"name": "StepLR", "step_size": 2}]}
    ),
    "lengths": sweep(trial={"schedule": {"name": "StepLR", "step_size": {"epochs": 1.5}}}),
    "axes in a schedule": sweep(
        trial={"schedule": {"name": "StepLR", "step_size": 2, "warmup": {"epochs": 1}}},
        parameters={"schedule.step_size": {"values": [1, 0.5]}, "schedule.warmup.epochs": {"values": [1, 2]}},
    ),
    "a lambda preset": sweep(trial={"schedule": {"name": "LambdaLR", "recipe": "step_power", "step_size": 2}}),
    "a metric by its name": sweep(metric="val_loss"),
    "a metric and its goal": sweep(metric={"name": "train_loss", "goal": "minimize"}),
    "axes that are lists": sweep(parameters={"optimizer.lr": [0.1, 0.01], "optimizer": ["SGD", {"name": "Adam"}]}),
    "axes of one value": sweep(parameters={"epochs": {"values": 3}, "optimizer.lr": 0.1, "deterministic": False}),
    "an axis of one mapping": sweep(parameters={"optimizer": {"values": {"name": "SGD", "momentum": 0.9}}}),
    "a preset alone": sweep(parameters={"optimizer.lr": "factor10"}),
    "axes inside sections": sweep(
        trial={"schedule": {"name": "StepLR", "step_size": 2, "warmup": {"epochs": 1}}},
        parameters={
            "optimizer": {"lr": {"values": [0.1, 0.2]}, "momentum": 0.9},
            "schedule": {"warmup": {"epochs": [1, 2]}, "step_size": [1, 2]},
        },
    ),
    "a drawn axis inside a section": sweep(
        method="random",
        trials=3,
        seed=0,
        parameters={"optimizer": {"lr": {"distribution": "log_uniform", "min": 1e-4, "max": 0.1}}},
    ),
    "the whole training and one step": sweep(
        trial={"schedule": "CosineAnnealingLR"}, parameters={"schedule.T_max": [1, 0.5]}
    ),
    "cases": sweep(
        trial={"optimizer": {"name": "Adam", "lr": 0.001}, "schedule": "CosineAnnealingLR"},
        parameters={
            "change": {
                "cases": {
                    "baseline": {},
                    "low lr": {"optimizer": {"lr": 1e-5}, "data": {"batch_size": 64}, "epochs": 3},
                    "dotted": {"optimizer.lr": 0.1, "schedule.T_max": 0.5, "schedule.warmup.epochs": 1},
                    "a warm-up": {"schedule": {"warmup": {"epochs": 1}}, "model": "cnn2"},
                    "another": {
                        "optimizer": {"name": "SGD", "momentum": 0.9},
                        "schedule": [{"name": "LinearLR", "epochs": 1}, "CosineAnnealingLR"],
                    },
                }
            },
            "optimizer.weight_decay": [0, 0.1],
        },
    ),
    "range tests": sweep(parameters=ranged(seeds=5, widen=2, points=7, otherwise=(1e-5, 0.5))),
    "range tests inside a section": sweep(parameters={"optimizer": {"momentum": [0, 0.9], **ranged("lr")}}),
    "range tests and draws": sweep(method="random", trials=3, seed=0, parameters=ranged()),
    "the best few": sweep(early_stop={"name": "top_k", "after": 3, "keep": 8}),
    "halving": sweep(early_stop={"name": "halving", "first": 2}),
    "halving at once": sweep(early_stop={"name": "asha", "first": 2, "factor": 4, "promote": False}),
    "the median": sweep(early_stop={"name": "median", "after": 3}),
    "one case": sweep(parameters={"change": {"cases": {"only": {"epochs": 2}}}}),
    "conditional axes": sweep(
        parameters={
            "optimizer.name": ["SGD", "RMSprop", "Adam"],
            "optimizer.momentum": {"values": [0, 0.9], "where": {"optimizer.name": ["SGD", "RMSprop"]}},
            "optimizer.nesterov": {"values": [False, True], "where": {"optimizer": "SGD", "optimizer.momentum": 0.9}},
            "optimizer": {"weight_decay": {"values": 0.1, "where": {"optimizer": {"name": "Adam"}}}},
            "change": {"cases": {"a": {}, "b": {"epochs": 3}}, "where": {"optimizer.name": "Adam"}},
        }
    ),
    "a search": sweep(
        method="optuna",
        sampler="gp",
        batch=4,
        trials=3,
        seed=0,
        parameters={"optimizer.lr": {"distribution": "log_uniform", "min": 1e-4, "max": 0.1}},
    ),
    "a search by evolution": sweep(method="optuna", sampler="cmaes", batch=4, trials=8, seed=0, parameters=PLANE),
    "an evenly spread search": sweep(
        method="quasi",
        trials=3,
        seed=0,
        parameters={
            "optimizer.lr": {"distribution": "uniform", "min": 1e-4, "max": 0.1, "where": {"epochs": 2}},
            "epochs": [2, 3],
        },
    ),
    "no name": {"parameters": sweep()["parameters"]},
    "other axes": sweep(
        parameters={
            "epochs": {"values": [1, 2]},
            "data.batch_size": {"values": [32]},
            "model": {"values": ["lenet5", {"name": "cnn2", "n_feature": 3}]},
            "optimizer.name": {"values": ["SGD", "Adam"]},
        }
    ),
}
BEYOND_THE_SCHEMA = {
    "a budget of no time",
    "bounds the wrong way round",
    "bounds without room",  # what only the program can see
    "stated bounds that fall",
    "bounds for range tests",
    "bounds that a schedule ignores",
    "a cycle whose begin may lie above the bounds",
    "NaN lr",
    "infinite lr",
    "bad together",
    "the default and itself",
    "ignored lr axis",
    "ignored lrs inside an axis",
    "lost base",
    "a mode against the metric of a plateau",
    "a parameter of some optimizers",
    "an axis in two ways",
    "cases under a dotted name",
    "a key of a case twice",
    "a schedule of a case without its length",
    "a schedule of a case without its name",
    "the same case twice",
    "a key of a case and of an axis",
    "a name in a case and in an axis",
    "a key of a case that an axis's value has",
    "a key of two axes of cases",
    "a list of schedules in a case and a key of one in another",
    "a parameter of some cases' optimizers",
    "lost value",
    "a schedule without its length",  # an axis may set it
    "NaN GPUs",
    "half a GPU per worker",
    "a margin in per cent",
    "two GPUs per worker",
    "fewer images than workers",
    "a captured layer that is not there",
    "a capture that is too large",
    "a validation metric without validation images",
    "more validation images than there are",
    "a rule that begins at the end",
    "early stopping of range tests",
    "early stopping by a metric without images",
    "a search for more than there is",
    "a draw of more than there is",
    "a search beyond what can be trained",
    "a search for a parameter of some optimizers",
    "a search in a where that lets too much in",
    "a Gaussian process with a where",
    "a Gaussian process of listed values",
    "an evolution along a list",
    "an evolution of one value",
    "an evolution of whole numbers",
    "an evolution of cases",
    "an evolution between bounds to come",
    "an evolution with a where",
    "an evolution along one axis",
    "a generation of three",
    "a where on nothing",
    "a where on a value that never occurs",
    "a where on another kind of value",
    "a where on a value that never occurs there",
    "a where on itself",
    "a where on what the axis sets",
    "axes that wait for each other",
    "a where on a drawn axis",
    "a key of a where twice",
    "too many trials with a where",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_valid_sweep_follows_the_schema(name: str) -> None:
    expand(parse_section(SweepSpec, {"name": "demo", **GOOD[name]}))
    VALIDATOR.validate(in_yaml_1_2(GOOD[name]))


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_sweep_fails_the_schema(name: str) -> None:
    assert VALIDATOR.is_valid(in_yaml_1_2(BAD[name][0])) == (name in BEYOND_THE_SCHEMA)


def test_names_are_shown_with_their_descriptions() -> None:
    text = schema_text()
    for registry in (DATASETS, MODELS, OPTIMIZERS, SCHEDULES):
        assert all(entry.description in text for entry in registry.values())
    assert all(f'"{name}"' in text for name in LAMBDA_PRESETS)


@pytest.mark.parametrize(
    "seeds", [True, 0, [], [3, 3], *({"count": n} for n in ([1, 2], True, 0, 100_001)), {"values": 3}, {"values": []}]
)
def test_the_schema_refuses_seeds_that_are_none(seeds: Any) -> None:
    assert not VALIDATOR.is_valid(sweep(seeds=seeds))
