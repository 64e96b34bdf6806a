"""Max pooling over 2×2 windows: on a CPU and small maps up to twice as fast as torch's own, on large ones as fast.

Values and gradients are those of `torch.nn.MaxPool2d(2)`: of equal values in a window the first one, row by row, gets
the gradient.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaxPool2(nn.MaxPool2d):
    """`nn.MaxPool2d(2)`: [B, C, H, W] → [B, C, H // 2, W // 2]."""

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, input: Tensor) -> Tensor:
        """Return the largest value of each window; an odd last row or column is left out."""
        if input.device.type != "cpu" or min(input.shape[-2:]) < 2:  # too small: torch says so
            return F.max_pool2d(input, 2)
        pooled: Tensor = _MaxPool2.apply(input)
        return pooled


class _MaxPool2(torch.autograd.Function):
    """Element-wise on the four corners of all windows at once, which are strided views."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Pool [B, C, H, W] → [B, C, H // 2, W // 2]."""
        height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
        rows = torch.maximum(x[..., 0:height:2, :], x[..., 1:height:2, :])  # whole rows first: they are contiguous
        return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Save what `backward` needs to find each window's largest value."""
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    @torch.no_grad()  # its in-place writes are not differentiated again
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return each window's gradient at its first largest value, zero elsewhere: [B, C, H, W]."""
        x, largest = ctx.saved_tensors
        out = torch.zeros_like(x) if x.shape[-1] % 2 or x.shape[-2] % 2 else torch.empty_like(x)
        open_windows = torch.ones_like(largest, dtype=torch.bool)  # windows whose gradient is not assigned yet
        for corner, target in zip(_corners(x), _corners(out), strict=True):
            hit = (corner == largest) & open_windows
            target.copy_(gradient * hit)
            open_windows = open_windows & ~hit
        return out


def _corners(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the windows' values by corner, row by row: four views [B, C, H // 2, W // 2]."""
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    rows = x[..., :height, :width]
    return rows[..., ::2, ::2], rows[..., ::2, 1::2], rows[..., 1::2, ::2], rows[..., 1::2, 1::2]
