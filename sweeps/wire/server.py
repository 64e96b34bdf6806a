"""The driver's end of the wire: one thread hands it the messages that wait, a batch at a time, and sends its replies.

    with Server(handle, host="127.0.0.1") as server:
        Job(..., wire=server.address)       # workers ask there

Handling a batch at once lets the driver sync its ledger once for all packs that reported meanwhile. A worker that does
not know the key is not heard: each side proves, by an HMAC of a random text, that it has it. The key reaches workers in
their job, through Ray.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Self

from sweeps.wire.messages import Address, Message, Pace, Reply
from sweeps.wire.sockets import hang_up, receive_within, send_within, without_delay

BACKLOG = 1024  # workers that may connect at the same moment
HANDSHAKE_SECONDS = 10.0  # for a stranger who connects and says nothing
SEND_SECONDS = 30.0  # for a worker that takes no reply: it is stopped, or its host is gone
RETRY_SECONDS = 0.1
Asked = tuple[Connection, int, Message]
Handle = Callable[[Sequence[tuple[int, Message]]], Sequence[Reply | None]]


class Server:
    """Listens for workers within its block."""

    def __init__(self, handle: Handle, *, host: str) -> None:
        """Listen on an address of this machine.

        Args:
            handle: called in one thread with (pack, message) pairs in the order of their arrival; returns a reply to
                each. None: to a Pace, which wants none, or to a worker that is not wanted any more, which is hung up
                on. After it has raised, no message is answered any more.
        """
        self.handle = handle
        self.listener = socket.create_server((host, 0), backlog=BACKLOG)
        self.address = Address(host, self.listener.getsockname()[1], secrets.token_bytes(32))
        self.waiting: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self.connections: set[Connection] = set()
        self.over = threading.Event()  # no message is answered any more
        self.error: Exception | None = None  # that `handle` raised
        self.answering = threading.Thread(target=self._answer, daemon=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        self.answering.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.waiting.put(None)
        self.answering.join()

    def _accept(self) -> None:
        with self.listener:
            while not self.over.is_set():
                try:
                    connection = Connection(self.listener.accept()[0].detach())
                    threading.Thread(target=self._read, args=(connection,), daemon=True).start()
                except (OSError, RuntimeError):  # it was shut down; or descriptors or threads are used up, for now
                    self.over.wait(RETRY_SECONDS)

    def _read(self, connection: Connection) -> None:
        """Queue the messages of one worker until it closes its connection."""
        with contextlib.suppress(EOFError, OSError, AuthenticationError), connection:
            receive_within(connection, HANDSHAKE_SECONDS)
            deliver_challenge(connection, self.address.key)
            answer_challenge(connection, self.address.key)
            receive_within(connection, 0)
            send_within(connection, SEND_SECONDS)
            without_delay(connection)
            self.connections.add(connection)
            try:
                while not self.over.is_set():
                    self.waiting.put((connection, *connection.recv()))
            finally:
                self.connections.discard(connection)

    def _answer(self) -> None:
        """Handle what waits until the block ends or `handle` fails, then hang up: who waits for a reply gets none."""
        try:
            while batch := self._batch():
                replies = self.handle([(pack, message) for _, pack, message in batch])
                for (connection, _, message), reply in zip(batch, replies, strict=True):
                    _send(connection, message, reply)
        except Exception as error:
            self.error = error
        finally:
            self.over.set()
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)  # closing it would leave the thread that accepts waiting
            for connection in list(self.connections):
                hang_up(connection)

    def _batch(self) -> list[Asked]:
        """Return the messages that wait, or the next one; none when the block ends."""
        found = [self.waiting.get()]
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self.waiting.get_nowait())
        return [] if None in found else [asked for asked in found if asked]


def _send(connection: Connection, message: Message, reply: Reply | None) -> None:
    """Send a reply; hang up where there is none to a message that wants one, or where it cannot be sent."""
    try:
        if reply is not None:
            connection.send(reply)
        elif not isinstance(message, Pace):
            hang_up(connection)
    except Exception:  # that worker has died; the thread that reads may close its connection at any moment
        hang_up(connection)
