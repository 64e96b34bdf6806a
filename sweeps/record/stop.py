"""Bring a request to stop to where the driver of a run looks: its folder, or the object store that has a copy."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path

from ch6dist.errors import UsageError
from ch6dist.runs.fetch import refresh
from ch6dist.runs.lease import current, in_folder
from ch6dist.runs.ledger import find_trial, read, read_spec
from ch6dist.storage.files import is_remote, join
from sweeps.record.stop_requests import request_stop
from sweeps.record.uploader import request_stop_in_store


def stop(run: str, folder: Path, trial: str | None = None) -> str:
    """Request the driver of a run to stop it, or one trial; return what will be stopped.

    Args:
        run: as it was given: a name, a folder or a URL.
        folder: its folder here, which may be a copy of what another machine, or another folder, writes.
        trial: the beginning of an id.

    Raises UsageError where no driver is running, InputError where there is no such trial.
    """
    storage = read_spec(folder).get("storage")
    if not is_remote(run) and current(folder) is None:
        refresh(folder, storage)
    chosen = find_trial(read(folder, last=1), trial) if trial else None
    driver = in_folder(folder)
    if driver is None or driver.alive() is False:
        raise UsageError(f"no driver is running for {run}", "there is nothing to stop")
    url = run if is_remote(run) else join(storage, folder.name) if storage and is_remote(storage) else ""
    if driver.here or not url:
        request_stop(folder, chosen)
    if url:
        with suppress(UsageError) if driver.here else nullcontext():  # an outage of the store prevents no stop
            request_stop_in_store(url, chosen)
    doubt = "" if current(folder) else f", if process {driver.pid} on {driver.host} is still running"
    return str(chosen or folder) + doubt
