"""What a ledger says, as the decisions of a sweep need it: an index that is kept up to date line by line.

    observed = Observed.from_ledger(ledger)
    observed.take(lines)                # that have just been written
    observed.trials["sgd-…"].values     # the metric by epoch, its sign turned where a small one is better

It is rebuilt from the ledger alone, and decides nothing. Of an epoch that is trained again after a kill the newest
value counts, and the first arrival: what was decided by the order of arrival stays decided.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from ch6dist.runs.confirmations import key_of
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import EPOCH
from ch6dist.runs.ranking import RANKED_ROWS
from ch6dist.runs.schema import ENDED, ConfirmationPlan, Line, Metric, Status, StatusLine, TrialLine


@dataclass
class Seen:
    """One trial, as far as the ledger has it."""

    line: TrialLine
    number: int  # its place among the trials of the run, from 0
    status: Status = Status.PLANNED
    rule: bool = False  # it was stopped by the sweep's own rule
    attempt: int = 1
    epoch: int = 0  # completed in the newest attempt
    begun: bool = False
    values: dict[int, float] = field(default_factory=dict)  # by epoch, where finite: the metric, larger is better
    arrived: dict[int, int] = field(default_factory=dict)  # by epoch, the place in the ledger of its first row
    last: deque[Line] = field(default_factory=lambda: deque(maxlen=RANKED_ROWS))  # its newest rows
    shared: int = 0  # its first epochs, whose rows are another trial's
    kept: set[int] = field(default_factory=set)  # epochs whose checkpoints others may begin from
    closed_at: int = 0  # the place in the ledger of the line that ended it, where it has ended
    span: tuple[float, float] = (0.0, 0.0)  # when it began to train, and its newest line, in seconds since 1970
    seconds: float = 0.0  # training and evaluation, repeated epochs included: they have been paid for
    found: Mapping[str, Any] | None = None  # of a range test: what it suggests
    judged: bool = False  # it has ended once; what a range test finds when it is trained again moves no bounds

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Return the trial's configuration as data."""
        return self.line["config"]

    @cached_property
    def epochs(self) -> int:
        """Return the epochs that the trial takes in all; a range test counts as one."""
        return int(self.config["epochs"]) if self.config["type"] == "train" else 1

    @property
    def closed(self) -> bool:
        """Return whether it gets no further whatever is decided: it has ended, and not by the sweep's own rule."""
        return self.status in ENDED and not (self.rule and self.status == Status.STOPPED)

    def status_line(self) -> StatusLine:
        """Return its newest status as a line of the ledger."""
        place = {"kind": "status", "trial": self.line["trial"], "attempt": self.attempt, "epoch": self.epoch}
        line = {**place, "status": self.status, "time": self.span[1], **({"rule": True} if self.rule else {})}
        return cast(StatusLine, line)

    @property
    def lost(self) -> bool:
        """Return whether it ended without all of its epochs, and not by the sweep's own rule."""
        return self.closed and self.status != Status.FINISHED

    @property
    def unclear(self) -> bool:
        """Return whether its newest row has no value and nothing says why: it may diverge there, if nobody stops it."""
        return self.status == Status.RUNNING and self.epoch > 0 and self.epoch not in self.values

    @cached_property
    def alike(self) -> tuple[str, int]:
        """Return in what trials are equal that are compared at a rung: schedule and planned epochs."""
        return json.dumps(self.config["schedule"], sort_keys=True), self.epochs

    @cached_property
    def confirms(self) -> bool:
        """Return whether it has a fresh seed of a confirmation."""
        return key_of(self.line) is not None


