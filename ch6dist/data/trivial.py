"""TrivialAugment, wide (Müller, Hutter 2021): one operation for each image, all images of one operation at once.

    drawn = draw_trivial(seed=0, epoch=0, count=45_000)
    images = trivial(images, drawn.operations[:128], drawn.strengths[:128])     # uint8 [128, C, H, W]

The space of operations and strengths, and the operations, are those of torchvision's v2.TrivialAugmentWide, to within
a grey level of rounding; there a call has one strength, here each image has its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ch6dist.seeding import generator

Row = tuple[Tensor | float, Tensor | float, Tensor | float]

STRENGTHS = 31  # from none to the strongest
GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2, of red, green and blue


class Trivial(NamedTuple):
    """What is drawn for each position of an epoch."""

    operations: Tensor  # int64 [N], into OPERATIONS
    strengths: Tensor  # float64 [N], of the operation's own scale, signed


def draw_trivial(*, seed: int, epoch: int, count: int) -> Trivial:
    """Draw operation, strength and sign of `count` images, on the CPU, from (seed, epoch) alone."""
    source = generator(seed, "trivial", epoch)
    operations = torch.randint(len(OPERATIONS), (count,), generator=source)
    level = torch.randint(STRENGTHS, (count,), generator=source)
    sign = torch.randint(2, (count,), generator=source) * 2 - 1
    strengths = SCALES[operations, level]
    return Trivial(operations, torch.where(SIGNED[operations], strengths * sign, strengths))


def trivial(images: Tensor, operations: Tensor, strengths: Tensor) -> Tensor:
    """Apply to each uint8 image of [B, C, H, W] its operation [B], at its strength [B]; both on the CPU."""
    found = images.clone()
    for number in operations.unique().tolist():
        places = torch.nonzero(operations == number)[:, 0]
        index, strength = places.to(images.device), strengths[places].to(images.device)
        found[index] = list(OPERATIONS.values())[number](images[index], strength)
    return found


def trivial_words(operation: int, strength: float) -> str:
    """Return an operation with its strength, for people: `rotate -27`."""
    name = list(OPERATIONS)[operation]
    strength = math.trunc(strength) if name.startswith("translate") else strength  # whole pixels
    return name if name in ("as it is", "autocontrast", "equalize") else f"{name} {strength:.3g}"


def _identity(images: Tensor, _: Tensor) -> Tensor:
    return images


def _shear_x(images: Tensor, strength: Tensor) -> Tensor:
    return _warp(images, x=(1, strength, strength * images.shape[2] / 2), y=(0, 1, 0))


def _shear_y(images: Tensor, strength: Tensor) -> Tensor:
    return _warp(images, x=(1, 0, 0), y=(strength, 1, strength * images.shape[3] / 2))


def _translate_x(images: Tensor, strength: Tensor) -> Tensor:
    return _warp(images, x=(1, 0, -strength.trunc()), y=(0, 1, 0))


def _translate_y(images: Tensor, strength: Tensor) -> Tensor:
    return _warp(images, x=(1, 0, 0), y=(0, 1, -strength.trunc()))


def _rotate(images: Tensor, strength: Tensor) -> Tensor:
    cos, sin = torch.cos(torch.deg2rad(strength)), torch.sin(torch.deg2rad(strength))
    return _warp(images, x=(cos, -sin, 0), y=(sin, cos, 0))


def _warp(images: Tensor, *, x: Row, y: Row) -> Tensor:
    """Return images whose pixel at (u, v), from the middle, is the original's nearest to (x·(u, v, 1), y·(u, v, 1))."""
    count, _, height, width = images.shape
    like = torch.empty(count, dtype=torch.float64, device=images.device)
    rows = torch.stack([torch.stack([torch.zeros_like(like) + value for value in row], 1) for row in (x, y)], 2).float()
    u = torch.linspace((1 - width) / 2, (width - 1) / 2, width, device=images.device).expand(height, width)
    v = torch.linspace((1 - height) / 2, (height - 1) / 2, height, device=images.device)[:, None].expand(height, width)
    base = torch.stack([u, v, torch.ones_like(u)], dim=2).view(1, -1, 3).expand(count, -1, -1)
    grid = base.bmm(rows / torch.tensor([width / 2, height / 2], device=images.device))
    found = F.grid_sample(images.float(), grid.view(count, height, width, 2), mode="nearest", align_corners=False)
    return found.round_().to(torch.uint8)


