"""Image sets made from a seed: shapes and counts of the real ones, nothing to download, and something to learn.

An image is the sum of three windows, cut at random corners: into its class's smooth prototype (a shift by up to 4
pixels), into a smooth field that all classes share (a distractor, stronger than the class) and into white noise.
Classes of one coarse class share a part of their prototypes. Only the images asked for are rendered.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.seeding import generator

Part = Literal["train", "test"]

SHIFT = 4  # pixels to each side
FIELD = 256  # side of the shared fields
CHUNK = 4096  # images rendered at a time
CLASS, COARSE, DISTRACTOR, NOISE = 25.0, 12.0, 35.0, 35.0  # standard deviations, of 255


def coarse_of_class(entry: DatasetEntry) -> Tensor | None:
    """Return the coarse class of every class, [classes] int64, consecutive ones together; None if there are none."""
    if not entry.coarse_classes:
        return None
    return torch.arange(entry.classes) * entry.coarse_classes // entry.classes


def synthetic_labels(entry: DatasetEntry, part: Part) -> Tensor:
    """Return the labels of the whole part, [N] int64: every class equally often, in random order."""
    count = entry.train_images if part == "train" else entry.test_images
    return (torch.arange(count) % entry.classes)[_random(entry, part, "labels", high=count, shuffle=True)]


def synthetic_images(entry: DatasetEntry, part: Part, indices: Tensor) -> Tensor:
    """Return the images at `indices` of a part, [len(indices), C, H, W] uint8."""
    prototypes, distractors, noise = _fields(entry)
    labels = synthetic_labels(entry, part)
    shifts = _random(entry, part, "shift", high=2 * SHIFT + 1)
    corners = _random(entry, part, "distractor", high=FIELD - max(entry.height, entry.width))
    grains = _random(entry, part, "noise", high=FIELD - max(entry.height, entry.width))
    images = torch.empty(len(indices), entry.channels, entry.height, entry.width, dtype=torch.uint8)
    for start in range(0, len(indices), CHUNK):
        rows = indices[start : start + CHUNK]
        shared = torch.zeros_like(rows)
        total = _windows(prototypes, labels[rows], shifts[rows], entry)
        total += _windows(distractors, shared, corners[rows], entry)
        total += _windows(noise, shared, grains[rows], entry)
        images[start : start + CHUNK] = total.add_(128).clamp_(0, 255)
    return images


def _random(entry: DatasetEntry, part: Part, what: str, *, high: int, shuffle: bool = False) -> Tensor:
    """Return whole numbers below `high` for every image of the part, [N, 2]; or a permutation, [N]."""
    source = generator(entry.name, part, what)
    if shuffle:
        return torch.randperm(high, generator=source)
    count = entry.train_images if part == "train" else entry.test_images
    return torch.randint(high, (count, 2), generator=source)


def _fields(entry: DatasetEntry) -> tuple[Tensor, Tensor, Tensor]:
    """Return what windows are cut from, int16 for exact sums: prototypes [classes, C, …], shared fields [1, C, …]."""
    source, channels = generator(entry.name, "fields"), entry.channels
    height, width = entry.height + 2 * SHIFT, entry.width + 2 * SHIFT
    prototypes = CLASS * _smooth(entry.classes, channels, height, width, source)
    coarse = coarse_of_class(entry)
    if coarse is not None:
        prototypes += COARSE * _smooth(entry.coarse_classes, channels, height, width, source)[coarse]
    distractors = DISTRACTOR * _smooth(1, channels, FIELD, FIELD, source)
    noise = NOISE * torch.randn(1, channels, FIELD, FIELD, generator=source)
    return prototypes.round().short(), distractors.round().short(), noise.round().short()


def _smooth(count: int, channels: int, height: int, width: int, source: torch.Generator) -> Tensor:
    """Return random fields [count, channels, height, width] without fine detail, of mean 0 and standard deviation 1."""
    coarse = torch.randn(count, channels, height // 7 + 1, width // 7 + 1, generator=source)
    fields = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    return fields / fields.std()


def _windows(fields: Tensor, which: Tensor, corners: Tensor, entry: DatasetEntry) -> Tensor:
    """Return one window of the image's size out of each chosen field, at its corner (row, column): [N, C, H, W]."""
    views = fields.unfold(2, entry.height, 1).unfold(3, entry.width, 1)  # [F, C, rows, columns, H, W], no copy
    return views[which, :, corners[:, 0], corners[:, 1]]
