"""The lease of a run folder: one writer at a time, and a clear error for the second.

    with hold(folder):      # raises UsageError while another driver lives
        ...

`lease.json` holds host, pid, the process's start and a heartbeat. On the same host a holder is alive when its process
is; from another host, while its heartbeat is younger than STALE_SECONDS. Two machines may have one name, so the boot of
the machine counts too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ch6dist.errors import UsageError
from ch6dist.runs.names import LEASE
from ch6dist.storage.atomic import replace_file

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0


@dataclass(frozen=True)
class Lease:
    """The process that writes to a run folder, and its last heartbeat."""

    host: str
    pid: int
    started: str  # the process's start, so that a reused pid is not taken for the holder
    heartbeat: float  # unix seconds
    boot: str = ""  # of the machine, as the kernel names it; empty where there is no /proc

    @property
    def here(self) -> bool:
        """Return whether the holder is a process of this host."""
        return self.host == socket.gethostname() and self.boot in ("", _boot())

    @property
    def beats(self) -> bool:
        """Return whether the heartbeat is recent: in the copy of a lease it soon is not."""
        return time.time() - self.heartbeat < STALE_SECONDS

    def alive(self) -> bool:
        """Return whether the holder is alive: by its process on this host, by its heartbeat on another."""
        return _process_start(self.pid) == self.started if self.here else self.beats


def current(run: Path | str) -> Lease | None:
    """Return the lease of a run whose driver is running, else None."""
    try:
        return living((Path(run) / LEASE).read_bytes())
    except FileNotFoundError:
        return None


def living(content: bytes) -> Lease | None:
    """Return the lease in a file's content if its holder is alive, else None."""
    try:
        lease = Lease(**json.loads(content))
    except (ValueError, TypeError):
        return None
    return lease if lease.alive() else None


@contextlib.contextmanager
def hold(run: Path | str) -> Iterator[None]:
    """Hold the lease of a run folder for the length of the block. UsageError while another driver holds it."""
    folder = Path(run)
    _take(folder)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(folder, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with contextlib.suppress(OSError):
            if not _lost(folder):
                (folder / LEASE).unlink()


def held(run: object, holder: Lease) -> UsageError:
    """Make the error for a run that a live driver holds."""
    hint = f"`sweeps stop {run}` ends it; a dead one is replaced, from another host after {STALE_SECONDS:.0f} s"
    return UsageError(f"{run} is in use by another driver (process {holder.pid} on {holder.host})", hint)


def _take(folder: Path) -> None:
    with open(folder / (LEASE + ".lock"), "w", encoding="utf-8") as guard:  # two drivers may find a dead lease at once
        fcntl.flock(guard, fcntl.LOCK_EX)
        holder = current(folder)
        if holder:
            raise held(folder, holder)
        _write(folder)


def _beat(folder: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):  # a full disk is reported where the ledger is written
            if not _lost(folder):
                _write(folder)


def _lost(folder: Path) -> bool:
    """Return whether another host took the lease over because this process missed its own heartbeats."""
    holder = current(folder)
    return holder is not None and (holder.host, holder.pid) != (socket.gethostname(), os.getpid())


def _write(folder: Path) -> None:
    pid = os.getpid()
    start = _process_start(pid)
    lease = Lease(host=socket.gethostname(), pid=pid, started=start, heartbeat=time.time(), boot=_boot())
    replace_file(folder / LEASE, json.dumps(asdict(lease)))


def _process_start(pid: int) -> str:
    """Return when a process began, as the kernel counts it; empty when there is none (or no /proc)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
