"""Which of several processes this one is, as `torchrun` says in the environment.

    info = read_rank()              # RankInfo(rank=1, world_size=2, local_rank=1)

What is missing or wrong is refused in one line: torch itself would raise, or wait for ranks that never come.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from ch6dist.errors import InputError, UsageError

HINT = "torchrun sets them all; for one process alone, unset WORLD_SIZE and RANK"
LAST_PORT = 65535
NAMES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
OF_ONE = NAMES[:2]  # what a group of one process needs


@dataclass(frozen=True)
class RankInfo:
    """This process among those that train together. This one, of size 1, is alone."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # among the processes of its host: the number of its GPU


def read_rank() -> RankInfo:
    """Return which of them this process is; alone where neither WORLD_SIZE nor another RANK than 0 is set.

    Raises UsageError for what is missing, InputError for what is no number or out of range.
    """
    if "WORLD_SIZE" not in os.environ and os.environ.get("RANK", "0") == "0":
        return RankInfo()
    needed = OF_ONE if os.environ.get("WORLD_SIZE") == "1" else NAMES
    if missing := [name for name in needed if not os.environ.get(name)]:
        given = ", ".join(f"{name}={os.environ[name]}" for name in NAMES if os.environ.get(name))
        raise UsageError(
            f"the environment has {given or 'WORLD_SIZE without a value'}, but no {', '.join(missing)}", HINT
        )
    world_size = _number("WORLD_SIZE", 1)
    rank, local_rank = _number("RANK", 0, world_size - 1), _number("LOCAL_RANK", 0, world_size - 1, default="0")
    if world_size > 1:
        _check_meeting_point()
    return RankInfo(rank, world_size, local_rank)


def _number(name: str, least: int, most: int | None = None, *, default: str = "") -> int:
    text = os.environ.get(name, default)
    number = int(text) if text.isascii() and text.isdecimal() else None
    if number is None or number < least or (most is not None and number > most):
        limits = f"≥ {least}" if most is None else f"from {least} to {most}"
        raise InputError(name, text, f"a whole number {limits} (from the environment)")
    return number


def _check_meeting_point() -> None:
    """Check where the ranks meet: a name that nobody knows would be asked for until torch gives up."""
    port, address = _number("MASTER_PORT", 1, LAST_PORT), os.environ["MASTER_ADDR"]
    try:
        socket.getaddrinfo(address, port)
    except (OSError, UnicodeError):
        raise InputError("MASTER_ADDR", address, "the address of rank 0 (from the environment)") from None
