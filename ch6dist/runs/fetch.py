"""The record of a run in an object store, brought into a folder: sweep.yaml, ledger and lease, no checkpoints.

    folder = fetch_run("s3://bucket/sweeps/demo", Path("runs/demo"))

A segment of the ledger only ever grows, so of two copies the longer one is the newer. Two that differ otherwise belong
to different runs, or to two drivers that each went on alone: then nothing is written.
"""

from __future__ import annotations

from pathlib import Path

from ch6dist.errors import InputError
from ch6dist.runs import lease
from ch6dist.runs.names import LEASE, LEDGER, SWEEP_FILE
from ch6dist.storage.atomic import replace_file
from ch6dist.storage.files import Folder, first_words, is_remote, join, open_folder, split_last


def fetch_run(url: str, folder: Path) -> Path:
    """`folder`, holding the record of the run at `url`. InputError where it cannot be had or another run lies there."""
    holder = lease.current(folder)
    if holder and holder.here and holder.beats:
        return folder  # its driver is on this machine and writes here: nothing is newer
    remote = open_folder(url)
    try:
        update(remote, folder)
    except OSError as error:
        raise InputError("RUN", url, f"a run in a bucket that answers ({first_words(error)})") from error
    return folder


def refresh(run: Path, storage: str | None) -> None:
    """Before a resume: what another machine has added to the run meanwhile. Nothing where its folder is the storage."""
    if storage and is_remote(storage):
        fetch_run(join(storage, run.name), run)


def update(remote: Folder, folder: Path) -> None:
    """Bring what `remote` has and `folder` lacks. InputError when they are of different runs; OSError on the way."""
    names = sorted(name for name in remote.sizes(LEDGER) if name.endswith(".jsonl"))
    if not names:
        storage, name = split_last(str(remote))
        raise InputError("RUN", str(remote), f"a run in {storage} (there is no {name})")
    contents = {name: content for name in names if (content := _newer(remote, folder, name)) is not None}
    for name, content in contents.items():
        replace_file(folder / name, content)
    for name in (SWEEP_FILE, LEASE):
        content = remote.read(name)
        if content is not None:
            replace_file(folder / name, content)
        elif name == LEASE:
            (folder / name).unlink(missing_ok=True)


def _newer(remote: Folder, folder: Path, name: str) -> bytes | None:
    """The content of a segment where it is more than what is here; None where it is not."""
    content, path = remote.read(name) or b"", folder / name
    here = path.read_bytes() if path.exists() else None
    if here is None:
        return content
    if here.startswith(content):
        return None
    if not content.startswith(here[: here.rfind(b"\n") + 1]):
        raise InputError("RUN", str(remote), f"a run of which {folder} is a copy (it holds other lines: move it away)")
    return content
