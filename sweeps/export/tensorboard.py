"""The curves of a run as TensorBoard event files: a folder for each trial, a scalar for each measured column.

    export(find_run("demo"), Path("board"))                   # what is there now
    export(find_run("demo"), Path("board"), follow=True)      # and what comes, until the driver has ended

Everything is read from the ledger, so it works on any run, at any time, and costs the driver nothing. The step of a
point is its epoch, in a range test its step, and its time that of the row. Epochs that a resume has trained again
replace those of before. What differs between the trials is there as hyperparameters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import hparams, scalar

from ch6dist.errors import UsageError
from ch6dist.paths import given_path
from ch6dist.runs.columns import ROW_COLUMNS
from ch6dist.runs.fetch import refresh
from ch6dist.runs.lease import current
from ch6dist.runs.ledger import Ledger, read, read_spec
from ch6dist.runs.names import LEDGER, SEGMENTS
from ch6dist.runs.schema import ENDED, Line, Metric

LOOK_SECONDS = 5.0  # between two looks at a run that is followed
SUFFIX = ".ch6dist"  # of the files that are written here, and replaced when they are written again
KEYS = {"trial", "attempt", "epoch", "step", "time"}  # of a row: no measurements
SCALARS = [column.name for column in ROW_COLUMNS if column.name not in KEYS]
Mark = tuple[int, float]  # attempt and time of a row: another one at the same step replaces it


def export(run: Path, folder: Path, *, follow: bool = False, look_seconds: float = LOOK_SECONDS) -> int:
    """Write a run's curves into `folder`, and return how many rows they show.

    Args:
        follow: go on with what is added, until no driver is running.
        look_seconds: between two looks, then.

    Raises UsageError if the files cannot be written.
    """
    board, seen = Board(given_path(folder, key="-o")), -1
    try:
        while True:
            driver = current(run)  # before the lines are read: what it wrote last is among them
            if (size := sum(path.stat().st_size for path in (run / LEDGER).glob(SEGMENTS))) != seen:
                board.update(read(run))
            if not follow or driver is None:
                return board.rows
            seen = size
            time.sleep(look_seconds)
            refresh(run, read_spec(run).get("storage"))
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}", "choose another folder with -o") from None
    finally:
        board.close()


class Board:
    """The event files of a run, as far as they are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, EventsWriter] = {}  # of trials that have not ended
        self._marks: dict[str, dict[int, Mark]] = {}  # of each trial, the rows that are written, by step
        self._files = 0

    @property
    def rows(self) -> int:
        """Return how many rows the files show."""
        return sum(map(len, self._marks.values()))

    def update(self, ledger: Ledger) -> None:
        """Write what a ledger has and the files lack."""
        varied, metric = differing(ledger), Metric.of(ledger.spec).name
        for trial, rows in ledger.rows_by_trial().items():
            if trial in ledger.trials and rows:
                axis = "step" if ledger.trials[trial]["config"]["type"] == "range_test" else "epoch"
                self._add(trial, {row[axis]: row for row in rows}, varied[trial], metric)
                if ledger.status(trial) in ENDED and trial in self._writers:
                    self._writers.pop(trial).close()
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close every file."""
        while self._writers:
            self._writers.popitem()[1].close()

    def _add(self, trial: str, rows: Mapping[int, Line], varied: Mapping[str, Any], metric: str) -> None:
        """Write the rows of a trial, by their place on the axis, that its files lack or have in another form."""
        marks = {step: (row["attempt"], row.get("time", 0.0)) for step, row in rows.items()}
        known = self._marks.get(trial, {})
        kept = agreeing(known, marks)
        new = list(rows)[kept:]
        if not new:
            return
        replaced = kept < len(known)
        if replaced and trial in self._writers:
            self._writers.pop(trial).close()
        if trial not in self._writers:
            self._writers[trial] = self._open(trial, purge=new[0] if known else None)
        writer = self._writers[trial]
        if not known and varied:
            for summary in hparams(dict(varied), {metric: 0})[:2]:
                writer.write_event(Event(wall_time=time.time(), summary=summary))
        for step in new:
            for name, value in measured(rows[step]):
                writer.write_event(Event(step=step, wall_time=marks[step][1], summary=scalar(name, value)))
        self._marks[trial] = marks

    def _open(self, trial: str, *, purge: int | None) -> EventsWriter:
        """Open a further file of a trial; a viewer forgets its points from step `purge` on."""
        place = self.folder / trial
        if trial not in self._marks:
            for path in place.glob(f"events.*{SUFFIX}*"):
                path.unlink()
        self._files += 1
        place.mkdir(parents=True, exist_ok=True)
        writer = EventsWriter(str(place / "events"), f"{SUFFIX}.{self._files:06d}")
        if purge is not None:
            writer.write_event(Event(step=purge, session_log=SessionLog(status=SessionLog.START)))
        return writer


def measured(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield name and value of what was measured; a loss that was not finite is nan."""
    for name in SCALARS:
        value = row.get(name)
        if value is not None:
            yield name, float(value)
        elif name in row and name.endswith("_loss"):
            yield name, math.nan


def agreeing(known: Mapping[int, Mark], marks: Mapping[int, Mark]) -> int:
    """Return how many rows, from the first on, are the same in both."""
    count = 0
    for before, now in zip(known.items(), marks.items(), strict=False):
        if before != now:
            break
        count += 1
    return count


def differing(ledger: Ledger) -> dict[str, dict[str, bool | float | str]]:
    """Return for each trial the keys of its configuration that are not the same in all, dotted, and their values."""
    flat = {trial: dict(flattened(line["config"])) for trial, line in ledger.trials.items()}
    values: dict[str, set[str]] = {}
    for config in flat.values():
        for key, value in config.items():
            values.setdefault(key, set()).add(repr(value))
    shared = {
        key for key, found in values.items() if len(found) == 1 and all(key in config for config in flat.values())
    }
    return {
        trial: {key: _plain(value) for key, value in config.items() if key not in shared and value is not None}
        for trial, config in flat.items()
    }


def flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of nested mappings, dotted, and their values."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _plain(value: Any) -> bool | float | str:
    return value if isinstance(value, (bool, int, float)) else str(value)
