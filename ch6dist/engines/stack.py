"""K lanes as rows: one matrix of weights, one of each optimizer state, one tensor of each buffer.

A lane always lives in a stack, alone after it was opened. Compaction and refill are one thing: `gather` makes a new
stack out of rows of old ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ch6dist.engines.families.family import Family


@dataclass(frozen=True)
class Layout:
    """Where each parameter of a model lies in a lane's row, and the shapes of its buffers."""

    shapes: dict[str, torch.Size]  # by parameter, in the model's order
    buffers: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """Return the layout of a model's lanes."""
        buffers = [name for name in model.state_dict() if name not in dict(model.named_parameters())]
        return cls({name: tensor.shape for name, tensor in model.named_parameters()}, tuple(buffers))

    def views(self, matrix: Tensor) -> dict[str, Tensor]:
        """Return each parameter's part of `matrix` [K, N] as [K, *shape], views of the same memory."""
        parts = matrix.split([math.prod(shape) for shape in self.shapes.values()], dim=1)
        named = zip(self.shapes.items(), parts, strict=True)
        return {name: part.unflatten(1, shape) if shape else part[:, 0] for (name, shape), part in named}


@dataclass(frozen=True)
class EvaluationWeights:
    """What lanes are evaluated with, where their optimizer has other weights for that than for training."""

    weights: Tensor  # [K, N]
    buffers: dict[str, Tensor]  # [K, …] each

    @classmethod
    def of(cls, content: Mapping[str, Tensor], layout: Layout, *, device: torch.device) -> EvaluationWeights:
        """Return those of one lane, from the tensors of its module."""
        row = torch.cat([content[name].flatten() for name in layout.shapes]).to(device)
        return cls(row[None], {name: content[name].to(device)[None].clone() for name in layout.buffers})


@dataclass
class Stack:
    """The rows of K lanes of one model and one optimizer family."""

    layout: Layout
    family: Family
    configs: list[Mapping[str, Any]]  # resolved optimizers
    weights: Tensor  # [K, N]
    state: dict[str, Tensor]  # [K, N] each: what the optimizer keeps
    scalar_state: dict[str, Tensor]  # [K] each, on the host: scalars that the optimizer carries
    buffers: dict[str, Tensor]  # [K, …] each
    evaluated: EvaluationWeights | None = None  # None: `weights` and `buffers`

    @property
    def lanes(self) -> int:
        """Return the number of lanes, K."""
        return len(self.configs)

    def tensors(self) -> list[Tensor]:
        """Return everything that a training step writes on the device."""
        return [self.weights, *self.state.values(), *self.buffers.values()]

    def row(self, index: int, evaluated: EvaluationWeights | None = None) -> dict[str, Tensor]:
        """Return a lane's tensors by name, as its module's `state_dict` would hold them; not copies.

        Args:
            evaluated: the weights to look at instead of those of the training.
        """
        source = evaluated or self
        weights = {name: view[index] for name, view in self.layout.views(source.weights).items()}
        return weights | {name: tensor[index] for name, tensor in source.buffers.items()}


def single(model: nn.Module, family: Family, config: Mapping[str, Any], *, device: torch.device) -> Stack:
    """Return a stack of one lane: `model`'s weights, and an optimizer at its start."""
    layout, content = Layout.of(model), model.state_dict()
    weights = torch.cat([content[name].flatten() for name in layout.shapes]).to(device)[None]
    return Stack(
        layout=layout,
        family=family,
        configs=[config],
        weights=weights,
        state=family.first_state([config], num_parameters=weights.shape[1], dtype=weights.dtype, device=device),
        scalar_state=family.first_scalar_state(1),
        buffers={name: content[name].to(device)[None].clone() for name in layout.buffers},
    )


def gather(rows: Sequence[tuple[Stack, int]]) -> Stack:
    """Return a stack of the given rows of other stacks, copied, in order.

    A state that a lane does not keep is zero there.
    """
    first = rows[0][0]
    configs = [stack.configs[index] for stack, index in rows]
    names = dict.fromkeys(name for config in configs for name in first.family.state_tensors(config))
    zeros = torch.zeros_like(first.weights[0])
    looked_at = [(stack.evaluated, index) for stack, index in rows if stack.evaluated]
    return Stack(
        layout=first.layout,
        family=first.family,
        configs=configs,
        weights=torch.stack([stack.weights[index] for stack, index in rows]),
        state={n: torch.stack([s.state[n][i] if n in s.state else zeros for s, i in rows]) for n in names},
        scalar_state={n: torch.stack([s.scalar_state[n][i] for s, i in rows]) for n in first.scalar_state},
        buffers={n: torch.stack([s.buffers[n][i] for s, i in rows]) for n in first.buffers},
        evaluated=EvaluationWeights(
            torch.stack([found.weights[i] for found, i in looked_at]),
            {n: torch.stack([found.buffers[n][i] for found, i in looked_at]) for n in first.buffers},
        )
        if len(looked_at) == len(rows)
        else None,
    )
