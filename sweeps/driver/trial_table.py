"""What the driver knows of every trial, and of kernel variants, kept up to date from the ledger lines that it writes.

    table = TrialTable.from_ledger(ledger)
    table.take(lines)               # after they were written
    table.unfinished()

It decides nothing: it says what is still to do, and what has failed how often.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import ENDED, EngineName, Line, Status
from sweeps.wire.messages import Pace


@dataclass
class TrialState:
    """One trial in the table."""

    trial: str
    config: dict[str, Any]
    status: Status = Status.PLANNED
    attempt: int = 1
    epoch: int = 0  # completed
    until: int | None = None  # the search lets it train so many by now; None: all
    last: Line = field(default_factory=dict)  # newest row
    reason: str = ""
    failures: int = 0  # times its pack failed without the trial having got further
    failed_at: int = -1  # the furthest epoch at which it failed
    engine: EngineName = "eager"  # that trained it last
    host: str = ""  # where it trained last
    pace: Pace | None = None  # of its pack, within the epoch that is being trained

    @property
    def epochs(self) -> int:
        """Return the epochs that the trial takes; a range test counts as one."""
        return int(self.config["epochs"]) if self.config["type"] == "train" else 1

    @property
    def target(self) -> int:
        """Return the epochs that it may train by now."""
        return self.epochs if self.until is None else min(self.until, self.epochs)

    @property
    def done(self) -> int:
        """Return how many of its epochs are done."""
        return min(self.epoch, self.epochs)

    @property
    def waits(self) -> bool:
        """Return whether it has done what it may: it ends, or waits for a decision."""
        return self.done >= self.target

    @property
    def part(self) -> float:
        """Return the part that is done of the epoch that is being trained."""
        pace = self.pace  # another thread may clear it
        return pace.part if pace and not self.waits else 0.0

    @property
    def remaining_seconds(self) -> float | None:
        """Return the time to go at the pace of its pack, whose lanes share it; None where that is not known yet."""
        pace = self.pace
        if pace is None or not pace.images_per_second or self.config["type"] != "train":
            return None
        images = (self.target - self.done - pace.part) * self.config["data"]["train_size"]
        return images * len(pace.trials) / pace.images_per_second


class TrialTable:
    """Every trial of a run, by id."""

    def __init__(self, trials: Mapping[str, dict[str, Any]]) -> None:
        self.entries = {trial: TrialState(trial, config) for trial, config in trials.items()}
        self.started = time.monotonic()
        self.training_since: float | None = None  # when this driver's first trial began: Ray's start does not count
        self.epochs_done = 0  # by this driver
        self.epochs_shared = 0  # that came with another trial's
        self.speeds: dict[tuple[str, str], list[float]] = {}  # images per second of every epoch, by model and engine
        self.notes: list[str] = []  # what torch overrides, each once
        self.variants: dict[str, str] = {}  # kernel variants of the run by key, as first recorded

    @classmethod
    def from_ledger(cls, ledger: Ledger) -> TrialTable:
        """Make the table of a run: statuses, attempts and newest rows as the ledger has them."""
        table = cls({trial: line["config"] for trial, line in ledger.trials.items()})
        for lines in ledger.history.values():
            for line in lines:
                table._take_status(line)
        for row in ledger.rows:
            table._take_row(row)
        table.variants |= ledger.variants
        return table

    def take(self, lines: Iterable[Line]) -> None:
        """Update the table with lines that have just been written."""
        for line in lines:
            if line["kind"] == "trial":
                self.entries.setdefault(line["trial"], TrialState(line["trial"], line["config"]))
            elif line["kind"] == "row":
                trained = "shared" not in line and line["epoch"] > self.entries[line["trial"]].epoch
                self.epochs_done += trained
                self.epochs_shared += "shared" in line
                self._take_speed(line)
                self._take_row(line)
            elif line["kind"] == "status":
                self._take_status(line)
                if line["status"] == Status.RUNNING and self.training_since is None:
                    self.training_since = time.monotonic()
            elif line["kind"] == "variant":
                self.variants.setdefault(line["key"], line["variant"])

    def take_pace(self, pace: Pace) -> None:
        """Note how far the trials of a pack are within their epoch."""
        for trial in pace.trials:
            if self.entries[trial].status == Status.RUNNING:
                self.entries[trial].pace = pace

    def _take_speed(self, row: Line) -> None:
        """Note how fast an epoch was trained here."""
        entry = self.entries[row["trial"]]
        if entry.config["type"] == "train" and "shared" not in row and "images_per_second" in row:
            self.speeds.setdefault((entry.config["model"]["name"], entry.engine), []).append(row["images_per_second"])

    def _take_row(self, line: Line) -> None:
        entry = self.entries[line["trial"]]
        entry.epoch, entry.last, entry.pace = line["epoch"], dict(line), None

    def _take_status(self, line: Line) -> None:
        entry = self.entries[line["trial"]]
        entry.status, entry.attempt = Status(line["status"]), line["attempt"]
        entry.reason, entry.pace = line.get("reason", ""), None
        if entry.status == Status.RUNNING:
            entry.engine, entry.host = line.get("engine", "eager"), line.get("host", "")
        if entry.status == Status.PLANNED:  # a new attempt begins at zero
            entry.epoch, entry.last = 0, {}
        self.notes += [note for note in line.get("notes", []) if note not in self.notes]

    def paces(self) -> dict[str, dict[str, Any]]:
        """Return how far the trials are that are within an epoch, as plain data."""
        return {
            trial: {
                "step": entry.pace.step,
                "steps": entry.pace.steps,
                "images_per_second": entry.pace.images_per_second,
                "remaining_seconds": entry.remaining_seconds,
            }
            for trial, entry in self.entries.items()
            if entry.pace
        }

    def unfinished(self) -> list[str]:
        """Return the ids of trials that have not ended, in the ledger's order."""
        return [trial for trial, entry in self.entries.items() if entry.status not in ENDED]

    def epochs(self) -> tuple[int, int]:
        """Return the epochs that are done, and in total as decided by now; an ended trial has none to come."""
        entries = self.entries.values()
        return sum(e.done for e in entries), sum(
            e.done if e.status in ENDED else max(e.done, e.target) for e in entries
        )

    def remaining_seconds(self) -> float | None:
        """Return the time to go at this driver's pace so far; None before there is one, and at the end."""
        done, total = self.epochs()
        begun = sum(entry.part for entry in self.entries.values())
        if done >= total or self.training_since is None or not self.epochs_done + begun:
            return None
        per_epoch = (time.monotonic() - self.training_since) / (self.epochs_done + begun)
        return per_epoch * (total - done - begun)

    def counts(self) -> Counter[Status]:
        """Return how many trials have each status."""
        return Counter(entry.status for entry in self.entries.values())

    def count_failure(self, trial: str) -> int:
        """Note that the trial's pack failed; return how often it has without the trial getting further."""
        entry = self.entries[trial]
        entry.failures = entry.failures + 1 if entry.epoch <= entry.failed_at else 1
        entry.failed_at = max(entry.failed_at, entry.epoch)
        return entry.failures
