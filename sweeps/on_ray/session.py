"""Ray, started quietly for one sweep and put away after it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import ray

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # lets our progress stand in for Tune's
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is the runner's
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is restored from Tune's own snapshots
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
OBJECT_STORE_BYTES = 100 * 1024**2  # rows and configurations are all that passes through it


@contextlib.contextmanager
def ray_session(*, address: str | None, cpus: int, gpus: int) -> Iterator[None]:
    """A Ray of our own with these devices, or the one at `address`; put away at the end of the block."""
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    for name in ("ray", "ray.tune", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters the runner says itself
    ray._private.worker._worker_logs_enabled = False  # no other switch stops "(raylet) A worker died …" on stdout
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False, "namespace": "ch6dist"}
    on_term = signal.getsignal(signal.SIGTERM)
    if address:
        ray.init(address=address, **quiet)
    else:
        local: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": OBJECT_STORE_BYTES}
        ray.init(address="local", include_dashboard=False, **local, **quiet)  # also where another Ray runs
    signal.signal(signal.SIGTERM, on_term)  # ray.init puts one of its own there
    try:
        yield
    finally:
        ray.shutdown()
