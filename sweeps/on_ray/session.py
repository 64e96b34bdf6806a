"""Ray, started quietly for one sweep and shut down after it.

Its workers import what is installed, the project as this process has it, and nothing from the working directory, where
a file may have any name. What else they are to import from is given by `paths`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util import get_node_ip_address

from sweeps.on_ray import private
from sweeps.on_ray.temporary import own_token, ray_folder

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", **private.ENVIRONMENT}
HOME = Path(__file__).resolve().parents[2]  # where the packages of the project lie
FOUND = "import sweeps; print(sweeps.__path__[0])"
OBJECT_STORE_BYTES = 100 * 1024**2  # only rows and configurations pass through it

log = logging.getLogger(__name__)


@contextlib.contextmanager
def ray_session(*, address: str | None, cpus: int, gpus: int, paths: Sequence[str] = ()) -> Iterator[str]:
    """Start a Ray with these devices, or join the one at `address`; shut down or left at the end of the block.

    Args:
        paths: folders from which workers import, besides where their Python does.

    Yields the address at which workers reach this process.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    for name in ("ray", "ray.tune", "ray.air"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters the driver prints itself
    private.silence_worker_logs()
    quiet: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False, "namespace": "ch6dist"}
    quiet["job_config"] = private.OwnPaths([*paths, *_own_path()])
    on_term = signal.getsignal(signal.SIGTERM)
    if address:
        ray.init(address=address, **quiet)
    else:
        local: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "object_store_memory": OBJECT_STORE_BYTES}
        local[private.TEMP_DIR], instead = ray_folder()
        os.environ.update(own_token())
        if instead:
            log.warning("Ray's own files lie in %s: %s", local[private.TEMP_DIR], instead)
        ray.init(address="local", include_dashboard=False, **local, **quiet)  # also where another Ray is running
    signal.signal(signal.SIGTERM, on_term)  # ray.init replaces it
    try:
        yield get_node_ip_address() if address else "127.0.0.1"
    finally:
        private.shut_down()


def _own_path() -> list[str]:
    """Return the folder of the project where a new Python would not find it, or another copy of it."""
    # a Ray that runs already may have been started without this process's PYTHONPATH
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    asked = [sys.executable, "-P", "-c", FOUND]
    found = subprocess.run(asked, cwd="/", env=elsewhere, capture_output=True, check=False).stdout
    return [] if Path(os.fsdecode(found.strip())).resolve() == HOME / "sweeps" else [str(HOME)]
