"""The worker: what Ray Tune runs for a pack. It trains, reports after every epoch, and applies the driver's orders.

Only workers import this file: it brings torch, which a driver can do without.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ch6dist.branches import Branches
from ch6dist.catalog.dataset_files import adopt_data_root
from ch6dist.config import TrialConfig
from ch6dist.distributed.group import SOLO, Group, connect, default_device, process_group, rendezvous
from ch6dist.engines.step_counter import StepCounter
from ch6dist.objects.adopt import adopt_code
from ch6dist.packs import Report, no_report
from ch6dist.runs.schema import EngineName
from ch6dist.training.captures import Captures
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.driver.jobs import Job, RankOrder
from sweeps.on_ray.worker_group import address_of, worker_group
from sweeps.wire.client import DriverGoneError
from sweeps.wire.messages import Pace
from sweeps.wire.reporter import Reporter


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Train a pack as Ray Tune's function trainable. Failures are reported, not raised: the driver decides."""
    try:
        reporter = Reporter(job.wire, pack=config["pack"])
    except DriverGoneError:  # the driver knows what it means when a pack ends before it begins
        return
    with reporter:
        try:
            adopt_code(job.code)
            _train(reporter, job, engine=config["engine"])
        except Exception as error:
            with contextlib.suppress(DriverGoneError):
                reporter.failed(error)
            if job.slots.workers > 1:
                os._exit(1)  # what is left of the worker group, and its resources, end with this process


def train_rank(order: RankOrder, *, job: Job) -> None:
    """Train a pack as one of its ranks 1 … N-1, which report nothing."""
    adopt_code(job.code)
    store = connect(order.address, order.port, job.slots.workers)
    with _process_group(store, job, order.rank) as group:
        train_job(order.trials, job, engine=order.engine, attempts=order.attempts, report=no_report, group=group)


def _train(reporter: Reporter, job: Job, *, engine: EngineName) -> None:
    """Train a pack from its beginning to its end."""
    trials, counter = reporter.begin(), StepCounter()
    if not trials:
        return
    with reporter.telling_pace(lambda: _pace(counter)):
        if job.slots.workers > 1:
            _train_with_group(trials, job, engine, reporter, counter)
        else:
            train_job(
                trials,
                job,
                engine=engine,
                attempts=reporter.attempts,
                branches=reporter.branches,
                keep=reporter.keep,
                variants=reporter.variants,
                report=reporter,
                group=SOLO,
                counter=counter,
            )


def _pace(counter: StepCounter) -> Pace | None:
    now = counter.now
    return Pace(now.trials, now.step, now.steps, now.images_per_second) if now else None


def _train_with_group(
    trials: Sequence[TrialConfig], job: Job, engine: EngineName, reporter: Reporter, counter: StepCounter
) -> None:
    """Train a pack as rank 0 of its workers."""

    def lost(error: Exception) -> None:
        """End this process: taking the group down would wait for the ranks that are gone."""
        with contextlib.suppress(DriverGoneError):
            reporter.failed(error)
        os._exit(1)

    address, workers = address_of(job), worker_group(job)
    store = rendezvous(address, job.slots.workers)
    order = RankOrder(tuple(trials), engine, dict(reporter.attempts), address, store.port)
    with workers.training(order, lost), _process_group(store, job, 0) as group:
        try:
            train_job(
                trials,
                job,
                engine=engine,
                attempts=reporter.attempts,
                branches=reporter.branches,
                keep=reporter.keep,
                report=reporter,
                group=group,
                counter=counter,
            )
        except Exception as error:
            lost(workers.cause_of(error))


def _process_group(store: Any, job: Job, rank: int) -> AbstractContextManager[Group]:
    device = None if job.slots.kind == "cpu" else default_device()  # Ray shows each process its own GPU only
    return process_group(store, rank=rank, world_size=job.slots.workers, address=address_of(job), device=device)


def train_job(
    trials: Sequence[TrialConfig],
    job: Job,
    *,
    engine: EngineName,
    attempts: Mapping[str, int],
    report: Report,
    group: Group,
    branches: Branches | None = None,
    keep: Mapping[str, Collection[int]] | None = None,
    variants: Mapping[str, str] | None = None,
    counter: StepCounter | None = None,
) -> None:
    """Train a pack as its job says.

    Args:
        attempts: of its trials, by id; of those that join later too, when they do.
        branches, keep: likewise, on rank 0: where they leave others, and at which epochs others leave them.
        group: the processes that train it together; each calls this.
        variants: kernel variants of the run, by key; those that it agrees on later too, when it does.
    """
    if job.data_root:  # a host of a cluster has its own environment and working directory
        adopt_data_root(job.data_root)
    checkpoints = Checkpoints(job.checkpoints, attempts)
    train(
        trials,
        report=checkpoints.write_ahead(report),
        checkpoints=checkpoints,
        captures=Captures(job.captures, attempts),
        attempts=attempts,
        branches=branches,
        keep=keep,
        variants=variants,
        device="cpu" if job.slots.kind == "cpu" else None,
        group=group,
        engine=engine,
        checkpoint_seconds=job.checkpoint_seconds,
        threads=job.slots.cpus,
        counter=counter,
    )
