"""What the loop asks of an engine. It knows none of them by name but to choose one.

engine.open(trial)                      a lane at its start
engine.company(trial, epoch, steps)     lanes of equal company train together
engine.train_epoch(lanes, feed)         every lane one epoch further
engine.evaluate(lanes, batches)         sums over a data set
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ch6dist.config import TrialConfig
from ch6dist.data.images import Batch
from ch6dist.engines.epoch_batches import Feed
from ch6dist.runs.schema import EngineName

Rate = tuple[float, float | None]  # learning rate and momentum, None where the optimizer has none
DTYPES = {"fp32": torch.float32, "bf16": torch.float32, "fp64": torch.float64}  # of parameters; bf16 is autocast


@dataclass(frozen=True)
class Trained:
    """What an epoch left of K lanes, this rank's share."""

    sums: torch.Tensor  # [steps, K, 2]: sum of losses and count of right answers; still on the device
    rates: list[list[Rate]]  # [steps][K], as used


class EngineLane(Protocol):
    """One trial in an engine."""

    step: int  # optimizer steps done
    notes: tuple[str, ...]  # what a person should know of how it trains

    def end_epoch(self, metrics: Mapping[str, float]) -> None:
        """Step the schedule; `metrics` holds what a plateau may monitor, equal on every rank."""

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the model's tensors by name."""

    def state_dict(self) -> dict[str, Any]:
        """Everything a resume needs, equal in form whatever the engine: model, optimizer, schedule, step."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, in whichever engine."""


class Engine(Protocol):
    """Opens lanes, trains and evaluates them; it is handed the lanes that it opened."""

    name: EngineName
    company_shows: bool  # whether a lane's last bits depend on how many lanes train beside it

    def open(self, trial: TrialConfig) -> EngineLane:
        """A lane at its first step; InputError where its schedule fits no training of that length."""

    def company(self, trial: TrialConfig, epoch: int, steps: int) -> Hashable:
        """Lanes for which this is equal train together; `epoch`: completed, `steps`: of the epoch to come."""

    def train_epoch(self, lanes: Sequence[Any], feed: Feed) -> Trained:
        """Train lanes of one company through `feed`, whose lanes they are, in order."""

    def evaluate(self, lanes: Sequence[Any], batches: Iterable[Batch]) -> torch.Tensor:
        """[K, 2] float64: this rank's sums of losses and right answers over `batches`, in evaluation mode."""

    def facts(self) -> dict[str, Any]:
        """What checkpoints keep of how it computes, such as measured forms; plain data."""

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Compute as a checkpoint's `facts` say, where nothing else has been decided."""
