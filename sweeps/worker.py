"""The worker: what Ray Tune runs for a pack. It trains, reports after every epoch, and reads the driver's orders.

Only workers import this file: it brings torch, which a driver can do without.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray import tune

from ch6dist.checkpoint import Checkpoints
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.train import Line, Orders, train
from sweeps.requests import MAILBOX, Job


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
            device="cpu" if job.kind == "cpu" else None,
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
        """Tell the driver why the pack broke, and of which kind that is: it decides what follows."""
        if isinstance(error, InputError):
            kind, reason = "data" if error.key.startswith("data.") else "failed", str(error)
        else:
            kind, reason = _kind(error), f"{type(error).__name__}: {error}"
        first_line = reason.strip().partition("\n")[0]
        self._send({"broken": kind, "reason": first_line, "traceback": traceback.format_exc()})

    def _send(self, content: dict[str, Any]) -> None:
        self.number += 1
        tune.report({"number": self.number, **content})


def _kind(error: Exception) -> str:
    """What a sweep can do about it: smaller packs, wait for the storage, or try again."""
    causes = list(_causes(error))
    if any("OutOfMemory" in type(cause).__name__ or isinstance(cause, MemoryError) for cause in causes):
        return "out_of_memory"
    return "storage" if any(isinstance(cause, OSError) for cause in causes) else "failed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised over: torch wraps a full disk in an error of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
