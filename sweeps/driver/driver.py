"""The driver: trains what a run still lacks, and is the only writer of its ledger.

Packs wait in a queue. One that fails returns to its front, as long as it gets further or has retries left. A pack that
fails twice at the same epoch is retried as packs of one, so that one faulty trial does not take the others with it; one
that runs out of memory is halved. Lanes that end early are given to trials that wait. Which trials there are, and how
far each may train, the search decides (look_ahead.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from ch6dist.runs import lease
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Status
from sweeps.driver.halt import INTERRUPTED, Halt
from sweeps.driver.jobs import PackJob
from sweeps.driver.ledger_writer import LedgerWriter
from sweeps.driver.look_ahead import ASKED, LookAhead, Pack
from sweeps.driver.pack_queue import PackQueue
from sweeps.driver.progress import Progress
from sweeps.driver.retries import DEAD, HOST_LOST, after_failure, failure_line
from sweeps.driver.trial_table import TrialTable
from sweeps.record.pace_file import write_pace
from sweeps.record.record import Record
from sweeps.record.stop_requests import pending_stops
from sweeps.search.next_trials import Search
from sweeps.wire.messages import Begin, Failed, Lines, Message, Reply

REQUESTS_SECONDS = 1.0  # between two looks for requests
NO_REPORT = "its worker ended without a report"
NOT_REACHED = "its worker could not reach the driver; is there a firewall between the hosts?"
STALL_SECONDS = 60.0  # after which packs that all wait for resources are worth a message


@dataclass(frozen=True)
class Rules:
    """What a driver keeps to, from the sweep and from where it trains."""

    max_retries: int
    keep: Collection[str] = ("last", "best")  # checkpoints of trials that have ended
    ended_limit_bytes: int | None = None  # for them; None: no limit
    needs: str = ""  # what a pack needs, as text
    hosts: int = 1
    slots: int = 1  # packs that train at once


class Driver:
    """Packs, their reports, and the lines that are written of them."""

    def __init__(
        self, record: Record, table: TrialTable, progress: Progress, rules: Rules, *, search: Search, pack: Pack
    ) -> None:
        self.record, self.table, self.progress, self.rules = record, table, progress, rules
        self.queue = PackQueue(table)
        self.halt = Halt()
        self.ledger = LedgerWriter(record, table, self.halt, search=search, say=progress.say)
        self.ahead = LookAhead(search, table, self.queue, self.ledger, pack=pack)
        self.stops: set[str] = set()  # trials that are to stop
        self.failed: dict[int, Failed] = {}  # by pack number
        self.lacking: set[str] = set()  # hosts that found no data or no storage
        self.refilled: set[int] = set()  # packs that trials have joined, not written yet
        self.lock = threading.RLock()  # workers ask in another thread than Tune calls
        self.looked_at = self.trained_at = time.monotonic()

    def begin(self, ledger: Ledger, packs: Sequence[PackJob]) -> None:
        """Apply retention, write the packs of this launch to the ledger, and see what the search wants besides.

        Args:
            ledger: of the run as it is now.
            packs: of what the search wants first.
        """
        self.ledger.begin(ledger, keep=self.rules.keep, limit_bytes=self.rules.ended_limit_bytes)
        self.ledger.write_packs(packs)
        for pack in packs:
            self.queue.add(pack)
        self.ahead.look()

    # What workers ask

    def on_messages(self, batch: Sequence[tuple[int, Message]]) -> list[Reply | None]:
        """Write the lines of a batch, with one sync, and return what each pack is to do next.

        A pack that Tune has declared dead gets no reply: another one may train its trials by now. Nor does any pack
        after a halt that nobody asked for: another driver may have taken over the run.
        A ledger that cannot be written ends the sweep.
        """
        with self.lock:
            given_up = self.halted and self.halt.exit_status != INTERRUPTED
            heard = [not given_up and number in self.queue.under_way for number, _ in batch]
            try:
                self.take([asked for asked, known in zip(batch, heard, strict=True) if known])
                replies = [self.reply(*asked) if known else None for asked, known in zip(batch, heard, strict=True)]
                self.write_refilled()
            except Exception as error:
                self.stop_all(f"{type(error).__name__}: {error}", exit_status=1)
                raise
        return replies

    def take(self, batch: Sequence[tuple[int, Message]]) -> None:
        """Write the lines of a batch, and carry out what they decide."""
        lines = [(n, line) for n, message in batch if isinstance(message, Lines) for line in message.lines]
        self.ledger.write([line for _, line in lines])
        self.ahead.let_go(lines)
        self.ahead.look()

    def reply(self, number: int, message: Message) -> Reply | None:
        """Return what a pack is to do next, once the lines of its message are written."""
        if self.halted and isinstance(message, (Begin, Lines)):
            return Reply(halt=True)
        match message:
            case Begin():
                return replace(self.admit(self.queue.begin(number).trials), variants=dict(self.table.variants))
            case Failed():
                self.failed[number] = message
                if message.kind in ("data", "storage"):  # every pack needs them: a retry would not help
                    self.on_missing(message)
                return Reply()
            case Lines(lines=[{"kind": "variant", "key": key}]):  # within an epoch: nothing stops or joins
                return Reply(variants={key: self.table.variants[key]})
            case Lines():
                opening = all(line.get("status") == Status.RUNNING for line in message.lines)
                admitted = () if opening else self.queue.refill(number, without=self.stops, slots=self.rules.slots)
                self.refilled |= {number} if admitted else set()
                asked = dict.fromkeys(self.stops.intersection(self.queue.packs[number].trials), ASKED)
                return replace(self.admit(admitted), leave={**self.ahead.leaving(number), **asked})
        self.table.take_pace(message)
        return None

    def admit(self, trials: Sequence[str]) -> Reply:
        """Return the reply that has a pack train these trials."""
        entries = [self.table.entries[trial] for trial in trials]
        attempts = {entry.trial: entry.attempt for entry in entries}
        return self.ahead.with_branches(Reply(admit=tuple(entry.config for entry in entries), attempts=attempts))

    def write_refilled(self) -> None:
        """Write the packs that trials have joined, before their workers know."""
        if self.refilled:
            self.ledger.write([self.queue.packs[number].line(time.time()) for number in sorted(self.refilled)])
            self.record.uploader.soon()
            self.refilled.clear()

    # What Ray Tune calls

    def next_pack(self) -> int | None:
        """Return the number of the pack to launch next; None while none waits (a running one may still fail)."""
        with self.lock:
            self.ahead.look()
            while not self.halted and (number := self.queue.next()) is not None:
                pack = self.queue.packs[number]
                self.ledger.write(
                    [self.ledger.ending(t, Status.STOPPED, ASKED.reason) for t in pack.trials if t in self.stops]
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
        with self.lock:
            if not self.halted:
                self.ahead.look()
            return self.halted or self.queue.over

    def on_dead_worker(self, number: int, *, hosts: Collection[str] = ()) -> None:
        """Note a pack whose process died; a reason that it reported before takes precedence.

        Args:
            hosts: names of those that are alive, where that is known.
        """
        with self.lock:
            trials = self.queue.packs[number].trials if number in self.queue.lanes else ()
            entries = [self.table.entries[trial] for trial in trials]
            there = {entry.host for entry in entries if entry.host and entry.status == Status.RUNNING}
            reason = HOST_LOST if hosts and there.difference(hosts) else DEAD
            self.failed.setdefault(number, Failed("failed", reason))
            self.on_end(number)

    def on_end(self, number: int) -> None:
        """Retry or give up what a pack left unfinished when its worker is done. After a halt nothing has failed."""
        with self.lock:
            silent = NO_REPORT if number in self.queue.lanes else NOT_REACHED
            rest = self.queue.end(number)
            for trial in rest:
                self.table.entries[trial].pace = None
            failure = self.failed.pop(number, None) or Failed("failed", silent)
            if rest and not self.halted:
                self.retry(number, rest, failure)

    def tick(self) -> None:
        """Look for requests and refresh the display."""
        with self.lock:
            self.progress.tick()
            if time.monotonic() - self.looked_at >= REQUESTS_SECONDS:
                self.looked_at = time.monotonic()
                write_pace(self.record.run, self.table.paces(), remaining_seconds=self.table.remaining_seconds())
                self.look_for_requests()
                self.look_for_stall()

    # What these do

    def retry(self, number: int, rest: Sequence[str], failure: Failed) -> None:
        """Retry `rest`, what a pack has left unfinished, or give it up."""
        retry = after_failure(rest, failure, self.table, max_retries=self.rules.max_retries)
        traceback = {"traceback": failure.traceback} if failure.traceback else {}
        given_up = () if retry.packs else rest
        ending = [self.ledger.ending(trial, retry.status, failure.reason) | traceback for trial in given_up]
        self.ledger.write([failure_line(rest, failure, self.table, retry), *ending])
        if retry.packs:
            more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
            self.progress.say(f"retrying {rest[0]}{more}: {failure.reason}")
        for part in reversed(retry.packs):
            again = replace(self.queue.packs[number], trials=part)
            self.ledger.write_packs([again])
            self.queue.put_back(again)

    def on_missing(self, failure: Failed) -> None:
        """Halt when the only host, or a second one, finds no data or no storage."""
        self.lacking.add(failure.host)
        if self.rules.hosts == 1 or len(self.lacking) > 1:
            self.stop_all(failure.reason, exit_status=1)

    def look_for_requests(self) -> None:
        """Take requests to stop, and halt when another driver has taken over the run."""
        everything, trials = pending_stops(self.record.run)
        self.stops |= trials & self.table.entries.keys()
        self.ahead.stop_paused(self.stops)
        if everything:
            self.stop_all("asked to stop", exit_status=INTERRUPTED)
        if lease.lost(self.record.run):
            self.stop_all("another driver has taken over the run", exit_status=1)
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
