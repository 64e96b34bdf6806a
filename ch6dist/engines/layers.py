"""The layers whose lanes are computed together, by their type; graph.py puts them together to networks.

    layer = LAYERS[nn.Linear](module, "fc1")
    layer(x, rows).values       # [K, B, features]

A type stands here as it is: a class derived from it may compute anything.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ch6dist.engines.kernels import pick_convolution
from ch6dist.engines.lanes import (
    Activations,
    LaneLayer,
    Rows,
    as_channels,
    as_maps,
    from_channels,
    join,
    lanes_first,
    lanes_side_by_side,
    over_lanes,
)
from ch6dist.models.dropout import Dropout, dropout_mask
from ch6dist.models.pooling import MaxPool2


def vmapped(module: nn.Module, name: str) -> Callable[..., Activations]:
    """Return a layer of any module whose buffers stay as they are, by `torch.func.vmap`; it takes what that takes."""

    def one(
        own: tuple[dict[str, Tensor], dict[str, Tensor]], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Compute one lane."""
        weights, buffers = own
        return torch.func.functional_call(module, {**weights, **buffers}, args, kwargs)

    def layer(*given: object, **kwargs: object) -> Activations:
        """Compute all lanes: what the module takes of each, and the rows as the last argument."""
        *args, rows = given
        assert isinstance(rows, Rows)
        module.train(rows.training)
        weights = {key: rows.weights[join(name, key)] for key, _ in module.named_parameters()}
        buffers = {key: rows.buffers[join(name, key)] for key, _ in module.named_buffers()}
        found: Activations = over_lanes(one, (tuple(args), kwargs), rows, (weights, buffers))
        return found

    return layer


def _convolution(conv: nn.Conv2d, name: str) -> LaneLayer:
    square = len({*conv.stride}) == 1 and not isinstance(conv.padding, str) and len({*conv.padding}) == 1
    if not square or conv.groups != 1 or set(conv.dilation) != {1} or conv.padding_mode != "zeros":
        return _grouped(conv, name)
    how = {"stride": conv.stride[0], "padding": int(conv.padding[0])}

    def layer(x: Activations, rows: Rows) -> Activations:
        """Convolve [K·B, C, H, W] by the kernel variant that is the fastest for these shapes."""
        weight, bias = rows.weights[join(name, "weight")], rows.weights.get(join(name, "bias"))
        if rows.group_of is not None:
            x = rows.spread(x)
        x = as_maps(x)
        convolve = pick_convolution(rows.autotune, x.values, weight, bias, width=x.width, **how)
        return Activations(convolve(x.values, weight, bias, width=x.width, **how), rows.lanes)

    return layer


def _grouped(conv: nn.Conv2d, name: str) -> LaneLayer:
    """Compute depthwise, grouped, dilated and uneven convolutions as one of K times as many groups."""

    def layer(x: Activations, rows: Rows) -> Activations:
        """Convolve K·C maps in K times as many groups."""
        weight, bias = rows.of(name, "weight").flatten(0, 1), rows.weights.get(join(name, "bias"))
        maps = as_maps(rows.spread(x)).values
        padding: str | tuple[int, ...] = conv.padding
        if conv.padding_mode != "zeros":
            maps, padding = F.pad(maps, conv._reversed_padding_repeated_twice, conv.padding_mode), (0, 0)
        shift = None if bias is None else bias.reshape(-1)
        groups = conv.groups * rows.lanes
        return Activations(F.conv2d(maps, weight, shift, conv.stride, padding, conv.dilation, groups), rows.lanes)

    return layer


