"""One Tune run over packs: a pack is one Tune trial, its actor is used again for the next."""

from __future__ import annotations

import functools
import pkgutil
import tempfile
from typing import Any

import ray
from ray import tune
from ray.tune import TuneError

from sweeps.requests import Job
from sweeps.tune.callback import Driver, HaltStopper, LedgerCallback, SilentReporter


def run_pack(config: dict[str, Any], *, job: list[Any]) -> None:
    """Ray Tune's function trainable. `job`: a reference, in a list so that Tune does not follow it for every pack."""
    fetched = _fetched(job[0])
    pkgutil.resolve_name(fetched.worker)(config, job=fetched)


@functools.lru_cache(maxsize=1)
def _fetched(reference: Any) -> Job:
    """The job, unpacked once per process."""
    job: Job = ray.get(reference)
    return job


def launch(job: Job, *, driver: Driver, cpus: float, gpus: float) -> None:
    """Train the packs of `job`, as many at once as fit; returns when all have ended or the driver halted."""
    with tempfile.TemporaryDirectory(prefix="ch6dist-tune-") as scratch:  # Tune's own record is not kept
        with_job = tune.with_parameters(run_pack, job=[ray.put(job)])
        tuner = tune.Tuner(
            tune.with_resources(with_job, {"cpu": cpus, "gpu": gpus}),
            param_space={"pack": tune.grid_search(list(range(len(job.packs))))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="packs",
                verbose=0,
                callbacks=[LedgerCallback(driver, mailbox=job.mailbox)],
                stop=HaltStopper(driver),
                progress_reporter=SilentReporter(),
            ),
        )
        try:
            tuner.fit()
        except TuneError:  # how Tune passes on what a callback raised
            if not driver.halted:
                raise
