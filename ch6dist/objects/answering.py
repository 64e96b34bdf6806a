"""A program that answers every question in a fork of itself: what is slow to import, torch, is imported once for all.

A question is a line of JSON on stdin, the answer one on stdout (ch6dist/catalog/asked.py asks). The user's code runs in
the fork alone: no question finds anything of the one before. The program ends when stdin does, or when nobody has
asked for long.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import select
import signal
import sys
import tempfile
import traceback
from importlib import import_module
from typing import IO, Any, NoReturn

IDLE_SECONDS = 5.0  # without a question: it holds half a gigabyte
LATE_SECONDS = 5.0  # behind its limit: who asks, and waits, ends it in time


def main() -> None:
    """Answer questions until there are no more."""
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        if not (line := sys.stdin.readline()):
            return
        sys.stdout.write(json.dumps(answered(json.loads(line))) + "\n")
        sys.stdout.flush()


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """Return how the program ended, and the last lines of what it said: `status`, `out`, `said`.

    Args:
        question: `program`, a module; its `arguments`; its `folder`; its `environment`, whole; the `limit` of seconds
            that it may take; `preload`, modules that it needs and that are slow to import.
    """
    for name in question["preload"]:
        with contextlib.suppress(Exception):  # the program meets it again, and says so
            import_module(name)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            _be(question, out, said)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return {"status": status, "out": _last_line(out), "said": _last_line(said)}


def _be(question: dict[str, Any], out: IO[bytes], said: IO[bytes]) -> NoReturn:
    """Become the program in question, in a process of its own, and end with it."""
    status = 1
    signal.setitimer(signal.ITIMER_REAL, question["limit"] + LATE_SECONDS)  # whoever asked may have gone
    try:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(said.fileno(), 2)
        os.chdir(question["folder"])
        os.environ.clear()
        os.environ.update(question["environment"])
        sys.argv = [question["program"], *question["arguments"]]
        runpy.run_module(question["program"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _last_line(output: IO[bytes]) -> str:
    output.seek(0)
    return (output.read().decode(errors="replace").strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    main()
