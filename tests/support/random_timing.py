"""`sweeps` with workers whose timings are random: which kernel variants they choose is then a matter of chance.

Trials that are still running save after their first epoch alone, so that a test knows when all of a pack have saved.

python -m tests.support.random_timing run sweep.yaml
"""

from __future__ import annotations

import random
from typing import Any

from sweeps.driver import jobs


def train_pack(config: dict[str, Any], *, job: jobs.Job) -> None:
    """Train a pack as ever, but for what a timing says; a process draws other numbers than the one before it."""
    import ch6dist.engines.kernels as kernels
    import ch6dist.engines.step as step
    from ch6dist.runs.schema import Status
    from ch6dist.training.lane import Lane
    from sweeps.on_ray import pack_worker

    save = Lane.save

    def save_once(lane: Lane, *args: Any, **kwargs: Any) -> None:
        if lane.epoch == 1 or lane.status != Status.RUNNING:
            save(lane, *args, **kwargs)

    kernels.seconds = step.seconds = lambda run, *, device: random.random()
    Lane.save = save_once  # type: ignore[method-assign]
    pack_worker.train_pack(config, job=job)


if __name__ == "__main__":
    jobs.WORKER = "tests.support.random_timing:train_pack"  # before a launch reads it
    from sweeps.__main__ import main

    main()
