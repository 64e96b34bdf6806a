"""The worker: what Ray Tune runs for a pack. It trains, reports after every epoch, and reads the driver's orders."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from ch6dist.checkpoint import Checkpoints
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.train import Line, Orders, train

MAILBOX = "ch6dist-orders"


@dataclass(frozen=True)
class Job:
    """What every pack of a launch has in common, and the packs."""

    packs: tuple[tuple[dict[str, Any], ...], ...]  # trial configurations
    attempts: dict[str, int]
    checkpoints: str  # folder, on storage that driver and workers share
    threads: int  # per process


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Ray Tune's function trainable. How a pack broke is reported, not raised: the driver decides what follows."""
    trials = [parse_trial(content) for content in job.packs[config["pack"]]]
    reporter = _Reporter()
    try:
        train(
            trials,
            report=reporter,
            checkpoints=Checkpoints(job.checkpoints, job.attempts),
            attempts=job.attempts,
            threads=job.threads,
        )
    except Exception as error:
        reporter.broken(error)


class _Reporter:
    """Hands lines to the driver and takes its orders; reports are numbered, so that none counts twice."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, lines: Sequence[Line]) -> Orders:
        self._send({"lines": list(lines)})  # returns once the driver has written the lines
        try:
            mailbox = ray.get_actor(MAILBOX)  # made by the driver when it has its first order
        except ValueError:
            return Orders()
        return Orders(stop=frozenset(ray.get(mailbox.stops.remote())))

    def broken(self, error: Exception) -> None:
        kind = "failed"
        if "OutOfMemory" in type(error).__name__ or isinstance(error, MemoryError):
            kind = "out_of_memory"
        elif isinstance(error, InputError):
            kind = "input"
        elif isinstance(error, OSError):
            kind = "storage"
        reason = f"{type(error).__name__}: {error}" if kind != "input" else str(error)
        self._send({"broken": kind, "reason": reason, "traceback": traceback.format_exc()})

    def _send(self, content: dict[str, Any]) -> None:
        self.number += 1
        tune.report({"number": self.number, **content})
