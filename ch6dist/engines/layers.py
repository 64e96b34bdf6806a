"""The layers of a model over K lanes at once: each module's lane layer, found by its type.

    net = lane_layer(build_model(…))
    logits = net(Activations(images, width=1), rows).values      # [K, B, classes]

Feature maps of lanes stand side by side as channels, [B, W·C, H, W'], vectors one behind the other, [W, B, F]. The
width W is K, or less before the first layer with weights: lanes that share images share what is computed of them.
A module without a lane layer of its own goes through `torch.func.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ch6dist.engines.kernels import AutotuneCache, pick_convolution
from ch6dist.models.build import ResidualBlock
from ch6dist.models.dropout import Dropout, dropout_mask


class Activations(NamedTuple):
    """Maps [B, W·C, H, W'] (four dimensions) or vectors [W, B, F] (three) of `width` W lanes or groups of lanes."""

    values: Tensor
    width: int


@dataclass(frozen=True)
class Rows:
    """What a forward pass reads of the lanes: a row of each tensor is a lane."""

    lanes: int
    weights: Mapping[str, Tensor]  # by parameter name: [K, …]
    buffers: Mapping[str, Tensor]  # by buffer name: [K, …], contiguous; written by BatchNorm while training
    group_of: Tensor | None  # [K] int64: which images a lane sees; None where group g has the g-th K/G of the lanes
    step: Tensor  # [K] int64: optimizer steps done, for dropout
    keys: Mapping[int, Tensor]  # by dropout layer: [K] int64
    training: bool
    autotune: AutotuneCache

    def spread(self, x: Activations) -> Activations:
        """Return a copy of the values for every lane."""
        if x.width == self.lanes:
            return x
        apart = lanes_first(x)
        if self.group_of is None:
            return lanes_side_by_side(apart.repeat_interleave(self.lanes // x.width, dim=0))
        return lanes_side_by_side(apart.index_select(0, self.group_of))


LaneLayer = Callable[[Activations, Rows], Activations]


def lanes_first(x: Activations) -> Tensor:
    """Return maps or vectors as [W, B, …]."""
    if x.values.dim() == 3:
        return x.values
    return x.values.unflatten(1, (x.width, -1)).transpose(0, 1)


def lanes_side_by_side(values: Tensor) -> Activations:
    """Return the inverse of `lanes_first`."""
    if values.dim() == 3:
        return Activations(values, len(values))
    return Activations(values.transpose(0, 1).flatten(1, 2), len(values))


def lane_layer(module: nn.Module, name: str = "") -> LaneLayer:
    """Return `module` over many lanes; its parameters are below `name`."""
    if isinstance(module, nn.Sequential):
        return _chain([lane_layer(child, _join(name, key)) for key, child in module.named_children()])
    if isinstance(module, ResidualBlock):
        return _residual(module, name)
    for kind, make in _LAYERS.items():
        if isinstance(module, kind):
            return make(module, name)
    return _vmapped(module, name)


def _chain(layers: list[LaneLayer]) -> LaneLayer:
    def layer(x: Activations, rows: Rows) -> Activations:
        for each in layers:
            x = each(x, rows)
        return x

    return layer


def _residual(block: ResidualBlock, name: str) -> LaneLayer:
    inner = _chain(
        [lane_layer(getattr(block, key), _join(name, key)) for key in ("conv1", "bn1", "relu1", "conv2", "bn2")]
    )
    shortcut, relu2 = (lane_layer(getattr(block, key), _join(name, key)) for key in ("shortcut", "relu2"))

    def layer(x: Activations, rows: Rows) -> Activations:
        x = rows.spread(x)
        return relu2(Activations(inner(x, rows).values + shortcut(x, rows).values, rows.lanes), rows)

    return layer


def _convolution(conv: nn.Conv2d, name: str) -> LaneLayer:
    if conv.groups != 1 or set(conv.dilation) != {1} or len({*conv.stride}) != 1 or conv.padding_mode != "zeros":
        return _vmapped(conv, name)
    if isinstance(conv.padding, str) or len({*conv.padding}) != 1:
        return _vmapped(conv, name)
    how = {"stride": conv.stride[0], "padding": conv.padding[0]}

    def layer(x: Activations, rows: Rows) -> Activations:
        weight, bias = rows.weights[_join(name, "weight")], rows.weights.get(_join(name, "bias"))
        if rows.group_of is not None:
            x = rows.spread(x)
        convolve = pick_convolution(rows.autotune, x.values, weight, bias, width=x.width, **how)
        return Activations(convolve(x.values, weight, bias, width=x.width, **how), rows.lanes)

    return layer


def _linear(linear: nn.Linear, name: str) -> LaneLayer:
    def layer(x: Activations, rows: Rows) -> Activations:
        weight, bias = rows.weights[_join(name, "weight")].transpose(1, 2), rows.weights.get(_join(name, "bias"))
        values = x.values.expand(rows.lanes, -1, -1) if x.width == 1 else rows.spread(x).values
        if bias is None:
            return Activations(torch.bmm(values, weight), rows.lanes)
        return Activations(torch.baddbmm(bias[:, None], values, weight), rows.lanes)

    return layer


def _batch_norm(norm: nn.BatchNorm2d, name: str) -> LaneLayer:
    """Normalise K·C channels, which is exact: each channel has statistics of its own."""
    if norm.momentum is None or not norm.affine or not norm.track_running_stats:
        return _vmapped(norm, name)

    def layer(x: Activations, rows: Rows) -> Activations:
        """Return maps of the same shape; write the running statistics while training."""
        weight, bias = (rows.weights[_join(name, key)].reshape(-1) for key in ("weight", "bias"))
        mean, variance = (rows.buffers[_join(name, key)].view(-1) for key in ("running_mean", "running_var"))
        if rows.training:
            rows.buffers[_join(name, "num_batches_tracked")].add_(1)
        values = rows.spread(x).values
        out = F.batch_norm(values, mean, variance, weight, bias, rows.training, norm.momentum, norm.eps)  # type: ignore[arg-type]
        return Activations(out, rows.lanes)

    return layer


def _dropout(dropout: Dropout, name: str) -> LaneLayer:
    def layer(x: Activations, rows: Rows) -> Activations:
        """Apply every lane's own mask, by its seed and its step."""
        if not rows.training or dropout.p == 0:
            return x
        values = lanes_first(rows.spread(x))
        lane = (-1, *[1] * (values.dim() - 1))
        key, step = rows.keys[dropout.layer].view(lane), rows.step.view(lane)
        mask = dropout_mask(values.shape[1:], p=dropout.p, key=key, step=step, first_row=0)
        return lanes_side_by_side(values * mask.to(values.dtype).mul_(1 / (1 - dropout.p)))

    return layer


def _flatten(flatten: nn.Flatten, name: str) -> LaneLayer:
    if (flatten.start_dim, flatten.end_dim) != (1, -1):
        return _vmapped(flatten, name)
    return lambda x, rows: Activations(lanes_first(x).flatten(2), x.width)


def _as_it_is(module: nn.Module, name: str) -> LaneLayer:
    """Apply a module without weights that treats every channel alike: the lanes are just more channels."""
    return lambda x, rows: Activations(module(x.values), x.width)


def _vmapped(module: nn.Module, name: str) -> LaneLayer:
    """Apply any module whose buffers stay as they are, by `torch.func.vmap` over the lanes."""

    def one(weights: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(module, {**weights, **buffers}, (x,))

    def layer(x: Activations, rows: Rows) -> Activations:
        module.train(rows.training)
        weights = {key: rows.weights[_join(name, key)] for key, _ in module.named_parameters()}
        buffers = {key: rows.buffers[_join(name, key)] for key, _ in module.named_buffers()}
        return lanes_side_by_side(torch.func.vmap(one)(weights, buffers, lanes_first(rows.spread(x))))

    return layer


_LAYERS: dict[type[nn.Module], Callable[..., LaneLayer]] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm2d: _batch_norm,
    Dropout: _dropout,
    nn.Flatten: _flatten,
    nn.ReLU: _as_it_is,
    nn.MaxPool2d: _as_it_is,
    nn.AvgPool2d: _as_it_is,
    nn.AdaptiveAvgPool2d: _as_it_is,
    nn.Identity: _as_it_is,
}


def _join(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
