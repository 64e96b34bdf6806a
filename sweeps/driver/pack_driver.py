"""The driver: trains what a run folder still lacks, and is the only writer of its ledger.

Packs wait in a queue; what breaks comes back to its front, as long as it gets further or has tries left. A pack that
breaks twice at the same place is tried as packs of one, so that one poisonous trial does not take the others with it;
one that runs out of memory is halved. Lanes that end early are given to trials that wait.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ch6dist.runs.schema import Line, Status
from ch6dist.storage.files import Folder
from sweeps.driver.base import RunDriver
from sweeps.driver.jobs import DEAD, HOST_LOST, PackJob
from sweeps.driver.pack_queue import Lineup
from sweeps.driver.progress import Progress
from sweeps.driver.retries import after_break, break_line, from_zero
from sweeps.driver.trial_table import Board
from sweeps.record.record import Record

LOOK_SECONDS = 1.0  # how often requests are looked for
STALL_SECONDS = 60.0  # without a place for any pack: worth a word
Reply = dict[str, Any]  # the orders that a pack finds when it goes on


class HaltedError(Exception):
    """The ledger takes no more lines. Raised through Ray Tune, whose workers wait for the driver meanwhile: none of
    them writes a checkpoint of an epoch that the ledger does not hold."""


class Driver(RunDriver):
    """Packs and their reports."""

    def __init__(
        self,
        record: Record,
        board: Board,
        progress: Progress,
        checkpoints: Folder,
        *,
        packs: Sequence[PackJob],
        max_retries: int,
        needs: str = "",
        hosts: int = 1,
    ) -> None:
        super().__init__(record, board)
        self.progress, self.checkpoints, self.max_retries = progress, checkpoints, max_retries
        self.lineup = Lineup(packs, board)
        self.broken: dict[int, dict[str, Any]] = {}  # pack number → its report
        self.looked_at = self.trained_at = time.monotonic()
        self.launched: tuple[PackJob, ...] = ()
        self.needs, self.hosts = needs, hosts
        self.lacking: set[str] = set()  # hosts that found no data or no storage

    # What the launch calls

    def next_pack(self) -> int | None:
        """The pack to launch next; None while none waits (what runs may still break, and come back)."""
        while not self.halted and (number := self.lineup.next()) is not None:
            pack = self.lineup.packs[number]
            self.write([self.ending(t, Status.STOPPED, "asked to stop") for t in pack.trials if t in self.stops])
            self.lineup.leave(number, self.stops)
            if self.lineup.packs[number].trials:
                return number
            self.lineup.end(number)
        return None

    @property
    def over(self) -> bool:
        """Whether nothing is left to launch, nor ever will be."""
        return self.halted or self.lineup.over

    def on_report(self, pack: int, report: dict[str, Any]) -> Reply:
        """Write a pack's lines before it may go on, and return the orders it shall find then.

        A ledger that cannot be written ends the sweep.
        """
        if "begin" in report:
            return self.begin_pack(pack)
        if "broken" in report:
            self.broken[pack] = report
            if report["broken"] in ("data", "storage"):  # every pack needs them: better mended than tried again
                self.on_missing(report)
            return {}
        self.write(report["lines"])
        opening = all(line.get("status") == Status.RUNNING for line in report["lines"])
        return {} if opening or self.halted else self.refill(pack)

    def on_missing(self, report: dict[str, Any]) -> None:
        """Data or storage were not there: of the only host, or of a second one, that halts the sweep."""
        self.lacking.add(report.get("host", ""))
        if self.hosts == 1 or len(self.lacking) > 1:
            self.halt(report["reason"], exit_status=1)

    def begin_pack(self, number: int) -> Reply:
        """A worker is there for a pack: who is in it and at which attempt, where that is no more what was planned."""
        planned = self.launched[number] if number < self.lineup.planned else None
        pack = self.lineup.begin(number)
        if pack == planned:
            return {}
        attempts = {trial: self.board.entries[trial].attempt for trial in pack.trials}
        return {"trials": list(pack.trials), "engine": pack.engine, "attempts": attempts}

    def refill(self, pack: int) -> Reply:
        """Give the lanes that have ended to trials that wait. The ledger knows their new company before they do."""
        admitted = self.lineup.refill(pack, without=self.stops)
        if not admitted:
            return {}
        self.write([pack_line(self.lineup.packs[pack])])
        self.record.mirror.soon()
        return {"admit": admitted}

    def on_dead_worker(self, pack: int, *, hosts: Collection[str] = ()) -> None:
        """Note a pack whose process died without a word; what it said before it died counts more.

        `hosts`: names of those that live, where that is known.
        """
        trials = self.lineup.packs[pack].trials if pack in self.lineup.lanes else ()
        entries = [self.board.entries[trial] for trial in trials]
        there = {entry.host for entry in entries if entry.host and entry.status == Status.RUNNING}
        reason = HOST_LOST if hosts and there.difference(hosts) else DEAD
        self.broken.setdefault(pack, {"broken": "failed", "reason": reason})
        self.on_end(pack)

    def on_end(self, number: int) -> None:
        """A pack's worker is done: what broke comes back, smaller, or is given up. A halt breaks nothing."""
        pack, rest = self.lineup.packs[number], self.lineup.end(number)
        report = self.broken.pop(number, None)
        if self.halted or not rest:
            return
        report = report or {"broken": "failed", "reason": "its worker ended without a word"}
        follow = after_break(rest, report, self.board, max_retries=self.max_retries)
        facts = {"traceback": report["traceback"]} if "traceback" in report else {}
        given_up = [] if follow.packs else [self.ending(t, follow.status, report["reason"], **facts) for t in rest]
        self.write([break_line(rest, report, self.board, follow), *given_up])
        if follow.packs:
            more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
            self.progress.say(f"trying again: {rest[0]}{more}: {report['reason']}")
        for part in reversed(follow.packs):
            again = replace(pack, trials=part)
            self.prepare([again])
            self.lineup.come_back(again)

    def tick(self) -> set[str]:
        """Look for requests and refresh the display; the trials asked to stop."""
        self.progress.tick()
        if time.monotonic() - self.looked_at >= LOOK_SECONDS:
            self.looked_at = time.monotonic()
            self.hear()
            self.look_for_stall()
        return self.stops

    def look_for_stall(self) -> None:
        """Say when packs wait and none has a place: hosts may be starting, or lost."""
        if not self.lineup.stalled:
            self.trained_at = time.monotonic()
        elif time.monotonic() - self.trained_at >= STALL_SECONDS:
            self.trained_at = time.monotonic()
            self.progress.say(f"nothing trains: {len(self.lineup.under_way)} pack(s) wait for a place; {self.needs}")

    def write(self, lines: Sequence[Line]) -> None:
        """Append to the ledger. Halted when it cannot be written: the pack that reported must not go on."""
        try:
            self.record.writer.append(lines)
        except OSError as error:
            self.halt(f"the ledger cannot be written: {error}", exit_status=1)
            raise HaltedError(self.halt_reason) from error
        self.board.take(lines)
        self.retain(lines)

    def say(self, text: str) -> None:
        """Above the display."""
        self.progress.say(text)

    def halt(self, reason: str, *, exit_status: int) -> None:
        """Also on the display."""
        if not self.halted:
            self.progress.doing = f"stopping: {reason}"
        super().halt(reason, exit_status=exit_status)

    # Packs

    def begin(self) -> None:
        """Note the packs of this launch in the ledger, and what every one of them holds as it is launched."""
        self.prepare(self.lineup.packs)
        self.launched = tuple(self.lineup.packs)

    def prepare(self, packs: Sequence[PackJob]) -> None:
        """Note packs before they are launched. What has rows but no checkpoint begins anew, at zero."""
        entries = [self.board.entries[trial] for pack in packs for trial in pack.trials]
        try:
            lines = from_zero(entries, self.checkpoints)
        except OSError as error:
            self.halt(f"the checkpoints cannot be reached: {error}", exit_status=1)
            raise HaltedError(self.halt_reason) from error
        self.write(lines + [pack_line(pack) for pack in packs])


def pack_line(pack: PackJob) -> dict[str, Any]:
    """The ledger's line of a pack: the newest one that names a trial is the company it keeps in a resume."""
    return {"kind": "pack", "trials": list(pack.trials), "engine": pack.engine, "time": time.time()}
