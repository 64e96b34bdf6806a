"""Write the lines of a run, and keep the trial table, the search and the checkpoints in step with them.

writer = LedgerWriter(record, table, halt, search=search, say=progress.say)
writer.begin(ledger, keep=["best"], limit_bytes=None)
writer.write(lines)                 # on the disk when this returns; HaltedError where that is impossible
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Line, Status, StatusLine
from ch6dist.storage.files import first_line, open_folder
from sweeps.driver.halt import Halt, HaltedError
from sweeps.driver.jobs import PackJob
from sweeps.driver.retries import from_scratch, status_line
from sweeps.driver.trial_table import TrialTable
from sweeps.record.record import Record
from sweeps.record.retention import Retention
from sweeps.record.uploader import Say
from sweeps.search.next_trials import Search


class LedgerWriter:
    """The only writer of a run's ledger."""

    def __init__(self, record: Record, table: TrialTable, halt: Halt, *, search: Search, say: Say) -> None:
        self.record, self.table, self.halt, self.search, self.say = record, table, halt, search, say
        self.checkpoints = open_folder(record.checkpoints)
        self.retention: Retention | None = None

    def begin(self, ledger: Ledger, *, keep: Collection[str], limit_bytes: int | None) -> None:
        """Remove checkpoints that may not stay, now and after each trial that ends.

        Args:
            ledger: of the run as it is now.
            keep: names of the checkpoints that stay of a trial that has ended.
            limit_bytes: for all of these; None: no limit.
        """
        self.retention = Retention(
            self.checkpoints,
            ledger,
            keep=keep,
            ended_limit_bytes=limit_bytes,
            write=self.write,
            remove=self.record.uploader.remove,
        )

    def write(self, lines: Sequence[Line]) -> None:
        """Append to the ledger. Where that fails, halt: the pack that reported must not continue."""
        try:
            self.record.append(lines)
        except OSError as error:
            raise self._halted(f"the ledger cannot be written: {error}") from error
        self.table.take(lines)
        self.search.take(lines)
        try:
            if self.retention:
                self.retention.take(lines)
        except OSError as error:
            self.say(f"checkpoints that may go stay for now: {first_line(error)}")

    def write_packs(self, packs: Sequence[PackJob]) -> None:
        """Write packs before they are launched; trials with rows but no checkpoint start from scratch.

        Those that leave another have rows, and begin from its checkpoint.
        """
        trials = [trial for pack in packs for trial in pack.trials if not self.search.observed.trials[trial].shared]
        entries = [self.table.entries[trial] for trial in trials]
        try:
            lines = from_scratch(entries, self.checkpoints)
        except OSError as error:
            raise self._halted(f"the checkpoints cannot be reached: {error}") from error
        self.write([*lines, *(pack.line(time.time()) for pack in packs)])

    def ending(self, trial: str, status: Status, reason: str) -> StatusLine:
        """Make the status line that ends a trial from here, not from its worker."""
        entry = self.table.entries[trial]
        return status_line(trial, status, reason, attempt=entry.attempt, epoch=entry.epoch)

    def _halted(self, reason: str) -> HaltedError:
        self.halt.request(reason, exit_status=1)
        return HaltedError(reason)
