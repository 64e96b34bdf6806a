"""The board: what the driver knows of every trial, kept up to date from the ledger lines that pass through it.

It decides nothing about the ledger; it says what is still to do, and what has failed how often.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import ENDED, Status


@dataclass
class Entry:
    """One trial on the board."""

    trial: str
    config: dict[str, Any]
    status: Status = Status.PLANNED
    attempt: int = 1
    epoch: int = 0
    last: dict[str, Any] = field(default_factory=dict)  # newest row
    reason: str = ""
    strikes: int = 0  # times its pack broke without the trial having got further
    struck_at: int = -1  # the furthest epoch at which it broke
    engine: str = "eager"  # that trained it last
    host: str = ""  # where it trained last

    @property
    def epochs(self) -> int:
        """Rounds the trial takes: epochs, or one for a range test."""
        return int(self.config["epochs"]) if self.config["type"] == "train" else 1

    @property
    def done(self) -> int:
        """How many of them are done."""
        return min(self.epoch, self.epochs)


class Board:
    """Every trial of a run, by id."""

    def __init__(self, trials: Mapping[str, dict[str, Any]]) -> None:
        self.entries = {trial: Entry(trial, config) for trial, config in trials.items()}
        self.started = self.training_since = time.monotonic()
        self.epochs_done = 0  # by this driver
        self.notes: list[str] = []  # what torch overrides, each once

    @classmethod
    def from_ledger(cls, ledger: Ledger) -> Board:
        """The board of a run that goes on: statuses, attempts and newest rows as the ledger has them."""
        board = cls({trial: line["config"] for trial, line in ledger.trials.items()})
        for lines in ledger.history.values():
            board.take(lines)
        for row in ledger.rows:
            board._row(row)
        return board

    def take(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Keep up with lines that have just been written."""
        for line in lines:
            if line["kind"] == "row":
                self.epochs_done += line["epoch"] > self.entries[line["trial"]].epoch
                self._row(line)
            elif line["kind"] == "status":
                self._status(line)

    def _row(self, line: Mapping[str, Any]) -> None:
        entry = self.entries[line["trial"]]
        entry.epoch, entry.last = line["epoch"], dict(line)

    def _status(self, line: Mapping[str, Any]) -> None:
        entry = self.entries[line["trial"]]
        entry.status, entry.attempt = Status(line["status"]), line["attempt"]
        entry.reason = line.get("reason", "")
        if entry.status == Status.RUNNING:
            entry.engine, entry.host = line.get("engine", "eager"), line.get("host", "")
            if not self.epochs_done:
                self.training_since = time.monotonic()  # the start of Ray is not the pace of the training
        if entry.status == Status.PLANNED:  # a new attempt begins at zero
            entry.epoch, entry.last = 0, {}
        self.notes += [note for note in line.get("notes", []) if note not in self.notes]

    def unfinished(self) -> list[str]:
        """Ids of trials that have not ended, in the ledger's order."""
        return [trial for trial, entry in self.entries.items() if entry.status not in ENDED]

    def counts(self) -> Counter[Status]:
        """How many trials have each status."""
        return Counter(entry.status for entry in self.entries.values())

    def strike(self, trial: str) -> int:
        """A pack broke under this trial: how often that has now happened without the trial getting further."""
        entry = self.entries[trial]
        entry.strikes = entry.strikes + 1 if entry.epoch <= entry.struck_at else 1
        entry.struck_at = max(entry.struck_at, entry.epoch)
        return entry.strikes
