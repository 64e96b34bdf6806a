"""A worker that trains nothing: what a training of one epoch reports of every trial of a pack, made up, in its order.

    start(content, trials, Launch(worker="benchmarks.stub_worker:train_pack", paths=("the checkout",)))

It says that it begins, opens every trial, reports a row each and closes them, in four reports and with as many lines as
the real worker; the checkpoints that its lines name are not written. It has no torch.
"""

from __future__ import annotations

import math
import time
from typing import Any

from ch6dist.config import TrialConfig
from ch6dist.runs.schema import Line, Status
from sweeps.driver.jobs import Job
from sweeps.wire.reporter import Reporter


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Ray Tune's function trainable."""
    with Reporter(job.wire, pack=config["pack"]) as reporter:
        trials = {trial.trial_id: trial for trial in reporter.begin()}
        if not trials:
            return
        where = {"device": "none", "workers": 1, "engine": config["engine"]}
        reporter([_status(trial, Status.RUNNING, epoch=0, **where) for trial in trials])
        reporter([made_up_row(name, trial, epoch=1, lanes=len(trials)) for name, trial in trials.items()])
        reporter([line for trial in trials for line in _closing(trial)])


def _closing(trial: str) -> list[Line]:
    kept = [{"name": name, "path": f"checkpoints/{trial}/{name}.pt", "epoch": 1} for name in ("last", "best")]
    artifacts = [{"kind": "artifact", "trial": trial, "attempt": 1, **file} for file in kept]
    return [*artifacts, _status(trial, Status.FINISHED, epoch=1, reason="", step=1)]


def _status(trial: str, status: Status, **facts: Any) -> Line:
    return {"kind": "status", "trial": trial, "attempt": 1, "status": status, "time": time.time(), **facts}


def made_up_row(name: str, trial: TrialConfig, *, epoch: int, lanes: int) -> Line:
    """Return an accuracy that depends on learning rate and seed, so that a ranking has something to rank."""
    lr = trial.optimizer["lr"]
    accuracy = 0.3 / (1 + math.log10(lr / 0.03) ** 2) + 0.001 * (trial.seed % 7)
    losses = {"train_loss": 1 - accuracy, "val_loss": 1 - accuracy}
    accuracies = {"train_accuracy": accuracy, "val_accuracy": accuracy}
    speeds = {"seconds": 1.0, "eval_seconds": 0.1, "lanes": lanes, "images_per_second": 1e4, "peak_memory_bytes": 2**28}
    place = {
        "kind": "row",
        "trial": name,
        "attempt": 1,
        "epoch": epoch,
        "step": epoch,
        "lr": lr,
        "momentum": None,
        "time": time.time(),
    }
    return {**place, **losses, **accuracies, **speeds}
