"""What every driver of a run does: hear requests and signals, halt, end trials, and leave word.

Driver (packs over Ray Tune) and ElasticDriver (one trial at a time over Ray Train) are the two.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ch6dist.runs.ledger import read
from ch6dist.runs.schema import BROKEN, Line, Status
from ch6dist.storage.files import first_words, open_folder
from sweeps.driver.retries import halt_line
from sweeps.driver.trial_table import Board
from sweeps.record import stop_requests
from sweeps.record.record import Record
from sweeps.record.retention import Retention


class RunDriver(ABC):
    """The driver of one run, the only writer of its ledger. `halted` says that nothing more shall begin."""

    def __init__(self, record: Record, board: Board) -> None:
        self.record, self.board = record, board
        self.stops: set[str] = set()  # trials asked to stop
        self.halted, self.halt_reason, self.exit_status = False, "", 0
        self.retention: Retention | None = None  # removes checkpoints that may not stay

    @abstractmethod
    def write(self, lines: Sequence[Line]) -> None:
        """Append to the ledger; the driver is halted when it cannot be written."""

    @abstractmethod
    def say(self, text: str) -> None:
        """A line for the person who watches."""

    def keep(self, names: Collection[str], *, room_bytes: int | None = None) -> None:
        """From now on let go of checkpoints as `checkpoints.keep` and the room for them say (retention.py)."""
        folder, remove = open_folder(self.record.checkpoints), self.record.mirror.remove
        ledger = read(self.record.run)
        self.retention = Retention(folder, ledger, keep=names, room_bytes=room_bytes, write=self.write, remove=remove)

    def retain(self, lines: Sequence[Line]) -> None:
        """Let go of what may not stay after these lines. Where the storage does not answer, it stays for now."""
        try:
            if self.retention:
                self.retention.take(lines)
        except OSError as error:
            self.say(f"checkpoints that may go stay for now: {first_words(error)}")

    def halt(self, reason: str, *, exit_status: int) -> None:
        """Begin nothing more and end what runs; the first reason is the one that is told."""
        if not self.halted:
            self.halted, self.halt_reason, self.exit_status = True, reason, exit_status

    def hear(self) -> None:
        """Look for requests, and whether the run is still ours."""
        everything, trials = stop_requests.asked_to_stop(self.record.run)
        self.stops |= trials & self.board.entries.keys()
        if everything:
            self.halt("asked to stop", exit_status=130)
        if self.record.mirror.lost:
            self.halt(self.record.mirror.lost, exit_status=1)

    @contextmanager
    def interruptible(self, *, second: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Ctrl-C and SIGTERM halt the driver within the block; `second` is called at each that comes after the halt."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self.halted:
                second()
            self.halt("interrupted", exit_status=130)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def ending(self, trial: str, status: Status, reason: str, **facts: Any) -> dict[str, Any]:
        """The status line that ends a trial from here, not from its worker."""
        entry = self.board.entries[trial]
        place = {"trial": trial, "attempt": entry.attempt, "epoch": entry.epoch}
        return {"kind": "status", **place, "status": status, "reason": reason, "time": time.time(), **facts}

    def note_halt(self) -> None:
        """Leave word in the ledger why the driver ended, where it can be written."""
        if self.halted:
            with suppress(OSError):
                self.record.writer.append([halt_line(self.halt_reason)])

    def verdict(self, say: Callable[[str], None], *, resume: str) -> int:
        """What broke and why it halted, in the last words, and the exit status; `resume` is the command to go on."""
        broken = [entry for entry in self.board.entries.values() if entry.status in BROKEN]
        for entry in broken:
            say(f"{entry.status}: {entry.trial}: {entry.reason}")
        if self.halted:
            say(f"{self.halt_reason}\ngo on with: {resume}")
            return self.exit_status
        return 1 if broken else 0
