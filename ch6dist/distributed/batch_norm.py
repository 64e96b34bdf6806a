"""Batch normalisation over the global batch: its statistics are those of all ranks' rows together.

    over_all_ranks(model)       # every nn.BatchNorm2d of `model`, from now on; parameters, buffers and names stay

On GPUs it is torch's SyncBatchNorm, which does not run on CPUs; there it is GlobalBatchNorm2d. Each rank is weighted by
its number of rows, which may be zero.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from ch6dist.errors import InputError

AXES = (0, 2, 3)  # all but the channels


def over_all_ranks(model: nn.Module) -> nn.Module:
    """Make each BatchNorm2d of `model` normalise over the batch of all ranks; return `model`.

    Call it on every rank or on none. Raises InputError for a batch normalisation that it knows nothing of.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and not _is_known(module):
            allowed = (
                "for several workers, torch.nn.BatchNorm2d with weights, running statistics and a momentum as the only "
                f"batch normalisation; {name} is another"
            )
            raise InputError("model", type(module).__name__, allowed)
        if type(module) is nn.BatchNorm2d:
            become: Any = GlobalBatchNorm2d if module.weight.device.type == "cpu" else SyncBatchNorm2d
            module.__class__ = become  # in place: parameters, buffers and names are the same objects
    return model


def _is_known(norm: _BatchNorm) -> bool:
    """Return whether a batch normalisation is one of those of this file, or becomes one."""
    if type(norm) not in (nn.BatchNorm2d, GlobalBatchNorm2d, SyncBatchNorm2d):
        return False
    return norm.affine and norm.track_running_stats and norm.momentum is not None


class SyncBatchNorm2d(nn.SyncBatchNorm):
    """torch's SyncBatchNorm, which here also accepts an empty share under autocast."""

    process_group = None  # the default group

    def forward(self, input: Tensor) -> Tensor:
        """Normalise x: [B, C, H, W] → the same shape."""
        # For an empty share torch sends zeros in the input's type, where the other ranks send statistics in fp32.
        return super().forward(input if len(input) else input.to(self.weight.dtype))


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` of the global batch (Ioffe, Szegedy 2015), over torch.distributed's default group.

    Running statistics come out equal on every rank, bit for bit: each computes them from the same numbers.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor) -> Tensor:
        """Normalise x: [B, C, H, W] → the same shape.

        ValueError, as torch's, where the global batch has one value per channel.
        """
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        count, mean, variance = global_moments(input)
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got {count} over all ranks")
        self._track(mean, variance * (count / (count - 1)))
        dtype = self.weight.dtype
        normalised: Tensor = _Normalise.apply(
            input, self.weight, self.bias, mean.to(dtype), variance.to(dtype), count, self.eps
        )
        return normalised

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), self.momentum)


@torch.no_grad()
def global_moments(x: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return, of x [B, C, H, W] over all ranks, values per channel, mean [C] and biased variance [C], in fp64.

    Each rank's moments are taken about its own mean, in two passes, and then combined (Chan, Golub, LeVeque 1979): a
    sum of squares would lose the variance of channels whose mean is large.
    """
    channels = x.shape[1]
    own = torch.zeros(2 * channels + 1, dtype=torch.float64, device=x.device)
    if x.numel():
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        near = values.mean(AXES)  # rounded: its error is the mean of the remainder
        rest = values - _channels(near)
        off = rest.mean(AXES).double()
        moments = [near.double() + off, rest.square_().mean(AXES).double() - off**2]
        own = torch.cat([*moments, own.new_tensor([x.numel() // channels])])
    every = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(every, own)
    means, variances, counts = torch.stack(every).split([channels, channels, 1], dim=1)
    mean = (counts * means).sum(0) / counts.sum()
    variance = (counts * (variances + (means - mean) ** 2)).sum(0) / counts.sum()
    return int(counts.sum()), mean, variance


class _Normalise(torch.autograd.Function):
    """(x − mean) / √(variance + eps) · weight + bias, where mean and variance are functions of every rank's x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, count: int, eps: float
    ) -> Tensor:
        """Normalise x: [B, C, H, W]; weight … variance: [C], count: values per channel over all ranks."""
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.count = count
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients: x's from two sums over all ranks, those of weight and bias as this rank's share.

        The latter are what every other parameter's gradient is: DistributedDataParallel averages them over the ranks.
        """
        x, weight, mean, scale = ctx.saved_tensors
        slope, centred = gradient.to(mean.dtype), x.to(mean.dtype) - _channels(mean)
        own = torch.stack([slope.sum(AXES), (slope * centred).sum(AXES)])
        every = own.clone()
        torch.distributed.all_reduce(every)
        along_mean, along_variance = every[0] / ctx.count, every[1] * scale**2 / ctx.count
        inner = centred.mul_(_channels(-along_variance)).add_(slope).sub_(_channels(along_mean))
        input_gradient = inner.mul_(_channels(weight * scale))
        return input_gradient.to(x.dtype), own[1] * scale, own[0], None, None, None, None


def _channels(values: Tensor) -> Tensor:
    """Return [C] as it is broadcast over [B, C, H, W]."""
    return values[:, None, None]
