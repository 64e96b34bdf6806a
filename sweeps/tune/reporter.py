"""The worker's side of a pack: what it reports to the driver, and the orders it finds then.

    reporter = Reporter(job, config["pack"])
    trials = reporter.begin()               # the pack's trials that are still its own
    train(trials, report=reporter)          # any loop that calls report(lines) -> Orders

It imports no torch: a worker that measures everything but training uses it too (Job.worker names the worker).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Sequence

import ray
from ray import tune

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.orders import Line, Orders
from sweeps.requests import Job


class Reporter:
    """Hands lines to the driver and takes its orders; reports are numbered, so that none counts twice."""

    def __init__(self, job: Job, pack: int) -> None:
        self.job, self.pack, self.number = job, pack, 0

    def begin(self) -> tuple[TrialConfig, ...]:
        """Say that the pack begins; its trials, less those that have taken free lanes in other packs meanwhile."""
        moved = set(self._report({"begin": True}).get("moved", []))
        return self._configs(trial for trial in self.job.packs[self.pack].trials if trial not in moved)

    def __call__(self, lines: Sequence[Line]) -> Orders:
        """Report lines; when this returns, the driver has written them."""
        orders = self._report({"lines": list(lines)})
        return Orders(stop=frozenset(orders.get("stop", [])), admit=self._configs(orders.get("admit", [])))

    def broken(self, error: Exception) -> None:
        """Tell the driver why the pack broke, and of which kind that is: it decides what follows."""
        if isinstance(error, InputError):
            kind, reason = "data" if error.key.startswith("data.") else "failed", str(error)
        else:
            kind, reason = _kind(error), f"{type(error).__name__}: {error}"
        first_line = reason.strip().partition("\n")[0]
        self._report({"broken": kind, "reason": first_line, "traceback": traceback.format_exc()})

    def _report(self, content: Line) -> dict[str, list[str]]:
        """Returns once the driver has dealt with the report, with the orders it left."""
        self.number += 1
        tune.report({"number": self.number, **content})
        try:
            mailbox = ray.get_actor(self.job.mailbox)  # made by the driver when it has its first order
        except ValueError:
            return {}
        return dict(ray.get(mailbox.read.remote(self.pack)))

    def _configs(self, trials: Iterable[str]) -> tuple[TrialConfig, ...]:
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
