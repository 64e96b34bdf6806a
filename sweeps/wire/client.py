"""The worker's end of the wire: ask the driver, and wait for its reply.

wire = Wire(address, pack=3)
reply = wire.ask(Begin())
wire.tell(lambda: Pace(trials, step=10, steps=450, images_per_second=9000.0))
wire.close()
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client

from sweeps.wire.messages import Address, Message, Reply
from sweeps.wire.sockets import without_delay


class DriverGoneError(Exception):
    """The driver has ended, or takes no more messages."""


class Wire:
    """A pack's connection to the driver. Several threads may ask."""

    def __init__(self, address: Address, *, pack: int) -> None:
        self.pack, self.lock = pack, threading.Lock()
        try:
            self.connection = Client((address.host, address.port), authkey=address.key)
        except (EOFError, OSError, AuthenticationError) as error:
            raise DriverGoneError(f"the driver does not answer at {address.host}:{address.port}: {error}") from error
        without_delay(self.connection)

    def ask(self, message: Message) -> Reply:
        """Send a message, wait until the driver has handled it, and return its reply; raises DriverGoneError."""
        try:
            with self.lock:
                self.connection.send((self.pack, message))
                reply: Reply = self.connection.recv()
        except (EOFError, OSError) as error:
            raise DriverGoneError("the driver takes no more messages") from error
        return reply

    def tell(self, make: Callable[[], Message | None]) -> None:
        """Send a message that is not answered; raises DriverGoneError.

        Args:
            make: called when nothing else is being sent or awaited, so that the message is true then; None: nothing to
                tell.
        """
        try:
            with self.lock:
                if message := make():
                    self.connection.send((self.pack, message))
        except OSError as error:
            raise DriverGoneError("the driver takes no more messages") from error

    def close(self) -> None:
        """Hang up."""
        with self.lock:  # another thread may be telling something
            self.connection.close()
