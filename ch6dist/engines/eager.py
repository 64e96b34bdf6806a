"""The eager engine: each lane its own module and torch optimizer, one after another on the batch they share.

It is the reference every other engine is held against, and on a CPU also the fastest: there the arithmetic is the cost,
and fusing lanes buys none of it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.lookup import is_foreign, optimizer_of
from ch6dist.config import TrialConfig
from ch6dist.data.further import Labels, TrainBatch
from ch6dist.data.images import Batch
from ch6dist.distributed.group import Group
from ch6dist.engines.capture import Probe, capture_notes
from ch6dist.engines.engine import DTYPES, LrMomentum, Trained
from ch6dist.engines.epoch_batches import BatchPosition, EpochBatches
from ch6dist.engines.evaluation_weights import BATCHES, Weights, copied, evaluation_weights, weights_in
from ch6dist.engines.step_counter import StepCounter
from ch6dist.engines.stepping import Stepper, check_workers
from ch6dist.engines.task import TASK, Task
from ch6dist.models.build import build_model
from ch6dist.models.dropout import set_dropout_position
from ch6dist.optim.groups import parameter_groups
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedules import build_schedule
from ch6dist.runs.schema import EngineName
from ch6dist.seeding import GlobalGenerators, mix


class EagerLane:
    """One trial's module, optimizer and schedule."""

    def __init__(
        self, trial: TrialConfig, *, dataset: DatasetEntry, steps_per_epoch: int, device: torch.device, group: Group
    ) -> None:
        self.trial, self.step, self.entry = trial, 0, optimizer_of(trial.optimizer)
        self.device, self.rank = device, group.rank
        check_workers(trial.optimizer["name"], self.entry, group.world_size)
        model = build_model(
            trial.model,
            channels=dataset.channels,
            height=dataset.height,
            width=dataset.width,
            classes=dataset.classes,
            seed=trial.seed,
        )
        self.model = model.to(device=device, dtype=DTYPES[trial.precision])
        self.module = group.wrap(self.model)
        self.optimizer = build_optimizer(parameter_groups(self.model, trial), trial.optimizer)
        self.schedule = build_schedule(trial, self.optimizer, steps_per_epoch=steps_per_epoch)
        self.lr_momentum = self._lr_momentum()
        probe = Probe(trial.capture, self.model, self.optimizer) if trial.capture else None  # on all: it may refuse
        self.probe = probe if group.rank == 0 else None
        self.draws: GlobalGenerators | None = None
        self.evaluated: Weights | None = None  # for evaluation, where the optimizer has other weights for that
        self.stepper = Stepper(
            self.optimizer,
            self.entry,
            self.model,
            clip_norm=trial.clip_norm,
            seed=trial.seed,
            looked_at=self.probe.take_gradients if self.probe else lambda: None,
        )
        self.notes = (*self.schedule.notes, *capture_notes(trial.capture, trial.optimizer, group.world_size))

    def seed_draws(self, *parts: int | str) -> None:
        """Let code that is not of the catalog draw numbers that follow from seed, rank and `parts`."""
        if is_foreign("model", self.trial.model["name"]) or is_foreign("optimizer", self.trial.optimizer["name"]):
            self.draws = GlobalGenerators(self.device, mix(self.trial.seed, self.rank, *parts))

    def drawing(self) -> contextlib.AbstractContextManager[None]:
        """Return the block in which that code draws; the lanes of a pack take turns, and share no generator."""
        return self.draws.in_use() if self.draws else contextlib.nullcontext()

    def _lr_momentum(self) -> LrMomentum:
        return float(self.optimizer.param_groups[0]["lr"]), momentum_of(self.optimizer)

    def train_batch(self, images: Tensor, labels: Labels, position: BatchPosition, world_size: int) -> Tensor:
        """Take one optimizer step; return [2], this rank's sum of losses and count of correct predictions.

        An optimizer that evaluates the batch several times sees the same dropout masks; its first evaluation counts.
        """
        if self.probe:
            self.probe.begin(self.step + 1)
        measured: list[Tensor] = []

        def loss_of() -> Tensor:
            """Return this rank's part of the batch's mean loss."""
            loss, logits = self._forward(images, labels, position)
            measured.append(torch.stack([loss.detach(), TASK.right(logits.detach(), labels).to(loss.dtype)]))
            # The group averages gradients over ranks; the factor turns that into the mean over the global batch's
            # rows, also when the ranks' shares differ by one.
            return loss * (world_size / position.rows)

        self.lr_momentum = self._lr_momentum()
        self.stepper.take(self.step, loss_of)
        if self.probe:
            self.probe.take_state()
        self.step += 1
        self.schedule.after_step(epoch=position.epoch, batch=position.batch)
        return measured[0]

    def _forward(self, images: Tensor, labels: Labels, position: BatchPosition) -> tuple[Tensor, Tensor]:
        """Return the sum of losses of a batch, and its logits."""
        set_dropout_position(self.model, seed=self.trial.seed, step=self.step, first_row=position.first_row)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.trial.precision == "bf16"):
            logits = self.module(images).to(images.dtype)  # eight bits are too few for a sum of losses
        return TASK.loss(logits, labels, smoothing=self.trial.label_smoothing), logits

    def find_evaluation_weights(self, epoch: EpochBatches, group: Group) -> None:
        """Compute the weights for evaluation from those behind the last step, where the optimizer has others."""
        if not self.entry.modes or self.trial.type != "train":
            return
        first = replace(epoch, steps=min(epoch.steps, BATCHES), counter=StepCounter())  # no step is counted twice
        batches = (batch for _, batch in first.batches(group))
        autocast = self.trial.precision == "bf16"
        with self.drawing():
            self.evaluated = evaluation_weights(self.model, self.optimizer, batches, autocast=autocast)

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Step the schedule; `metrics` holds what a plateau may monitor, equal on every rank."""
        self.schedule.after_epoch(metrics)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the model's tensors, as they are evaluated."""
        return copied(self.model) if self.evaluated is None else {k: v.clone() for k, v in self.evaluated.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything a resume needs; randomness needs nothing (seeding.py).

        `model` are the weights of the training; `evaluation` those that are looked at, where they are others.
        """
        return {
            **({} if self.evaluated is None else {"evaluation": self.evaluated}),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume exactly where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.evaluated = state.get("evaluation")
        self.step = state["step"]


class EagerEngine:
    """Opens lanes and trains them on shared batches."""

    name: EngineName = "eager"
    group_dependent = False

    def __init__(self, *, dataset: DatasetEntry, steps_per_epoch: int, device: torch.device, group: Group) -> None:
        self.dataset, self.steps_per_epoch, self.device, self.group = dataset, steps_per_epoch, device, group

    def open(self, trial: TrialConfig) -> EagerLane:
        """Return a lane for `trial`, at its initial weights.

        InputError where its schedule fits no training of that length.
        """
        return EagerLane(
            trial,
            dataset=self.dataset,
            steps_per_epoch=self.steps_per_epoch,
            device=self.device,
            group=self.group,
        )

    def batch_group(self, trial: TrialConfig, epoch: int, steps: int) -> Hashable:
        """Return seed and epoch: lanes of one seed, at one epoch, share their batches."""
        return trial.seed, epoch

    def train_epoch(self, lanes: Sequence[EagerLane], epoch: EpochBatches) -> Trained:
        """Train batch by batch, the lanes one after another."""
        sums, lr_momentum = [], []
        with contextlib.ExitStack() as stack:
            for lane in lanes:
                stack.enter_context(lane.probe.watching() if lane.probe else contextlib.nullcontext())
            for lane in lanes:
                lane.seed_draws("training", epoch.epochs[0])
            for position, batch in epoch.batches(self.group):
                sums.append(torch.stack([self._step(lane, batch, position) for lane in lanes]))
                lr_momentum.append([lane.lr_momentum for lane in lanes])
        for lane in lanes:
            lane.find_evaluation_weights(epoch, self.group)
        captured = [lane.probe.end_epoch() if lane.probe else None for lane in lanes]
        return Trained(torch.stack(sums), lr_momentum, captured)

    def _step(self, lane: EagerLane, batch: TrainBatch, position: BatchPosition) -> torch.Tensor:
        with lane.drawing():
            sums: torch.Tensor = lane.train_batch(*batch, position, self.group.world_size)
        return sums

    def numerics_state(self) -> dict[str, Any]:
        """Return nothing: it computes as torch does."""
        return {}

    def restore_numerics(self, state: Mapping[str, Any], trial: TrialConfig) -> str:
        """Do nothing; there is nothing to note."""
        return ""

    @torch.no_grad()
    def evaluate(self, lanes: Sequence[EagerLane], batches: Iterable[Batch], task: Task = TASK) -> Tensor:
        """Return [K, 2 + metrics]: sums of every lane over `batches`, in evaluation mode."""
        sums = torch.zeros(len(lanes), 2 + len(task.metrics), dtype=torch.float64, device=self.device)
        with contextlib.ExitStack() as stack:
            for lane in lanes:
                stack.enter_context(weights_in(lane.model, lane.evaluated))
                lane.model.eval()
                lane.seed_draws("evaluation", lane.step)
            for images, labels in batches:
                for index, lane in enumerate(lanes):
                    cast = torch.autocast(images.device.type, torch.bfloat16, enabled=lane.trial.precision == "bf16")
                    with lane.drawing(), cast:
                        logits = lane.model(images).to(images.dtype)
                    sums[index, 0] += task.loss(logits, labels)
                    sums[index, 1:] += task.counts(logits, labels)
        for lane in lanes:
            lane.model.train()
        return sums
