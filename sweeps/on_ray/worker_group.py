"""The other workers of a pack: actors in the bundles of the pack's placement group, which train with it.

    group = worker_group(job)               # kept from pack to pack, as the pack's own process is
    with group.training(order, lost):       # ranks 1 … N-1 train; `lost` is called when one fails
        train(…)                            # and this process, rank 0, hangs

The actors end with their placement group, and with the process that made them: an early stop, a lost host or a killed
driver leaves none behind.
"""

from __future__ import annotations

import contextlib
import functools
import pkgutil
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util import get_current_placement_group, get_node_ip_address
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from sweeps.driver.jobs import Job, RankOrder
from sweeps.driver.retries import DEAD, HOST_LOST
from sweeps.wire.reporter import WorkerLostError

LOSS_SECONDS = 150.0  # within which Ray notices that a host is lost
HOST_DEATH = re.compile(r"node (has died|is dead|was terminated|is terminated)")  # in what Ray says of a dead actor
GRACE_SECONDS = 5.0  # within which a failure of one worker should show in the others
# in errors whose cause is in another worker
SYMPTOMS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")


def address_of(job: Job) -> str:
    """Return where the workers of this process's pack reach it: from this host only, unless they may be on others."""
    return str(get_node_ip_address()) if job.slots.span_hosts else "127.0.0.1"


class RankWorker:
    """An actor: one of the ranks 1 … N-1."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.train = pkgutil.resolve_name(job.rank_worker)  # imports torch while the others do

    def work(self, order: RankOrder) -> None:
        """Train what `order` says, until the pack is done."""
        self.train(order, job=self.job)


class WorkerGroup:
    """Ranks 1 … N-1 in this process's placement group."""

    def __init__(self, job: Job) -> None:
        actor: Any = ray.remote(RankWorker)
        group: Any = get_current_placement_group()
        self.actors: list[Any] = []
        for rank in range(1, job.slots.workers):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
            options = {"num_cpus": job.slots.cpus, "num_gpus": job.slots.gpus, "scheduling_strategy": place}
            self.actors.append(actor.options(**options).remote(job))
        self.work: list[Any] = []

    @contextlib.contextmanager
    def training(self, order: RankOrder, lost: Callable[[Exception], None]) -> Iterator[None]:
        """Let the other ranks train what this process trains within the block; what one raises is raised at its end.

        Args:
            lost: called from another thread when a rank fails and the block has not ended GRACE_SECONDS later: a peer
                that vanished with its host closes no connection, and this process would wait for it for ever.
        """
        self.work = [actor.work.remote(replace(order, rank=rank)) for rank, actor in enumerate(self.actors, start=1)]
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended, lost), daemon=True)
        watcher.start()
        try:
            yield
            for work in self.work:
                if failure := _error_of(work):
                    raise failure
        finally:
            ended.set()

    def cause_of(self, error: Exception) -> Exception:
        """Return the cause of `error` in this process: another rank's failure, where it is a symptom of one."""
        return (self._failure(GRACE_SECONDS) if _is_symptom(error) else None) or error

    def _failure(self, seconds: float | None) -> Exception | None:
        """Wait for a rank to fail, and return why; of several failures one that is no symptom of another.

        Args:
            seconds: to wait; None: as long as the ranks train. After a symptom it waits for as long as Ray may need to
                notice that a host is lost.
        """
        pending, symptom = list(self.work), None
        until = None if seconds is None else time.monotonic() + seconds
        while pending:
            left = None if until is None else max(0.0, until - time.monotonic())
            done, pending = ray.wait(pending, timeout=left)
            if not done:
                break
            found = _error_of(done[0])
            if found and not _is_symptom(found):
                return found
            if found and symptom is None:
                symptom, until = found, until or time.monotonic() + LOSS_SECONDS
        return symptom

    def _watch(self, ended: threading.Event, lost: Callable[[Exception], None]) -> None:
        failure = self._failure(None)
        if failure and not ended.wait(GRACE_SECONDS):
            lost(failure)


@functools.lru_cache(maxsize=1)
def worker_group(job: Job) -> WorkerGroup:
    """Return the worker group of this process, made with its first pack: imports take longer than many a pack."""
    return WorkerGroup(job)


def _error_of(work: Any) -> Exception | None:
    try:
        ray.get(work)
    except RayTaskError as error:
        return error.cause if isinstance(error.cause, Exception) else error
    except RayError as error:
        return WorkerLostError(_what_died(str(error)))
    return None


def _what_died(text: str) -> str:
    """Return the reason of a lost worker, from the many lines in which Ray reports it."""
    return HOST_LOST if HOST_DEATH.search(text) else DEAD


def _is_symptom(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error) for word in SYMPTOMS)
