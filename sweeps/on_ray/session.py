"""Ray, started quietly for one sweep and shut down after it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import ray
from ray.util import get_node_ip_address

from sweeps.on_ray import private

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", **private.ENVIRONMENT}
OBJECT_STORE_BYTES = 100 * 1024**2  # only rows and configurations pass through it


@contextlib.contextmanager
def ray_session(*, address: str | None, cpus: int, gpus: int) -> Iterator[str]:
    """Start a Ray with these devices, or join the one at `address`; shut down or left at the end of the block.

    Yields the address at which workers reach this process.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    for name in ("ray", "ray.tune", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters the driver prints itself
    private.silence_worker_logs()
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False, "namespace": "ch6dist"}
    on_term = signal.getsignal(signal.SIGTERM)
    if address:
        ray.init(address=address, **quiet)
    else:
        local: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": OBJECT_STORE_BYTES}
        ray.init(address="local", include_dashboard=False, **local, **quiet)  # also where another Ray is running
    signal.signal(signal.SIGTERM, on_term)  # ray.init replaces it
    try:
        yield get_node_ip_address() if address else "127.0.0.1"
    finally:
        private.shut_down()
