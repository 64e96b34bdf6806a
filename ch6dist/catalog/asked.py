"""Ask a program about code or files that are not this project's: they are read there, in a process of its own.

ask("ch6dist.objects.describe", ["optimizer", "timm/lion"])     # what it says in the last line of its output
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 300.0  # imports, and a small training
PACKAGE = Path(__file__).resolve().parents[2]  # the folder that has ch6dist, on the program's path


class NoAnswerError(Exception):
    """A program that did not answer: how it ended."""


def ask(
    program: str, arguments: Sequence[str], *, folder: str = "", limit: float = LIMIT_SECONDS, what: str = ""
) -> dict[str, Any]:
    """Return what a program says in the last line of its output, as JSON.

    Args:
        folder: its working directory; empty: that of this process.
        limit: seconds that it may take.
        what: is being asked about; said on a terminal for as long as it takes.

    What it cannot say is in `error`: what would be allowed instead.
    """
    try:
        with _said(what):
            return answer_of(program, arguments, folder=folder, limit=limit)
    except subprocess.TimeoutExpired:
        return {"error": f"code that answers within {limit:.0f} s"}
    except NoAnswerError as error:
        return {"error": f"code that can be run; {error}"}


def answer_of(
    program: str,
    arguments: Sequence[str],
    *,
    folder: str = "",
    limit: float | None = None,
    heard: bool = False,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return what a program says, as `ask`. Raises NoAnswerError where it says nothing, and subprocess.TimeoutExpired.

    Args:
        heard: what it says on stderr is for the person who waits, such as its progress.
        environment: beside this process's own.
    """
    path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-P", "-m", program, *arguments],
        cwd=folder or None,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=None if heard else subprocess.PIPE,
        timeout=limit,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(_last_line(done.stdout))
    except ValueError:
        said = _last_line(done.stderr) or "nothing"
        raise NoAnswerError(f"its process ended with status {done.returncode} and said: {said}") from None
    return found


def _last_line(output: bytes | None) -> str:
    return ((output or b"").decode(errors="replace").strip().splitlines() or [""])[-1]


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
