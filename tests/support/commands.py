"""Sweeps as a user runs them: commands in processes of their own.

with driving("run", sweep_file(tmp_path), cwd=tmp_path) as driver:
    driver.until(lambda: row_count(tmp_path / "runs/tiny") > 10)
    os.kill(driver.pid, signal.SIGKILL)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from tests.support.namespaces import wait_for
from tests.support.paths import ROOT
from tests.support.processes import offspring

OF_TRIAL = ("data", "divergence_factor", "epochs", "precision", "schedule")
SECONDS = 240  # after which a command that should have ended is taken for hung
TINY = {
    "name": "tiny",
    "trial": {
        "data": {
            "name": "synthetic_cifar100",
            "train_size": 256,
            "val_size": 64,
            "batch_size": 64,
            "augment": "none",
        },
        "model": "lenet5",
        "epochs": 2,
    },
    "parameters": {
        "optimizer": {"values": [{"name": "SGD", "momentum": 0.9}, {"name": "Adam"}]},
        "optimizer.lr": {"values": [0.01, 0.001]},
    },
}


def sweep_file(folder: Path, **changes: Any) -> Path:
    """A small sweep of four trials over synthetic images; what OF_TRIAL names goes into its trial."""
    trial = {**TINY["trial"], **{key: changes.pop(key) for key in OF_TRIAL if key in changes}}
    content = {**TINY, "trial": trial, **changes}
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


QUIET = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


def environment(**more: str) -> dict[str, str]:
    cache = {"XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / "ch6dist-test-cache")}  # not the person's own
    return {**os.environ, **QUIET, **cache, **more}


def command(*arguments: object, module: str = "sweeps") -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def sweeps(*arguments: object, cwd: Path, module: str = "sweeps", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its exit status, stdout and stderr."""
    options = {"capture_output": True, "text": True, "timeout": SECONDS, "check": False, "env": environment(**env)}
    return subprocess.run(command(*arguments, module=module), cwd=cwd, **options)


def succeed(*arguments: object, cwd: Path, module: str = "sweeps", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command that must end with status 0."""
    done = sweeps(*arguments, cwd=cwd, module=module, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def refused(*arguments: object, cwd: Path) -> str:
    """Run a command that must be refused; return its message, which is one line."""
    done = sweeps(*arguments, cwd=cwd)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    return done.stderr


class Driving:
    """A command that runs, in a process group of its own as on a terminal."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.pid, self.folder = process, process.pid, folder

    def wait(self) -> int:
        return self.process.wait(timeout=SECONDS)

    def until(self, condition: Callable[[], Any]) -> None:
        """Return when `condition` holds, which it must while the command runs."""
        wait_for(lambda: condition() or self.process.poll() is not None)
        assert self.process.poll() is None, self.output()

    def output(self) -> str:
        return (self.folder / "stdout").read_text() + (self.folder / "stderr").read_text()

    def interrupt(self) -> None:
        """Signal the process group, as Ctrl-C does."""
        os.killpg(self.pid, signal.SIGINT)


def hear_ctrl_c() -> None:
    """As on a terminal: a shell that runs the tests in its background has them, and what they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def driving(*arguments: object, cwd: Path, module: str = "sweeps") -> Iterator[Driving]:
    """Start a command; what it has started is gone at the end of the block, whatever happened in it."""
    with (cwd / "stdout").open("w") as out, (cwd / "stderr").open("w") as err:
        whole = {"cwd": cwd, "env": environment(), "stdout": out, "stderr": err, "text": True}
        process = subprocess.Popen(
            command(*arguments, module=module), start_new_session=True, preexec_fn=hear_ctrl_c, **whole
        )
    try:
        yield Driving(process, cwd)
    finally:
        for pid in [process.pid, *offspring(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
