"""The options of the wire's sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from multiprocessing.connection import Connection


def without_delay(connection: Connection) -> None:
    """Send at once: the kernel would hold the second part of a long message back for 40 ms."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def receive_within(connection: Connection, seconds: float) -> None:
    """Let each later read fail with OSError after `seconds`; 0: never."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        whole = int(seconds)
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", whole, int((seconds - whole) * 1e6)))


def hang_up(connection: Connection) -> None:
    """End a connection that another thread reads from: closing it would leave that thread waiting."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
