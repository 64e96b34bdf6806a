"""One Tune run over packs: a pack is one Tune trial, its actor is used again for the next."""

from __future__ import annotations

import pkgutil
import tempfile
from typing import Any

from ray import tune
from ray.tune import TuneError

from sweeps.requests import Job
from sweeps.tune.callback import Driver, HaltStopper, LedgerCallback, SilentReporter

WORKER = "sweeps.worker:train_pack"  # by name: torch is imported where it trains, not in the driver


def run_pack(config: dict[str, Any], *, job: Job) -> None:
    """Ray Tune's function trainable."""
    pkgutil.resolve_name(WORKER)(config, job=job)


def launch(job: Job, *, driver: Driver, cpus: float, gpus: float) -> None:
    """Train the packs of `job`, as many at once as fit; returns when all have ended or the driver halted."""
    with tempfile.TemporaryDirectory(prefix="ch6dist-tune-") as scratch:  # Tune's own record is not kept
        trainable = tune.with_resources(tune.with_parameters(run_pack, job=job), {"cpu": cpus, "gpu": gpus})
        tuner = tune.Tuner(
            trainable,
            param_space={"pack": tune.grid_search(list(range(len(job.packs))))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="packs",
                verbose=0,
                callbacks=[LedgerCallback(driver)],
                stop=HaltStopper(driver),
                progress_reporter=SilentReporter(),
            ),
        )
        try:
            tuner.fit()
        except TuneError:  # how Tune passes on what a callback raised
            if not driver.halted:
                raise
