"""How an optimizer takes one step, by what its entry says: from gradients, with a closure, with second derivatives.

    stepper = Stepper(optimizer, entry, model, clip_norm=1.0, seed=0)
    stepper.take(step, loss_of)         # loss_of() → the mean loss of the batch, with its graph

A closure computes loss and gradients anew, on the same batch. Running statistics move by its first evaluation alone, as
for any other optimizer. What an optimizer draws at random is a function of (seed, step).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ch6dist.catalog.optimizers import OptimizerEntry
from ch6dist.errors import InputError
from ch6dist.seeding import GlobalGenerators, mix

CLIP_EPS = 1e-6  # added to the norm by torch.nn.utils.clip_grad_norm_


class Stepper:
    """Takes the steps of one lane's optimizer.

    Args:
        clip_norm: the largest norm of all gradients together; None: they are as they are.
        seed: the trial's, for what the optimizer draws.
        looked_at: called behind the backward pass, when the gradients are those that the optimizer will use.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        entry: OptimizerEntry,
        model: nn.Module,
        *,
        clip_norm: float | None,
        seed: int,
        looked_at: Callable[[], None] = lambda: None,
    ) -> None:
        self.optimizer, self.entry, self.model, self.clip_norm, self.seed = optimizer, entry, model, clip_norm, seed
        self.parameters = [one for one in model.parameters() if one.requires_grad]
        self.looked_at = looked_at
        self.stepping: Any = optimizer.step  # a library's own may take a closure or none

    def take(self, step: int, loss_of: Callable[[], Tensor]) -> None:
        """Take optimizer step number `step`, from 0."""
        if self.entry.closure:
            with self._drawing(step):
                self._take_with_closure(loss_of)
            return
        self._gradients(loss_of)
        self.looked_at()
        with self._drawing(step):
            self.stepping()
        if self.entry.second_order:  # the gradients hold the graph, which holds the parameters
            self.optimizer.zero_grad(set_to_none=True)

    def _drawing(self, step: int) -> contextlib.AbstractContextManager[None]:
        """Return the block in which the optimizer draws: the same numbers in every process of a trial."""
        if not self.entry.draws:
            return contextlib.nullcontext()
        return GlobalGenerators(self.parameters[0].device, mix(self.seed, "optimizer", step)).in_use()

    def _gradients(self, loss_of: Callable[[], Tensor]) -> Tensor:
        """Compute loss and gradients; return the loss."""
        self.optimizer.zero_grad()
        loss = loss_of()
        if self.entry.second_order:
            found = torch.autograd.grad(loss, self.parameters, create_graph=True, allow_unused=True)
            for parameter, gradient in zip(self.parameters, self._clipped(found), strict=True):
                parameter.grad = gradient
        else:
            loss.backward()
            if self.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        return loss.detach()

    def _take_with_closure(self, loss_of: Callable[[], Tensor]) -> None:
        after_first: list[list[Tensor]] = []  # buffers; of a first evaluation alone

        def again() -> Tensor:
            """Return the loss, and leave its gradients."""
            with torch.enable_grad():
                loss = self._gradients(loss_of)
            if not after_first:
                after_first.append([buffer.clone() for buffer in self.model.buffers()])
                self.looked_at()
            return loss

        self.stepping(again)
        with torch.no_grad():
            for buffers in after_first:
                for buffer, kept in zip(self.model.buffers(), buffers, strict=True):
                    buffer.copy_(kept)

    def _clipped(self, gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """Return gradients that can be differentiated again, scaled where their norm is too large."""
        if self.clip_norm is None:
            return gradients
        norm = torch.nn.utils.get_total_norm([one.detach() for one in gradients if one is not None])
        factor = clip_factor(norm, self.clip_norm)
        return [None if one is None else one * factor for one in gradients]


def clip_factor(norm: Tensor, clip_norm: float | Tensor) -> Tensor:
    """Return what a gradient of this norm is multiplied with, as torch.nn.utils.clip_grad_norm_ does it."""
    factor: Tensor = clip_norm / (norm + CLIP_EPS)
    return factor.clamp(max=1.0)


def check_workers(name: str, entry: OptimizerEntry, world_size: int) -> None:
    """Raise InputError for an optimizer that several processes cannot share: its step evaluates the model itself."""
    if world_size > 1 and (entry.closure or entry.second_order):
        how = "evaluates the loss several times a step" if entry.closure else "differentiates the gradients once more"
        raise InputError("optimizer.name", name, f"an optimizer for {world_size} workers; this one {how}: 1 worker")
