"""What a pack reports to the driver, and the orders that it gets back.

    with Reporter(job.wire, pack=3) as reporter:
        trials = reporter.begin()                        # those that are in the pack by now
        train(trials, report=reporter, attempts=reporter.attempts)     # any loop that calls report(lines) -> Orders

It imports neither torch nor ray: a worker that measures everything but training uses it too (Job.worker names it).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from ch6dist.branches import Branch
from ch6dist.catalog.dataset_files import DataFilesError
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from sweeps.wire.client import DriverGoneError, Wire
from sweeps.wire.messages import Address, Begin, Failed, Lines, Message, Pace

PACE_SECONDS = 1.0


class WorkerLostError(RuntimeError):
    """One of a pack's workers is gone, with its process or with its host."""


class Reporter:
    """A pack's worker, as the driver knows it."""

    def __init__(self, address: Address, *, pack: int) -> None:
        self.wire = Wire(address, pack=pack)
        self.attempts: dict[str, int] = {}  # of every trial that the driver has given to this pack
        self.branches: dict[str, Branch] = {}  # of these, where they leave another trial
        self.keep: dict[str, Sequence[int]] = {}  # of these, epochs at whose end others leave them
        self.variants: dict[str, str] = {}  # kernel variants of the run, by key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def begin(self) -> tuple[TrialConfig, ...]:
        """Report that the pack begins; return its trials."""
        return self._ask(Begin()).admit

    def __call__(self, lines: Sequence[Line]) -> Orders:
        """Report lines, and return the driver's orders; the lines are on the disk then."""
        return self._ask(Lines(tuple(lines)))

    @contextlib.contextmanager
    def telling_pace(self, pace: Callable[[], Pace | None]) -> Iterator[None]:
        """Tell the driver every PACE_SECONDS how far the pack is, from another thread, for as long as the block runs.

        Args:
            pace: returns it; None while there is nothing to tell.
        """
        ended = threading.Event()
        threading.Thread(target=self._tell_pace, args=(pace, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def _tell_pace(self, pace: Callable[[], Pace | None], ended: threading.Event) -> None:
        with contextlib.suppress(DriverGoneError):  # the next report will find that out
            while not ended.wait(PACE_SECONDS):
                self.wire.tell(pace)

    def failed(self, error: Exception) -> None:
        """Report why the pack failed, and of which kind the failure is: the driver decides on retries."""
        if isinstance(error, (InputError, UsageError, WorkerLostError)):
            kind, reason = "data" if isinstance(error, DataFilesError) else "failed", str(error)
        else:
            kind, reason = _kind(error), f"{type(error).__name__}: {error}"
        first_line = reason.strip().partition("\n")[0]
        trace = "".join(traceback.format_exception(error))
        self._ask(Failed(kind, first_line, trace, socket.gethostname()))

    def _ask(self, message: Message) -> Orders:
        reply = self.wire.ask(message)
        self.attempts |= reply.attempts
        self.branches |= reply.branches
        self.keep |= reply.keep
        self.variants |= reply.variants
        return Orders(reply.leave, tuple(parse_trial(config) for config in reply.admit), reply.halt)


def _kind(error: Exception) -> str:
    """Return the kind of a failure, by which the driver decides: smaller packs, a halt, or a retry."""
    causes = list(_causes(error))
    if any("OutOfMemory" in type(cause).__name__ or isinstance(cause, MemoryError) for cause in causes):
        return "out_of_memory"
    return "storage" if any(isinstance(cause, OSError) for cause in causes) else "failed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes: torch wraps a full disk in an error of its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
