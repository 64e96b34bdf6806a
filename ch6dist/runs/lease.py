"""The lease of a run folder: one writer at a time, and a clear error for the second.

    with hold(folder):      # raises UsageError while another driver lives
        ...

`lease.json` holds host, pid, the process's start, a heartbeat, and the system that numbers its processes so. In the
same system a holder is alive when its process is. Of another host, or another container, that cannot be told at once,
and its clock says nothing here: who wants the lease watches whether its content changes, and takes it over when it has
not for WATCH_SECONDS of its own clock.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ch6dist.errors import UsageError
from ch6dist.host.process import start_of, system
from ch6dist.runs.names import LEASE
from ch6dist.shell import command
from ch6dist.storage.atomic import replace_file

BEAT_SECONDS = 10.0
WATCH_SECONDS = 60.0  # without a heartbeat, after which a holder that cannot be asked counts as dead
LOOK_SECONDS = 1.0  # between two looks at a lease
UNSEEN = "unseen"  # the system of a process that cannot see it: nobody else is in it
Read = Callable[[], bytes | None]
Say = Callable[[str], None]
_BEATS = itertools.count()


@dataclass(frozen=True)
class Lease:
    """The process that writes to a run folder, and its last heartbeat."""

    host: str
    pid: int
    started: str  # the process's start, so that a reused pid is not taken for the holder
    heartbeat: float  # unix seconds of the holder's clock; each one is another number
    boot: str = ""  # its system (host/process.py); leases of before have the boot alone, or nothing

    @property
    def here(self) -> bool:
        """Return whether the holder is a process of this system."""
        ours = system()
        if " " in self.boot or not ours:
            return bool(ours) and self.boot == ours
        return self.host == socket.gethostname() and self.boot in ("", ours.partition(" ")[0])

    @property
    def beats(self) -> bool:
        """Return whether the heartbeat is recent, by the clocks of both hosts: for a display, not for a decision."""
        return abs(time.time() - self.heartbeat) < WATCH_SECONDS

    def alive(self) -> bool | None:
        """Return whether the holder's process runs; None where that cannot be told at once."""
        return start_of(self.pid) == self.started if self.here else None

    def is_of(self, other: Lease) -> bool:
        """Return whether both are of the same process."""
        return (self.host, self.boot, self.pid, self.started) == (other.host, other.boot, other.pid, other.started)


def current(run: Path | str) -> Lease | None:
    """Return the lease of a run whose driver is running, else None. Of another host, by its last heartbeat."""
    found = in_folder(run)
    return found if found and (found.beats if found.alive() is None else found.alive()) else None


def in_folder(run: Path | str) -> Lease | None:
    """Return the lease that lies in a run folder, of a driver that may be dead; None where there is none."""
    return parsed(_reader(Path(run))())


def parsed(content: bytes | None) -> Lease | None:
    """Return the lease in a file's content; None where it holds none."""
    try:
        return Lease(**json.loads(content or b""))
    except (ValueError, TypeError):
        return None


@contextlib.contextmanager
def hold(run: Path | str, *, store: Read | None = None, say: Say = lambda text: None) -> Iterator[bytes | None]:
    """Hold the lease of a run folder for the length of the block. UsageError while another driver holds it.

    Args:
        store: reads the lease that the run has in an object store. Then a lease of another host in the folder is only a
            copy, and it is the store's that is watched.
        say: prints a line before another host's holder is watched.

    Yields what the store's lease was when it was free.
    """
    folder = Path(run)
    seen = watch(store, place=run, seconds=WATCH_SECONDS, say=say) if store else None
    _take(folder, seconds=0.0 if store else WATCH_SECONDS, say=say)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(folder, stop), daemon=True)
    beat.start()
    try:
        yield seen
    finally:
        stop.set()
        beat.join()
        with contextlib.suppress(OSError):
            if not lost(folder):
                (folder / LEASE).unlink()


def watch(read: Read, *, place: object, seconds: float, say: Say) -> bytes | None:
    """Return the content of a lease that is free: none, or one whose holder is dead. UsageError while a holder lives.

    Args:
        seconds: to watch a holder whose process cannot be seen from here; 0: such a lease does not count.
    """
    seen = read()
    holder = parsed(seen)
    if holder is None or holder.alive() is False:
        return seen
    if holder.alive():
        raise held(place, holder)
    if seconds:
        process = f"process {holder.pid} on {holder.host}"
        waiting = f"waiting {seconds:.0f} s for a sign of life"
        say(f"{place} was last used by {process}, which cannot be seen from here: {waiting}")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        if (now := read()) != seen:
            newer = parsed(now)
            if newer is None:
                return now
            raise held(place, newer)
    return seen


def held(run: object, holder: Lease) -> UsageError:
    """Make the error for a run that a live driver holds."""
    what = f"{run} is in use by another driver (process {holder.pid} on {holder.host})"
    return UsageError(what, f"`{command('sweeps', 'stop', run)}` ends it")


def _take(folder: Path, *, seconds: float, say: Say) -> None:
    read = _reader(folder)
    while True:
        seen = watch(read, place=folder, seconds=seconds, say=say)
        with open(folder / (LEASE + ".lock"), "wb") as guard:  # two drivers may find a dead lease at once
            fcntl.flock(guard, fcntl.LOCK_EX)
            if read() == seen:
                _write(folder)
                return


def _reader(folder: Path) -> Read:
    def read() -> bytes | None:
        """Return the content of the folder's lease; None where there is none."""
        try:
            return (folder / LEASE).read_bytes()
        except FileNotFoundError:
            return None

    return read


def _beat(folder: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT_SECONDS):
        with contextlib.suppress(OSError):  # a full disk is reported where the ledger is written
            if not lost(folder):
                _write(folder)


def lost(run: Path) -> bool:
    """Return whether another process took over the lease that this one held, because it missed its own heartbeats."""
    holder = in_folder(run)
    return holder is not None and not holder.is_of(_own())


def _write(folder: Path) -> None:
    replace_file(folder / LEASE, json.dumps(asdict(_own())))


def _own() -> Lease:
    """Return this process's lease with its next heartbeat."""
    heartbeat = time.time() + next(_BEATS) / 1e6  # another number than the last one, even while the clock stands
    return Lease(socket.gethostname(), os.getpid(), start_of("self"), heartbeat, system() or UNSEEN)
