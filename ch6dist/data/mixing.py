"""Mixup (Zhang et al. 2018), CutMix (Yun et al. 2019) and random erasing (Zhong et al. 2020): rectangles and weights.

    mixing = draw_mixing({"mixup": …}, seed=0, epoch=0, count=45_000, batch_size=128, height=32, width=32)
    images = mixing.images(images, slice(0, 128))       # [128, C, H, W], of one global batch
    erased = erase(images, boxes[:128], fill)

All is drawn on the CPU from (seed, epoch) alone. Partners are drawn within each global batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ch6dist.seeding import generator, mix

TRIES = 10  # rectangles drawn for an image until one fits into it; else it is not erased


@dataclass(frozen=True)
class Mixing:
    """What each position of an epoch is mixed with, and how; equal within a batch but for the partners."""

    partners: Tensor  # int64 [N]: a position of the same global batch
    weights: Tensor  # float64 [N]: of the image itself, and of its label; 1: not mixed
    boxes: Tensor  # int64 [N, 4]: top, left, height and width of what is the partner's; empty with mixup
    size: int  # of a global batch

    def images(self, images: Tensor, positions: slice) -> Tensor:
        """Mix the images [B, C, H, W], of any float type, of the whole global batch that begins at positions.start."""
        others = images[self.partners[positions] - positions.start]
        boxes, weights = self.boxes[positions], self.weights[positions]
        means = torch.lerp(others, images, weights.to(images.dtype)[:, None, None, None])
        is_cut = boxes[:, 2:].prod(1) > 0
        cut = torch.where(inside(boxes, images)[:, None], others, images)
        mixed = torch.where(is_cut[:, None, None, None], cut, means)
        return torch.where((weights == 1)[:, None, None, None], images, mixed)


def draw_mixing(
    kinds: Mapping[str, Mapping[str, Any]],
    *,
    seed: int,
    epoch: int,
    count: int,
    batch_size: int,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
) -> Mixing:
    """Draw for each batch which of `kinds` is applied (parameters by name; of two either is as likely), and how."""
    source, values = generator(seed, "mixing", epoch), np.random.default_rng(mix(seed, "mixing", epoch))
    partners, weights, boxes = torch.arange(count), torch.ones(count, dtype=torch.float64), torch.zeros(count, 4).long()
    for start in range(0, count, batch_size):
        batch = slice(start, min(start + batch_size, count))
        partners[batch] = start + torch.randperm(batch.stop - start, generator=source)
        name = list(kinds)[int(values.integers(len(kinds)))]
        weight = float(values.beta(kinds[name]["alpha"], kinds[name]["alpha"]))
        is_applied, middle = values.random() < kinds[name]["probability"], values.random(2)
        if not is_applied:
            continue
        if name == "mixup":
            weights[batch] = weight
            continue
        box = _cut(weight, middle.tolist(), height, width)
        boxes[batch] = torch.tensor(box)
        weights[batch] = 1 - box[2] * box[3] / (height * width)  # the rectangle may be cut off at the border
    return Mixing(partners.to(device), weights.to(device), boxes.to(device), batch_size)


def draw_erasing(config: Mapping[str, Any], *, seed: int, epoch: int, count: int, height: int, width: int) -> Tensor:
    """Draw the rectangle of each of `count` images: int64 [N, 4], top, left, height, width; zeros: none."""
    source = generator(seed, "erase", epoch)
    chance = torch.rand(count, generator=source, dtype=torch.float64)
    draw = torch.rand(4, count, TRIES, generator=source, dtype=torch.float64)
    area = height * width * (config["min_area"] + draw[0] * (config["max_area"] - config["min_area"]))
    aspect = torch.exp((2 * draw[1] - 1) * -math.log(config["min_aspect"]))
    high, wide = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (high >= 1) & (wide >= 1) & (high <= height) & (wide <= width)
    first = fits.long().argmax(1, keepdim=True)
    top, left = (draw[2] * (height - high + 1)).floor(), (draw[3] * (width - wide + 1)).floor()
    boxes = torch.cat([each.gather(1, first) for each in (top, left, high, wide)], dim=1)
    is_applied = (chance < config["probability"]) & fits.any(1)
    return (boxes * is_applied[:, None]).long()


def erase(images: Tensor, boxes: Tensor, fill: Tensor) -> Tensor:
    """Fill the rectangle [B, 4] of each image of [B, C, H, W] with the colour [C]."""
    return torch.where(inside(boxes, images)[:, None], fill.to(images.dtype)[:, None, None], images)


def inside(boxes: Tensor, images: Tensor) -> Tensor:
    """Return which pixels of each image are in its rectangle: bool [B, H, W]."""
    top, left, high, wide = boxes[:, :, None].unbind(1)
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    in_rows, in_columns = (rows >= top) & (rows < top + high), (columns >= left) & (columns < left + wide)
    return in_rows[:, :, None] & in_columns[:, None, :]


def _cut(weight: float, middle: list[float], height: int, width: int) -> list[int]:
    """Return the rectangle of CutMix: 1 − weight of the area, around a random pixel, cut off at the border."""
    found = []
    for at, side in zip(middle, (height, width), strict=True):
        half, centre = int(side * math.sqrt(1 - weight)) // 2, int(at * side)
        found.append((max(centre - half, 0), min(centre + half, side)))
    (top, bottom), (left, right) = found
    return [top, left, bottom - top, right - left] if bottom > top and right > left else [0, 0, 0, 0]
