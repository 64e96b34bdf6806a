"""A request to stop, brought to where the driver of a run looks: its folder, or the object store that has a copy."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path

from ch6dist.errors import InputError
from ch6dist.runs.fetch import refresh
from ch6dist.runs.lease import current
from ch6dist.runs.ledger import find_trial, read
from ch6dist.storage.files import is_remote, join
from sweeps.record.stop_requests import ask_stop
from sweeps.record.uploader import ask_stop_there


def stop(run: str, folder: Path, trial: str | None = None) -> str:
    """Ask the driver of a run to stop it, or one trial; in words, what was asked to stop.

    Args:
        run: as it was given: a name, a folder or a URL.
        folder: its folder here, which may be a copy of what another machine, or another folder, writes.
        trial: the beginning of an id.

    Raises InputError where nobody drives it, or there is no such trial.
    """
    storage = read(folder).spec.get("storage")
    if not is_remote(run) and current(folder) is None:
        refresh(folder, storage)
    chosen = find_trial(read(folder), trial) if trial else None
    driver = current(folder)
    if driver is None:
        raise InputError("RUN", run, "a run with a live driver (this one has none: nothing to stop)")
    url = run if is_remote(run) else join(storage, folder.name) if storage and is_remote(storage) else ""
    if driver.here or not url:
        ask_stop(folder, chosen)
    if url:
        with suppress(InputError) if driver.here else nullcontext():  # a store that is away keeps nobody from stopping
            ask_stop_there(url, chosen)
    return str(chosen or folder)
