"""A worker that trains nothing: a constant row per trial and epoch, by the protocol of the real one, without torch.

    Launch(worker="tests.support.stub_worker:train_pack")

Every tenth trial diverges in its first epoch.
"""

from __future__ import annotations

import time
from typing import Any

from ch6dist.config import TrialConfig
from sweeps.driver.jobs import Job
from sweeps.on_ray.reporter import Reporter


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Ray Tune's function trainable."""
    reporter = Reporter(job, config["pack"])
    lanes = opened(reporter.configs(reporter.begin().trials), reporter, job)
    while lanes:
        lanes = {trial: epoch + 1 for trial, epoch in lanes.items()}
        admitted = reporter([row(trial, epoch, len(lanes), job) for trial, epoch in lanes.items()]).admit
        ended = {trial: end for trial, epoch in lanes.items() if (end := status(job.trials[trial], epoch))}
        if ended:
            lines = [line("status", trial, job, status=end, epoch=lanes[trial]) for trial, end in ended.items()]
            admitted += reporter(lines).admit
        lanes = {trial: epoch for trial, epoch in lanes.items() if trial not in ended}
        lanes |= opened(admitted, reporter, job)


def opened(trials: tuple[TrialConfig, ...], reporter: Reporter, job: Job) -> dict[str, int]:
    """Epochs done of trials that begin."""
    names = [trial.trial_id for trial in trials]
    if names:
        reporter([line("status", name, job, status="running", epoch=0, engine="eager") for name in names])
    return dict.fromkeys(names, 0)


def status(config: dict[str, Any], epoch: int) -> str:
    """The end of a trial, if this epoch is its last."""
    if round(config["optimizer"]["lr"] * 1e4) % 10 == 0:
        return "diverged"
    return "finished" if epoch == config["epochs"] else ""


def row(trial: str, epoch: int, lanes: int, job: Job) -> dict[str, Any]:
    """Return a row of constants."""
    losses = dict.fromkeys(("train_loss", "val_loss"), 4.6) | dict.fromkeys(("train_accuracy", "val_accuracy"), 0.01)
    speeds = {"seconds": 0.01, "eval_seconds": 0.001, "images_per_second": 1e4, "peak_memory_bytes": 10**9}
    return line("row", trial, job, epoch=epoch, step=epoch, lr=0.1, momentum=None, lanes=lanes, **losses, **speeds)


def line(kind: str, trial: str, job: Job, **content: Any) -> dict[str, Any]:
    """A ledger line."""
    return {"kind": kind, "trial": trial, "attempt": job.attempts[trial], "time": time.time(), **content}
