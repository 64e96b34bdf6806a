"""The driver of trials that come and go over the same workers: says which is next, writes the ledger, judges breaks.

Workers that were started anew ask for the next trial while the one before has not ended: that is how a break shows.
A trial that breaks `max_retries` times without getting further, or runs out of memory, has ended with that status.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from ch6dist.catalog.dataset_files import data_root
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.runs.narration import describe
from ch6dist.runs.schema import Line, Status
from ch6dist.storage.files import open_folder
from sweeps.driver.base import RunDriver
from sweeps.driver.jobs import DEAD, Job, PackJob
from sweeps.driver.retries import Follow, break_line, from_zero
from sweeps.driver.trial_table import Board
from sweeps.plan.slots import Slots
from sweeps.record.record import Record

WAITING_SECONDS = 30.0  # without workers: worth a word
MAX_RESIZES = 20  # of the workers within one epoch; what breaks more often is at fault itself


class ElasticDriver(RunDriver):
    """Trials and letters."""

    def __init__(self, record: Record, board: Board, console: Console, *, max_retries: int = 2) -> None:
        super().__init__(record, board)
        self.console, self.max_retries = console, max_retries
        self.trials: dict[str, TrialConfig] = {t: parse_trial(entry.config) for t, entry in board.entries.items()}
        self.current: str | None = None  # the trial that the workers train
        self.workers = 0  # that train it
        self.broken: dict[str, Any] = {}  # what they said before they broke
        self.resizes: Counter[tuple[str, int]] = Counter()  # by trial and epoch
        self.heard_at = time.monotonic()

    def job(self, slots: Slots, *, checkpoint_seconds: float) -> Job:
        """What the workers need to know beforehand: every trial that has not ended, and where checkpoints lie."""
        unfinished = [self.board.entries[trial] for trial in self.board.unfinished()]
        self.write(from_zero(unfinished, open_folder(self.record.checkpoints)))
        todo = {trial: self.board.entries[trial] for trial in self.board.unfinished()}
        return Job(
            packs=tuple(PackJob((trial,)) for trial in todo),
            trials={trial: entry.config for trial, entry in todo.items()},
            attempts={trial: entry.attempt for trial, entry in todo.items()},
            checkpoints=self.record.checkpoints,
            slots=slots,
            data_root=str(data_root().absolute()),
            checkpoint_seconds=checkpoint_seconds,
        )

    # What the trainer calls

    def on_letter(self, content: dict[str, Any]) -> dict[str, Any]:
        """Write a worker's lines before it may go on, note why it broke, or say what it trains next."""
        self.heard_at = float("inf")
        if "next" in content:
            return {"trial": self.next_trial(content["next"])}
        if "broken" in content:
            self.on_broken(content)
        else:
            self.write(content["lines"])
        return {"stop": sorted(self.stops)}

    def tick(self) -> None:
        """Look for requests, and say when nobody trains."""
        self.hear()
        if time.monotonic() - self.heard_at >= WAITING_SECONDS:
            self.heard_at = time.monotonic()
            self.console.print("no worker trains yet: they wait for a place")

    def next_trial(self, workers: int) -> str | None:
        """The trial that so many workers shall train now, after what became of the one before; None when all ended."""
        if self.current in self.board.unfinished():
            self.settle(self.current, resized=workers != self.workers)
        self.broken, self.workers = {}, workers
        for trial in self.stops & set(self.board.unfinished()):
            self.end(trial, Status.STOPPED, "asked to stop")
        self.current = next(iter(self.board.unfinished()), None)
        return self.current

    def on_broken(self, report: dict[str, Any]) -> None:
        """Note why workers broke: the first to say so is the cause, what follows is its echo in the others."""
        self.broken = self.broken or report
        self.heard_at = time.monotonic()
        if report["broken"] in ("data", "storage"):  # every trial needs them: better mended than tried again
            self.halt(report["reason"], exit_status=1)

    def settle(self, trial: str, *, resized: bool) -> None:
        """The workers of an unfinished trial were started anew: give it up, or say that it is tried again.

        A change of their number is no failure: a host was lost, or there is room for more. It is not excused for ever.
        """
        self.resizes[trial, self.board.entries[trial].epoch] += resized
        resized = resized and self.resizes[trial, self.board.entries[trial].epoch] <= MAX_RESIZES
        reason, kind = self.broken.get("reason", DEAD), self.broken.get("broken", "failed")
        facts = {"traceback": self.broken["traceback"]} if "traceback" in self.broken else {}
        given_up = kind == "out_of_memory" or (not resized and self.board.strike(trial) > self.max_retries)
        follow = Follow(() if given_up else ((trial,),))
        self.write([break_line([trial], {"broken": kind, "reason": reason}, self.board, follow)])
        if kind == "out_of_memory":
            self.end(trial, Status.OUT_OF_MEMORY, reason, **facts)
        elif given_up:
            self.end(trial, Status.FAILED, reason, **facts)
        else:
            self.console.print("trying again: " + (f"{trial}: {reason}" if self.broken or not resized else trial))

    def end(self, trial: str, status: Status, reason: str, **facts: Any) -> None:
        """End a trial from here, not from its workers."""
        self.write([self.ending(trial, status, reason, **facts)])

    def write(self, lines: Sequence[Line]) -> None:
        """Append to the ledger and say it. Halted when it cannot be written: nobody is answered then."""
        try:
            self.record.writer.append(lines)
        except OSError as error:
            self.halt(f"the ledger cannot be written: {error}", exit_status=1)
            return
        self.board.take(lines)
        self.retain(lines)
        for line in lines:
            for text in describe(line, self.trials[line["trial"]]) if "trial" in line else ():
                self.console.print(text, highlight=False)

    def say(self, text: str) -> None:
        """Between the lines of the training."""
        self.console.print(text, highlight=False)
