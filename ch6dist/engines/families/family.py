"""A family: one element-wise update rule for all lanes of a pack, each lane with its own hyper-parameters.

    family = family_of("AdamW")                                                   # registry.py
    state = family.first_state(configs, num_parameters=69_656, dtype=weights.dtype, device=weights.device)
    scalar_state = family.first_scalar_state(len(configs))
    table = family.coefficients(configs, lr=lr, momentum=m, steps=n, scalar_state=scalar_state)  # for an epoch
    c = {name: values[t, :, None].to(weights) for name, values in table.items()}                  # for its step t
    weights = family.update(weights, gradient, state, c)

K lanes of N parameters are rows of matrices [K, N]. What is one number per lane is computed for a whole epoch at once
and in float64, as torch computes it in Python floats; the update is left with tensor arithmetic a CUDA graph can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

Config = Mapping[str, Any]  # a resolved optimizer, as in TrialConfig.optimizer

MOMENTUM_BEGUN = "momentum_begun"  # scalar_state: 1 after a step with momentum > 0, in which torch makes the buffer


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What the coefficients of T steps of K lanes depend on; tensors are float64, on the host."""

    configs: Sequence[Config]
    lr: Tensor  # [T, K], as used in each step
    momentum: Tensor  # [T, K], momentum or beta1 as used in each step; NaN where the optimizer has neither
    steps: Tensor  # [K], optimizer steps before this epoch
    scalar_state: dict[str, Tensor]  # name → [K], what torch carries from step to step; coefficients advance it

    @property
    def step(self) -> Tensor:
        """Return the number of each lane's optimizer step, from 1: [T, K]."""
        return self.steps + torch.arange(1, len(self.lr) + 1, dtype=torch.float64)[:, None]

    def option(self, name: str, *, index: int | None = None, default: Any = None) -> Tensor:
        """Return every lane's option `name` (or its element `index`), flags as 0 and 1: [K]."""
        values = [config.get(name, default) for config in self.configs]
        return torch.tensor([float(v if index is None else v[index]) for v in values], dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class Family:
    """The optimizers of one update rule. What they keep, and its names, are the state of torch's or the library's own.

    Below, both are called torch's: a library's optimizers are torch optimizers too.
    """

    name: str
    state_tensors: Callable[[Config], dict[str, float]]
    """state_tensors(config) → the state tensors that a lane of it keeps, and what they are filled with at first."""
    scalars: Callable[[Epoch], dict[str, Tensor]]
    """scalars(epoch) → coefficients [T, K], or [K] where equal in every step. Advances the scalar state."""
    update: Callable[[Tensor, Tensor, dict[str, Tensor], Mapping[str, Tensor]], Tensor]
    """update(weights, gradient, state, c) → new weights; all [K, N], c: name → [K, 1]. Writes `state` alone."""
    scalar_state: Mapping[str, float] = field(default_factory=dict)  # kept between steps, with first values
    step: Literal["tensor", "number", "group", "nowhere"] = "tensor"
    """Where torch keeps `step`: with each parameter, as a tensor or a number; or once, in the parameter group."""
    step_name: str = "step"  # what the parameter group calls it
    scalars_in_group: bool = False  # the scalar state stands in the parameter group too
    evaluated: Callable[[Tensor, Mapping[str, Tensor], Tensor], Tensor] | None = None
    """evaluated(weights, state, momentum) → the weights for evaluation, [K, N]; momentum: float64 [K, 1], as it stands.
    None: those of the training."""

    def first_state(
        self, configs: Sequence[Config], *, num_parameters: int, dtype: torch.dtype, device: torch.device | str
    ) -> dict[str, Tensor]:
        """Return name → [K, N]: what any lane of the pack keeps, at its first value; 0 for lanes without it."""
        firsts = [self.state_tensors(config) for config in configs]
        names = dict.fromkeys(name for first in firsts for name in first)
        return {
            name: torch.tensor([[first.get(name, 0.0)] for first in firsts], dtype=dtype, device=device).repeat(
                1, num_parameters
            )
            for name in names
        }

    def first_scalar_state(self, num_lanes: int) -> dict[str, Tensor]:
        """Return the scalar state of lanes that have not begun: name → [K]."""
        return {name: torch.full((num_lanes,), first, dtype=torch.float64) for name, first in self.scalar_state.items()}

    def coefficients(
        self,
        configs: Sequence[Config],
        *,
        lr: Tensor,
        momentum: Tensor,
        steps: Tensor,
        scalar_state: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """Return what `update` needs in T ≥ 1 steps, name → [T, K] float64; advance `scalar_state`, in place.

        Which names there are depends on `configs` alone, so a captured update fits every epoch of its lanes.
        """
        epoch = Epoch(configs=configs, lr=lr, momentum=momentum, steps=steps.double(), scalar_state=scalar_state)
        return {name: values.expand_as(lr) for name, values in self.scalars(epoch).items()}

    def to_torch(
        self,
        config: Config,
        *,
        row: Mapping[str, Tensor],
        scalar_state: Mapping[str, float],
        step: int,
        shapes: Sequence[torch.Size],
    ) -> dict[int, dict[str, Any]]:
        """Return what `state_dict()["state"]` of the torch optimizer holds after `step` steps of this lane alone.

        `row` holds its rows [N], `shapes` its parameters in their order. Matrices stay on their device, scalars are on
        the host, as torch has them at first. Before the first step there is nothing.
        """
        names = self._kept(config, scalar_state)
        if step == 0 or not (names or self.step == "tensor"):
            return {}
        scalars = {"step": float(step)} if self.step == "tensor" else {}
        if not self.scalars_in_group:
            scalars |= {name: scalar_state[name] for name in self.scalar_state if name != MOMENTUM_BEGUN}
        pieces = {name: row[name].split([shape.numel() for shape in shapes]) for name in names}
        return {
            i: ({"step": step} if self.step == "number" else {})
            | {name: torch.tensor(value, dtype=torch.float32) for name, value in scalars.items()}
            | {name: pieces[name][i].reshape(shape).clone() for name in names}
            for i, shape in enumerate(shapes)
        }

    def to_group(self, scalar_state: Mapping[str, float], step: int) -> dict[str, Any]:
        """Return what the parameter group of `state_dict()["param_groups"]` holds of the steps that were taken."""
        found: dict[str, Any] = {self.step_name: step} if self.step == "group" else {}
        return found | ({**scalar_state} if self.scalars_in_group else {})

    def from_torch(
        self,
        config: Config,
        state: Mapping[int, Mapping[str, Any]],
        group: Mapping[str, Any],
        *,
        shapes: Sequence[torch.Size],
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Return the inverse of `to_torch` and `to_group`: this lane's rows [N] and scalar state.

        Where torch holds nothing yet, they have their first values.
        """
        begun, length = state.get(0, {}), sum(shape.numel() for shape in shapes)
        row = {
            name: torch.cat([state[i][name].reshape(-1) for i in range(len(shapes))]).to(device, dtype, copy=True)
            if name in begun
            else torch.full((length,), first, dtype=dtype, device=device)
            for name, first in self.state_tensors(config).items()
        }
        source = group if self.scalars_in_group else begun
        scalar_state = {name: float(source.get(name, first)) for name, first in self.scalar_state.items()}
        if MOMENTUM_BEGUN in scalar_state:
            scalar_state[MOMENTUM_BEGUN] = float("momentum_buffer" in begun)
        return row, scalar_state

    def _kept(self, config: Config, scalar_state: Mapping[str, float]) -> list[str]:
        """Return the names of the state tensors that torch has by now."""
        return [
            name for name in self.state_tensors(config) if name != "momentum_buffer" or scalar_state[MOMENTUM_BEGUN]
        ]
