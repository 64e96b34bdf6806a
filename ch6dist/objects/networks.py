"""Networks of libraries and of the user's own: what a file may say of them, and how they are called.

    make = find("model", "timm/resnet10t")
    make(**data_arguments(make, channels=3, height=32, width=32, classes=100), drop_rate=0.1)

A library builds its networks from names, and takes what the network's class takes: no default is known of that, since
each name has its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn

from ch6dist.errors import InputError
from ch6dist.objects.libraries import library, unknown_in
from ch6dist.objects.signature import COLLECTED, hints_of, names_of

CLASSES = ("num_classes",)
CHANNELS = ("in_channels", "in_chans")
SIDES = ("image_size", "img_size")
FROM_THE_DATA = (*CLASSES, *CHANNELS, *SIDES)  # no file says these
BUILDERS_OWN = ("self", "pretrained", "weights", "progress")  # of a library: a sweep compares trainings from the start


class _LeftOut:
    """The default of what a library decides by the network's name."""


def model_facts(found: Any) -> dict[str, Any]:
    """Return the facts of a model's entry: none, before the data are known. Raises InputError for what builds none."""
    if isinstance(found, nn.Module):
        allowed = "a class, or a function that builds a network: this one is built already, with its weights"
        raise InputError("name", type(found).__name__, allowed)
    return {}


def data_arguments(
    found: Callable[..., Any], *, channels: int, height: int, width: int, classes: int
) -> dict[str, int | tuple[int, int]]:
    """Return what of the data a class or function takes by name; a side is a number where images are square."""
    side = height if height == width else (height, width)
    values = {**dict.fromkeys(CLASSES, classes), **dict.fromkeys(CHANNELS, channels), **dict.fromkeys(SIDES, side)}
    return {name: value for name, value in values.items() if name in names_of(found)}


def timm_model(name: str) -> Callable[..., Any]:
    """Return the function that builds a network of timm, without its trained weights."""
    models = library("timm", "timm")
    known = models.list_models()
    if name not in known:
        raise unknown_in("timm", name, known)

    def build(**given: Any) -> Any:
        """Build it."""
        return models.create_model(name, pretrained=False, **given)

    entry_point = import_module("timm.models").model_entrypoint(name)
    return _signed(build, entry_point, always=("num_classes", "in_chans"))


def torchvision_model(name: str) -> Callable[..., Any]:
    """Return the function that builds a classifier of torchvision, without its trained weights."""
    models = library("torchvision.models", "torchvision")
    known = models.list_models(module=models)
    if name not in known:
        raise unknown_in("torchvision", name, known)

    def build(*, in_channels: int, **given: Any) -> Any:
        """Build it; its first convolution is made for the channels that the images have."""
        model = models.get_model(name, weights=None, **given)
        return model if in_channels == 3 else _with_channels(model, in_channels)

    return _signed(build, models.get_model_builder(name), always=("num_classes", "in_channels"))


def _with_channels(model: nn.Module, channels: int) -> nn.Module:
    """Replace the first convolution: torchvision's networks are for three channels."""
    for parent in model.modules():
        for key, child in parent.named_children():
            if isinstance(child, nn.Conv2d):
                if child.in_channels != 3 or child.groups != 1 or child.padding_mode != "zeros":
                    break
                made = nn.Conv2d(
                    channels,
                    child.out_channels,
                    child.kernel_size,  # type: ignore[arg-type]
                    stride=child.stride,  # type: ignore[arg-type]
                    padding=child.padding,  # type: ignore[arg-type]
                    dilation=child.dilation,  # type: ignore[arg-type]
                    bias=child.bias is not None,
                )
                setattr(parent, key, made)
                return model
    raise ValueError(f"its first layer is no convolution of three channels that could be made for {channels}")


def _signed(build: Callable[..., Any], entry_point: Callable[..., Any], *, always: tuple[str, ...]) -> Any:
    """Return `build` with the signature of the class whose network it returns."""
    kind = _returned(entry_point)
    given = [] if kind is None else list(inspect.signature(_made_by(kind)).parameters.values())
    hints = {} if kind is None else hints_of(kind)
    names = [one.name for one in given if one.default is not one.empty and one.kind not in COLLECTED]
    names = [name for name in dict.fromkeys([*names, *always]) if name not in BUILDERS_OWN]
    build.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_LeftOut(), annotation=hints.get(name, Any))
            for name in names
        ]
    )
    build.__annotations__ = {}
    build.__doc__ = inspect.getdoc(entry_point) or inspect.getdoc(kind)
    return build


def _made_by(kind: Any) -> Callable[..., Any]:
    made: Callable[..., Any] = kind.__init__
    return made


def _returned(entry_point: Callable[..., Any]) -> type | None:
    """Return the class that a function says it returns."""
    kind = hints_of(entry_point).get("return")
    return kind if inspect.isclass(kind) and issubclass(kind, nn.Module) else None
