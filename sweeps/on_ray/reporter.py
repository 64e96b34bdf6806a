"""The worker's side of a pack: what it reports to the driver, and the orders that it gets back.

    reporter = Reporter(job, config["pack"])
    pack = reporter.begin()                                      # the trials that are in it by now
    train(reporter.configs(pack.trials), report=reporter)       # any loop that calls report(lines) -> Orders

It imports no torch: a worker that measures everything but training uses it too (Job.worker names it).
"""

from __future__ import annotations

import re
import socket
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import ray
from ray import tune

from ch6dist.catalog.dataset_files import DataFilesError
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from sweeps.driver.jobs import Job, PackJob
from sweeps.driver.retries import DEAD, HOST_LOST

HOST_DEATH = re.compile(r"node (has died|is dead|was terminated|is terminated)")  # in what Ray says of a dead actor


class WorkerLostError(RuntimeError):
    """One of a pack's workers is gone, with its process or with its host."""


def what_died(text: str) -> str:
    """Return the reason of a lost worker, from the many lines in which Ray reports it."""
    return HOST_LOST if HOST_DEATH.search(text) else DEAD


class Reporter:
    """Sends lines to the driver and takes its orders; reports are numbered, so that none counts twice."""

    def __init__(self, job: Job, pack: int) -> None:
        self.job, self.pack, self.number = job, pack, 0
        self.attempts = dict(job.attempts)
        self.lock = threading.Lock()  # the thread that watches the other ranks reports too

    def begin(self) -> PackJob:
        """Report that the pack begins; return its trials, which may have changed since the launch."""
        orders = self._report({"begin": True})
        if "trials" not in orders:
            return self.job.packs[self.pack]
        self.attempts |= orders["attempts"]
        return PackJob(tuple(orders["trials"]), orders["engine"])

    def __call__(self, lines: Sequence[Line]) -> Orders:
        """Report lines, and return the driver's orders; the lines are on the disk then."""
        orders = self._report({"lines": list(lines)})
        return Orders(stop=frozenset(orders.get("stop", [])), admit=self.configs(orders.get("admit", [])))

    def failed(self, error: Exception) -> None:
        """Report why the pack failed, and of which kind the failure is: the driver decides on retries."""
        if isinstance(error, (InputError, UsageError, WorkerLostError)):
            of_data = isinstance(error, DataFilesError)
            kind, reason = "data" if of_data else "failed", str(error)
        else:
            kind, reason = _kind(error), f"{type(error).__name__}: {error}"
        first_line = reason.strip().partition("\n")[0]
        trace = "".join(traceback.format_exception(error))
        self._report({"broken": kind, "reason": first_line, "traceback": trace, "host": socket.gethostname()})

    def _report(self, content: Line) -> dict[str, Any]:
        """Report `content`; return the orders once the driver has handled it."""
        with self.lock:
            self.number += 1
            tune.report({"number": self.number, **content})
        try:
            mailbox = ray.get_actor(self.job.mailbox)  # made by the driver when it has its first order
        except ValueError:
            return {}
        return dict(ray.get(mailbox.read.remote(self.pack)))

    def configs(self, trials: Iterable[str]) -> tuple[TrialConfig, ...]:
        """Return the configurations of trials, given by id."""
        return tuple(parse_trial(self.job.trials[trial]) for trial in trials)


def _kind(error: Exception) -> str:
    """Return the kind of a failure, by which the driver decides: smaller packs, a halt, or a retry."""
    causes = list(_causes(error))
    if any("OutOfMemory" in type(cause).__name__ or isinstance(cause, MemoryError) for cause in causes):
        return "out_of_memory"
    return "storage" if any(isinstance(cause, OSError) for cause in causes) else "failed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes: torch wraps a full disk in an error of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
