"""Networks of a person's own, as files in a working directory."""

from __future__ import annotations

from pathlib import Path

NETS = '''"""Networks of one's own: ordinary layers, with forwards of their own."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """A depthwise convolution, LayerNorm, two linear layers and a shortcut."""

    def __init__(self, width, dropout):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.drop = nn.Dropout(dropout)
        self.outer = nn.Linear(2 * width, width)

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + self.outer(self.drop(self.act(self.inner(y)))).permute(0, 3, 1, 2)


class Net(nn.Module):
    """A small network of blocks."""

    def __init__(self, num_classes, in_channels, width: int = 8, dropout: float = 0.2):
        super().__init__()
        first = nn.Conv2d(in_channels, width, 4, stride=4, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(Block(width, dropout), Block(width, dropout))
        self.scale = nn.Parameter(torch.ones(width))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.scale * self.blocks(self.stem(x)).mean((2, 3)))


class Noisy(Net):
    """Draws from every global generator while it trains."""

    def forward(self, x):
        if self.training:
            x = x + 0.1 * torch.randn_like(x) + 0.1 * random.random() + 0.1 * np.random.rand()
        return super().forward(x)


class Branching(Net):
    """Computes what depends on its images."""

    def forward(self, x):
        return super().forward(x if x.mean() > 0 else -x)


class Twice(Net):
    """Uses a dropout twice."""

    def forward(self, x):
        drop = self.blocks[0].drop
        return super().forward(drop(drop(x)))


class Shares(Net):
    """Two layers with one weight."""

    def __init__(self, num_classes, in_channels):
        super().__init__(num_classes, in_channels)
        self.again = nn.Linear(8, num_classes)
        self.again.weight = self.head.weight

    def forward(self, x):
        return super().forward(x) + self.again(self.blocks(self.stem(x)).mean((2, 3)))


class Reused(nn.Module):
    """Uses an activation twice, and a layer never."""

    def __init__(self, num_classes, image_size):
        super().__init__()
        self.first, self.act = nn.Linear(image_size**2, 12), nn.ReLU()
        self.second, self.unused = nn.Linear(12, num_classes), nn.Identity()

    def forward(self, x):
        return self.act(self.second(self.act(self.first(x.flatten(1)))))


class Wide(nn.Module):
    """Puts out eleven numbers, whatever it is asked for."""

    def __init__(self):
        super().__init__()
        self.only = nn.Linear(28 * 28, 11)

    def forward(self, x):
        return self.only(x.flatten(1))


class Pair(Net):
    """Puts out two things."""

    def forward(self, x):
        return super().forward(x), x


class Strict(nn.Module):
    """Takes colour images alone."""

    def __init__(self, num_classes, in_channels):
        if in_channels != 3:
            raise ValueError("three channels, please")
        super().__init__()


def make(num_classes):
    """Return no network."""
    return num_classes


BUILT = nn.Linear(28 * 28, 10)
'''


def write_networks(folder: Path) -> None:
    """Write mynets.py."""
    (folder / "mynets.py").write_text(NETS)
