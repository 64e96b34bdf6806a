"""What the loop needs of an engine; choice.py makes one by its name.

engine.open(trial)                         a lane at its start
engine.batch_group(trial, epoch, steps)    lanes with equal keys are trained together
engine.train_epoch(lanes, epoch)           every lane one epoch further
engine.evaluate(lanes, batches)            sums over a data set
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ch6dist.config import TrialConfig
from ch6dist.data.images import Batch
from ch6dist.engines.epoch_batches import EpochBatches
from ch6dist.engines.task import TASK, Task
from ch6dist.optim.schedules import Schedule
from ch6dist.runs.captures import Captured
from ch6dist.runs.schema import EngineName

LrMomentum = tuple[float, float | None]  # learning rate and momentum, None where the optimizer has none
DTYPES = {"fp32": torch.float32, "bf16": torch.float32, "fp64": torch.float64}  # types of parameters; bf16 is autocast


@dataclass(frozen=True)
class Trained:
    """The results of an epoch of K lanes, this rank's share."""

    sums: torch.Tensor  # [steps, K, 2]: sum of losses and count of correct predictions; still on the device
    lr_momentum: list[list[LrMomentum]]  # [steps][K], as used
    captured: Sequence[Captured | None] = ()  # [K], on rank 0, of an engine that captures


class EngineLane(Protocol):
    """One trial in an engine."""

    step: int  # optimizer steps done
    schedule: Schedule
    notes: tuple[str, ...]  # lines for the log: what its schedule overrides or derives

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Step the schedule; `metrics` holds what a plateau may monitor, equal on every rank."""

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the model's tensors by name."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything a resume needs, in one layout for all engines: model, optimizer, schedule, step."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume where `state_dict` was taken, in whichever engine."""


class Engine(Protocol):
    """Opens lanes, trains and evaluates them; it is handed the lanes that it opened."""

    name: EngineName
    group_dependent: bool  # True if results depend, in the last bits, on the lanes trained together

    def open(self, trial: TrialConfig) -> EngineLane:
        """Return a lane at its first step; InputError where its schedule fits no training of that length."""

    def batch_group(self, trial: TrialConfig, epoch: int, steps: int) -> Hashable:
        """Return the grouping key: lanes with equal keys are trained in one `train_epoch` call.

        Args:
            epoch: epochs completed.
            steps: steps of the next epoch.
        """

    def train_epoch(self, lanes: Sequence[Any], epoch: EpochBatches) -> Trained:
        """Train the lanes of one batch group through `epoch`, in its order of lanes."""

    def evaluate(self, lanes: Sequence[Any], batches: Iterable[Batch], task: Task = TASK) -> torch.Tensor:
        """Return this rank's sums in evaluation mode: [K, 2 + metrics] float64.

        They are the losses, the correct predictions, and those by each further metric of `task`.
        """

    def numerics_state(self) -> dict[str, Any]:
        """Return what checkpoints keep of how it computes, such as the kernel variants; plain data."""

    def restore_numerics(self, state: Mapping[str, Any], trial: TrialConfig) -> str:
        """Compute as the `numerics_state` of a checkpoint of `trial` says, except for what is decided already.

        Returns a note for the log where that is impossible, else an empty text.
        """
