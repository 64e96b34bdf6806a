"""The driver: trains what a run folder still lacks, and is the only writer of its ledger.

It goes in rounds. A round is one launch of packs; what broke in it is tried again in the next, as long as it gets
further or has tries left. A pack that breaks twice at the same place is tried as packs of one, so that one poisonous
trial does not take the others with it; one that runs out of memory is halved. Within a round, lanes that end early are
given to trials that wait.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from ch6dist.ledger import Writer
from ch6dist.records import ENDED, Status
from ch6dist.runs import checkpoint_path
from sweeps import requests
from sweeps.board import Board
from sweeps.lineup import Lineup
from sweeps.progress import Progress
from sweeps.requests import PackJob

SPLIT_AFTER = 2  # strikes
LOOK_SECONDS = 1.0  # how often requests are looked for
DEAD = "its worker process died"


class HaltedError(Exception):
    """The ledger takes no more lines. Raised through Ray Tune, whose workers wait for the driver meanwhile: none of
    them writes a checkpoint of an epoch that the ledger does not hold."""


class Driver:
    """Packs, reports and requests of one run. `halted` says that nothing more shall begin."""

    def __init__(
        self, run: Path, board: Board, writer: Writer, progress: Progress, *, packs: list[PackJob], max_retries: int
    ) -> None:
        self.run, self.board, self.writer, self.progress = run, board, writer, progress
        self.packs, self.max_retries = packs, max_retries
        self.lineup = Lineup([], board)
        self.broken: dict[int, dict[str, Any]] = {}  # pack number → its report
        self.halted = False
        self.halt_reason, self.exit_status = "", 0
        self.looked_at = 0.0
        self.stops: set[str] = set()

    # What the launch calls

    def on_report(self, pack: int, report: dict[str, Any]) -> dict[str, list[str]]:
        """Write a pack's lines before it may go on, and return the orders it shall find then.

        A ledger that cannot be written ends the sweep.
        """
        if "begin" in report:
            moved = self.lineup.begin(pack)
            return {"moved": moved} if moved else {}
        if "broken" in report:
            self.broken[pack] = report
            if report["broken"] in ("data", "storage"):  # every pack needs them: better mended than tried again
                self.halt(report["reason"], exit_status=1)
            return {}
        self.write(report["lines"])
        opening = all(line.get("status") == Status.RUNNING for line in report["lines"])
        return {} if opening or self.halted else self.refill(pack)

    def refill(self, pack: int) -> dict[str, list[str]]:
        """Give the lanes that have ended to trials that wait. The ledger knows their new company before they do."""
        admitted = self.lineup.refill(pack, without=self.stops)
        if not admitted:
            return {}
        self.write([pack_line(self.lineup.packs[pack])])
        return {"admit": admitted}

    def on_dead_worker(self, pack: int) -> None:
        """Note a pack whose process died without a word; what it said before it died counts more."""
        self.lineup.drop(pack)
        self.broken.setdefault(pack, {"broken": "failed", "reason": DEAD})

    def tick(self) -> set[str]:
        """Look for requests and refresh the display; the trials asked to stop."""
        self.progress.tick()
        if time.monotonic() - self.looked_at >= LOOK_SECONDS:
            self.looked_at = time.monotonic()
            everything, trials = requests.asked_to_stop(self.run)
            self.stops |= trials & self.board.entries.keys()
            if everything:
                self.halt("asked to stop", exit_status=130)
        return self.stops

    def write(self, lines: Sequence[dict[str, Any]]) -> None:
        """Append to the ledger. Halted when it cannot be written: the pack that reported must not go on."""
        try:
            self.writer.append(lines)
        except OSError as error:
            self.halt(f"the ledger cannot be written: {error}", exit_status=1)
            raise HaltedError(self.halt_reason) from error
        self.board.take(lines)

    def halt(self, reason: str, *, exit_status: int) -> None:
        """Begin nothing more and end what runs; the first reason is the one that is told."""
        if not self.halted:
            self.halted, self.halt_reason, self.exit_status = True, reason, exit_status
            self.progress.doing = f"stopping: {reason}"

    # Rounds

    def next_packs(self) -> list[PackJob]:
        """The packs of the next round: what is not ended, smaller where something broke."""
        self.stop_waiting()
        todo = set(self.board.unfinished())
        packs = [replace(pack, trials=tuple(trial for trial in pack.trials if trial in todo)) for pack in self.packs]
        return sorted((pack for pack in packs if pack.trials), key=lambda pack: len(pack.trials), reverse=True)

    def stop_waiting(self) -> None:
        """Trials asked to stop before they began need no worker to end."""
        waiting = [trial for trial in sorted(self.stops) if self.board.entries[trial].status not in ENDED]
        self.write([self.ending(trial, Status.STOPPED, "asked to stop") for trial in waiting])

    def begin(self, packs: list[PackJob]) -> None:
        """Note the packs that are launched. What has rows but no checkpoint begins anew, at zero."""
        lines = []
        for entry in (self.board.entries[trial] for pack in packs for trial in pack.trials):
            if entry.last and not self.has_checkpoint(entry.trial):
                line = {"kind": "status", "trial": entry.trial, "attempt": entry.attempt + 1, "status": Status.PLANNED}
                lines.append({**line, "reason": "no checkpoint: from zero", "time": time.time()})
        self.write(lines + [pack_line(pack) for pack in packs])
        self.lineup, self.broken = Lineup(packs, self.board), {}

    def has_checkpoint(self, trial: str) -> bool:
        """Whether the trial's present attempt can go on from a checkpoint."""
        attempt = self.board.entries[trial].attempt
        return checkpoint_path(self.run / "checkpoints", trial, "last", attempt=attempt).exists()

    def settle(self) -> None:
        """After a round: retry, split or give up what broke. A halt breaks nothing: a resume goes on."""
        if self.halted:
            return
        packs = []
        for number, pack in enumerate(self.lineup.packs):
            rest = [trial for trial in pack.trials if self.board.entries[trial].status not in ENDED]
            report = self.broken.get(number)
            again = self.after_break(rest, report) if report and rest else [rest]
            if report and any(again):
                more = f" and {len(rest) - 1} more" if len(rest) > 1 else ""
                self.progress.say(f"trying again: {rest[0]}{more}: {report['reason']}")
            packs += [replace(pack, trials=tuple(part)) for part in again]
        self.packs = packs

    def after_break(self, rest: list[str], report: dict[str, Any]) -> list[list[str]]:
        """The packs in which `rest`, what a broken pack left unfinished, is tried again; none when it is given up."""
        if report["broken"] == "out_of_memory" and len(rest) > 1:
            half = (len(rest) + 1) // 2
            return [rest[:half], rest[half:]]
        status = Status.OUT_OF_MEMORY if report["broken"] == "out_of_memory" else Status.FAILED
        strikes = max(self.board.strike(trial) for trial in rest)
        if len(rest) > 1 and (strikes >= SPLIT_AFTER or strikes > self.max_retries):
            return [[trial] for trial in rest]
        if status == Status.OUT_OF_MEMORY or strikes > self.max_retries:
            facts = {"traceback": report["traceback"]} if "traceback" in report else {}
            self.write([self.ending(trial, status, report["reason"], **facts) for trial in rest])
            return []
        return [rest]

    def ending(self, trial: str, status: Status, reason: str, **facts: Any) -> dict[str, Any]:
        """The status line that ends a trial from here, not from its worker."""
        entry = self.board.entries[trial]
        place = {"trial": trial, "attempt": entry.attempt, "epoch": entry.epoch}
        return {"kind": "status", **place, "status": status, "reason": reason, "time": time.time(), **facts}

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM halt the driver; a second one ends it at once."""

        def on_signal(number: int, frame: FrameType | None) -> None:
            if self.halted:
                raise KeyboardInterrupt
            self.halt("interrupted", exit_status=130)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def pack_line(pack: PackJob) -> dict[str, Any]:
    """The ledger's line of a pack: the newest one that names a trial is the company it keeps in a resume."""
    return {"kind": "pack", "trials": list(pack.trials), "engine": pack.engine, "time": time.time()}
