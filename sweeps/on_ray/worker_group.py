"""The other workers of a pack: actors in the bundles of the pack's placement group, which train with it.

    crew = crew_of(job)                     # kept from pack to pack, as the pack's own process is
    with crew.training(order, lost):        # the others train; `lost` is called when one fails and this process hangs
        train(…)                            # and so does this process, their rank 0

The actors end with their placement group, and with the process that made them: an early stop, a lost host or a killed
driver leaves none behind.
"""

from __future__ import annotations

import contextlib
import functools
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util import get_current_placement_group, get_node_ip_address
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from sweeps.driver.jobs import Job, MemberOrder
from sweeps.on_ray.reporter import WorkerLostError, what_died

LOSS_SECONDS = 150.0  # after which Ray has seen that a host is lost
GRACE_SECONDS = 5.0  # in which a failure of one worker should show in the others
SYMPTOMS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")  # of a failure that is elsewhere


def address_of(job: Job) -> str:
    """Where the workers of this process's pack reach it: from this host only, unless they may be on others."""
    return str(get_node_ip_address()) if job.slots.span_hosts else "127.0.0.1"


class Member:
    """An actor: one of the workers 1 … N-1."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.train = pkgutil.resolve_name(job.member)  # imports torch while the others do

    def work(self, order: MemberOrder) -> None:
        """Train as `order` says, until the pack is done."""
        self.train(order, job=self.job)


class Crew:
    """The members of this process's placement group."""

    def __init__(self, job: Job) -> None:
        actor: Any = ray.remote(Member)
        group: Any = get_current_placement_group()
        self.members: list[Any] = []
        for rank in range(1, job.slots.workers):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
            options = {"num_cpus": job.slots.cpus, "num_gpus": job.slots.gpus, "scheduling_strategy": place}
            self.members.append(actor.options(**options).remote(job))
        self.work: list[Any] = []

    @contextlib.contextmanager
    def training(self, order: MemberOrder, lost: Callable[[Exception], None]) -> Iterator[None]:
        """Let the members train what this process trains within the block; what a member raises at its end is raised.

        `lost` is called from another thread when a member fails and the block has not ended GRACE_SECONDS later: a
        peer that vanished with its host closes no connection, and this process would wait for it for ever.
        """
        self.work = [member.work.remote(replace(order, rank=rank)) for rank, member in enumerate(self.members, start=1)]
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
        """What `error` in this process comes from: a member's failure, where it is a symptom of one."""
        return (self._failure(GRACE_SECONDS) if _is_symptom(error) else None) or error

    def _failure(self, seconds: float | None) -> Exception | None:
        """Why a member failed, within `seconds`; of several failures one that is no symptom of another.

        Without `seconds` it waits for as long as the members train; behind a symptom, for as long as Ray may need to
        see that a host is lost.
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
def crew_of(job: Job) -> Crew:
    """The crew of this process, hired with its first pack: their imports take longer than many a pack."""
    return Crew(job)


def _error_of(work: Any) -> Exception | None:
    try:
        ray.get(work)
    except RayTaskError as error:
        return error.cause if isinstance(error.cause, Exception) else error
    except RayError as error:
        return WorkerLostError(what_died(str(error)))
    return None


def _is_symptom(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(word in str(error) for word in SYMPTOMS)
