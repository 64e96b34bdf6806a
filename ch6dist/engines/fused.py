"""The fused engine: trials of one optimizer family as lanes of one model, a row of each tensor per lane.

On a GPU a whole training step of all lanes is one CUDA graph; on a CPU the same code runs eagerly. A lane is its solo
run, up to rounding, and its checkpoint is the eager engine's: a trial may resume in either.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.sizes import SHAPE
from ch6dist.config import TrialConfig
from ch6dist.data.images import Batch
from ch6dist.engines.engine import DTYPES, LrMomentum, Trained
from ch6dist.engines.epoch_batches import EpochBatches
from ch6dist.engines.families.registry import family_of
from ch6dist.engines.fused_lane import FusedLane
from ch6dist.engines.kernels import AutotuneCache, context_of, lanes_key, processor
from ch6dist.engines.lanes import Activations, Rows
from ch6dist.engines.network import Network
from ch6dist.engines.stack import Stack, gather, single
from ch6dist.engines.stack_evaluation import evaluation_of
from ch6dist.engines.step import StackSteps, forward
from ch6dist.engines.task import TASK, Task
from ch6dist.errors import InputError
from ch6dist.models.build import build_model
from ch6dist.runs.schema import EngineName


class FusedEngine:
    """Opens lanes, stacks them, and trains the stack."""

    name: EngineName = "fused"
    group_dependent = True

    def __init__(
        self,
        *,
        dataset: DatasetEntry,
        steps_per_epoch: int,
        device: torch.device,
        autotune: AutotuneCache | None = None,
    ) -> None:
        self.dataset, self.steps_per_epoch, self.device, self.net = dataset, steps_per_epoch, device, Network()
        self.autotune, self.processor = autotune or AutotuneCache(), processor(device)

    def open(self, trial: TrialConfig) -> FusedLane:
        """Return a lane alone in a stack of its own; InputError for what does not fuse."""
        family = family_of(trial.optimizer)
        if family is None:
            raise InputError(
                "optimizer.name", trial.optimizer["name"], "an element-wise optimizer, or the eager engine"
            )
        self.autotune.context = context_of(trial, self.processor)
        shape = {key: getattr(self.dataset, key) for key in SHAPE}
        model = build_model(trial.model, **shape, seed=trial.seed).to(dtype=DTYPES[trial.precision])
        self.net.read(model, trial.model, shape)
        stack = single(model, family, trial.optimizer, device=self.device)
        return FusedLane(trial, stack, steps_per_epoch=self.steps_per_epoch)

    def batch_group(self, trial: TrialConfig, epoch: int, steps: int) -> Hashable:
        """Return the number of steps: lanes with as many are trained together."""
        return steps

    def numerics_state(self) -> dict[str, Any]:
        """Return the kernel variants that were measured to be the fastest."""
        return {"forms": dict(self.autotune.choices), "forms_for": self.autotune.context}

    def restore_numerics(self, state: Mapping[str, Any], trial: TrialConfig) -> str:
        """Use the kernel variants of a checkpoint of `trial`; return a note where another processor measured them."""
        made_for = state.get("forms_for", self.autotune.context)
        if made_for not in (self.autotune.context, context_of(trial, str(self.device))):  # formerly not by its name
            return f"kernel variants are chosen anew: those of the checkpoint are for {made_for}"
        self.autotune.restore(state.get("forms", {}))
        return ""

    def train_epoch(self, lanes: Sequence[FusedLane], epoch: EpochBatches) -> Trained:
        """Train all lanes at once, or in stacks of the size that was measured to be the fastest."""
        columns = [lane.lr_momentum(epoch=e, steps=epoch.steps) for lane, e in zip(lanes, epoch.epochs, strict=True)]
        size = self.stack_size(lanes, epoch, columns)
        parts = [slice(low, low + size) for low in range(0, len(lanes), size)]
        sums = [self.train_stack(lanes[part], epoch.part(part), columns[part]) for part in parts]
        return Trained(torch.cat(sums, dim=1), [list(step) for step in zip(*columns, strict=True)])

    def train_stack(
        self, lanes: Sequence[FusedLane], epoch: EpochBatches, columns: Sequence[Sequence[LrMomentum]]
    ) -> Tensor:
        """Train lanes that are one stack, or become one here; return sums [steps, K, 2]."""
        steps = self.prepared(lanes, epoch, columns)
        for lane in lanes:
            lane.step += epoch.steps
        sums = steps.train(epoch)
        if steps.stack.family.evaluated and lanes[0].trial.type == "train":
            steps.stack.evaluated = evaluation_of(steps, epoch, [lane.momentum for lane in lanes])
        return sums

    def prepared(
        self, lanes: Sequence[FusedLane], epoch: EpochBatches, columns: Sequence[Sequence[LrMomentum]]
    ) -> StackSteps:
        """Return the steps of the lanes' stack, its tables filled for this epoch."""
        stack = stacked(lanes)
        if lanes[0].steps is None or lanes[0].steps.stack is not stack:
            lanes[0].steps = StackSteps(
                stack,
                self.net,
                epoch,
                seeds=[lane.trial.seed for lane in lanes],
                smoothing=[lane.trial.label_smoothing for lane in lanes],
                clip_norms=[lane.trial.clip_norm for lane in lanes],
                precision=lanes[0].trial.precision,
                max_steps=self.steps_per_epoch,
                autotune=self.autotune,
            )
        table = [[(lr, math.nan if m is None else m) for lr, m in column] for column in columns]
        lr, momentum = torch.tensor(table, dtype=torch.float64).permute(2, 1, 0)
        done = torch.tensor([lane.step for lane in lanes])
        steps, scalar_state = lanes[0].steps, stack.scalar_state
        coefficients = stack.family.coefficients(
            stack.configs, lr=lr, momentum=momentum, steps=done, scalar_state=scalar_state
        )
        steps.load(epoch, coefficients, done=done)
        return steps

    def stack_size(
        self, lanes: Sequence[FusedLane], epoch: EpochBatches, columns: Sequence[Sequence[LrMomentum]]
    ) -> int:
        """Return how many lanes to stack, so that a lane's step is fastest: timed once per model and lane count.

        One is among them, so that no pack is slower than its trials alone; a stack may also outgrow a cache.
        """
        if len(lanes) == 1:
            return 1
        key = f"{lanes_key(len(lanes))} lanes of {lanes[0].trial.model['name']}"
        sizes = [len(lanes), *(1 << power for power in reversed(range((len(lanes) - 1).bit_length())))]
        names = {f"stacks of {n}": n for n in range(1, lanes_key(len(lanes)) + 1)}

        def measure() -> str:
            """Return the stack size whose steps take least time per lane."""
            times = {n: self.timed(lanes[:n], epoch.part(slice(n)), columns[:n]) / n for n in sizes}
            return f"stacks of {min(sizes, key=lambda n: times[n])}"

        return min(names[self.autotune.choose(key, names, measure)], len(lanes))

    def timed(self, lanes: Sequence[FusedLane], epoch: EpochBatches, columns: Sequence[Sequence[LrMomentum]]) -> float:
        """Return the seconds of a step of these lanes in one stack, tried on copies; infinite where they do not fit."""
        try:
            copies = [
                FusedLane(lane.trial, gather([(lane.stack, lane.index)]), steps_per_epoch=self.steps_per_epoch)
                for lane in lanes
            ]
            return self.prepared(copies, epoch, columns).seconds()
        except torch.OutOfMemoryError:
            return math.inf

    @torch.no_grad()
    def evaluate(self, lanes: Sequence[FusedLane], batches: Iterable[Batch], task: Task = TASK) -> Tensor:
        """Return [K, 2 + metrics]: sums of every lane over `batches`, in evaluation mode."""
        stacks, size = {id(lane.stack): lane.stack for lane in lanes}, 2 + len(task.metrics)
        sums = {key: torch.zeros(s.lanes, size, dtype=torch.float64, device=self.device) for key, s in stacks.items()}
        trial = lanes[0].trial
        for images, labels in batches:
            for part, targets in zip(
                images.split(trial.data.batch_size), labels.split(trial.data.batch_size), strict=True
            ):
                for key, stack in stacks.items():
                    sums[key] += self.sums_of(stack, part, targets, task, precision=trial.precision)
        return torch.stack([sums[id(lane.stack)][lane.index] for lane in lanes])

    def sums_of(self, stack: Stack, images: Tensor, labels: Tensor, task: Task, *, precision: str) -> Tensor:
        """Return the sums [K, 2 + metrics] of one batch that all lanes see."""
        source = stack.evaluated or stack
        rows = Rows(
            lanes=stack.lanes,
            weights=stack.layout.views(source.weights),
            buffers=source.buffers,
            group_of=None,
            step=torch.zeros(0),
            keys={},
            training=False,
            autotune=self.autotune,
        )
        logits = forward(self.net, Activations(images, 1), rows, precision=precision)
        targets = labels.expand(stack.lanes, -1)
        return torch.cat([task.losses(logits, targets, smoothing=None)[:, None], task.counts(logits, targets)], dim=1)


def stacked(lanes: Sequence[FusedLane]) -> Stack:
    """Return the stack whose rows are `lanes`, in order: theirs, or a new one into which they move."""
    stack = lanes[0].stack
    rows = [(lane.stack, lane.index) for lane in lanes]
    if stack.lanes == len(lanes) and all(s is stack and index == k for k, (s, index) in enumerate(rows)):
        return stack
    stack = gather(rows)
    for index, lane in enumerate(lanes):
        lane.stack, lane.index, lane.steps = stack, index, None
    return stack
