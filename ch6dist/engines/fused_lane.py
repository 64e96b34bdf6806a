"""A lane of the fused engine: one trial as a row of a stack.

lane = FusedLane(trial, stack, steps_per_epoch=352)
lane.state_dict()       # the eager engine's, tensor for tensor
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ch6dist.config import TrialConfig
from ch6dist.engines.engine import LrMomentum
from ch6dist.engines.stack import EvaluationWeights, Stack
from ch6dist.engines.step import StackSteps
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedules import build_schedule


class FusedLane:
    """One trial: a row of a stack, and a schedule that torch's schedulers run on a parameter that never trains."""

    def __init__(self, trial: TrialConfig, stack: Stack, *, steps_per_epoch: int) -> None:
        self.trial, self.stack, self.index, self.step = trial, stack, 0, 0
        self.optimizer = build_optimizer([nn.Parameter(torch.zeros(()))], trial.optimizer)
        self.schedule = build_schedule(trial, self.optimizer, steps_per_epoch=steps_per_epoch)
        self.optimizer.step()  # without a gradient nothing moves, and torch knows that optimizers step first
        self.notes = self.schedule.notes
        self.steps: StackSteps | None = None  # its stack's, kept by the stack's first lane

    def lr_momentum(self, *, epoch: int, steps: int) -> list[LrMomentum]:
        """Return learning rate and momentum of each of the next `steps`, and advance the schedule by them."""
        used = []
        for batch in range(steps):
            used.append((float(self.optimizer.param_groups[0]["lr"]), momentum_of(self.optimizer)))
            self.schedule.after_step(epoch=epoch, batch=batch)
        return used

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Step the schedule, which sets the next epoch's learning rates."""
        self.schedule.after_epoch(metrics)

    @property
    def momentum(self) -> float | None:
        """Return the optimizer's momentum, or beta1, as the schedule has it now."""
        return momentum_of(self.optimizer)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the model's tensors, as they are evaluated."""
        return self._copied(self.stack.evaluated)

    def state_dict(self) -> dict[str, Any]:
        """Return the same as the eager engine, tensor for tensor."""
        stack, shapes = self.stack, list(self.stack.layout.shapes.values())
        row = {name: matrix[self.index] for name, matrix in stack.state.items()}
        scalar_state = {name: float(values[self.index]) for name, values in stack.scalar_state.items()}
        state = stack.family.to_torch(
            self.trial.optimizer, row=row, scalar_state=scalar_state, step=self.step, shapes=shapes
        )
        counted = stack.family.to_group(scalar_state, self.step)
        group = self.optimizer.param_groups[0] | counted | {"params": [*range(len(shapes))]}
        return {
            **({} if stack.evaluated is None else {"evaluation": self.weights()}),
            "model": self._copied(None),
            "optimizer": {"state": state, "param_groups": [group]},
            "schedule": self.schedule.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume exactly where either engine's `state_dict` was taken. Only for a lane alone in its stack."""
        stack, layout = self.stack, self.stack.layout
        model, weights = state["model"], self.stack.weights
        weights.copy_(torch.cat([model[name].flatten() for name in layout.shapes])[None])
        for name in layout.buffers:
            stack.buffers[name].copy_(model[name][None])
        if "evaluation" in state:
            stack.evaluated = EvaluationWeights.of(state["evaluation"], layout, device=weights.device)
        saved, shapes = state["optimizer"], list(layout.shapes.values())
        row, scalar_state = stack.family.from_torch(
            self.trial.optimizer,
            saved["state"],
            saved["param_groups"][0],
            shapes=shapes,
            dtype=weights.dtype,
            device=weights.device,
        )
        stack.state = {name: values[None] for name, values in row.items()}
        stack.scalar_state = {name: torch.tensor([value], dtype=torch.float64) for name, value in scalar_state.items()}
        groups = [{**saved["param_groups"][0], "params": [0]}]
        self.optimizer.load_state_dict({"state": {}, "param_groups": groups})
        self.schedule.load_state_dict(state["schedule"])
        self.step = state["step"]

    def _copied(self, evaluated: EvaluationWeights | None) -> dict[str, Tensor]:
        """Return a copy of the lane's row: of the weights for evaluation, or of the training."""
        return {name: tensor.detach().clone() for name, tensor in self.stack.row(self.index, evaluated).items()}
