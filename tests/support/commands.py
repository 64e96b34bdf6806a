"""Sweeps as a person runs them: commands in processes of their own, and the same trials trained without Ray to compare.

with driving("run", sweep_file(tmp_path), cwd=tmp_path) as driver:
    wait_for(lambda: rows(tmp_path / "runs/tiny") > 10)
    os.kill(driver.pid, signal.SIGKILL)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import yaml

from ch6dist.config import TrialConfig
from ch6dist.packs import Orders
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.provenance import sweep_line, trial_line
from ch6dist.runs.schema import ENDED, Line, Status
from ch6dist.runs.writer import Writer
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.spec.expand import expand
from sweeps.spec.sweep_file import dump, load_spec
from tests.support.paths import ROOT

TRAINS = ("run_pack", "ImplicitFunc", "ray::RankWorker")  # in the titles of Ray's processes
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


def environment(**more: str) -> dict[str, str]:
    quiet = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    cache = {"XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / "ch6dist-test-cache")}  # not the person's own
    return {**os.environ, **quiet, **cache, **more}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "sweeps", *map(str, arguments)]


def sweeps(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its exit status, stdout and stderr."""
    options = {"capture_output": True, "text": True, "timeout": SECONDS, "check": False, "env": environment(**env)}
    return subprocess.run(command(*arguments), cwd=cwd, **options)


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

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Signal the process group, as Ctrl-C does."""
        os.killpg(self.pid, number)


def _hear_ctrl_c() -> None:
    """As on a terminal: a shell that runs the tests in its background has them, and what they start, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def driving(*arguments: object, cwd: Path) -> Iterator[Driving]:
    """Start a command; what it has started is gone at the end of the block, whatever happened in it."""
    with (cwd / "stdout").open("w") as out, (cwd / "stderr").open("w") as err:
        whole = {"cwd": cwd, "env": environment(), "stdout": out, "stderr": err, "text": True}
        process = subprocess.Popen(command(*arguments), start_new_session=True, preexec_fn=_hear_ctrl_c, **whole)
    descendants: set[int] = set()
    try:
        yield Driving(process, cwd)
    finally:
        descendants |= set(offspring(process.pid))
        for pid in [process.pid, *descendants]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def offspring(pid: int) -> list[int]:
    """Every process below `pid`."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def workers(pid: int) -> list[int]:
    """Processes below `pid` in which packs are trained."""
    return [child for child in offspring(pid) if "run_pack" in cmdline(child) or "ImplicitFunc" in cmdline(child)]


def trainers(pid: int) -> list[int]:
    """Processes below `pid` that train, or are about to: those of packs, and the others that train with them."""
    return [child for child in offspring(pid) if any(title in cmdline(child) for title in TRAINS)]


def cmdline(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def alive(pids: Sequence[int]) -> list[str]:
    """The command lines of those that still run."""
    return [line for pid in pids if (line := cmdline(pid))]


def wait_for(condition: Callable[[], Any]) -> None:
    """Return when `condition` holds; AssertionError when it never does."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        time.sleep(0.1)


def raw_lines(run: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Every whole line of a ledger's files, as written."""
    texts = [line for path in sorted((run / "ledger").glob("*.jsonl")) for line in path.read_text().split("\n")[:-1]]
    return [line for line in map(json.loads, texts) if kind in (None, line["kind"])]


def statuses(ledger: Ledger) -> dict[str, str]:
    return {trial: str(ledger.status(trial)) for trial in ledger.trials}


def without_ray(spec: Path, run: Path, *, epochs: int | None = None, whole: Sequence[str] = ()) -> Ledger:
    """The run folder of a sweep whose trials were trained one by one in this process.

    With `epochs` every trial is left off after so many, with a checkpoint of each epoch, as by a driver that died;
    but trials whose ids begin with an item of `whole` are trained to their ends.
    """
    torch.set_num_threads(1)
    sweep = load_spec(spec)
    trials = expand(sweep)
    with Writer(run) as writer:
        (run / "sweep.yaml").write_text(yaml.safe_dump(dump(sweep), sort_keys=False))
        writer.append([sweep_line(dump(sweep)), *map(trial_line, trials)])
        for trial in trials:
            writer.append([{"kind": "pack", "trials": [trial.trial_id], "engine": "eager", "time": 0.0}])
            limit = None if trial.trial_id.startswith(tuple(whole)) else epochs
            _train_alone(trial, writer, Checkpoints(run / "checkpoints"), limit)
    return read(run)


def _train_alone(trial: TrialConfig, writer: Writer, store: Checkpoints, limit: int | None) -> None:
    def report(lines: Sequence[Line]) -> Orders:
        if limit and any(line["kind"] == "row" and line["epoch"] > limit for line in lines):
            raise KeyboardInterrupt
        writer.append(lines)
        return Orders()

    with suppress(KeyboardInterrupt):
        train([trial], report=report, checkpoints=store, checkpoint_seconds=0.0, threads=1)


def ended(run: Path) -> int:
    """How many trials of a run have ended; 0 while there is no ledger yet."""
    with suppress(ValueError):
        ledger = read(run)
        return sum(Status(status) in ENDED for status in statuses(ledger).values())
    return 0


def row_count(run: Path) -> int:
    return len(raw_lines(run, "row")) if (run / "ledger").is_dir() else 0
