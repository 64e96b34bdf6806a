"""Upload what the driver writes to its run folder to the run's place in an object store, every few seconds.

    with uploading(run, storage, say=console.print) as uploader:
        ...                         # uploader.lost: another driver has taken the run over
    uploader.failed                 # why the upload is not complete; empty when it is

Requests come the other way: `sweeps stop s3://…` leaves them in the store, the uploader puts them into the run folder.
A run on plain paths needs no upload: NoUploader removes files when it is told to, and that is all.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ch6dist.errors import UsageError
from ch6dist.runs import lease
from ch6dist.runs.names import CODE, LEASE, LEDGER, REQUESTS, SEGMENTS, SWEEP_FILE
from ch6dist.storage.files import Folder, LocalFolder, first_line, is_remote, join, open_folder
from sweeps.record import stop_requests

UPLOAD_SECONDS = 3.0
SETTLE_SECONDS = 1.0  # of two drivers that took the lease at once, only one still has it then
LAST_TRIES = 3  # to make the last upload
Say = Callable[[str], None]


class NoUploader:
    """The uploader of a run on a path, which all its hosts share: there is nothing to upload."""

    failed, lost = "", ""

    def __init__(self, run: Path) -> None:
        self.folder = LocalFolder(run)

    def soon(self) -> None:
        """Do nothing."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of the run; the ledger that says so is on the disk."""
        for name in names:
            self.folder.remove(name)


class Uploader:
    """Uploads a run folder's record to `remote`, in a thread of its own."""

    def __init__(self, run: Path, remote: Folder, *, say: Say) -> None:
        self.run, self.remote, self.say = run, remote, say
        self.failed, self.lost = "", ""
        self.sent: dict[str, int] = {}  # bytes of each local file when it was uploaded
        self.to_remove: list[str] = []
        self.beat_at = 0.0
        self.ended, self.woken = False, threading.Event()
        self.thread = threading.Thread(target=self._upload_regularly, daemon=True)

    def soon(self) -> None:
        """Upload now: what was just written should not be lost."""
        self.woken.set()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of the run, once the ledger that says so is uploaded."""
        self.to_remove += names

    def begin(self, free: bytes | None) -> None:
        """Take the run's lease in the store, upload everything once, and continue in a thread.

        Args:
            free: the lease that lay there when its holder was found to be dead; None: there was none.

        Raises UsageError where another driver holds the lease or the store does not answer.
        """
        try:
            self._take_lease(free)
            for name in self.remote.sizes(REQUESTS):  # what an earlier driver left unanswered
                self.remote.remove(name)
            self._upload()
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.remote}: {first_line(error)}", "check `storage` and try again"
            ) from error
        self.thread.start()

    def end(self) -> None:
        """Upload for the last time and give the lease back. `failed` says why, if that was not possible."""
        self.ended = True
        self.woken.set()
        self.thread.join()
        for left in range(LAST_TRIES, 0, -1):
            if self._try_upload() or self.lost or left == 1:
                break
            time.sleep(UPLOAD_SECONDS)
        if not self.failed and not self.lost:
            with contextlib.suppress(OSError):  # then it stays, and this process is dead
                self.remote.remove(LEASE)

    def _upload_regularly(self) -> None:
        while not self.ended and not self.lost:
            self.woken.wait(UPLOAD_SECONDS)
            self.woken.clear()
            self._try_upload()

    def _try_upload(self) -> bool:
        """Upload what has changed; return whether all of it is there now. A failure is printed once, and retried."""
        if self.lost:
            return False
        try:
            self._beat()
            if not self.lost:
                self._upload()
                self._fetch_requests()
        except Exception as error:  # whatever a library raises: the thread continues, and the failure is printed
            if not self.failed:
                self.say(f"Upload to {self.remote} failed; retrying: {first_line(error)}")
            self.failed = first_line(error)
            return False
        if self.failed and not self.lost:
            self.say(f"Upload to {self.remote} is complete again")
            self.failed = ""
        return not self.lost

    def _upload(self) -> None:
        """Upload every file that has changed, whole lines only; then remove what was to be removed before it began."""
        waiting = len(self.to_remove)
        self._upload_code()
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

    def _upload_code(self) -> None:
        for path in (path for path in (self.run / CODE).rglob("*") if path.is_file()):
            name = path.relative_to(self.run).as_posix()
            if name not in self.sent:  # it lies under its hash, and never changes
                self.remote.write(name, path.read_bytes())
                self.sent[name] = path.stat().st_size

    def _fetch_requests(self) -> None:
        for name in self.remote.sizes(REQUESTS):
            (self.run / REQUESTS).mkdir(exist_ok=True)
            (self.run / name).touch()
            self.remote.remove(name)

    def _take_lease(self, free: bytes | None) -> None:
        self._refuse_held(free)
        self._write_lease()
        time.sleep(SETTLE_SECONDS)  # another driver may have looked when this one did
        self._refuse_held(None)

    def _refuse_held(self, free: bytes | None) -> None:
        holder = self._holder(free)
        if holder:
            raise lease.held(self.remote, holder)

    def _beat(self) -> None:
        """Renew the lease every few seconds, unless another driver has taken it."""
        if time.monotonic() - self.beat_at < lease.BEAT_SECONDS and not self.ended:
            return
        holder = self._holder(None)
        if holder:
            self.lost = f"process {holder.pid} on {holder.host} has taken over this run"
            return
        self._write_lease()

    def _holder(self, free: bytes | None) -> lease.Lease | None:
        """Return the lease in the store if it is another driver's, which may be alive."""
        content, ours = self.remote.read(LEASE), lease.in_folder(self.run)
        there = lease.parsed(content)
        if there is None or content == free or there.alive() is False or (ours and there.is_of(ours)):
            return None
        return there

    def _write_lease(self) -> None:
        self.remote.write(LEASE, (self.run / LEASE).read_bytes())
        self.beat_at = time.monotonic()


