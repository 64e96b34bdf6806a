"""Networks of a person's own, as files in a working directory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ch6dist.catalog import described, sizes
from ch6dist.engines.count import counted
from ch6dist.objects import find
from ch6dist.objects.describe import answered, describe

NETS = '''"""Networks of one's own: ordinary layers, with forwards of their own."""

import random

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
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


class Slope(nn.Module):
    """Two slopes around zero, and a product of matrices."""

    def __init__(self, width):
        super().__init__()
        self.slope = nn.Parameter(torch.full((width,), 0.25))
        self.mix = nn.Parameter(torch.eye(width) + 0.1 * torch.randn(width, width))

    def forward(self, x):
        return torch.where(x > 0, x, self.slope * x) @ self.mix


class Whole(nn.Module):
    """Branches on shapes, writes a buffer of its own, uses a dropout twice, and has a number as a parameter."""

    def __init__(self, num_classes, in_channels, width: int = 6, dropout: float = 0.2):
        super().__init__()
        first = nn.Conv2d(in_channels, width, 4, stride=4, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(width))
        self.up = nn.ConvTranspose2d(width, width, 2)
        self.attention = nn.MultiheadAttention(width, 2, bias=False, batch_first=True)  # a key's has no gradient
        self.slope, self.drop = Slope(width), nn.Dropout(dropout)
        self.kernel = nn.Parameter(torch.randn(2, width, width) / width**0.5)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.norm, self.head = nn.BatchNorm1d(width), nn.Linear(width, num_classes)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("signs", 1 - 2 * (torch.arange(width) % 2).float(), persistent=False)

    def forward(self, x):
        if x.shape[-1] < 4:
            raise ValueError("images of four pixels, please")
        tokens = self.up(self.stem(x)).relu().flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens)[0]
        tokens = self.drop(self.slope(self.drop(tokens)))
        y = torch.einsum("btc,hcd->bhd", tokens, self.kernel).mean(1)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return self.head(self.scale * self.norm(y - self.signs * self.mean))


class Encoder(nn.Module):
    """An encoder of torch's, with its shortcuts for evaluation."""

    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 6, 7, stride=7)
        self.encoder = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, bias=False, batch_first=True)
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(6, num_classes)

    def forward(self, x):
        return self.head(self.drop(self.encoder(self.stem(x).flatten(2).transpose(1, 2))).mean(1))


class Plain(Whole):
    """The same layers, in a forward that can be followed."""

    def forward(self, x):
        tokens = self.up(self.stem(x)).relu().flatten(2).transpose(1, 2)
        tokens = self.slope(tokens + self.attention(tokens, tokens, tokens)[0])
        return self.head(self.scale * self.norm(torch.einsum("btc,hcd->bhd", tokens, self.kernel).mean(1)))


class Frozen(Whole):
    """Keeps the statistics of one batch normalisation in training, and not those of the other."""

    def train(self, mode=True):
        super().train(mode)
        self.stem.eval()
        return self


class Writing(Net):
    """Writes what it computes into zeros."""

    def forward(self, x):
        if x.shape[-1] < 4:
            raise ValueError("images of four pixels, please")
        y = torch.zeros(x.shape[0], 1, *x.shape[2:], dtype=x.dtype, device=x.device)
        y[:, :1] = x
        return super().forward(y)


class Measuring(Net):
    """Scales by a number."""

    def forward(self, x):
        return super().forward(x / x.std().item())


class Again(Net):
    """Computes a part again in the backward pass."""

    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(super().forward, x if x.shape[-1] > 4 else -x, use_reentrant=False)


class Recurrent(nn.Module):
    """Reads the rows of an image."""

    def __init__(self, num_classes, image_size):
        super().__init__()
        self.rows, self.head = nn.GRU(image_size, 6, batch_first=True), nn.Linear(6, num_classes)

    def forward(self, x):
        return self.head(self.rows(x[:, 0])[1][0])


class Idle(Net):
    """Has a layer that nothing uses."""

    def __init__(self, num_classes, in_channels):
        super().__init__(num_classes, in_channels)
        self.idle = nn.Linear(2, 2)


class Counting(Net):
    """Counts its passes where no checkpoint does."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        return super().forward(x / self.passes)


class Testing(Net):
    """Changes what it keeps when it is evaluated."""

    def __init__(self, num_classes, in_channels):
        super().__init__(num_classes, in_channels)
        self.register_buffer("tests", torch.zeros(()))

    def forward(self, x):
        if not self.training:
            self.tests = self.tests + len(x)
        return super().forward(x)


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


def answer_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process answer what is asked of a person's code: another takes seconds to import torch."""

    def ask(program: str, arguments: list[str], **how: Any) -> Any:
        found = {described.PROGRAM: lambda *a: describe(*a).as_data(), sizes.PROGRAM: counted}[program]
        return json.loads(json.dumps(answered(lambda: found(*arguments))))

    monkeypatch.setattr(described, "ask", ask)
    monkeypatch.setattr(described, "_KNOWN", {})  # another test had the same file in another folder
    monkeypatch.setattr(sizes, "ask", ask)


def forget() -> None:
    """Forget what is known of the networks in mynets.py."""
    described._describe.cache_clear()
    sizes._COUNTED.clear()
    for known in (described._HOMES, find._PROVIDED, find._FOUND):  # folders of a test that has ended
        known.clear()
    sys.modules.pop("mynets", None)
