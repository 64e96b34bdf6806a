"""Which process of which system this is, and whether another one of the same system still runs.

    system()                    # "3f1c…-boot pid:[4026531836]": equal for processes that see each other's pids
    start_of(os.getpid())       # when it began, so that a reused pid is not taken for it
    host_id()                   # "node3-4026531836": its host and its system, for the name of a file

Two containers of one machine have one boot but number their processes each for itself: they are two systems.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")


def system() -> str:
    """Return the boot of this machine and the namespace of this process's pid; empty where /proc does not show it."""
    try:
        shown = os.readlink("/proc/self") == str(os.getpid())  # not so where /proc is that of an outer namespace
        return f"{BOOT.read_text(encoding='utf-8').strip()} {os.readlink(NAMESPACE)}" if shown else ""
    except OSError:
        return ""


def host_id() -> str:
    """Return the host's name and the number of the pid namespace: containers of one host may share the former."""
    return f"{socket.gethostname()}-{''.join(filter(str.isdecimal, system().rpartition(' ')[2]))}"


def start_of(pid: int | str) -> str:
    """Return when a process of this system began, as the kernel counts it; empty when none of this pid runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # its name may hold anything
    except OSError:
        return ""
    return "" if fields[0] == b"Z" else fields[19].decode()
