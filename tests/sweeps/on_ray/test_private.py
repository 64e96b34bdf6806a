"""What the project uses of Ray without a promise is still there, and is used from one file."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import ray._private.worker
import ray._raylet
from ray._common.constants import HEAD_NODE_RESOURCE_NAME

from sweeps.on_ray import private
from tests.support.paths import ROOT

RAY = Path(ray.__file__).parent
FOLDERS = ("tune", "_private", "autoscaler")  # folders of Ray that read the names


RAYLET = RAY / "core" / "src" / "ray" / "raylet" / "raylet"
ENDS = """
import psutil, ray
from sweeps.on_ray.session import ray_session

@ray.remote
class Idle:
    def here(self): return True

with ray_session(address=None, cpus=1, gpus=0):
    idle = Idle.options(num_cpus=0).remote()
    assert ray.get(idle.here.remote())
    started = psutil.Process().children(recursive=True)
gone, alive = psutil.wait_procs(started, timeout=5)
print(len(started) > 5, len(alive), ray.is_initialized())
"""


def readers(name: str) -> list[Path]:
    """The files of Ray in which a name stands."""
    found = [path for folder in FOLDERS for path in (RAY / folder).rglob("*.py") if name in path.read_text("utf-8")]
    return found + [RAYLET] * (name.encode() in RAYLET.read_bytes())


def test_an_address_is_made_canonical() -> None:
    assert private.canonical_address("127.0.0.1:6379").endswith(":6379")


def test_worker_logs_can_be_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray._private.worker, "_worker_logs_enabled", True)
    private.silence_worker_logs()
    assert ray._private.worker._worker_logs_enabled is False
    assert inspect.getsource(ray._private.worker).count("_worker_logs_enabled") > 1, "nothing reads it any more"


def test_a_session_ends_every_process_that_it_has_started() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["True", "0", "False"]


def test_the_head_and_the_node_types_have_these_names() -> None:
    assert private.HEAD_RESOURCE == HEAD_NODE_RESOURCE_NAME
    assert private.NODE_TYPE_LABEL == ray._raylet.RAY_NODE_GROUP_KEY
    assert readers(private.BOOTSTRAP_FILE)


def test_a_job_has_only_the_search_path_that_it_was_given() -> None:
    job = private.OwnPaths(["/own"])
    job._py_driver_sys_path.extend(["/working/directory"])  # as Ray does when it connects
    assert list(job._get_proto_job_config().py_driver_sys_path) == ["/own"]
    assert "job_config._py_driver_sys_path.extend" in inspect.getsource(ray._private.worker.connect)
    assert private.TEMP_DIR in inspect.getsource(ray._private.worker.init)


@pytest.mark.parametrize("name", [*private.ENVIRONMENT, private.MAX_PENDING])
def test_ray_still_reads_the_environment_variable(name: str) -> None:
    assert readers(name)


def test_private_names_of_ray_stand_in_one_file() -> None:
    used = re.compile(r"ray\._private|from ray\._|TUNE_[A-Z]|RAY_(?!USAGE|AUTH)[A-Z]+_|__internal_head__")
    guilty = [path.name for path in (ROOT / "sweeps").rglob("*.py") if used.search(path.read_text())]
    assert guilty == ["private.py"]