def _linear(linear: nn.Linear, name: str) -> LaneLayer:
    def layer(x: Activations, rows: Rows) -> Activations:
        """Multiply [K, B, F] by the weights of each lane, [K, out, F]."""
        weight, bias = rows.of(name, "weight").transpose(1, 2), rows.weights.get(join(name, "bias"))
        before = lanes_first(x)  # [W, B, …, F]: of a network of tokens, more than three dimensions
        flat = before.reshape(len(before), -1, before.shape[-1])
        values = (
            flat.expand(rows.lanes, -1, -1) if x.width == 1 else lanes_first(rows.spread(Activations(flat, x.width)))
        )
        out = torch.bmm(values, weight) if bias is None else torch.baddbmm(bias[:, None], values, weight)
        return lanes_side_by_side(out.view(rows.lanes, *before.shape[1:-1], -1))

    return layer


def _batch_norm(norm: nn.BatchNorm2d, name: str) -> LaneLayer:
    """Normalise K·C channels, which is exact: each channel has statistics of its own."""
    if norm.momentum is None or not norm.affine or not norm.track_running_stats:
        return vmapped(norm, name)

    def layer(x: Activations, rows: Rows) -> Activations:
        """Return values of the same shape; write the running statistics, but in an evaluation."""
        weight, bias = (rows.of(name, key).reshape(-1) for key in ("weight", "bias"))
        mean, variance = (rows.buffers[join(name, key)].view(-1) for key in ("running_mean", "running_var"))
        writes, share = rows.training or rows.estimating, 1.0 if rows.estimating else norm.momentum
        if writes:
            rows.buffers[join(name, "num_batches_tracked")].add_(1)
        values = as_channels(rows.spread(x))
        out = F.batch_norm(values, mean, variance, weight, bias, writes, share, norm.eps)  # type: ignore[arg-type]
        return from_channels(out, rows.lanes)

    return layer


def _group_norm(norm: nn.GroupNorm, name: str) -> LaneLayer:
    """Normalise K times as many groups: those of a lane stand together."""

    def layer(x: Activations, rows: Rows) -> Activations:
        """Normalise the groups of every lane; values keep their shape."""
        x = rows.spread(x) if norm.affine else x
        weight, bias = (rows.of(name, key).reshape(-1) if norm.affine else None for key in ("weight", "bias"))
        out = F.group_norm(as_channels(x), norm.num_groups * x.width, weight, bias, norm.eps)
        return from_channels(out, x.width)

    return layer


def _layer_norm(norm: nn.LayerNorm, name: str) -> LaneLayer:
    def layer(x: Activations, rows: Rows) -> Activations:
        """Normalise each image of a lane over its last dimensions; values keep their shape."""
        out = F.layer_norm(lanes_first(x), norm.normalized_shape, eps=norm.eps)
        if not norm.elementwise_affine:
            return lanes_side_by_side(out)
        spread = lanes_first(rows.spread(lanes_side_by_side(out)))
        between = (1,) * (spread.dim() - 1 - len(norm.normalized_shape))
        scaled = spread * rows.of(name, "weight").unflatten(0, (rows.lanes, *between))
        shift = rows.weights.get(join(name, "bias"))
        return lanes_side_by_side(scaled if shift is None else scaled + shift.unflatten(0, (rows.lanes, *between)))

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
        return vmapped(flatten, name)
    return lambda x, rows: Activations(lanes_first(x).flatten(2), x.width)


def _element_wise(module: nn.Module, name: str) -> LaneLayer:
    """Apply a module without weights to every value by itself."""
    return lambda x, rows: x._replace(values=module(x.values))


def _pooling(module: nn.Module, name: str) -> LaneLayer:
    """Apply a module without weights that treats every channel alike: the lanes are just more channels."""
    return lambda x, rows: Activations(module(as_maps(x).values), x.width)


LAYERS: dict[type[nn.Module], Callable[..., LaneLayer]] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    Dropout: _dropout,
    nn.Flatten: _flatten,
    **dict.fromkeys(
        (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Hardswish, nn.Identity),
        _element_wise,
    ),
    **dict.fromkeys(
        (nn.MaxPool2d, MaxPool2, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample), _pooling
    ),
}
