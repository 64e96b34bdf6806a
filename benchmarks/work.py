"""What both sides of a benchmark train: images, batches, epochs; and the grid of optimizers and learning rates.

    work = Work(train_size=10_000, val_size=1_000)
    parse_trial(work.trial(OPTIMIZERS[1], lr=0.01))     # our side
    train_plain(work, OPTIMIZERS[1], lr=0.01)           # the other (plain.py)

It imports nothing of ours that takes time: the other side pays for its own imports only.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPTIMIZERS: tuple[dict[str, Any], ...] = (
    {"name": "SGD"},
    {"name": "SGD", "momentum": 0.9},
    {"name": "SGD", "momentum": 0.9, "nesterov": True},
    {"name": "Adam"},
)
LRS = (0.1, 0.03, 0.01, 0.003)


@dataclass(frozen=True)
class Work:
    """LeNet-5 on images with crop and flip, on one device."""

    data: str = "cifar100"  # or synthetic_cifar100, where there are no files
    train_size: int = 10_000
    val_size: int = 1_000
    batch_size: int = 128
    epochs: int = 1
    device: str = "cpu"

    def content(self) -> dict[str, Any]:
        """Return what the trials of a sweep share, as a sweep file has it under `trial`."""
        names = ("train_size", "val_size", "batch_size")
        data = {"name": self.data, "augment": "crop_flip", **{name: getattr(self, name) for name in names}}
        return {"data": data, "model": {"name": "lenet5"}, "epochs": self.epochs}

    def trial(self, optimizer: Mapping[str, Any], *, lr: float, seed: int = 0, **more: Any) -> dict[str, Any]:
        """Return one training, for `parse_trial`; `more` are other fields of a trial."""
        return {**self.content(), "optimizer": {**optimizer, "lr": lr}, "seed": seed, **more}

    def sweep(self, name: str, *, seeds: int = 1) -> dict[str, Any]:
        """Return a sweep file's content: every optimizer at every learning rate."""
        axes = {"optimizer": {"values": [dict(o) for o in OPTIMIZERS]}, "optimizer.lr": {"values": list(LRS)}}
        return {"name": name, "trial": self.content(), "parameters": axes, "seeds": seeds}

    def options(self) -> list[str]:
        """Return the options that `work_of` reads back, for a command of its own."""
        pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in asdict(self).items())
        return list(itertools.chain.from_iterable(pairs))

    def __str__(self) -> str:
        epochs = f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        images = f"{self.train_size:,} images of {self.data} × {epochs}, crop + flip, batches of {self.batch_size}"
        return f"LeNet-5, {images}, on {self.device}"


def add_work(parser: argparse.ArgumentParser, default: Work) -> None:
    """Add options for every field of `default`."""
    group = parser.add_argument_group("work")
    for name, value in asdict(default).items():
        group.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")


def work_of(arguments: argparse.Namespace) -> Work:
    """Return the work that parsed options describe."""
    return Work(**{name: getattr(arguments, name) for name in asdict(Work())})


def grid(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return every optimizer at every learning rate for every seed: {optimizer, lr, seed}, as `Work.sweep` expands."""
    points = itertools.product(OPTIMIZERS, LRS, seeds)
    return [{"optimizer": dict(optimizer), "lr": lr, "seed": seed} for optimizer, lr, seed in points]
