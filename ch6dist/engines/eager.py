"""The eager engine: each lane its own module and torch optimizer, one after another on the batch they share.

It is the reference every other engine is held against, and on a CPU also the fastest: there the arithmetic is the cost,
and fusing lanes buys none of it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.config import TrialConfig
from ch6dist.data.further import Labels
from ch6dist.data.images import Batch
from ch6dist.distributed.group import Group
from ch6dist.engines.capture import Probe, capture_notes
from ch6dist.engines.engine import DTYPES, LrMomentum, Trained
from ch6dist.engines.epoch_batches import BatchPosition, EpochBatches
from ch6dist.engines.task import TASK, Task
from ch6dist.models.build import build_model
from ch6dist.models.dropout import set_dropout_position
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedules import build_schedule
from ch6dist.runs.schema import EngineName


class EagerLane:
    """One trial's module, optimizer and schedule."""

    def __init__(
        self, trial: TrialConfig, *, dataset: DatasetEntry, steps_per_epoch: int, device: torch.device, group: Group
    ) -> None:
        self.trial, self.step = trial, 0
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
        self.optimizer = build_optimizer(self.model.parameters(), trial.optimizer)
        self.schedule = build_schedule(trial, self.optimizer, steps_per_epoch=steps_per_epoch)
        self.lr_momentum = self._lr_momentum()
        probe = Probe(trial.capture, self.model, self.optimizer) if trial.capture else None  # on all: it may refuse
        self.probe = probe if group.rank == 0 else None
        self.notes = (*self.schedule.notes, *capture_notes(trial.capture, trial.optimizer, group.world_size))

    def _lr_momentum(self) -> LrMomentum:
        return float(self.optimizer.param_groups[0]["lr"]), momentum_of(self.optimizer)

    def train_batch(self, images: torch.Tensor, labels: Labels, position: BatchPosition, world_size: int) -> Any:
        """Take one optimizer step; return [2], this rank's sum of losses and count of correct predictions."""
        if self.probe:
            self.probe.begin(self.step + 1)
        set_dropout_position(self.model, seed=self.trial.seed, step=self.step, first_row=position.first_row)
        self.optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.trial.precision == "bf16"):
            logits = self.module(images).to(images.dtype)  # eight bits are too few for a sum of losses
        loss = TASK.loss(logits, labels, smoothing=self.trial.label_smoothing)
        # The group averages gradients over ranks; the factor turns that into the mean over the global batch's rows,
        # also when the ranks' shares differ by one.
        (loss * (world_size / position.rows)).backward()
        self.lr_momentum = self._lr_momentum()
        if self.probe:
            self.probe.take_gradients()
        self.optimizer.step()
        if self.probe:
            self.probe.take_state()
        self.step += 1
        self.schedule.after_step(epoch=position.epoch, batch=position.batch)
        return torch.stack([loss.detach(), TASK.right(logits.detach(), labels).to(loss.dtype)])

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Step the schedule; `metrics` holds what a plateau may monitor, equal on every rank."""
        self.schedule.after_epoch(metrics)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the model's tensors."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything a resume needs; randomness needs nothing (seeding.py)."""
        return {
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
        sums, lr_momentum, world_size = [], [], self.group.world_size
        with contextlib.ExitStack() as stack:
            for lane in lanes:
                stack.enter_context(lane.probe.watching() if lane.probe else contextlib.nullcontext())
            for position, batch in epoch.batches(self.group):
                sums.append(torch.stack([lane.train_batch(*batch, position, world_size) for lane in lanes]))
                lr_momentum.append([lane.lr_momentum for lane in lanes])
        captured = [lane.probe.end_epoch() if lane.probe else None for lane in lanes]
        return Trained(torch.stack(sums), lr_momentum, captured)

    def numerics_state(self) -> dict[str, Any]:
        """Return nothing: it computes as torch does."""
        return {}

    def restore_numerics(self, state: Mapping[str, Any], trial: TrialConfig) -> str:
        """Do nothing; there is nothing to note."""
        return ""

    @torch.no_grad()
    def evaluate(self, lanes: Sequence[EagerLane], batches: Iterable[Batch], task: Task = TASK) -> torch.Tensor:
        """Return [K, 2 + metrics]: sums of every lane over `batches`, in evaluation mode."""
        sums = torch.zeros(len(lanes), 2 + len(task.metrics), dtype=torch.float64, device=self.device)
        for lane in lanes:
            lane.model.eval()
        for images, labels in batches:
            for index, lane in enumerate(lanes):
                with torch.autocast(images.device.type, torch.bfloat16, enabled=lane.trial.precision == "bf16"):
                    logits = lane.model(images).to(images.dtype)
                sums[index, 0] += task.loss(logits, labels)
                sums[index, 1:] += task.counts(logits, labels)
        for lane in lanes:
            lane.model.train()
        return sums