def _brightness(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, torch.zeros((), device=images.device), strength)


def _color(images: Tensor, strength: Tensor) -> Tensor:
    return images if images.shape[1] != len(GREY) else _blend(images, _grey(images), strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), strength)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Move away from the blurred image, or towards it; the outermost pixels stay."""
    channels, values = images.shape[1], images.float()
    kernel = torch.full((3, 3), 1 / 13, device=images.device)
    kernel[1, 1] = 5 / 13
    blurred = values.clone()
    blurred[:, :, 1:-1, 1:-1] = F.conv2d(values, kernel.expand(channels, 1, 3, 3), groups=channels).round()
    moved = values + (blurred - values) * (-strength).float()[:, None, None, None]
    return moved.clamp_(0, 255).to(torch.uint8)


def _posterize(images: Tensor, strength: Tensor) -> Tensor:
    dropped = 2 ** (8 - strength.long())
    return images & (256 - dropped).to(torch.uint8)[:, None, None, None]


def _solarize(images: Tensor, strength: Tensor) -> Tensor:
    return torch.where(images >= 255 * strength[:, None, None, None], 255 - images, images)


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to 0 … 255; one without contrast stays."""
    values = images.float()
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    stretched = (values - low) / ((high - low) * (1 / 255))
    return torch.where(high > low, stretched.clamp(0, 255), values).to(torch.uint8)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    """Make the histogram of each channel flat, as PIL does; one with too few values stays."""
    rows = images.flatten(0, 1).flatten(1).long()  # [B·C, H·W]
    places = (rows + 256 * torch.arange(len(rows), device=images.device)[:, None]).flatten()
    ones = torch.ones_like(places)
    counts = torch.zeros(len(rows) * 256, dtype=torch.int64, device=images.device).index_add_(0, places, ones)
    cumulated = counts.view(-1, 256).cumsum(1)
    largest = rows.amax(1, keepdim=True)
    step = (rows.shape[1] - counts.view(-1, 256).gather(1, largest)) // 255
    table = ((cumulated[:, :-1] + step // 2) // step.clamp(min=1)).clamp(0, 255)
    table = torch.cat([torch.zeros_like(step), table], dim=1)
    return torch.where(step > 0, table.gather(1, rows), rows).view(images.shape).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Return the brightness [B, 1, H, W], a whole number; of others than three channels the mean."""
    values = images.float()
    if images.shape[1] != len(GREY):
        return values.mean(1, keepdim=True)
    red, green, blue = values.split(1, dim=1)
    return (red * GREY[0] + green * GREY[1] + blue * GREY[2]).floor()


def _blend(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Return (1 + strength) × images − strength × other, cut to bytes."""
    factor = (1 + strength).float()[:, None, None, None]
    return (images * factor + other * (-strength).float()[:, None, None, None]).clamp_(0, 255).to(torch.uint8)


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "as it is": _identity,
    "shear x": _shear_x,
    "shear y": _shear_y,
    "translate x": _translate_x,
    "translate y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
_LARGEST = {  # strengths from 0 to these, with either sign; translations in pixels, rotations in degrees
    "translate x": 32.0, "translate y": 32.0, "rotate": 135.0,
    **dict.fromkeys(("shear x", "shear y", "brightness", "color", "contrast", "sharpness"), 0.99),
}  # fmt: skip
_ONE_SIDED = {
    "posterize": (8 - torch.arange(STRENGTHS) / ((STRENGTHS - 1) / 6)).round().double(),  # bits that stay
    "solarize": torch.linspace(1.0, 0.0, STRENGTHS, dtype=torch.float64),  # of white: from where on it is inverted
}
SCALES = torch.stack(
    [
        _ONE_SIDED.get(name, torch.linspace(0.0, _LARGEST.get(name, 0.0), STRENGTHS, dtype=torch.float64))
        for name in OPERATIONS
    ]
)
SIGNED = torch.tensor([name in _LARGEST for name in OPERATIONS])
