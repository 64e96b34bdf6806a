"""Values of K lanes at once, and what a forward pass over them reads.

Feature maps of lanes stand side by side as channels, [B, W·C, H, W'], all else one behind the other, [W, B, …]. The
width W is K, or less before the first layer with weights: lanes that share images share what is computed of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from ch6dist.engines.kernels import AutotuneCache
from ch6dist.models.dropout import dropout_key


class Activations(NamedTuple):
    """Values of `width` W lanes or groups of lanes: maps [B, W·C, H, W'], or anything else with the lanes first."""

    values: Tensor
    width: int
    apart: bool = False  # [W, B, …], whatever the dimensions; vectors, of three dimensions, always are

    @property
    def side_by_side(self) -> bool:
        """Return whether these are maps whose lanes are channels."""
        return self.values.dim() == 4 and not self.apart


@dataclass(frozen=True)
class Rows:
    """What a forward pass reads of the lanes: a row of each tensor is a lane."""

    lanes: int
    weights: Mapping[str, Tensor]  # by parameter name: [K, …]
    buffers: Mapping[str, Tensor]  # by buffer name: [K, …], contiguous; BatchNorm writes its own
    group_of: Tensor | None  # [K] int64: which images a lane sees; None where group g has the g-th K/G of the lanes
    step: Tensor  # [K] int64: optimizer steps done, for dropout
    keys: Mapping[int | str, Tensor]  # of dropout masks, by layer or further use of one: [K] int64
    training: bool
    autotune: AutotuneCache
    estimating: bool = False  # as in an evaluation, but that batch normalisation keeps each batch's statistics, whole

    def spread(self, x: Activations) -> Activations:
        """Return a copy of the values for every lane."""
        if x.width == self.lanes:
            return x
        apart = lanes_first(x)
        if self.group_of is None:
            return lanes_side_by_side(apart.repeat_interleave(self.lanes // x.width, dim=0))
        return lanes_side_by_side(apart.index_select(0, self.group_of))

    def of(self, name: str, key: str) -> Tensor:
        """Return a parameter of a layer, [K, …]."""
        return self.weights[join(name, key)]


class MaskKeys(dict[int | str, Tensor]):
    """The keys of dropout masks, [K] by layer; those of a layer's further uses are made when they are asked for."""

    def __init__(self, seeds: Sequence[int], *, layers: Iterable[int] = (), device: torch.device | None = None) -> None:
        super().__init__()
        self.seeds, self.device = seeds, device
        for layer in layers:
            self[layer]

    def __missing__(self, layer: int | str) -> Tensor:
        self[layer] = torch.tensor([dropout_key(seed, layer=layer) for seed in self.seeds], device=self.device)
        return self[layer]


LaneLayer = Callable[[Activations, Rows], Activations]


def lanes_first(x: Activations) -> Tensor:
    """Return values as [W, B, …]."""
    return x.values.unflatten(1, (x.width, -1)).transpose(0, 1) if x.side_by_side else x.values


def lanes_side_by_side(values: Tensor) -> Activations:
    """Return the inverse of `lanes_first`: maps, [W, B, C, H, W'], with the lanes as channels, all else as it is."""
    if values.dim() == 5:
        return Activations(values.transpose(0, 1).flatten(1, 2), len(values))
    return Activations(values, len(values), apart=True)


def as_maps(x: Activations) -> Activations:
    """Return maps with the lanes as channels."""
    return x if x.side_by_side else lanes_side_by_side(x.values)


def as_channels(x: Activations) -> Tensor:
    """Return values [B, W·C, …] of any dimensions, the lanes as channels."""
    return x.values if x.side_by_side else x.values.transpose(0, 1).flatten(1, 2)


def from_channels(values: Tensor, width: int) -> Activations:
    """Return the inverse of `as_channels`."""
    if values.dim() == 4:
        return Activations(values, width)
    return Activations(values.unflatten(1, (width, -1)).transpose(0, 1), width, apart=True)


def over_lanes(function: Callable[..., Any], args: Any, rows: Rows, lane_tensors: Any = ()) -> Any:
    """Call `function` for every lane by `torch.func.vmap`, whatever stands between; return what it returns, over lanes.

    Args:
        args: its arguments after `lane_tensors`, in which Activations stand for a tensor of each lane.
        lane_tensors: its first argument: tensors [K, …], in any structure.
    """
    leaves, structure = tree_flatten(args, is_leaf=_is_activations)
    places = [place for place, leaf in enumerate(leaves) if _is_activations(leaf)]
    tensors = [lanes_first(rows.spread(leaves[place])) for place in places]

    def one(own: Any, *of_lane: Tensor) -> Any:
        """Compute one lane."""
        filled = list(leaves)
        for place, tensor in zip(places, of_lane, strict=True):
            filled[place] = tensor
        given = tree_unflatten(filled, structure)
        return function(own, *given)

    axes = tree_map(lambda tensor: 0, lane_tensors)
    found = torch.func.vmap(one, in_dims=(axes, *[0] * len(tensors)))(lane_tensors, *tensors)
    return tree_map(lambda leaf: lanes_side_by_side(leaf) if isinstance(leaf, Tensor) else leaf, found)


def join(name: str, key: str) -> str:
    """Return the full name of what is called `key` in the module `name`."""
    return f"{name}.{key}" if name else key


def _is_activations(leaf: Any) -> bool:
    return isinstance(leaf, Activations)
