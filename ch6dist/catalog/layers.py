"""The layers of the models by name, with their sizes, without torch: what a capture can name, and what it takes.

    layers = layers_of({"name": "lenet5"}, DATASETS["cifar100"])
    layers["conv1"].parameters          # {'conv1.weight': 450, 'conv1.bias': 6}: elements
    layers["relu1"].outputs             # 4704: values per image

A layer is a module that holds no others. A test compares names, order and sizes with the models themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from ch6dist.catalog.datasets import DatasetEntry


@dataclass(frozen=True)
class Layer:
    """A layer: the elements of its parameters by their full names, and the values it puts out per image.

    A foreign network may have parameters beside its layers: they have one that puts out nothing.
    """

    parameters: dict[str, int]
    outputs: int


@dataclass
class _Walk:
    """The layers of a model in the order of its modules, written down while their shapes are followed."""

    shape: tuple[int, ...]  # of one image, here: [channels, height, width], flat [features]
    found: dict[str, Layer] = field(default_factory=dict)

    def same(self, *names: str) -> None:
        """Add layers without parameters that keep the shape."""
        for name in names:
            self._add(name)

    def conv(self, name: str, maps: int, kernel: int, *, padding: int = 0, stride: int = 1, bias: bool = True) -> None:
        """Add a square convolution."""
        channels, *sides = self.shape
        self.shape = (maps, *((side + 2 * padding - kernel) // stride + 1 for side in sides))
        self._add(name, weight=maps * channels * kernel**2, **({"bias": maps} if bias else {}))

    def norm(self, name: str) -> None:
        """Add a batch normalisation."""
        self._add(name, weight=self.shape[0], bias=self.shape[0])

    def pool(self, name: str) -> None:
        """Add a pooling of 2×2."""
        channels, *sides = self.shape
        self.shape = (channels, *(side // 2 for side in sides))
        self._add(name)

    def flatten(self) -> None:
        """Add the layer that makes one row of an image."""
        self.shape = (prod(self.shape),)
        self._add("flatten")

    def linear(self, name: str, features: int) -> None:
        """Add a linear layer."""
        weight = self.shape[0] * features
        self.shape = (features,)
        self._add(name, weight=weight, bias=features)

    def _add(self, name: str, **parameters: int) -> None:
        self.found[name] = Layer({f"{name}.{key}": count for key, count in parameters.items()}, prod(self.shape))


def layers_of(model: Mapping[str, Any], dataset: DatasetEntry) -> dict[str, Layer] | None:
    """Return the layers of a resolved model on images of `dataset`, in order; None for a model that is not known."""
    build = _BUILDERS.get(model["name"])
    if build is None:
        return None
    walk = _Walk((dataset.channels, dataset.height, dataset.width))
    parameters = {key: value for key, value in model.items() if key != "name"}
    build(walk, dataset.classes, **parameters)
    return walk.found


def _pooled(walk: _Walk, number: int, maps: int, kernel: int, *, padding: int = 0) -> None:
    walk.conv(f"conv{number}", maps, kernel, padding=padding)
    walk.same(f"relu{number}")
    walk.pool(f"pool{number}")


def _lenet5(walk: _Walk, classes: int, dropout: float = 0.0, *, padding: int = 0) -> None:
    _pooled(walk, 1, 6, 5, padding=padding)
    _pooled(walk, 2, 16, 5)
    walk.flatten()
    walk.linear("fc1", 120)
    walk.same("relu3", "dropout1")
    walk.linear("fc2", 84)
    walk.same("relu4", "dropout2")
    walk.linear("fc3", classes)


def _lenet_like(walk: _Walk, classes: int) -> None:
    _lenet5(walk, classes, padding=2)


def _convnet(walk: _Walk, classes: int) -> None:
    _pooled(walk, 1, 32, 5, padding=2)
    _pooled(walk, 2, 64, 5, padding=2)
    walk.flatten()
    walk.linear("fc1", 1000)
    walk.same("relu3")
    walk.linear("fc2", classes)


def _simple_nn(walk: _Walk, classes: int, dropout: float) -> None:
    walk.flatten()
    walk.linear("fc1", 128)
    walk.same("relu1", "dropout1")
    walk.linear("fc2", classes)


def _cnn2(walk: _Walk, classes: int, n_feature: int, dropout: float) -> None:
    _pooled(walk, 1, n_feature, 3)
    _pooled(walk, 2, n_feature, 3)
    walk.flatten()
    walk.same("dropout1")
    walk.linear("fc1", 50)
    walk.same("relu3", "dropout2")
    walk.linear("fc2", classes)


def _conv3bn(walk: _Walk, classes: int) -> None:
    for number, maps in enumerate((64, 128, 256), start=1):
        walk.conv(f"conv{number}", maps, 3, padding=1, bias=False)
        walk.norm(f"bn{number}")
        walk.same(f"relu{number}")
        walk.pool(f"pool{number}")
    walk.flatten()
    walk.linear("fc1", classes)


def _resnet18(walk: _Walk, classes: int) -> None:
    walk.conv("conv1", 64, 3, padding=1, bias=False)
    walk.norm("bn1")
    walk.same("relu1")
    for stage, maps in enumerate((64, 128, 256, 512), start=1):
        _residual(walk, f"stage{stage}.0", maps, stride=1 if stage == 1 else 2)
        _residual(walk, f"stage{stage}.1", maps, stride=1)
    walk.shape = (walk.shape[0], 1, 1)
    walk.same("pool")
    walk.flatten()
    walk.linear("fc1", classes)


def _residual(walk: _Walk, name: str, maps: int, *, stride: int) -> None:
    before = walk.shape
    walk.conv(f"{name}.conv1", maps, 3, padding=1, stride=stride, bias=False)
    walk.norm(f"{name}.bn1")
    walk.same(f"{name}.relu1")
    walk.conv(f"{name}.conv2", maps, 3, padding=1, bias=False)
    walk.norm(f"{name}.bn2")
    if walk.shape == before:
        walk.same(f"{name}.shortcut")
    else:
        walk.shape = before
        walk.conv(f"{name}.shortcut.conv", maps, 1, stride=stride, bias=False)
        walk.norm(f"{name}.shortcut.bn")
    walk.same(f"{name}.relu2")


_BUILDERS: dict[str, Callable[..., None]] = {
    "lenet5": _lenet5,
    "lenet_like": _lenet_like,
    "convnet": _convnet,
    "simple_nn": _simple_nn,
    "cnn2": _cnn2,
    "conv3bn": _conv3bn,
    "resnet18": _resnet18,
}
