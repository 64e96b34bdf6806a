"""What the project uses of Ray that Ray does not promise to keep, a line each: what for, and since when it was tried.

Tried with Ray 2.60.0. `tests/sweeps/on_ray/test_private.py` tells at once when a new Ray no longer has one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import psutil
import ray._private.services
import ray._private.worker
from ray.job_config import JobConfig

canonical_address = ray._private.services.canonicalize_bootstrap_address_or_die  # `auto` → host:port
HEAD_RESOURCE = "node:__internal_head__"  # a resource that only the head node has: ray.nodes() says it no other way
NODE_TYPE_LABEL = "ray.io/node-group"  # a node's label: which of the cluster file's node types it is of
BOOTSTRAP_FILE = "ray_bootstrap_config.yaml"  # in the home of the head's user: the cluster file as `ray up` left it
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # a ProgressReporter of ours is used only then
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger is the record
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver handles Ctrl-C
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # nothing is restored from Tune's own snapshots
    "TUNE_RESULT_BUFFER_LENGTH": "0",  # each report is handled before its pack continues
    "RAY_prestart_worker_first_driver": "0",  # a pack's worker is started for it: one more would only take its cores
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a task without GPUs still sees which ones a host has
}
TEMP_DIR = "_temp_dir"  # an argument of ray.init: where its sockets and logs lie
MAX_PENDING = "TUNE_MAX_PENDING_TRIALS_PG"  # packs that request resources at once: what an autoscaler sees


class OwnPaths(JobConfig):
    """A job whose workers import from `folders` before all else: Ray would add the driver's working directory."""

    def __init__(self, folders: Sequence[str]) -> None:
        self.folders = list(folders)
        super().__init__()

    @property
    def _py_driver_sys_path(self) -> list[str]:
        return list(self.folders)  # another list each time: what Ray adds to it is not kept

    @_py_driver_sys_path.setter
    def _py_driver_sys_path(self, value: Sequence[str]) -> None:
        """Do nothing: JobConfig sets it to an empty list."""


def silence_worker_logs() -> None:
    """Keep "(raylet) A worker died …" off stdout: no public switch does."""
    ray._private.worker._worker_logs_enabled = False


def shut_down() -> None:
    """Leave the Ray that this process has joined, or end the one that it has started: at once, nothing of it is kept.

    `ray.shutdown` alone waits for each of its own processes, a second in all, and lets workers end when they notice.
    """
    node = ray._private.worker._global_node
    if node is not None and node.head:
        own = _processes(info.process.pid for infos in node.all_processes.values() for info in infos)
        node.kill_all_processes = lambda **_: _kill(own)
    ray.shutdown()


def _processes(pids: Iterable[int]) -> list[psutil.Process]:
    """Return the processes that still run, and their descendants."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
