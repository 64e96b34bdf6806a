"""Ask a program about code or files that are not this project's: they are read there, in a process of its own.

    ask("ch6dist.objects.describe", ["optimizer", "timm/lion"])     # what it says in the last line of its output

Questions of one command share a process that has imported torch, and each is answered in a fork of it
(ch6dist/objects/answering.py).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 300.0  # imports, and a small training
PACKAGE = Path(__file__).resolve().parents[2]  # the folder that has ch6dist, on the program's path
ANSWERING = "ch6dist.objects.answering"
PRELOAD = ("torch", "torch.utils.flop_counter", "ch6dist.models.build")  # what programs need that is slow to import


class NoAnswerError(Exception):
    """A program that did not answer: how it ended."""


def ask(
    program: str,
    arguments: Sequence[str],
    *,
    folder: str = "",
    limit: float = LIMIT_SECONDS,
    what: str = "",
    preload: Sequence[str] = (),
    alone: bool = False,
) -> dict[str, Any]:
    """Return what a program says in the last line of its output, as JSON.

    Args:
        folder: its working directory; empty: that of this process.
        limit: seconds that it may take.
        what: is being asked about; said on a terminal for as long as it takes.
        preload: further modules that are slow to import, and needed by all such questions.
        alone: in a process that is no fork of another, whose hashes and addresses are its own.

    What it cannot say is in `error`: what would be allowed instead.
    """
    try:
        with _said(what):
            if alone:
                return answer_of(program, arguments, folder=folder, limit=limit)
            return _ANSWERING.answer_of(program, arguments, folder=folder, limit=limit, preload=(*PRELOAD, *preload))
    except (subprocess.TimeoutExpired, TimeoutError):
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
    """Return what a program says that is alone. Raises NoAnswerError where it says nothing, and TimeoutExpired.

    Args:
        heard: what it says on stderr is for the person who waits, such as its progress.
        environment: beside this process's own.
    """
    done = subprocess.run(
        [*_python(program), *arguments],
        cwd=folder or None,
        env={**_environment(), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=None if heard else subprocess.PIPE,
        timeout=limit,
        check=False,
    )
    return _answer(done.returncode, _last_line(done.stdout), _last_line(done.stderr))


class _Answering:
    """The process that answers the questions of this one, from the first on; a new one where it has ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.made_for: tuple[int, str | None] | None = None  # this process, and the path that it imports from
        self.lock = threading.Lock()

    def answer_of(
        self, program: str, arguments: Sequence[str], *, folder: str, limit: float, preload: Sequence[str]
    ) -> dict[str, Any]:
        """Return what a program says. Raises NoAnswerError where it says nothing, and TimeoutError."""
        environment = _environment()
        question = {
            "program": program,
            "arguments": list(arguments),
            "folder": os.path.abspath(folder),
            "environment": environment,
            "limit": limit,
            "preload": list(preload),
        }
        with self.lock:
            made_for = os.getpid(), environment["PYTHONPATH"]
            for _ in range(2):  # it may have ended since, as nobody asked for long
                if self.process is None or self.made_for != made_for or self.process.poll() is not None:
                    self.end()
                    self._begin(environment)
                    self.made_for = made_for
                if line := self._said(json.dumps(question), limit):
                    said = json.loads(line)
                    return _answer(said["status"], said["out"], said["said"])
                self.end()
        raise NoAnswerError("the process that runs it ended")

    def end(self) -> None:
        """End the process, and whatever still runs in it; not that of the process that this one is a fork of."""
        process, self.process = self.process, None
        if process is None or self.made_for is None or self.made_for[0] != os.getpid():
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _begin(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            _python(ANSWERING),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for this process, which then ends that one
        )

    def _said(self, question: str, limit: float) -> str:
        """Return the line that answers a question; empty where the process has ended."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
            answered = select.poll()  # `select` is for the first thousand files of a process
            answered.register(self.process.stdout, select.POLLIN)
            if not answered.poll(limit * 1000):
                raise TimeoutError
            line = self.process.stdout.readline()
            return line if line.endswith("\n") else ""
        except BrokenPipeError:
            return ""
        except BaseException:
            self.end()  # its answer would be taken for that to the next question
            raise


_ANSWERING = _Answering()
atexit.register(_ANSWERING.end)


def _python(program: str) -> list[str]:
    return [sys.executable, "-P", "-m", program]


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def _answer(status: int, out: str, said: str) -> dict[str, Any]:
    """Return what the last line of a program's output holds. Raises NoAnswerError where it is no answer."""
    try:
        found: dict[str, Any] = json.loads(out)
    except ValueError:
        raise NoAnswerError(f"its process ended with status {status} and said: {said or 'nothing'}") from None
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
