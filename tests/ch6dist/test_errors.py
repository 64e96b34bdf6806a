"""Errors say the key, what was given and what is allowed, suggest what was meant, and travel between processes."""

from __future__ import annotations

import pickle

import pytest

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import unknown_key
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.config import TrialConfig
from ch6dist.errors import MISSING, InputError, UsageError, nearest_name, unknown_name

REGISTRIES = [DATASETS, MODELS, OPTIMIZERS, SCHEDULES, TrialConfig.model_fields]
MEANT = [
    (SCHEDULES, "Cosine", "CosineAnnealingLR"),
    (SCHEDULES, "cosine_annealing", "CosineAnnealingLR"),
    (SCHEDULES, "CosineAnealingLR", "CosineAnnealingLR"),
    (SCHEDULES, "step", "StepLR"),
    (SCHEDULES, "OneCycle", "OneCycleLR"),
    (SCHEDULES, "exponential", "ExponentialLR"),
    (SCHEDULES, "Plateau", "ReduceLROnPlateau"),
    (SCHEDULES, "None", "none"),
    (SCHEDULES, "qwxyz", None),
    (OPTIMIZERS, "adamw", "AdamW"),
    (OPTIMIZERS, "Adamm", "Adam"),
    (OPTIMIZERS, "rms", "RMSprop"),
    (OPTIMIZERS, "sgd", "SGD"),
    (OPTIMIZERS, "Muon", None),
    (MODELS, "lenet", "lenet5"),
    (MODELS, "resnet", "resnet18"),
    (MODELS, "resnet50", "resnet18"),
    (MODELS, "conv", "convnet"),
    (DATASETS, "cifar", "cifar10"),
    (DATASETS, "fashion", "fashion_mnist"),
    (DATASETS, "synthetic_cifar", "synthetic_cifar10"),
    (TrialConfig.model_fields, "optim", "optimizer"),
    (TrialConfig.model_fields, "lr_scheduler", "schedule"),
    (TrialConfig.model_fields, "smoothing", "label_smoothing"),
    (["lr", "lr_decay", "eps"], "lr_dcay", "lr_decay"),
    ([], "anything", None),
]


@pytest.mark.parametrize(("valid", "name", "meant"), MEANT)
def test_a_near_name_is_suggested_and_all_are_listed(valid, name, meant):
    assert nearest_name(name, valid) == meant
    for error in (unknown_name("key", name, valid), unknown_key(name, dict.fromkeys(valid), "it takes")):
        assert ("did you mean" in error.allowed) == (meant is not None)
        assert f"did you mean {meant!r}? " in error.allowed or meant is None
        assert all(word in error.allowed for word in valid)


@pytest.mark.parametrize("registry", REGISTRIES)
def test_a_name_in_another_case_or_without_its_end_is_suggested(registry):
    for name in registry:
        assert nearest_name(name.upper(), registry) == name
        if len(name) > 4:
            assert str(nearest_name(name[:-1], registry)).startswith(name[:-1])


def test_a_missing_value_is_required_and_another_is_not_allowed():
    missing = InputError("name", MISSING, "the run folder's name")
    assert str(missing.within("a").in_file("x.yaml")) == "x.yaml: a.name is required: the run folder's name"
    assert str(InputError("name", MISSING, "")) == "name is required"
    assert str(InputError("name", None, "text").in_file("x.yaml")) == (
        "x.yaml: name: None is not allowed; allowed: text"
    )


@pytest.mark.parametrize(
    "error", [InputError("a", MISSING, "b", file="c"), InputError("a", [1], "b"), UsageError("a"), UsageError("a", "b")]
)
def test_an_error_is_the_same_in_another_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
