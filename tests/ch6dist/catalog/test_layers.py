"""The layers of the catalog are those of the models: names, order, parameters and outputs, on every data set."""

from __future__ import annotations

import pytest
import torch

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.layers import layers_of
from ch6dist.catalog.models import MODELS
from ch6dist.models.build import build_model

OTHERWISE = [{"name": "cnn2", "n_feature": 7, "dropout": 0.1}, {"name": "lenet5", "dropout": 0.3}]


@pytest.mark.parametrize("dataset", ["synthetic_mnist", "synthetic_cifar100"])
@pytest.mark.parametrize("given", [*({"name": name} for name in MODELS), *OTHERWISE], ids=str)
def test_layers_are_those_of_the_model(given, dataset):
    entry, model_entry = DATASETS[dataset], MODELS[given["name"]]
    parameters = {key: value for key, value in given.items() if key != "name"}
    config = {"name": given["name"], **model_entry.resolve(parameters)}
    shape = {"channels": entry.channels, "height": entry.height, "width": entry.width, "classes": entry.classes}
    model = build_model(config, **shape, seed=0).eval()
    layers = layers_of(config, entry)
    outputs = {}
    for name, module in model.named_modules():
        if name and not any(module.children()):
            module.register_forward_hook(lambda _, __, y, name=name: outputs.update({name: y[0].numel()}))
    model(torch.zeros(1, entry.channels, entry.height, entry.width))
    assert {name: layer.outputs for name, layer in layers.items()} == outputs
    assert list(layers) == [name for name, module in model.named_modules() if name and not any(module.children())]
    counted = {name: count for layer in layers.values() for name, count in layer.parameters.items()}
    assert list(counted.items()) == [(name, p.numel()) for name, p in model.named_parameters()]


def test_a_model_that_is_not_in_the_catalog_has_no_known_layers():
    assert layers_of({"name": "mine"}, DATASETS["mnist"]) is None
