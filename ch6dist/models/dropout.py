"""A dropout whose masks are a pure function of (seed, step, layer, row, element).

set_dropout_position(model, seed=0, step=17, first_row=0)      # before each training step
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ch6dist.seeding import mix

# SplitMix64 (Steele, Lea, Flood 2014), its constants as signed 64-bit integers: torch's int64 wraps around
GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def set_dropout_position(model: nn.Module, *, seed: int, step: int | Tensor, first_row: int) -> None:
    """Set the training position of every Dropout of `model`: its next mask depends on these three values alone.

    Args:
        seed: the trial's.
        step: optimizer steps done; an int64 tensor of shape [] on the model's device is copied without a host sync.
        first_row: index of this process's first image in the global batch.
    """
    for module in model.modules():
        if isinstance(module, Dropout):
            module.seed, module.first_row, module.uses = seed, first_row, 0
            module.step.fill_(step)


class Dropout(nn.Module):
    """Zeroes each activation with probability `p` and scales the others by 1/(1−p); the identity in evaluation mode.

    The mask is a hash of (seed, step, layer, row in the global batch, element): equal on every device, in every
    process and pack, for any slice of the batch. `step` is a buffer, so that a CUDA graph reads it again; the rank's
    `first_row` is not, because DDP would overwrite it with rank 0's. A module that a forward pass uses
    several times has a mask of its own for each use.
    """

    step: Tensor

    def __init__(self, p: float, *, layer: int) -> None:
        super().__init__()
        self.p, self.layer, self.seed, self.first_row, self.uses = p, layer, 0, 0, 0
        self.register_buffer("step", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Zero and rescale x while training: [B, …], of which row i is row `first_row` + i of the global batch."""
        if not self.training or self.p == 0:
            return x
        mask = dropout_mask(x.shape, p=self.p, key=self.mask_key(), step=self.step, first_row=self.first_row)
        return x * mask.to(x.dtype).mul_(1 / (1 - self.p))

    def mask_key(self) -> int | Tensor:
        """Return the key of the next mask."""
        return dropout_key(self.seed, layer=self.next_layer())

    def next_layer(self) -> int | str:
        """Return what the next mask is a function of, beside seed and step."""
        if (
            torch._C._current_graph_task_id() >= 0
        ):  # in a backward pass, which computes a part of the forward pass again
            if self.uses > 1:
                raise RuntimeError("a Dropout that is used several times cannot be computed again by a checkpoint")
            return self.layer
        self.uses += 1
        return self.layer if self.uses == 1 else f"{self.layer}.{self.uses}"


def dropout_key(seed: int, *, layer: int | str) -> int:
    """Return what seed and layer contribute to a mask: a non-negative 63-bit number."""
    return mix(seed, "dropout", layer)


def dropout_mask(shape: Sequence[int], *, p: float, key: int | Tensor, step: Tensor, first_row: int) -> Tensor:
    """Return which activations stay: a bool tensor of `shape` = [B, …], true with probability 1−p (a multiple of 2⁻³²).

    Args:
        key: from `dropout_key`; as an int64 tensor [K, 1, …, 1] (K lanes, a 1 for each of B, …) it gives [K, B, …].
        step: int64 tensor of shape [], on the device where the mask is wanted.
        first_row: index of row 0 in the global batch.
    """
    row = math.prod(shape[1:])
    counter = torch.arange(first_row * row, (first_row + shape[0]) * row, device=step.device).view(*shape)
    state = splitmix64(key + step * GOLDEN)
    bits = splitmix64(state + counter * GOLDEN)
    return _shift(bits, 32) >= round(p * 2**32)


def splitmix64(state: Tensor) -> Tensor:
    """Advance `state` (int64, taken as unsigned) by GOLDEN; return the generator's output, 64 mixed bits."""
    z = state + GOLDEN
    z = (z ^ _shift(z, 30)) * _MULTIPLIERS[0]
    z = (z ^ _shift(z, 27)) * _MULTIPLIERS[1]
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Shift logically to the right: torch's own shift copies the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)
