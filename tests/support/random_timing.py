"""`sweeps` with workers whose timings are random: which kernel variants they choose is then a matter of chance.

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
    from sweeps.on_ray import pack_worker

    kernels.seconds = step.seconds = lambda run, *, device: random.random()
    pack_worker.train_pack(config, job=job)


if __name__ == "__main__":
    jobs.WORKER = "tests.support.random_timing:train_pack"  # before a launch reads it
    from sweeps.__main__ import main

    main()
