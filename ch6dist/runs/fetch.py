"""Fetch the record of a run in an object store into a folder: sweep.yaml, ledger and lease, no checkpoints.

    folder = fetch_run("s3://bucket/sweeps/demo", Path("runs/demo"))

A segment of the ledger only ever grows, so of two copies the longer one is the newer. Two that differ otherwise belong
to different runs, or to two drivers that each continued alone: then nothing is written.
"""

from __future__ import annotations

from pathlib import Path

from ch6dist.errors import UsageError
from ch6dist.runs import lease
from ch6dist.runs.names import CODE, LEASE, LEDGER, SWEEP_FILE
from ch6dist.storage.atomic import replace_file
from ch6dist.storage.files import Folder, first_line, is_remote, join, open_folder, split_last


def fetch_run(url: str, folder: Path) -> Path:
    """Fetch the record of the run at `url` into `folder`, and return it.

    Raises UsageError where the store does not answer, has no such run, or `folder` holds another one.
    """
    holder = lease.current(folder)
    if holder and holder.here and holder.beats:
        return folder  # its driver is on this machine and writes here: nothing is newer
    remote = open_folder(url)
    try:
        update(remote, folder)
    except OSError as error:
        raise UsageError(f"{url} does not answer: {first_line(error)}", "try again") from error
    return folder


def refresh(run: Path, storage: str | None) -> None:
    """Fetch what another machine has added to the run. Does nothing where its folder is the storage."""
    if storage and is_remote(storage):
        fetch_run(join(storage, run.name), run)


def update(remote: Folder, folder: Path) -> None:
    """Copy what `remote` has and `folder` lacks. UsageError when they are of different runs; OSError on the way."""
    names = sorted(name for name in remote.sizes(LEDGER) if name.endswith(".jsonl"))
    if not names:
        storage, name = split_last(str(remote))
        raise UsageError(f"there is no run {name} in {storage}")
    contents = {name: content for name in names if (content := _newer(remote, folder, name)) is not None}
    for name, content in contents.items():
        replace_file(folder / name, content)
    for name in remote.sizes(CODE):
        if ".." not in name.split("/") and not (folder / name).is_file():  # it lies under its hash, and never changes
            replace_file(folder / name, remote.read(name) or b"")
    for name in (SWEEP_FILE, LEASE):
        content = remote.read(name)
        if content is not None:
            replace_file(folder / name, content)
        elif name == LEASE:
            (folder / name).unlink(missing_ok=True)


def _newer(remote: Folder, folder: Path, name: str) -> bytes | None:
    """Return the content of a segment if it is more than what is here, else None."""
    content, path = remote.read(name) or b"", folder / name
    here = path.read_bytes() if path.exists() else None
    if here is None:
        return content
    if here.startswith(content):
        return None
    if not content.startswith(here[: here.rfind(b"\n") + 1]):
        raise UsageError(f"{folder} is no copy of {remote}: it holds other lines", "move it away")
    return content
