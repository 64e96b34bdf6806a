"""What the layers of a network put out: which share is zero or saturated over all images, and how far they moved.

layers = layers_of(model)
found = {name: Saturation(kind_of(layer)) for name, layer in layers.items()}
with first_outputs(model, layers, lambda name, output: found[name].take(output)):
    model(images)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ch6dist.engines.measures import saturated_share
from ch6dist.models.dropout import Dropout
from ch6dist.runs.capture_signs import BOUNDS

IDLE = (nn.Flatten, nn.Identity, Dropout)  # change no value in evaluation mode


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers by name: the modules that hold no others, but for those that only pass values on."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if name and not any(layer.children()) and not isinstance(layer, IDLE)
    }


def kind_of(layer: nn.Module) -> str:
    """Return the name of a layer's class."""
    return type(layer).__name__


@dataclass
class Saturation:
    """How much of a layer's outputs is zero, and how much saturated (runs/capture_signs.py), over batch after batch.

    Taken of one batch, it is what `saturated_share` says of it; of several, what that would say of all their images.
    """

    kind: str  # the layer's class, which says how it saturates
    images: int = 0
    shape: tuple[int, ...] = ()  # of the output for one image
    zeros: int = 0
    near_bounds: float = 0.0  # of a bounded layer: saturated share × images
    always_zero: Tensor = field(default_factory=lambda: torch.empty(0))  # of any other: bool [values per image]

    def take(self, output: Tensor) -> None:
        """Add a batch of outputs, [B, …]."""
        rows = output.flatten(1)
        self.shape = tuple(output.shape[1:])
        self.zeros += int((rows == 0).sum())
        if self.kind in BOUNDS:
            self.near_bounds += float(saturated_share(rows, layer=self.kind)) * len(rows)
        else:
            now = (rows == 0).all(0)
            self.always_zero = now & self.always_zero if self.images else now
        self.images += len(rows)

    @property
    def zeros_share(self) -> float:
        """Return the share of all outputs that are zero."""
        return self.zeros / (self.images * math.prod(self.shape))

    @property
    def saturated(self) -> float:
        """Return the share of the layer's outputs that are saturated."""
        return self.near_bounds / self.images if self.kind in BOUNDS else float(self.always_zero.double().mean())


def moved(layer: nn.Module, name: str, initial: Mapping[str, Tensor]) -> float:
    """Return ‖w − w₀‖ ÷ ‖w₀‖ over all parameters of a layer together; NaN where it has none."""
    apart = start = 0.0
    for key, parameter in layer.named_parameters():
        before = initial[f"{name}.{key}"].double()
        apart += float((parameter.detach().cpu().double() - before).square().sum())
        start += float(before.square().sum())
    return math.sqrt(apart / start) if start else math.nan
