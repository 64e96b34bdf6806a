"""The worker: what Ray Tune runs for a pack. It trains, reports after every epoch, and applies the driver's orders.

Only workers import this file: it brings torch, which a driver can do without.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ch6dist.catalog.dataset_files import adopt_data_root
from ch6dist.config import parse_trial
from ch6dist.distributed.group import SOLO, Group, connect, default_device, process_group, rendezvous
from ch6dist.packs import Report, no_report
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.driver.jobs import Job, PackJob, RankOrder
from sweeps.on_ray.reporter import Reporter
from sweeps.on_ray.worker_group import address_of, worker_group


def train_pack(config: dict[str, Any], *, job: Job) -> None:
    """Train a pack as Ray Tune's function trainable. Failures are reported, not raised: the driver decides."""
    reporter = Reporter(job, config["pack"])
    try:
        pack = reporter.begin()
        if pack.trials and job.slots.workers == 1:
            train_job(pack, job, attempts=reporter.attempts, report=reporter, group=SOLO)
        elif pack.trials:
            _train_with_group(pack, job, reporter)
    except Exception as error:
        reporter.failed(error)
        if job.slots.workers > 1:
            os._exit(1)  # what is left of the worker group, and its resources, end with this process


def train_rank(order: RankOrder, *, job: Job) -> None:
    """Train a pack as one of its ranks 1 … N-1, which report nothing."""
    store = connect(order.address, order.port, job.slots.workers)
    with _process_group(store, job, order.rank) as group:
        train_job(order.pack, job, attempts=order.attempts, report=no_report, group=group)


def _train_with_group(pack: PackJob, job: Job, reporter: Reporter) -> None:
    """Train a pack as rank 0 of its workers."""

    def lost(error: Exception) -> None:
        """End this process: taking the group down would wait for the ranks that are gone."""
        reporter.failed(error)
        os._exit(1)

    address, workers = address_of(job), worker_group(job)
    store = rendezvous(address, job.slots.workers)
    order = RankOrder(pack, reporter.attempts, address, store.port)
    with workers.training(order, lost), _process_group(store, job, 0) as group:
        try:
            train_job(pack, job, attempts=reporter.attempts, report=reporter, group=group)
        except Exception as error:
            lost(workers.cause_of(error))


def _process_group(store: Any, job: Job, rank: int) -> AbstractContextManager[Group]:
    device = None if job.slots.kind == "cpu" else default_device()  # Ray shows each process its own GPU only
    return process_group(store, rank=rank, world_size=job.slots.workers, address=address_of(job), device=device)


def train_job(
    pack: PackJob,
    job: Job,
    *,
    attempts: Mapping[str, int],
    report: Report,
    group: Group,
) -> None:
    """Train a pack as its job says.

    Args:
        attempts: of its trials, by id.
        group: the processes that train it together; each calls this.
    """
    if job.data_root:  # a host of a cluster has its own environment and working directory
        adopt_data_root(job.data_root)
    trials = [parse_trial(job.trials[trial]) for trial in pack.trials]
    checkpoints = Checkpoints(job.checkpoints, attempts)
    train(
        trials,
        report=checkpoints.write_ahead(report),
        checkpoints=checkpoints,
        attempts=attempts,
        device="cpu" if job.slots.kind == "cpu" else None,
        group=group,
        engine=pack.engine,
        checkpoint_seconds=job.checkpoint_seconds,
        threads=job.slots.cpus,
    )
