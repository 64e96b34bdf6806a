"""One Tune run over packs: a pack is one Tune trial, and its actor is reused for the next."""

from __future__ import annotations

import functools
import os
import pkgutil
import tempfile
from typing import TYPE_CHECKING, Any, cast

import ray
from ray import tune
from ray.tune import PlacementGroupFactory, TuneError
from ray.tune.search import Searcher

from sweeps.driver.jobs import Job
from sweeps.on_ray import private
from sweeps.on_ray.callback import EndCallback, HaltStopper, SilentCallback, SilentReporter
from sweeps.on_ray.worker_group import worker_group
from sweeps.plan.slots import Slots

if TYPE_CHECKING:  # workers import this file too, and need no driver
    from sweeps.driver.driver import Driver

LEAST_PENDING = 4


def run_pack(config: dict[str, Any], *, job: list[Any]) -> None:
    """Run a pack as Ray Tune's function trainable.

    Args:
        job: a reference, in a list so that Tune does not resolve it for every pack.
    """
    fetched = _fetched(job[0])
    if fetched.slots.workers > 1:
        worker_group(fetched)  # the other ranks import torch while this process does
    pkgutil.resolve_name(fetched.worker)(config, job=fetched)


@functools.lru_cache(maxsize=1)
def _fetched(reference: Any) -> Job:
    """Return the job, unpacked once per process."""
    job: Job = ray.get(reference)
    return job


class PackSearcher(Searcher):
    """Gives Tune the driver's packs, one at a time, for as long as any may still come: failed ones are put back."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it for a restore that never happens

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next pack, None while none waits, or Searcher.FINISHED."""
        number = self.driver.next_pack()
        if number is not None:
            return {"pack": number, "engine": self.driver.queue.packs[number].engine}
        return cast(dict[str, Any], Searcher.FINISHED) if self.driver.over else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the callback informs the driver."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the record, Tune restores nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing."""


def placement(slots: Slots) -> PlacementGroupFactory:
    """Return what a pack requests of Ray: a bundle for each worker, on one host unless they may span hosts.

    The pack's own process is rank 0, in the first bundle; the other ranks are actors in the other bundles.
    """
    bundle = {"CPU": float(slots.cpus), **({"GPU": float(slots.gpus)} if slots.gpus else {})}
    return PlacementGroupFactory([bundle] * slots.workers, strategy="PACK" if slots.span_hosts else "STRICT_PACK")


def tune_run(job: Job, *, driver: Driver) -> None:
    """Train the packs of `job`, as many at once as fit; return when all have ended or the driver has halted."""
    os.environ[private.MAX_PENDING] = str(max(LEAST_PENDING, job.slots.count))
    with tempfile.TemporaryDirectory(prefix="ch6dist-tune-") as scratch:  # Tune's own record is not kept
        with_job = tune.with_parameters(run_pack, job=[ray.put(job)])
        tuner = tune.Tuner(
            tune.with_resources(with_job, placement(job.slots)),
            tune_config=tune.TuneConfig(reuse_actors=True, search_alg=PackSearcher(driver), num_samples=-1),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="packs",
                verbose=0,
                callbacks=[EndCallback(driver), SilentCallback()],
                stop=HaltStopper(driver),
                progress_reporter=SilentReporter(),
            ),
        )
        try:
            tuner.fit()
        except TuneError:  # how Tune passes on what a callback raised
            if not driver.halted:
                raise
