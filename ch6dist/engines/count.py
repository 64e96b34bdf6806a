"""Count a foreign network: its parameters, operations, activations and layers, and whether its lanes can be one model.

    python -m ch6dist.engines.count '[{"name": "mynets:Net"}, {"channels": 1, "height": 28, "width": 28, "classes": 9}]'

It runs the user's code, so it runs in a process of its own (ch6dist/catalog/sizes.py asks it). Counted as the catalog's
models are: around forward, cross entropy and backward, on the meta device where the code looks at no numbers.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ch6dist.catalog.layers import Layer
from ch6dist.catalog.models import ModelSize
from ch6dist.engines.fits import lane_form
from ch6dist.engines.outputs import first_outputs
from ch6dist.models.build import build_model
from ch6dist.objects.describe import answer

IMAGES = 2


def count(model: Mapping[str, Any], shape: Mapping[str, int]) -> ModelSize:
    """Return the size of a resolved model on images of a shape. Raises InputError where it cannot be built."""
    lanes = [build_model(model, **shape, seed=seed) for seed in (0, 1)]
    try:
        flops, outputs, layers = _counted(copy.deepcopy(lanes[0]).to("meta"), shape, "meta")
    except Exception:  # its code looks at numbers, or makes tensors of its own
        flops, outputs, layers = _counted(copy.deepcopy(lanes[0]), shape, "cpu")
    form, reason = lane_form(lanes, shape)
    return ModelSize(
        parameter_count=sum(parameter.numel() for parameter in lanes[0].parameters()),
        mflop_per_image=flops / IMAGES / 1e6,
        activation_bytes_per_image=outputs // IMAGES,
        lane_form=form,
        not_fused=reason,
        layers=layers,
    )


def _counted(model: nn.Module, shape: Mapping[str, int], device: str) -> tuple[int, int, dict[str, Layer]]:
    """Return the operations of a training step, the bytes of all outputs, and the layers."""
    images = torch.zeros(IMAGES, shape["channels"], shape["height"], shape["width"], device=device)
    labels = torch.zeros(IMAGES, dtype=torch.int64, device=device)
    leaves = {name: module for name, module in model.named_modules() if name and not any(module.children())}
    put_out: list[int] = []
    hooks = [module.register_forward_hook(partial(_note, put_out)) for module in leaves.values()]
    first: dict[str, int] = {}
    with FlopCounterMode(display=False) as counter:
        with first_outputs(model, leaves, lambda name, output: first.__setitem__(name, output[0].numel())):
            logits = model(images)
        F.cross_entropy(logits, labels).backward()
    for hook in hooks:
        hook.remove()
    layers = {}
    for name, module in model.named_modules():
        own = {f"{name}.{key}" if name else key: p.numel() for key, p in module.named_parameters(recurse=False)}
        if name in leaves or own:  # what holds others may have parameters too
            layers[name] = Layer(own, first.get(name, 0))
    return counter.get_total_flops(), sum(put_out), layers


def _note(put_out: list[int], module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
    """Note the bytes of an output, unless it is what was put in."""
    if isinstance(output, Tensor) and not any(output is one for one in given):
        put_out.append(output.nbytes)


def counted(question: str) -> dict[str, Any]:
    """Return the size of the model in a question as data."""
    model, shape = json.loads(question)
    size = count(model, shape)
    return {**vars(size), "layers": {name: vars(layer) for name, layer in size.layers.items()}}


if __name__ == "__main__":
    answer(lambda: counted(sys.argv[1]))
