"""The driver: trains what a run still lacks, and is the only writer of its ledger.

Packs wait in a queue. One that fails returns to its front, as long as it gets further or has retries left. A pack that
fails twice at the same epoch is retried as packs of one, so that one faulty trial does not take the others with it; one
that runs out of memory is halved. Lanes that end early are given to trials that wait.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Line, Status
from sweeps.driver.halt import INTERRUPTED, Halt
from sweeps.driver.jobs import PackJob
from sweeps.driver.ledger_writer import LedgerWriter
from sweeps.driver.pack_queue import PackQueue
from sweeps.driver.progress import Progress
from sweeps.driver.retries import DEAD, HOST_LOST, after_failure, failure_line
from sweeps.driver.trial_table import TrialTable
from sweeps.record.record import Record
from sweeps.record.stop_requests import pending_stops

REQUESTS_SECONDS = 1.0  # between two looks for requests
STALL_SECONDS = 60.0  # after which packs that all wait for resources are worth a message
Reply = dict[str, Any]  # the orders that a pack finds when it continues


@dataclass(frozen=True)
class Rules:
    """What a driver keeps to, from the sweep and from where it trains."""

    max_retries: int
    keep: Collection[str] = ("last", "best")  # checkpoints of trials that have ended
    ended_limit_bytes: int | None = None  # for them; None: no limit
    needs: str = ""  # what a pack needs, as text
    hosts: int = 1


class Driver:
    """Packs, their reports, and the lines that are written of them."""

    def __init__(
        self, record: Record, table: TrialTable, progress: Progress, packs: Sequence[PackJob], rules: Rules
    ) -> None:
        self.record, self.table, self.progress, self.rules = record, table, progress, rules
        self.queue = PackQueue(packs, table)
        self.halt = Halt()
        self.ledger = LedgerWriter(record, table, self.halt, say=progress.say)
        self.stops: set[str] = set()  # trials that are to stop
        self.failed: dict[int, Line] = {}  # pack number → its report
        self.lacking: set[str] = set()  # hosts that found no data or no storage
        self.launched: tuple[PackJob, ...] = ()
        self.looked_at = self.trained_at = time.monotonic()

    def begin(self, ledger: Ledger) -> None:
        """Apply retention, and write the packs of this launch to the ledger.

        Args:
            ledger: of the run as it is now.
        """
        self.ledger.begin(ledger, keep=self.rules.keep, limit_bytes=self.rules.ended_limit_bytes)
        self.ledger.write_packs(self.queue.packs)
        self.launched = tuple(self.queue.packs)

    # What Ray Tune calls

    def next_pack(self) -> int | None:
        """Return the number of the pack to launch next; None while none waits (a running one may still fail)."""
        while not self.halted and (number := self.queue.next()) is not None:
            pack = self.queue.packs[number]
            self.ledger.write(
                [self.ledger.ending(t, Status.STOPPED, "asked to stop") for t in pack.trials if t in self.stops]
            )
            self.queue.leave(number, self.stops)
            if self.queue.packs[number].trials:
                return number
            self.queue.end(number)
        return None

    @property
    def halted(self) -> bool:
        """Return whether nothing more is to be trained."""
        return self.halt.requested

    @property
    def over(self) -> bool:
        """Return whether nothing is left to launch, nor ever will be."""
        return self.halted or self.queue.over

    def on_report(self, number: int, report: Line) -> Reply:
        """Write a pack's lines before it may continue, and return the orders that it finds then.

        A ledger that cannot be written ends the sweep.
        """
        if "begin" in report:
            return self.begin_pack(number)
        if "broken" in report:
            self.failed[number] = report
            if report["broken"] in ("data", "storage"):  # every pack needs them: a retry would not help
                self.on_missing(report)
            return {}
        self.ledger.write(report["lines"])
        opening = all(line.get("status") == Status.RUNNING for line in report["lines"])
        return {} if opening or self.halted else self.refill(number)

    def on_dead_worker(self, number: int, *, hosts: Collection[str] = ()) -> None:
        """Note a pack whose process died; a reason that it reported before takes precedence.

        Args:
            hosts: names of those that are alive, where that is known.
        """
        trials = self.queue.packs[number].trials if number in self.queue.lanes else ()
        entries = [self.table.entries[trial] for trial in trials]
        there = {entry.host for entry in entries if entry.host and entry.status == Status.RUNNING}
        reason = HOST_LOST if hosts and there.difference(hosts) else DEAD
        self.failed.setdefault(number, {"broken": "failed", "reason": reason})
        self.on_end(number)

    def on_end(self, number: int) -> None:
        """Retry or give up what a pack left unfinished when its worker is done. After a halt nothing has failed."""
        pack, rest = self.queue.packs[number], self.queue.end(number)
        report = self.failed.pop(number, None)
        if self.halted or not rest:
            return
        report = report or {"broken": "failed", "reason": "its worker ended without a report"}
        retry = after_failure(rest, report, self.table, max_retries=self.rules.max_retries)
        traceback = {"traceback": report["traceback"]} if "traceback" in report else {}
        ending = (
            [] if retry.packs else [self.ledger.ending(t, retry.status, report["reason"]) | traceback for t in rest]
        )
        self.ledger.write([failure_line(rest, report, self.table, retry), *ending])
        if retry.packs:
            more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
            self.progress.say(f"retrying {rest[0]}{more}: {report['reason']}")
        for part in reversed(retry.packs):
            again = replace(pack, trials=part)
            self.ledger.write_packs([again])
            self.queue.put_back(again)

    def tick(self) -> set[str]:
        """Look for requests and refresh the display; return the trials that are to stop."""
        self.progress.tick()
        if time.monotonic() - self.looked_at >= REQUESTS_SECONDS:
            self.looked_at = time.monotonic()
            self.look_for_requests()
            self.look_for_stall()
        return self.stops

    # What these do

    def begin_pack(self, number: int) -> Reply:
        """Return which trials a pack trains and at which attempts, where that has changed since the launch."""
        planned = self.launched[number] if number < self.queue.planned else None
        pack = self.queue.begin(number)
        if pack == planned:
            return {}
        attempts = {trial: self.table.entries[trial].attempt for trial in pack.trials}
        return {"trials": list(pack.trials), "engine": pack.engine, "attempts": attempts}

    def refill(self, number: int) -> Reply:
        """Give lanes that have ended to trials that wait; the ledger holds the new pack before its worker knows."""
        admitted = self.queue.refill(number, without=self.stops)
        if not admitted:
            return {}
        self.ledger.write([self.queue.packs[number].line(time.time())])
        self.record.uploader.soon()
        return {"admit": admitted}

    def on_missing(self, report: Line) -> None:
        """Halt when the only host, or a second one, finds no data or no storage."""
        self.lacking.add(report.get("host", ""))
        if self.rules.hosts == 1 or len(self.lacking) > 1:
            self.stop_all(report["reason"], exit_status=1)

    def look_for_requests(self) -> None:
        """Take requests to stop, and halt when another driver has taken over the run."""
        everything, trials = pending_stops(self.record.run)
        self.stops |= trials & self.table.entries.keys()
        if everything:
            self.stop_all("asked to stop", exit_status=INTERRUPTED)
        if self.record.uploader.lost:
            self.stop_all(self.record.uploader.lost, exit_status=1)

    def look_for_stall(self) -> None:
        """Print a message when packs wait and none is running: hosts may be starting, or lost."""
        if not self.queue.stalled:
            self.trained_at = time.monotonic()
        elif time.monotonic() - self.trained_at >= STALL_SECONDS:
            self.trained_at = time.monotonic()
            waiting = len(self.queue.under_way)
            self.progress.say(f"No pack is running: {waiting} are waiting for resources; {self.rules.needs}")

    def stop_all(self, reason: str, *, exit_status: int) -> None:
        """Request a halt, also on the display."""
        if not self.halted:
            self.progress.doing = f"stopping: {reason}"
        self.halt.request(reason, exit_status=exit_status)
