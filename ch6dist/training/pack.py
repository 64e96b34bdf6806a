"""What the lanes of a pack share while they train: data, device, engine, and the way to the driver."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import TrialConfig
from ch6dist.data.images import TrainData, load_split
from ch6dist.distributed.group import Group
from ch6dist.engines.choice import make_engine
from ch6dist.engines.engine import DTYPES, Engine
from ch6dist.packs import Orders, Report
from ch6dist.runs.schema import EngineName, Line, Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.lane import Lane


@dataclass
class Pack:
    """The trials of a pack are those of its lanes; this is everything else."""

    first: TrialConfig  # speaks for all in what trials of a pack share
    report: Report
    checkpoints: Checkpoints | None  # on rank 0 alone
    attempts: Mapping[str, int]
    device: torch.device
    group: Group
    engine: Engine
    data: TrainData
    checkpoint_seconds: float
    joining: list[TrialConfig] = field(default_factory=list)  # admitted, not opened yet
    saved_at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        first: TrialConfig,
        *,
        report: Report,
        checkpoints: Checkpoints | None,
        attempts: Mapping[str, int] | None,
        device: torch.device,
        group: Group,
        engine: EngineName,
        checkpoint_seconds: float,
    ) -> Pack:
        """Load the data and make the engine of a pack whose trials share what `first` says."""
        steps, dataset = first.data.steps_per_epoch, DATASETS[first.data.name]
        return cls(
            first=first,
            report=report,
            checkpoints=checkpoints if group.rank == 0 else None,
            attempts=attempts or {},
            device=device,
            group=group,
            engine=make_engine(engine, dataset=dataset, steps_per_epoch=steps, device=device, group=group),
            data=load_split(first.data, device=device),
            checkpoint_seconds=checkpoint_seconds,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of parameters and images."""
        return DTYPES[self.first.precision]

    def open(self, trial: TrialConfig) -> Lane:
        """Open a lane for `trial`, at its last checkpoint if there is one.

        It has ended if that is of its last epoch.
        """
        lane = Lane(trial, self.engine.open(trial), attempt=self.attempts.get(trial.trial_id, 1))
        made_with = lane.restore(self.checkpoints, self.group)
        if made_with is not None:
            self.engine.restore_numerics(made_with)
            if lane.complete:
                lane.end(Status.FINISHED)
        return lane

    def send(self, lines: Sequence[Line]) -> Orders:
        """Report lines on rank 0 and return the orders on every rank.

        Trials that they admit join at the epoch's end.
        """
        orders = self.group.on_rank_zero(lambda: self.report(lines))
        self.joining += orders.admit
        return orders

    def clock(self) -> float:
        """Return the time in seconds, after the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
