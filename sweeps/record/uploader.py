"""What the driver writes to its run folder, copied to the run's place in an object store every few seconds.

    with mirroring(run, storage, say=console.print) as mirror:
        ...                         # mirror.lost: another driver has taken the run over
    mirror.failed                   # why the copy is not complete; empty when it is

Requests come the other way: `sweeps stop s3://…` leaves them in the store, the mirror puts them into the run folder.
A run on plain paths needs no copy: there a mirror removes what it is told to, and that is all.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ch6dist.errors import InputError
from ch6dist.runs import lease
from ch6dist.runs.names import LEASE, LEDGER, SEGMENTS, SWEEP_FILE
from ch6dist.storage.files import Folder, LocalFolder, first_words, is_remote, join, open_folder
from sweeps.record import stop_requests

MIRROR_SECONDS = 3.0
SETTLE_SECONDS = 1.0  # of two drivers that took the lease at once, only one still has it then
LAST_TRIES = 3  # of the last copy
Say = Callable[[str], None]


class NoMirror:
    """Of a run on a path, which all its hosts share."""

    failed, lost = "", ""

    def __init__(self, run: Path) -> None:
        self.folder = LocalFolder(run)

    def soon(self) -> None:
        """Nothing to copy."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of the run; the ledger that says so is on the disk."""
        for name in names:
            self.folder.remove(name)


class Mirror:
    """Copies a run folder's record to `remote`, in a thread of its own."""

    def __init__(self, run: Path, remote: Folder, *, say: Say) -> None:
        self.run, self.remote, self.say = run, remote, say
        self.failed, self.lost = "", ""
        self.sent: dict[str, int] = {}  # bytes of each file of ours when it was copied
        self.to_remove: list[str] = []
        self.beat_at = 0.0
        self.ended, self.woken = False, threading.Event()
        self.thread = threading.Thread(target=self._copy_on, daemon=True)

    def soon(self) -> None:
        """Copy now: what was just written should not be lost."""
        self.woken.set()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of the run, once the ledger that says so is there."""
        self.to_remove += names

    def begin(self) -> None:
        """Take the run's lease in the store, make the first copy, go on in a thread. InputError where it cannot be."""
        try:
            self._take_lease()
            for name in self.remote.sizes(stop_requests.FOLDER):  # what an earlier driver left unanswered
                self.remote.remove(name)
            self._copy()
        except OSError as error:
            raise InputError("storage", str(self.remote), f"a place to write to ({first_words(error)})") from error
        self.thread.start()

    def end(self) -> None:
        """The last copy, then the lease goes. `failed` says why, if it could not be made."""
        self.ended = True
        self.woken.set()
        self.thread.join()
        for left in range(LAST_TRIES, 0, -1):
            if self._try_copy() or self.lost or left == 1:
                break
            time.sleep(MIRROR_SECONDS)
        if not self.failed and not self.lost:
            with contextlib.suppress(OSError):  # then it is stale after a minute
                self.remote.remove(LEASE)

    def _copy_on(self) -> None:
        while not self.ended and not self.lost:
            self.woken.wait(MIRROR_SECONDS)
            self.woken.clear()
            self._try_copy()

    def _try_copy(self) -> bool:
        """Copy what has changed; whether all of it is there now. A failure is said once, and tried again."""
        if self.lost:
            return False
        try:
            self._beat()
            if not self.lost:
                self._copy()
                self._fetch_requests()
        except Exception as error:  # whatever a library raises: the thread goes on, and the failure is told
            if not self.failed:
                self.say(f"the copy to {self.remote} fails, and is tried again: {first_words(error)}")
            self.failed = first_words(error)
            return False
        if self.failed and not self.lost:
            self.say(f"the copy to {self.remote} is complete again")
            self.failed = ""
        return not self.lost

    def _copy(self) -> None:
        """Every file that has grown, whole lines only; then what was to be removed before it began."""
        waiting = len(self.to_remove)
        for path in [self.run / SWEEP_FILE, *sorted((self.run / LEDGER).glob(SEGMENTS))]:
            name = str(path.relative_to(self.run))
            count = path.stat().st_size
            if count != self.sent.get(name):
                content = path.read_bytes()
                self.remote.write(name, content[: content.rfind(b"\n") + 1])
                self.sent[name] = count
        for name in self.to_remove[:waiting]:
            self.remote.remove(name)
        del self.to_remove[:waiting]

    def _fetch_requests(self) -> None:
        for name in self.remote.sizes(stop_requests.FOLDER):
            (self.run / stop_requests.FOLDER).mkdir(exist_ok=True)
            (self.run / name).touch()
            self.remote.remove(name)

    def _take_lease(self) -> None:
        self._refuse_held()
        self._write_lease()
        time.sleep(SETTLE_SECONDS)  # another driver may have looked when this one did
        self._refuse_held()

    def _refuse_held(self) -> None:
        holder = self._holder()
        if holder:
            raise lease.held(self.remote, holder)

    def _beat(self) -> None:
        """Every few seconds: still ours?"""
        if time.monotonic() - self.beat_at < lease.BEAT_SECONDS and not self.ended:
            return
        holder = self._holder()
        if holder:
            self.lost = f"process {holder.pid} on {holder.host} has taken the run over"
            return
        self._write_lease()

    def _holder(self) -> lease.Lease | None:
        """Another driver that lives and holds the lease in the store."""
        there, ours = lease.living(self.remote.read(LEASE) or b""), lease.current(self.run)
        if there is None or (ours and (there.host, there.boot, there.pid) == (ours.host, ours.boot, ours.pid)):
            return None
        return there

    def _write_lease(self) -> None:
        self.remote.write(LEASE, (self.run / LEASE).read_bytes())
        self.beat_at = time.monotonic()


@contextlib.contextmanager
def mirroring(run: Path, storage: str | None, *, say: Say) -> Iterator[Mirror | NoMirror]:
    """Mirror a run folder, whose lease this process holds, for the length of the block.

    Args:
        storage: `storage` of the sweep; the run is at its name there. A path, or None: nothing to mirror.
        say: prints a line; called from another thread.
    """
    if not storage or not is_remote(storage):
        yield NoMirror(run)
        return
    mirror = Mirror(run, open_folder(join(storage, run.name)), say=say)
    mirror.begin()
    try:
        yield mirror
    finally:
        mirror.end()


def names_there(storage: str | None) -> set[str]:
    """Names of the runs in an object store, for new_run(taken=…). InputError when it does not answer: ask it first."""
    if not storage or not is_remote(storage):
        return set()
    try:
        return open_folder(storage).names()
    except OSError as error:
        raise InputError("storage", storage, f"a bucket that answers ({first_words(error)})") from error


def ask_stop_there(url: str, trial: str | None = None) -> None:
    """Ask the driver of the run at `url` to stop it, or only `trial`; answered within some seconds."""
    name = stop_requests.STOP_ALL if trial is None else stop_requests.STOP_TRIAL + trial
    try:
        open_folder(url).write(f"{stop_requests.FOLDER}/{name}", b"\n")
    except OSError as error:
        raise InputError("RUN", url, f"a run in a bucket that answers ({first_words(error)})") from error
