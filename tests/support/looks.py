"""Small trials, trained for real and looked at, once for all tests of a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from rich.console import Console

from ch6dist.config import parse_trial
from ch6dist.look.command import look_at
from ch6dist.training.solo import run_trial

QUIET = Console(quiet=True)


def train_into(run: Path, **content: object) -> Path:
    """Train a trial into a run folder."""
    assert run_trial(parse_trial(content), run=run, console=QUIET) == 0
    return run


@cache
def trained(model: str = "lenet5", data: str = "synthetic_cifar100") -> Path:
    """Return the run folder of a trial of two epochs, whose validation accuracy moves. Tests do not write into it."""
    train_size, val_size = (8, 16) if model == "resnet18" else (96, 70)
    size = {"name": data, "train_size": train_size, "val_size": val_size, "batch_size": 32}
    optimizer = {"name": "Adam", "lr": 0.003}
    return train_into(_folder() / "run", data=size, model=model, optimizer=optimizer, epochs=2, seed=3)


@cache
def looked(model: str = "lenet5", data: str = "synthetic_cifar100") -> Path:
    """Return the folder of a look at it. Tests do not write into it."""
    folder = _folder()
    look_at(trained(model, data), None, images="2", folder=folder)
    return folder


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="look-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
