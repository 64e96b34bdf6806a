"""A run's record as its driver holds it: the lease, the ledger's writer, and the copy in an object store.

with opened(run, storage, say=console.print) as record:
    record.writer.append(lines)
return record.status(0)         # 1 where the copy is not complete
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ch6dist.runs import lease
from ch6dist.runs.folders import checkpoints_root
from ch6dist.runs.writer import LINES_PER_SEGMENT, Writer
from ch6dist.storage.files import is_remote
from sweeps.record.uploader import Mirror, NoMirror, Say, mirroring

MIRRORED_LINES = 2_000  # of a segment that is copied whole whenever it has grown


@dataclass(frozen=True)
class Record:
    """What the driver of a run writes to."""

    run: Path
    writer: Writer
    mirror: Mirror | NoMirror
    checkpoints: str  # folder or URL
    say: Say

    def status(self, status: int) -> int:
        """The exit status, once the record is closed: 1 where the copy is not complete."""
        if not self.mirror.failed:
            return status
        self.say(f"the copy of the record is not complete ({self.mirror.failed}); all of it is in {self.run}")
        return status or 1


@contextlib.contextmanager
def opened(run: Path, storage: str | None, *, say: Say) -> Iterator[Record]:
    """Hold the record of the run folder `run` for the length of the block. InputError while another driver does."""
    lines = MIRRORED_LINES if storage and is_remote(storage) else LINES_PER_SEGMENT
    with (
        lease.hold(run),
        mirroring(run, storage, say=say) as mirror,
        Writer(run, lines_per_segment=lines) as writer,
    ):
        yield Record(run, writer, mirror, checkpoints_root(run, storage=storage), say)
