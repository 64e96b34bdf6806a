"""A worker that trains nothing: a constant row per trial and epoch, by the protocol of the real one, without torch.

    Launch(worker="tests.support.stub_worker:train_pack")

Every tenth trial diverges in its first epoch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ch6dist.config import TrialConfig
from ch6dist.packs import Orders
from sweeps.driver.jobs import Job
from sweeps.wire.reporter import Reporter


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Ray Tune's function trainable."""
    with Reporter(job.wire, pack=config["pack"]) as reporter:
        lanes = opened(reporter.begin(), reporter)
        while lanes:
            for lane in lanes:
                lane.epoch += 1
            orders = reporter([row(lane, len(lanes)) for lane in lanes])
            ended = {lane.name: end for lane in lanes if (end := status(lane, orders))}
            admitted = orders.admit
            if ended:
                lines = [
                    lane.line("status", status=ended[lane.name], epoch=lane.epoch)
                    for lane in lanes
                    if lane.name in ended
                ]
                admitted += reporter(lines).admit
            lanes = [lane for lane in lanes if lane.name not in ended] + opened(admitted, reporter)


class Lane:
    """A trial that is not trained."""

    def __init__(self, trial: TrialConfig, attempt: int) -> None:
        self.trial, self.name, self.attempt, self.epoch = trial, trial.trial_id, attempt, 0

    def line(self, kind: str, **content: Any) -> dict[str, Any]:
        """A ledger line."""
        return {"kind": kind, "trial": self.name, "attempt": self.attempt, "time": time.time(), **content}


def opened(trials: Sequence[TrialConfig], reporter: Reporter) -> list[Lane]:
    """Lanes of trials that begin."""
    lanes = [Lane(trial, reporter.attempts[trial.trial_id]) for trial in trials]
    if lanes:
        reporter([lane.line("status", status="running", epoch=0, engine="eager") for lane in lanes])
    return lanes


def status(lane: Lane, orders: Orders) -> str:
    """The end of a trial, if this epoch is its last."""
    if lane.name in orders.leave:
        return orders.leave[lane.name].status
    if round(lane.trial.optimizer["lr"] * 1e4) % 10 == 0:
        return "diverged"
    return "finished" if lane.epoch == lane.trial.epochs else ""


def row(lane: Lane, lanes: int) -> dict[str, Any]:
    """Return a row of constants."""
    losses = dict.fromkeys(("train_loss", "val_loss"), 4.6) | dict.fromkeys(("train_accuracy", "val_accuracy"), 0.01)
    speeds = {"seconds": 0.01, "eval_seconds": 0.001, "images_per_second": 1e4, "peak_memory_bytes": 10**9}
    return lane.line("row", epoch=lane.epoch, step=lane.epoch, lr=0.1, momentum=None, lanes=lanes, **losses, **speeds)
