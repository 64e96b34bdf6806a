"""The worker: what Ray Tune runs for a pack. It trains, reports after every epoch, and obeys the driver's orders.

Only workers import this file: it brings torch, which a driver can do without.
"""

from __future__ import annotations

from typing import Any

from ch6dist.checkpoint import Checkpoints
from ch6dist.train import train
from sweeps.requests import Job
from sweeps.tune.reporter import Reporter


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Ray Tune's function trainable. How a pack broke is reported, not raised: the driver decides what follows."""
    reporter = Reporter(job, config["pack"])
    try:
        trials = reporter.begin()
        if trials:
            train(
                trials,
                report=reporter,
                checkpoints=Checkpoints(job.checkpoints, job.attempts),
                attempts=job.attempts,
                device="cpu" if job.kind == "cpu" else None,
                threads=job.threads,
                engine=job.packs[config["pack"]].engine,
            )
    except Exception as error:
        reporter.broken(error)
