"""How large a trial's model is, whoever has made it: of the catalog, a library's, or the user's own.

    model_size({"name": "lenet5", "dropout": 0.0}, DATASETS["cifar100"]).parameter_count     # 69656
    model_size({"name": "timm/resnet10t"}, DATASETS["mnist"]).not_fused    # why it trains alone, or ""

A size of the catalog holds for CIFAR-100. A foreign model is built and counted once, for its parameters and the shape
of the images, in a process of its own (ch6dist/engines/count.py); what that says is kept in the user's cache.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from ch6dist.catalog.asked import ask
from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.described import home_of, may_run
from ch6dist.catalog.fingerprints import installed_version, package_of
from ch6dist.catalog.layers import Layer, layers_of
from ch6dist.catalog.lookup import model_of
from ch6dist.catalog.models import MODELS, ModelSize
from ch6dist.errors import InputError, UsageError
from ch6dist.storage.answers import Answers

PROGRAM = "ch6dist.engines.count"
KEPT = Answers("sizes")
FORMAT = "2"  # of a kept answer; raised whenever one says more, or something else
SHAPE = ("channels", "height", "width", "classes")  # of a data set, what a model depends on
_COUNTED: dict[str, ModelSize] = {}  # a sweep has thousands of trials of one model


def model_size(model: Mapping[str, Any], dataset: DatasetEntry) -> ModelSize:
    """Return the size of a resolved model on images of `dataset`.

    Raises InputError, with what the code itself says, for a foreign one that cannot be built, or that does not give a
    number per class; UsageError where its code is not at hand.
    """
    if model["name"] in MODELS:
        size = model_of(model).size
        assert size is not None, "every model of the catalog has one"
        return size
    name, code = model["name"], model.get("code", "")
    question = json.dumps([model, {key: getattr(dataset, key) for key in SHAPE}], sort_keys=True)
    if question not in _COUNTED:
        _COUNTED[question] = _kept(name, question) or _counted(name, code, question)
    return _COUNTED[question]


def why_not_fused(model: Mapping[str, Any], dataset: DatasetEntry) -> str:
    """Return why lanes of a resolved model cannot be one model; empty where they can."""
    return model_size(model, dataset).not_fused


def layers_by_name(model: Mapping[str, Any], dataset: DatasetEntry) -> Mapping[str, Layer] | None:
    """Return the layers of a resolved model in order; None for a foreign one of a record, whose code does not run."""
    if model["name"] in MODELS:
        return layers_of(model, dataset)
    if not may_run("model", model["name"], model.get("code", "")):
        return None
    return model_size(model, dataset).layers


def _kept(name: str, question: str) -> ModelSize | None:
    try:
        return _parsed(KEPT.read(*_key(name, question)) or {})
    except (KeyError, TypeError):
        return None


def _counted(name: str, code: str, question: str) -> ModelSize:
    if not may_run("model", name, code):
        raise UsageError(f"{name} is code of a run from elsewhere: it has not been counted here", "--trust runs it")
    answer = ask(PROGRAM, [question], folder=home_of(code), what=name)
    if "error" in answer:
        raise InputError("model.name", name, answer["error"])
    KEPT.keep(answer, *_key(name, question))
    return _parsed(answer)


def _parsed(answer: Mapping[str, Any]) -> ModelSize:
    return ModelSize(**{**answer, "layers": {name: Layer(**layer) for name, layer in answer["layers"].items()}})


def _key(name: str, question: str) -> tuple[str, ...]:
    """Return what an answer holds for: one hash of the user's files, one version of a library."""
    package = package_of(name)
    return (question, FORMAT, installed_version(package), installed_version("torch"), sys.executable)
