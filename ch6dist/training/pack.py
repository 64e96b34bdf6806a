"""What the lanes of a pack share while they train: data, device, engine, report and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ch6dist.branches import Branches
from ch6dist.config import TrialConfig
from ch6dist.data.images import TrainData
from ch6dist.distributed.group import Group
from ch6dist.engines.engine import DTYPES, Engine
from ch6dist.engines.step_counter import StepCounter
from ch6dist.packs import Orders, Report
from ch6dist.runs.schema import Line, Status
from ch6dist.training.captures import Captures
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.lane import Lane


@dataclass
class Pack:
    """The trials of a pack are those of its lanes; this is everything else."""

    first: TrialConfig  # its shared fields are those of every trial of the pack
    engine: Engine
    data: TrainData
    device: torch.device
    group: Group
    report: Report
    attempts: Mapping[str, int]
    checkpoints: Checkpoints | None  # on rank 0 alone
    captures: Captures | None  # on rank 0 alone
    branches: Branches  # by trial id: where it starts that has no checkpoint of its own; on rank 0 alone
    keep: Mapping[str, Collection[int]]  # by trial id: epochs at which others branch off; on rank 0 alone
    checkpoint_seconds: float
    counter: StepCounter
    kept: Mapping[str, Collection[int]] = field(default_factory=dict)  # what `keep` says of the lanes just reported
    halted: bool = False  # the driver has ordered to save and end
    joining: list[TrialConfig] = field(default_factory=list)  # admitted, not opened yet
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of parameters and images."""
        return DTYPES[self.first.precision]

    def open(self, trial: TrialConfig) -> Lane:
        """Open a lane for `trial`, at its last checkpoint if there is one, else where it branches off.

        A checkpoint of the last epoch makes the lane a finished one.
        """
        lane = Lane(trial, self.engine.open(trial), attempt=self.attempts.get(trial.trial_id, 1))
        made_with = lane.restore(self.checkpoints, self.group)
        if made_with is None:
            made_with = lane.branch_off(self.checkpoints, self.group, self.branches)
        if made_with is not None:
            lane.notes.append(self.engine.restore_numerics(made_with, trial))
            if lane.complete:
                lane.end(Status.FINISHED)
        return lane

    def send(self, lines: Sequence[Line]) -> Orders:
        """Report lines on rank 0 and return the orders on every rank.

        Trials that they admit join at the end of the epoch. Every rank then knows at which epochs the trials of these
        lines are kept.
        """

        def ask() -> tuple[Orders, dict[str, Collection[int]]]:
            orders = self.report(lines)
            trials = {line["trial"] for line in lines if "trial" in line}
            return orders, {trial: self.keep[trial] for trial in trials & self.keep.keys()}

        orders, self.kept = self.group.on_rank_zero(ask)
        self.joining += orders.admit
        self.halted |= orders.halt
        return orders

    def clock(self) -> float:
        """Return the time in seconds, after the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
