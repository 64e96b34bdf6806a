"""One training step of a stack of lanes, from the images to the metric sums, without a synchronisation with the host.

    steps = StackSteps(stack, net, epoch, seeds=[0, 0, 1], smoothing=[0.0, 0.1, 0.0], precision="fp32", …)
    steps.load(epoch, coefficients, done=torch.tensor([1408, 1408, 0]))
    sums = steps.train(epoch)        # [steps, K, 2]

A step reads row `t` of its tables: the epoch's order, crops and flips, and the coefficients that its schedules and its
optimizer give each lane. So all steps of an epoch are the same program, and a CUDA graph can replay it.
What else augments the images comes before the step, into tensors that it reads (staged.py).
A lane whose loss is not finite is frozen; the others are not affected.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ch6dist.data.further import TrainBatch
from ch6dist.engines.epoch_batches import EpochBatches
from ch6dist.engines.kernels import AutotuneCache, seconds
from ch6dist.engines.lanes import Activations, MaskKeys, Rows
from ch6dist.engines.network import Network
from ch6dist.engines.replay import Replay
from ch6dist.engines.stack import Stack
from ch6dist.engines.staged import Staged, stack_labels
from ch6dist.engines.stepping import clip_factor
from ch6dist.engines.task import TASK


class StackSteps:
    """The tables and the step of one stack. Made for a stack and the images its lanes see; used for all its epochs."""

    def __init__(
        self,
        stack: Stack,
        net: Network,
        epoch: EpochBatches,
        *,
        seeds: Sequence[int],
        smoothing: Sequence[float],
        clip_norms: Sequence[float | None],
        precision: str,
        max_steps: int,
        autotune: AutotuneCache,
    ) -> None:
        device, dtype = stack.weights.device, stack.weights.dtype
        self.stack, self.net, self.data, self.batch_size, self.dtype = stack, net, epoch.data, epoch.batch_size, dtype
        self.plans, self.precision, self.autotune = epoch.plans, precision, autotune
        self.current = epoch.plans  # this epoch's; `plans` are tensors for all epochs
        self.staged = [Staged(epoch, dtype) for plan in epoch.plans if plan.further is not None]
        self.group_of = torch.tensor(epoch.plan_of, device=device)
        self.groups = None if even(epoch.plan_of) else self.group_of  # as `Rows` have it
        self.smoothing = torch.tensor(smoothing, device=device, dtype=dtype)[:, None] if any(smoothing) else None
        largest = [math.inf if norm is None else norm for norm in clip_norms]
        self.clip_norm = torch.tensor(largest, device=device, dtype=dtype) if any(clip_norms) else None  # [K]
        self.leaves = {name: view.detach().requires_grad_() for name, view in stack.layout.views(stack.weights).items()}
        self.keys = MaskKeys(seeds, layers=range(net.dropout_layers), device=device)
        self.names: list[str] = []  # the coefficients', in the table's order
        self.table = torch.empty(0)  # [max_steps, coefficients, K]
        self.t = torch.zeros(1, dtype=torch.int64, device=device)
        self.done = torch.zeros(stack.lanes, dtype=torch.int64, device=device)  # optimizer steps of each lane
        self.alive = torch.ones(stack.lanes, dtype=torch.bool, device=device)
        self.sums = torch.zeros(max_steps, stack.lanes, 2, dtype=dtype, device=device)
        written = [*stack.tensors(), self.t, self.done, self.alive, self.sums]
        # whether a graph can hold what a forward of anybody's own does under vmap is not known: it has not been tried
        self.run = Replay(self.step, written=written, device=device, as_graph=net.form == "layers")

    def load(self, epoch: EpochBatches, coefficients: dict[str, Tensor], *, done: Tensor) -> None:
        """Fill the tables for an epoch.

        Args:
            coefficients: by name, float64 [steps, K] on the host.
            done: [K] optimizer steps before the epoch, on the host.
        """
        if not self.names:
            self.names = list(coefficients)
            shape = (len(self.sums), len(self.names), self.stack.lanes)
            self.table = torch.zeros(shape, dtype=self.dtype, device=self.alive.device)
        rows = torch.stack([coefficients[name] for name in self.names], dim=1)
        self.table[: epoch.steps].copy_(rows.to(self.dtype))
        for mine, new in zip(self.plans, epoch.plans, strict=True):
            mine.replace_by(new)
        self.current = epoch.plans
        self.done.copy_(done)
        self.alive.fill_(True)
        self.t.zero_()

    def train(self, epoch: EpochBatches) -> Tensor:
        """Train the loaded epoch; return sums of losses (NaN once frozen) and correct predictions: [steps, K, 2]."""
        for index, count in enumerate(epoch.each_step()):
            self.stage(index, count)
            self.run(count)
        return self.sums[: epoch.steps].clone()

    def seconds(self) -> float:
        """Return the time of one step on the loaded epoch's first batch; restore every tensor that it writes."""
        before = [tensor.clone() for tensor in self.run.written]

        rows = min(self.batch_size, len(self.plans[0].order))

        def first_step() -> None:
            self.run.put_back(before)
            self.stage(0, rows)
            self.run(rows)

        taken = seconds(first_step, device=self.alive.device)
        self.run.put_back(before)
        return taken

    def stage(self, index: int, rows: int) -> None:
        """Prepare the batch of a step where its augmentation is no part of the step: a user's own is no graph's."""
        start = index * self.batch_size
        for plan, staged in zip(self.current, self.staged, strict=False):
            staged.fill(plan.batch(self.data, start, start + rows, self.dtype))

    def step(self, rows: int) -> None:
        """Train one step of every lane on the next `rows` images of the epoch."""
        images, batches = self.images(rows)
        labels = stack_labels([batch.labels for batch in batches], self.group_of)  # [K, B]
        with torch.enable_grad():
            logits = self.forward(images)
            losses = TASK.losses(logits, labels, smoothing=self.smoothing)  # [K]
            each = torch.full_like(losses, 1 / rows)
            gradients = torch.autograd.grad(losses, list(self.leaves.values()), each)
        with torch.no_grad():
            correct = TASK.right(logits, labels).to(self.dtype)
            shown = torch.where(self.alive, losses, math.nan)
            self.sums.index_copy_(0, self.t, torch.stack([shown, correct], dim=1)[None])
            self.alive.logical_and_(losses.isfinite())
            self.update(self.clipped(torch.cat([gradient.reshape(len(gradient), -1) for gradient in gradients], dim=1)))
            self.done.add_(1)
            self.t.add_(1)

    def images(self, rows: int) -> tuple[Activations, list[TrainBatch]]:
        """Return the next `rows` images of the epoch as the lanes see them, and the batches that they are from."""
        positions = self.t * self.batch_size + torch.arange(rows, device=self.t.device)
        batches = [staged.rows(rows) for staged in self.staged] or [
            plan.at(self.data, positions, self.dtype) for plan in self.plans
        ]
        return Activations(torch.cat([batch.images for batch in batches], dim=1), len(batches)), batches

    def forward(self, images: Activations) -> Tensor:
        """Return logits [K, B, classes] in training mode."""
        rows = Rows(
            lanes=self.stack.lanes,
            weights=self.leaves,
            buffers=self.stack.buffers,
            group_of=self.groups,
            step=self.done,
            keys=self.keys,
            training=True,
            autotune=self.autotune,
        )
        return forward(self.net, images, rows, precision=self.precision)

    def clipped(self, gradient: Tensor) -> Tensor:
        """Return [K, N], scaled in the lanes that clip it and whose norm is too large."""
        if self.clip_norm is None:
            return gradient
        factor = clip_factor(gradient.norm(dim=1), self.clip_norm)
        return gradient * torch.where(self.clip_norm.isinf(), 1.0, factor)[:, None]

    def update(self, gradient: Tensor) -> None:
        """Take the optimizer's step on [K, N]; a frozen lane keeps its weights."""
        row = self.table.index_select(0, self.t)[0]  # [coefficients, K]
        c = {name: value[:, None] for name, value in zip(self.names, row, strict=True)}
        weights = self.stack.weights
        moved = self.stack.family.update(weights, gradient, self.stack.state, c)
        weights.copy_(torch.where(self.alive[:, None], moved, weights))


def forward(net: Network, images: Activations, rows: Rows, *, precision: str) -> Tensor:
    """Return logits [K, B, classes] in the images' type."""
    values = images.values
    cast = torch.autocast(values.device.type, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    with cast:
        logits = rows.spread(net(images, rows)).values
    return logits.to(values.dtype)  # eight bits are too few for a sum of losses


def even(plan_of: Sequence[int]) -> bool:
    """Return whether the lanes stand in groups of equal size, one plan after the other."""
    count = max(plan_of) + 1
    return len(plan_of) % count == 0 and list(plan_of) == [i * count // len(plan_of) for i in range(len(plan_of))]
