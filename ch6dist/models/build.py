"""The models as torch modules, and their initial weights: those of the catalog here, others in foreign.py.

    model = build_model({"name": "lenet5", "dropout": 0.3}, channels=3, height=32, width=32, classes=100, seed=0)
    logits = model(images)                                         # [B, classes]

A plain model is a Sequential of named layers: an engine can walk it, a capture can name its layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from ch6dist.catalog.lookup import is_foreign, lookup
from ch6dist.catalog.models import ModelEntry
from ch6dist.errors import InputError
from ch6dist.models.dropout import Dropout
from ch6dist.models.foreign import build_foreign
from ch6dist.models.pooling import MaxPool2
from ch6dist.models.shape import Shape
from ch6dist.seeding import mix, seeded


def build_model(
    config: Mapping[str, Any], *, channels: int, height: int, width: int, classes: int, seed: int
) -> nn.Module:
    """Return the model a trial names, on the CPU, in fp32, in training mode.

    One seed gives one set of initial weights, in every configuration and process; the global generators are left as
    they were. Raises InputError for an unknown model or parameter, for images too small for the model, and for a
    foreign one that cannot be built for these images.
    """
    name, shape = config.get("name"), Shape(channels, height, width, classes)
    if is_foreign("model", name):
        with seeded(mix(seed, "weights")):
            return build_foreign(config, shape)
    try:
        entry = lookup("model", name)
    except InputError as error:
        raise error.within("model") from None
    assert isinstance(entry, ModelEntry)
    if min(height, width) < entry.min_side:
        allowed = f"a model for images of {height}×{width}; {name} needs at least {entry.min_side}×{entry.min_side}"
        raise InputError("model.name", name, allowed)
    parameters = entry.resolve({key: value for key, value in config.items() if key != "name"})
    with seeded(mix(seed, "weights")):
        return _BUILDERS[entry.name](shape, **parameters)


def _named(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    model = nn.Sequential()
    for name, layer in layers:
        model.add_module(name, layer)
    return model


def _pooled(number: int, conv: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(f"conv{number}", conv), (f"relu{number}", nn.ReLU()), (f"pool{number}", MaxPool2())]


def _lenet5(shape: Shape, *, dropout: float = 0.0, padding: int = 0) -> nn.Module:
    maps = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in (shape.height, shape.width)]
    return _named(
        *_pooled(1, nn.Conv2d(shape.channels, 6, 5, padding=padding)),
        *_pooled(2, nn.Conv2d(6, 16, 5)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(16 * math.prod(maps), 120)),
        ("relu3", nn.ReLU()),
        ("dropout1", Dropout(dropout, layer=0)),
        ("fc2", nn.Linear(120, 84)),
        ("relu4", nn.ReLU()),
        ("dropout2", Dropout(dropout, layer=1)),
        ("fc3", nn.Linear(84, shape.classes)),
    )


def _convnet(shape: Shape) -> nn.Module:
    return _named(
        *_pooled(1, nn.Conv2d(shape.channels, 32, 5, padding=2)),
        *_pooled(2, nn.Conv2d(32, 64, 5, padding=2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(64 * (shape.height // 4) * (shape.width // 4), 1000)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(1000, shape.classes)),
    )


def _simple_nn(shape: Shape, *, dropout: float) -> nn.Module:
    return _named(
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(shape.channels * shape.height * shape.width, 128)),
        ("relu1", nn.ReLU()),
        ("dropout1", Dropout(dropout, layer=0)),
        ("fc2", nn.Linear(128, shape.classes)),
    )


def _cnn2(shape: Shape, *, n_feature: int, dropout: float) -> nn.Module:
    maps = [((side - 2) // 2 - 2) // 2 for side in (shape.height, shape.width)]
    return _named(
        *_pooled(1, nn.Conv2d(shape.channels, n_feature, 3)),
        *_pooled(2, nn.Conv2d(n_feature, n_feature, 3)),
        ("flatten", nn.Flatten()),
        ("dropout1", Dropout(dropout, layer=0)),
        ("fc1", nn.Linear(n_feature * math.prod(maps), 50)),
        ("relu3", nn.ReLU()),
        ("dropout2", Dropout(dropout, layer=1)),
        ("fc2", nn.Linear(50, shape.classes)),
    )


def _conv3bn(shape: Shape) -> nn.Module:
    layers: list[tuple[str, nn.Module]] = []
    channels = shape.channels
    for number, maps in enumerate((64, 128, 256), start=1):
        layers += [
            (f"conv{number}", nn.Conv2d(channels, maps, 3, padding=1, bias=False)),  # BatchNorm has the bias
            (f"bn{number}", nn.BatchNorm2d(maps)),
            (f"relu{number}", nn.ReLU()),
            (f"pool{number}", MaxPool2()),
        ]
        channels = maps
    features = channels * (shape.height // 8) * (shape.width // 8)
    return _named(*layers, ("flatten", nn.Flatten()), ("fc1", nn.Linear(features, shape.classes)))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with a shortcut: relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))."""

    def __init__(self, channels: int, maps: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, maps, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != maps:
            projection = nn.Conv2d(channels, maps, 1, stride=stride, bias=False)
            self.shortcut = _named(("conv", projection), ("bn", nn.BatchNorm2d(maps)))
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Compute [B, channels, H, W] → [B, maps, H / stride, W / stride]."""
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(inner + self.shortcut(x))


def _resnet18(shape: Shape) -> nn.Module:
    def stage(channels: int, maps: int, stride: int) -> nn.Module:
        return nn.Sequential(ResidualBlock(channels, maps, stride=stride), ResidualBlock(maps, maps, stride=1))

    return _named(
        ("conv1", nn.Conv2d(shape.channels, 64, 3, padding=1, bias=False)),
        ("bn1", nn.BatchNorm2d(64)),
        ("relu1", nn.ReLU()),
        ("stage1", stage(64, 64, 1)),
        ("stage2", stage(64, 128, 2)),
        ("stage3", stage(128, 256, 2)),
        ("stage4", stage(256, 512, 2)),
        ("pool", nn.AdaptiveAvgPool2d(1)),  # to 1×1 it is a mean, whose backward pass is deterministic on a GPU too
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(512, shape.classes)),
    )


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "lenet5": _lenet5,
    "lenet_like": partial(_lenet5, padding=2),
    "convnet": _convnet,
    "simple_nn": _simple_nn,
    "cnn2": _cnn2,
    "conv3bn": _conv3bn,
    "resnet18": _resnet18,
}
