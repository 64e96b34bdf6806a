"""Append lines to the ledger of a run. The driver is its only writer.

with Writer(folder) as writer:
    writer.append([{"kind": "row", "trial": "…", "attempt": 1, "step": 352, …}])
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ch6dist.runs.names import LEDGER, SEGMENTS
from ch6dist.runs.schema import Line

LINES_PER_SEGMENT = 50_000


class Writer:
    """Appends lines to a segment of its own and syncs each batch to the disk before it returns."""

    def __init__(self, run: Path | str, *, lines_per_segment: int = LINES_PER_SEGMENT) -> None:
        self.folder, self.lines_per_segment = Path(run) / LEDGER, lines_per_segment
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open_segment()

    def _open_segment(self) -> None:
        numbers = [int(path.stem) for path in self.folder.glob(SEGMENTS)]
        path = self.folder / f"{max(numbers, default=0) + 1:06d}.jsonl"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._lines = 0
        _sync_folder(self.folder)

    def append(self, lines: Iterable[Line]) -> None:
        """Write and sync; OSError (a full disk) reaches the caller, and what was written before stays readable."""
        encoded = [_encode(line) for line in lines]
        if not encoded:
            return
        if self._lines >= self.lines_per_segment:
            self.close()
            self._open_segment()
        rest = memoryview(b"".join(encoded))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._lines = self.lines_per_segment  # the next begins a segment: only a last line may be torn
            raise
        self._lines += len(encoded)

    def close(self) -> None:
        """Close the segment; every line is on the disk already."""
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _encode(line: Line) -> bytes:
    """Encode one line; half a surrogate pair, as in a file name that is no UTF-8, becomes `?`."""
    text = json.dumps(_finite(line), separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite by null, which JSON has and NaN is not (the status says `diverged`)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