@contextlib.contextmanager
def uploading(
    run: Path, storage: str | None, *, say: Say, free: bytes | None = None
) -> Iterator[Uploader | NoUploader]:
    """Upload a run folder, whose lease this process holds, for the length of the block.

    Args:
        free: as for `Uploader.begin`.
        storage: `storage` of the sweep; the run is at its name there. A path, or None: nothing to upload.
        say: prints a line; called from another thread too.
    """
    if not storage or not is_remote(storage):
        yield NoUploader(run)
        return
    uploader = Uploader(run, open_folder(join(storage, run.name)), say=say)
    uploader.begin(free)
    try:
        yield uploader
    finally:
        uploader.end()


def lease_in_store(run: Path, storage: str | None) -> lease.Read | None:
    """Return what reads the lease that a run has in an object store; None for a run on paths.

    Reading it raises UsageError when the store does not answer.
    """
    if not storage or not is_remote(storage):
        return None
    remote = open_folder(join(storage, run.name))

    def read() -> bytes | None:
        """Return the content of the lease; None where there is none."""
        try:
            return remote.read(LEASE)
        except OSError as error:
            raise _unanswered(remote, error) from error

    return read


def runs_in_store(storage: str | None) -> set[str]:
    """Return the names of the runs in an object store, for new_run(taken=…).

    Raises UsageError when the store does not answer, before anything is written.
    """
    if not storage or not is_remote(storage):
        return set()
    try:
        return open_folder(storage).names()
    except OSError as error:
        raise _unanswered(storage, error) from error


def _unanswered(place: object, error: OSError) -> UsageError:
    return UsageError(f"{place} does not answer: {first_line(error)}", "check `storage` and try again")


def request_stop_in_store(url: str, trial: str | None = None) -> None:
    """Request the driver of the run at `url` to stop it, or only `trial`; it answers within some seconds."""
    name = stop_requests.STOP_ALL if trial is None else stop_requests.STOP_TRIAL + trial
    try:
        open_folder(url).write(f"{REQUESTS}/{name}", b"\n")
    except OSError as error:
        raise UsageError(f"{url} does not answer: {first_line(error)}", "try again") from error
