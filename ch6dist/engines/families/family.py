"""A family: one element-wise update rule for all lanes of a pack, each lane with its own hyper-parameters.

    family = family_of("AdamW")                                                   # registry.py
    state = family.first_state(configs, num_parameters=69_656, dtype=weights.dtype, device=weights.device)
    memory = family.first_memory(len(configs))
    table = family.coefficients(configs, lr=lr, momentum=momentum, steps=steps, memory=memory)    # of an epoch
    c = {name: values[t, :, None].to(weights) for name, values in table.items()}                  # of its step t
    weights = family.update(weights, gradient, state, c)

K lanes of N parameters are rows of [K, N] matrices. What is one number per lane is computed for a whole epoch at once
and in float64, as torch computes it in Python floats; the update is left with tensor arithmetic a CUDA graph can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Config = Mapping[str, Any]  # a resolved optimizer, as in TrialConfig.optimizer

MOMENTUM_BEGUN = "momentum_begun"  # memory: 1 after a step with momentum > 0, in which torch makes the buffer


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What the coefficients of T steps of K lanes depend on; tensors are float64, on the host."""

    configs: Sequence[Config]
    lr: Tensor  # [T, K], as used in each step
    momentum: Tensor  # [T, K], momentum or beta1 as used in each step; NaN where the optimizer has neither
    steps: Tensor  # [K], optimizer steps before this epoch
    memory: dict[str, Tensor]  # name → [K], what torch carries from step to step; coefficients advance it

    @property
    def step(self) -> Tensor:
        """[T, K]: the number of each lane's optimizer step, from 1."""
        return self.steps + torch.arange(1, len(self.lr) + 1, dtype=torch.float64)[:, None]

    def option(self, name: str, *, index: int | None = None, default: Any = None) -> Tensor:
        """[K]: every lane's option `name` (or its element `index`); flags are 0 and 1."""
        values = [config.get(name, default) for config in self.configs]
        return torch.tensor([float(v if index is None else v[index]) for v in values], dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The optimizers of one update rule. `matrices`, `memory` and their names are torch's state."""

    name: str
    matrices: Callable[[Config], dict[str, float]]
    """matrices(config) → the state tensors that a lane of it keeps, and what they are filled with at first."""
    scalars: Callable[[Epoch], dict[str, Tensor]]
    """scalars(epoch) → coefficients: [T, K], or [K] where they are the same in every step. Advances the memory."""
    update: Callable[[Tensor, Tensor, dict[str, Tensor], Mapping[str, Tensor]], Tensor]
    """update(weights, gradient, state, c) → new weights; all [K, N], c: name → [K, 1]. Writes `state` alone."""
    memory: Mapping[str, float] = field(default_factory=dict)  # scalars kept between steps, and their first values
    counts_steps: bool = True  # torch's state holds `step`

    def first_state(
        self, configs: Sequence[Config], *, num_parameters: int, dtype: torch.dtype, device: torch.device | str
    ) -> dict[str, Tensor]:
        """Name → [K, N]: what any lane of the pack keeps, at its first value; 0 for lanes that do not keep it."""
        firsts = [self.matrices(config) for config in configs]
        names = dict.fromkeys(name for first in firsts for name in first)
        return {
            name: torch.tensor([[first.get(name, 0.0)] for first in firsts], dtype=dtype, device=device).repeat(
                1, num_parameters
            )
            for name in names
        }

    def first_memory(self, num_lanes: int) -> dict[str, Tensor]:
        """name → [K]: the memory of lanes that have not begun."""
        return {name: torch.full((num_lanes,), first, dtype=torch.float64) for name, first in self.memory.items()}

    def coefficients(
        self,
        configs: Sequence[Config],
        *,
        lr: Tensor,
        momentum: Tensor,
        steps: Tensor,
        memory: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """name → [T, K] float64: all that `update` needs of T ≥ 1 steps. Advances `memory` in place by them.

        Which names there are depends on `configs` alone, so a captured update fits every epoch of its lanes.
        """
        epoch = Epoch(configs=configs, lr=lr, momentum=momentum, steps=steps.double(), memory=memory)
        return {name: values.expand_as(lr) for name, values in self.scalars(epoch).items()}

    def to_torch(
        self,
        config: Config,
        *,
        row: Mapping[str, Tensor],
        memory: Mapping[str, float],
        step: int,
        shapes: Sequence[torch.Size],
    ) -> dict[int, dict[str, Any]]:
        """What `state_dict()["state"]` of the torch optimizer holds after `step` steps of this lane alone.

        `row` holds its rows [N], `shapes` its parameters in their order. Matrices stay on their device, scalars are on
        the host, as torch has them at first. Before the first step there is nothing.
        """
        names = self._kept(config, memory)
        if step == 0 or not (names or self.counts_steps):
            return {}
        scalars = {"step": float(step)} if self.counts_steps else {}
        scalars |= {name: memory[name] for name in self.memory if name != MOMENTUM_BEGUN}
        pieces = {name: row[name].split([shape.numel() for shape in shapes]) for name in names}
        return {
            i: {name: torch.tensor(value, dtype=torch.float32) for name, value in scalars.items()}
            | {name: pieces[name][i].reshape(shape).clone() for name in names}
            for i, shape in enumerate(shapes)
        }

    def from_torch(
        self,
        config: Config,
        state: Mapping[int, Mapping[str, Any]],
        *,
        shapes: Sequence[torch.Size],
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The inverse of `to_torch`: this lane's rows [N] and memory; the first ones where torch holds nothing yet."""
        begun, length = state.get(0, {}), sum(shape.numel() for shape in shapes)
        row = {
            name: torch.cat([state[i][name].reshape(-1) for i in range(len(shapes))]).to(device, dtype, copy=True)
            if name in begun
            else torch.full((length,), first, dtype=dtype, device=device)
            for name, first in self.matrices(config).items()
        }
        memory = {name: float(begun.get(name, first)) for name, first in self.memory.items()}
        if MOMENTUM_BEGUN in memory:
            memory[MOMENTUM_BEGUN] = float("momentum_buffer" in begun)
        return row, memory

    def _kept(self, config: Config, memory: Mapping[str, float]) -> list[str]:
        """Names of the state tensors that torch has by now."""
        return [name for name in self.matrices(config) if name != "momentum_buffer" or memory[MOMENTUM_BEGUN]]
