"""Networks that are not of the catalog: a library's, or the user's own, built for the images that a trial has.

    model = build_foreign({"name": "mynets:Net", "width": 64}, Shape(3, 32, 32, 100))

It is called with what it takes of `num_classes`, `in_channels` and `image_size`, and with the file's other keys. Its
`torch.nn.Dropout` becomes the project's own, whose masks are a function of seed, step and row.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ch6dist.catalog.lookup import RESERVED
from ch6dist.errors import InputError
from ch6dist.models.dropout import Dropout
from ch6dist.models.shape import Shape
from ch6dist.objects.find import find, why
from ch6dist.objects.networks import data_arguments

IMAGES = 2  # that a network is tried with: batch normalisation needs more than one


def build_foreign(config: Mapping[str, Any], shape: Shape) -> nn.Module:
    """Return the network of a resolved mapping, in training mode; it draws its weights from the global generators.

    Raises InputError, with what its code says, where it cannot be built or does not give [B, classes].
    """
    name = config["name"]
    try:
        found = find("model", name, code=config.get("code", ""))
    except InputError as error:
        raise error.within("model") from None
    given = {key: value for key, value in config.items() if key not in RESERVED}
    try:
        model = found(**data_arguments(found, **shape._asdict()), **given)
    except Exception as error:
        raise InputError(
            "model.name", name, f"a network that can be built with what the file gives: {why(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError("model.name", name, f"what builds a torch.nn.Module; this is a {type(model).__name__}")
    if any(map(is_lazy, [*model.parameters(), *model.buffers()])):  # they take their shapes from the first images
        _put_out(model.eval(), name, shape)
    model.train()
    own_dropout(model)
    _check_output(model, name, shape)
    return model


def own_dropout(model: nn.Module) -> None:
    """Replace every `torch.nn.Dropout` by the project's, numbered in the order of the modules."""
    made: dict[nn.Module, Dropout] = {}
    for parent in list(model.modules()):
        for key, child in list(parent.named_children()):
            if type(child) is nn.Dropout and child.p < 1:
                made.setdefault(child, Dropout(child.p, layer=len(made)))
                setattr(parent, key, made[child])


def _check_output(model: nn.Module, name: str, shape: Shape) -> None:
    """Raise InputError where the network does not put out a number per image and class.

    It is tried without numbers, on the meta device; where its code looks at numbers, on a copy.
    """
    try:
        out = copy.deepcopy(model).to("meta")(_images(shape, "meta"))
    except Exception:
        out = _put_out(copy.deepcopy(model), name, shape)
    wanted = f"[B, {shape.classes}], a number per image and class"
    if not isinstance(out, Tensor):
        raise InputError(
            "model.name", name, f"a network that puts out a tensor {wanted}; it puts out a {type(out).__name__}"
        )
    if tuple(out.shape) != (IMAGES, shape.classes):
        given = ", ".join(map(str, out.shape[1:]))
        raise InputError(
            "model.name", name, f"a network that puts out {wanted}; it puts out [{'B, ' if given else ''}{given}]"
        )


def _put_out(model: nn.Module, name: str, shape: Shape) -> Any:
    try:
        with torch.no_grad():
            return model(_images(shape, "cpu"))
    except Exception as error:
        size = f"{shape.channels}×{shape.height}×{shape.width}"
        raise InputError("model.name", name, f"a network for images of {size}: {why(error)}") from error


def _images(shape: Shape, device: str) -> Tensor:
    return torch.zeros(IMAGES, shape.channels, shape.height, shape.width, device=device)
