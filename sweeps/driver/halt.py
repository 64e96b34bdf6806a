"""Whether a driver is to begin nothing more: because of a request, a signal, or a ledger that cannot be written.

halt = Halt()
with halt.on_signals():         # Ctrl-C and SIGTERM request it
    ...
halt.reason, halt.exit_status
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # exit status of what stopped before its end


class HaltedError(Exception):
    """The ledger takes no more lines.

    Raised through Ray Tune, whose workers are waiting for the driver: none of them writes a checkpoint of an epoch that
    the ledger does not hold.
    """


class Halt:
    """A halt that may be requested; the first request counts."""

    def __init__(self) -> None:
        self.requested, self.reason, self.exit_status = False, "", 0

    def request(self, reason: str, *, exit_status: int) -> None:
        """Begin nothing more and end what is running."""
        if not self.requested:
            self.requested, self.reason, self.exit_status = True, reason, exit_status

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Request a halt at Ctrl-C and SIGTERM within the block; a second signal raises KeyboardInterrupt."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.request("interrupted", exit_status=INTERRUPTED)
