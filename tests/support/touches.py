"""A training that ends itself at its n-th touch of a file: wherever a kill or a full disk may hit it."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from ch6dist.__main__ import app
from ch6dist.cli import run as run_command
from ch6dist.training.loop import train


def train_until_touch(
    file: Path, run: Path, kill_at: int, how: str, seconds: float = 0.0, torn_at: int = 200_000
) -> None:
    """`ch6dist train --resume`, ended at a touch; how many there were stands in `touches` beside the file.

    how: `kill` at once, or `tear` the file that is being written: `torn_at` bytes of it get through.
    seconds: between checkpoints; 0 writes one in every epoch.
    """
    touches = 0

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal touches
        inside = event in ("open", "os.mkdir", "os.rename", "os.remove") and str(arguments[0]).startswith(str(run))
        touches += inside
        if inside and touches == kill_at and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if inside and touches == kill_at and how == "tear":
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (torn_at, resource.RLIM_INFINITY))

    sys.addaudithook(on_event)
    train.__kwdefaults__["checkpoint_seconds"] = seconds
    status = run_command(app, name="ch6dist", arguments=["train", str(file), "--run", str(run), "--resume"])
    (file.parent / "touches").write_text(str(touches))
    sys.exit(status)
