"""Ask a program about code that is not this project's: it is imported there, in a process of its own, and not here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 300.0  # imports, and a small training
PACKAGE = Path(__file__).resolve().parents[2]  # the folder that has ch6dist, on the program's path


def ask(
    program: str, arguments: Sequence[str], *, folder: str, limit: float = LIMIT_SECONDS, what: str = ""
) -> dict[str, Any]:
    """Return what a program says in the last line of its output, as JSON.

    Args:
        folder: its working directory; empty: that of this process.
        limit: seconds that it may take.
        what: is being asked about; said on a terminal for as long as it takes.

    What it cannot say is in `error`: what would be allowed instead.
    """
    path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", program, *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    how: dict[str, Any] = {"cwd": folder or None, "env": environment, "capture_output": True, "timeout": limit}
    try:
        with _said(what):
            done = subprocess.run(command, **how, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"code that answers within {limit:.0f} s"}
    last = (done.stdout.decode(errors="replace").strip().splitlines() or [""])[-1]
    try:
        found: dict[str, Any] = json.loads(last)
    except ValueError:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
        return {"error": f"code that can be run; its process ended with status {done.returncode} and said: {said}"}
    return found


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Say on a terminal what is being looked at, and wipe it out behind the block."""
    is_seen = bool(what) and sys.stderr.isatty()
    if is_seen:
        sys.stderr.write(f"looking at {what} …")
        sys.stderr.flush()
    try:
        yield
    finally:
        if is_seen:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
