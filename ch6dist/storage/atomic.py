"""Replace a file in one step: a reader sees the old content or the new one, whole.

    replace_file(path, b"content")
    replace_file(path, content, sync=True)      # and it is still there after a power cut

A half-written copy that a killed writer left beside the file is removed by a later writer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ch6dist.host.process import host_id, start_of

STALE_SECONDS = 600.0  # age from which a half-written file of another host or container counts as left behind


def replace_file(path: Path, content: bytes | memoryview | str, *, sync: bool = False) -> None:
    """Write `content` (text as UTF-8) beside `path` and rename it to `path`; folders are made as needed.

    Args:
        sync: wait until the content is on the disk before the old file goes.

    Raises OSError, a full disk say; the old file is there then, and nothing beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{host_id()}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for left in _left_behind(path, now=os.fstat(file.fileno()).st_mtime):
                left.unlink(missing_ok=True)
            file.write(content.encode() if isinstance(content, str) else content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _left_behind(path: Path, *, now: float) -> Iterator[Path]:
    """Yield half-written copies of `path` whose writers are gone: dead in this system, or in another and old.

    Args:
        now: by the clock of the file system, which dates files: those of two hosts may differ.
    """
    for copy in path.parent.glob(f".{path.name}.*.tmp"):
        writer, _, pid = copy.name.removeprefix(f".{path.name}.").removesuffix(".tmp").rpartition(".")
        if writer == host_id():
            if not start_of(pid):
                yield copy
        else:
            with contextlib.suppress(FileNotFoundError):  # its writer has renamed it meanwhile
                if now - copy.stat().st_mtime > STALE_SECONDS:
                    yield copy