class Observed:
    """Every trial of a run with its values, and what the run has spent."""

    def __init__(self, metric: Metric) -> None:
        self.metric, self.sign = metric, 1.0 if metric.goal == "maximize" else -1.0
        self.trials: dict[str, Seen] = {}
        self.curves = (
            True  # values and arrivals of every epoch are kept: where nothing is decided by them, they are not
        )
        self.fresh: set[str] = set()  # trials with new epochs, since somebody has cleared it
        self.upheavals = 0  # how often anything but a new epoch has come that may change who ranks where
        self.branching: dict[str, list[str]] = {}  # by trial, those that leave it
        self.rows: dict[str, dict[int, Line]] = {}  # of trials that others leave, by epoch
        self.confirmations: list[ConfirmationPlan] = []
        self.announced = 0  # trials that the run has, as its head lines say
        self.count = 0  # lines taken so far
        self.seconds = 0.0  # of training and evaluation, over all trials
        self.wall_seconds = 0.0  # in which a driver was at work
        self._time: float | None = None  # of the newest line of the driver that is at work

    @classmethod
    def from_ledger(cls, ledger: Ledger, metric: Metric | None = None) -> Observed:
        """Index a ledger that was read with all of its lines."""
        observed = cls(metric or Metric.of(ledger.spec))
        observed.take(ledger.lines)
        return observed

    def take(self, lines: Iterable[Line]) -> None:
        """Take lines in the order in which they were written."""
        for line in lines:
            self.count += 1
            kind = line["kind"]
            self._pass_time(line, begins=kind == "sweep")
            if kind == "row":
                self._take_row(line)
            elif kind == "status":
                self._take_status(line)
            elif kind == "sweep":
                self._take_head(line)
            elif kind == "artifact" and line["name"] == "range_test" and not self.trials[line["trial"]].judged:
                self.trials[line["trial"]].found = line["value"]
            elif kind == "artifact" and line["name"].startswith(EPOCH):
                self._take_kept(line)
            elif kind == "trial" and line["trial"] not in self.trials:
                self.trials[line["trial"]] = Seen(line, len(self.trials))  # type: ignore[arg-type]
                self.upheavals += 1
                if branch := line.get("branch"):
                    self.branching.setdefault(branch["trial"], []).append(line["trial"])
                    self.rows.setdefault(branch["trial"], {})

    def as_ledger(self, spec: Mapping[str, Any], trials: Iterable[str]) -> Ledger:
        """Return of some trials what ranks them, as a ledger: lines, statuses, newest rows, seconds."""
        chosen = [self.trials[trial] for trial in trials]
        ledger = Ledger(sweeps=[{"kind": "sweep", "spec": dict(spec)}])  # type: ignore[typeddict-item]
        for seen in chosen:
            trial = seen.line["trial"]
            ledger.trials[trial] = seen.line
            ledger.statuses[trial] = seen.status_line()
            ledger.rows += seen.last
            ledger.seconds[trial] = seen.seconds
        return ledger

    def _take_head(self, line: Line) -> None:
        self.announced = max(self.announced, line.get("trials", 0))
        if "confirmation" in line:
            self.confirmations.append(line["confirmation"])

    def _take_row(self, line: Line) -> None:
        seen, epoch = self.trials[line["trial"]], line["epoch"]
        seen.epoch, seen.attempt = epoch, line["attempt"]
        if self.curves:
            self._take_curve(seen, line)
        if line["trial"] in self.rows:
            self.rows[line["trial"]][epoch] = line
        if "shared" in line:
            seen.shared = max(seen.shared, epoch)
        elif epoch <= seen.shared:  # the checkpoint was gone: it has trained them itself
            seen.shared = 0
        took = (line.get("seconds") or 0.0) + (line.get("eval_seconds") or 0.0)
        seen.seconds += took
        self.seconds += 0.0 if "shared" in line else took

    def _take_curve(self, seen: Seen, row: Line) -> None:
        """Keep a row's value, and when it came."""
        value, epoch = row.get(self.metric.name), row["epoch"]
        before = seen.values.get(epoch)
        if value is not None and math.isfinite(value):
            seen.values[epoch] = self.sign * value
        else:
            seen.values.pop(epoch, None)
        if epoch in seen.arrived:  # trained again
            self.upheavals += before != seen.values.get(epoch)
        else:
            seen.arrived[epoch] = self.count
            self.fresh.add(row["trial"])
            self.upheavals += seen.lost  # what ended was under way: it had a place at a rung, and used it
        while seen.last and seen.last[-1]["step"] >= row["step"]:
            seen.last.pop()
        seen.last.append(row)

    def _take_kept(self, line: Line) -> None:
        """Note that the checkpoint of an epoch is there, or is gone."""
        kept = self.trials[line["trial"]].kept
        (kept.discard if line.get("path") is None else kept.add)(line["epoch"])

    def _take_status(self, line: Line) -> None:
        seen = self.trials[line["trial"]]
        was_lost = seen.lost
        seen.status, seen.rule = Status(line["status"]), bool(line.get("rule"))
        now = line.get("time", 0.0)
        if seen.status == Status.RUNNING and not seen.begun:
            seen.begun, seen.span = True, (now, now)
        seen.span = (seen.span[0], now)
        seen.judged |= seen.status in ENDED
        seen.closed_at = self.count
        self.upheavals += was_lost or seen.lost
        if line["attempt"] > seen.attempt:  # from scratch: its values count until they come again
            seen.attempt, seen.epoch, seen.shared = line["attempt"], 0, 0
            seen.last.clear()
            seen.kept.clear()

    def _pass_time(self, line: Line, *, begins: bool) -> None:
        now = line.get("time")
        if now is None:
            return
        if not begins and self._time is not None:
            self.wall_seconds += max(0.0, now - self._time)
        self._time = now if begins or self._time is None else max(now, self._time)
