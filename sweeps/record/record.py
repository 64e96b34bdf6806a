"""The record of a run as its driver holds it: the lease, the ledger's writer, and the upload to an object store.

with opened(run, spec, say=console.print, lines=[trial_line(trial), …]) as record:
    record.append(lines)
return record.status(0)         # 1 where the upload is not complete
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from ch6dist.errors import UsageError
from ch6dist.runs import lease
from ch6dist.runs.checked import inexact
from ch6dist.runs.folders import checkpoints_root
from ch6dist.runs.ledger import Ledger, add_lines
from ch6dist.runs.names import LEDGER, SEGMENTS, SWEEP_FILE
from ch6dist.runs.own_code import OwnCode, keep
from ch6dist.runs.provenance import sweep_line
from ch6dist.runs.schema import ConfirmationPlan, Line
from ch6dist.runs.write_ahead import lost_lines
from ch6dist.runs.writer import LINES_PER_SEGMENT, Writer
from ch6dist.storage.atomic import replace_file
from ch6dist.storage.files import is_remote, open_folder
from sweeps.record import stop_requests
from sweeps.record.uploader import NoUploader, Say, Uploader, lease_in_store, uploading

UPLOADED_LINES = 2_000  # of a segment that is uploaded whole whenever it has grown


@dataclass(frozen=True)
class Record:
    """What the driver of a run writes to."""

    run: Path
    writer: Writer
    uploader: Uploader | NoUploader
    checkpoints: str  # folder or URL
    say: Say

    def append(self, lines: Sequence[Line]) -> None:
        """Append lines to the ledger; they are on the disk when this returns. OSError where they cannot be written."""
        self.writer.append(lines)

    def status(self, status: int) -> int:
        """Return the exit status, once the record is closed: 1 where the upload is not complete."""
        if not self.uploader.failed:
            return status
        self.say(f"the upload of the record is not complete ({self.uploader.failed}); all of it is in {self.run}")
        return status or 1


@contextlib.contextmanager
def opened(
    run: Path,
    spec: Mapping[str, Any],
    *,
    say: Say,
    ledger: Ledger | None = None,
    lines: Sequence[Line] = (),
    address: str | None = None,
    confirmation: ConfirmationPlan | None = None,
    code: OwnCode | None = None,
) -> Iterator[Record]:
    """Hold the record of a run for the length of the block: the one way in which a sweep's driver begins to write.

    Takes the lease, forgets requests that an earlier driver left, writes sweep.yaml, and heads a new segment of the
    ledger with the sweep, the lines that only the object store has, and `lines`.

    Args:
        spec: the sweep as `dump` gives it.
        ledger: of a run that is resumed, as it was read; what is written here is added to it. None: the run is new.
        address: of the Ray that the driver joins.
        confirmation: that begins with `lines`.
        code: the user's own that its trials need: its files are kept in the run folder.

    Raises UsageError while another driver holds the run, or when one has written to it since `ledger` was read.
    """
    ledger, storage = Ledger() if ledger is None else ledger, spec.get("storage")
    remote = bool(storage and is_remote(storage))
    with lease.hold(run, store=lease_in_store(run, storage), say=say) as free:
        _refuse_changed(run, ledger)
        stop_requests.clear(run)
        code = code or OwnCode()
        keep(run, code)
        replace_file(run / SWEEP_FILE, yaml.safe_dump(dict(spec), sort_keys=False, allow_unicode=True))
        with (
            uploading(run, storage, say=say, free=free) as uploader,
            Writer(run, lines_per_segment=UPLOADED_LINES if remote else LINES_PER_SEGMENT) as writer,
        ):
            record = Record(run, writer, uploader, checkpoints_root(run, storage=storage), say)
            lost = lost_lines(open_folder(record.checkpoints), ledger) if remote else []
            added = [line["trial"] for line in lines if line["kind"] == "trial"]
            head: dict[str, Any] = {
                **sweep_line(spec, described=code.described),
                "trials": len({*ledger.trials, *added}),
                "address": address,
            }
            if unexact := inexact(line["config"] for line in [*ledger.trials.values(), *lines] if "config" in line):
                head["inexact"] = unexact
                say("\n".join(unexact))
            if confirmation:
                head["confirmation"] = confirmation
            written = [cast(Line, head), *lost, *lines]
            record.append(written)
            add_lines(ledger, written)
            yield record


def _refuse_changed(run: Path, ledger: Ledger) -> None:
    """Raise UsageError if lines have been written since `ledger` was read: what was decided by them is out of date."""
    if sum(path.stat().st_size for path in (run / LEDGER).glob(SEGMENTS)) != ledger.bytes_read:
        raise UsageError(f"another driver has written to {run} in this moment", "try again")
