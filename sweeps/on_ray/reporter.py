"""The worker's side of a pack: what it reports to the driver, and the orders it finds then.

    reporter = Reporter(job, config["pack"])
    pack = reporter.begin()                                      # who is in it by now
    train(reporter.configs(pack.trials), report=reporter)       # any loop that calls report(lines) -> Orders

It imports no torch: a worker that measures everything but training uses it too (Job.worker names the worker).
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
from ch6dist.packs import Line, Orders
from sweeps.driver.jobs import DEAD, HOST_LOST, Job, PackJob

HOST_DEATH = re.compile(r"node (has died|is dead|was terminated|is terminated)")  # in what Ray says of a dead actor


class WorkerLostError(RuntimeError):
    """One of a pack's workers is gone, with its process or with its host."""


def what_died(text: str) -> str:
    """In a few words what Ray says in an error of many lines."""
    return HOST_LOST if HOST_DEATH.search(text) else DEAD


class Reporter:
    """Hands lines to the driver and takes its orders; reports are numbered, so that none counts twice."""

    def __init__(self, job: Job, pack: int) -> None:
        self.job, self.pack, self.number = job, pack, 0
        self.attempts = dict(job.attempts)
        self.lock = threading.Lock()  # a report may also come from whoever watches the other workers

    def begin(self) -> PackJob:
        """Say that the pack begins; who is in it: what the job says, unless the driver knows better by now."""
        orders = self._report({"begin": True})
        if "trials" not in orders:
            return self.job.packs[self.pack]
        self.attempts |= orders["attempts"]
        return PackJob(tuple(orders["trials"]), orders["engine"])

    def __call__(self, lines: Sequence[Line]) -> Orders:
        """Report lines; when this returns, the driver has written them."""
        orders = self._report({"lines": list(lines)})
        return Orders(stop=frozenset(orders.get("stop", [])), admit=self.configs(orders.get("admit", [])))

    def broken(self, error: Exception) -> None:
        """Tell the driver why the pack broke, and of which kind that is: it decides what follows."""
        if isinstance(error, (InputError, UsageError, WorkerLostError)):
            of_data = isinstance(error, DataFilesError)
            kind, reason = "data" if of_data else "failed", str(error)
        else:
            kind, reason = _kind(error), f"{type(error).__name__}: {error}"
        first_line = reason.strip().partition("\n")[0]
        trace = "".join(traceback.format_exception(error))
        self._report({"broken": kind, "reason": first_line, "traceback": trace, "host": socket.gethostname()})

    def _report(self, content: Line) -> dict[str, Any]:
        """Returns once the driver has dealt with the report, with the orders it left."""
        with self.lock:
            self.number += 1
            tune.report({"number": self.number, **content})
        try:
            mailbox = ray.get_actor(self.job.mailbox)  # made by the driver when it has its first order
        except ValueError:
            return {}
        return dict(ray.get(mailbox.read.remote(self.pack)))

    def configs(self, trials: Iterable[str]) -> tuple[TrialConfig, ...]:
        """The configurations of trials, by id."""
        return tuple(parse_trial(self.job.trials[trial]) for trial in trials)


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
