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
    _set_time(connection, socket.SO_RCVTIMEO, seconds)


def send_within(connection: Connection, seconds: float) -> None:
    """Let each later write fail with OSError after `seconds`; 0: never."""
    _set_time(connection, socket.SO_SNDTIMEO, seconds)


def _set_time(connection: Connection, option: int, seconds: float) -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        whole = int(seconds)
        same.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, int((seconds - whole) * 1e6)))


def hang_up(connection: Connection) -> None:
    """End a connection that another thread reads from: closing it would leave that thread waiting."""
    with contextlib.suppress(OSError, TypeError, ValueError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
