"""Read the ledger, the append-only record of a run: `ledger/000001.jsonl` and on (written by writer.py).

    ledger = read(folder)
    ledger, driver = observe(folder)            # as a viewer sees it
    ledger, driver = observe(folder, last=1)    # with the last row of each trial only: cheap for a long run

Kinds of lines: schema.py. Rows are keyed by (trial, attempt, step): the last line of a key counts, and only the newest
attempt of a trial is read. `Ledger.lines` keeps every line in the order in which it was written. However little of it
is kept, every line is parsed: a damaged one is always found.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

from ch6dist.catalog.data_keys import adopt_data
from ch6dist.catalog.described import adopt
from ch6dist.errors import InputError, UsageError
from ch6dist.runs.lease import Lease, current
from ch6dist.runs.names import LEDGER, SEGMENTS
from ch6dist.runs.rows import Rows
from ch6dist.runs.schema import (
    ArtifactLine,
    DecisionLine,
    EventLine,
    Line,
    PackLine,
    Status,
    StatusLine,
    SweepLine,
    TrialLine,
    check_format,
)

SHOWN_NAMES = 8


@dataclass
class Ledger:
    """A ledger as read. `rows` are sorted by (trial, step), newest attempts only, each key once.

    Read with `last`, `rows` holds only so many rows of each trial, those of its largest steps, and `lines` none.
    """

    sweeps: list[SweepLine] = field(default_factory=list)  # the head line of each driver
    trials: dict[str, TrialLine] = field(default_factory=dict)
    packs: list[PackLine] = field(default_factory=list)
    events: list[EventLine] = field(default_factory=list)
    decisions: list[DecisionLine] = field(default_factory=list)  # of the search, in order
    variants: dict[str, str] = field(default_factory=dict)  # kernel variants by key, as first recorded
    rows: list[Line] = field(default_factory=list)  # RowLines, whose columns are mostly asked for by name
    statuses: dict[str, StatusLine] = field(default_factory=dict)  # newest of each trial
    artifacts: dict[tuple[str, str], ArtifactLine] = field(default_factory=dict)  # by (trial, name)
    history: dict[str, list[StatusLine]] = field(default_factory=dict)  # every status line of a trial, in order
    lines: list[Line] = field(default_factory=list)  # of every kind and attempt, in the order of their arrival
    attempts: dict[str, int] = field(default_factory=dict)  # newest of each trial, by lines of any kind
    seconds: dict[str, float] = field(default_factory=dict)  # by trial: training and evaluation, of all rows that count
    spent: dict[str, float] = field(default_factory=dict)  # the same without rows that another trial has trained
    bytes_read: int = 0  # of the segments, what is torn included

    @property
    def spec(self) -> dict[str, Any]:
        """Return the sweep as resolved, from the newest driver; empty when there is none."""
        return self.sweeps[-1].get("spec", {}) if self.sweeps else {}

    def status(self, trial: str) -> Status:
        """Return the newest status of a trial; planned before it has one."""
        return Status(self.statuses[trial]["status"]) if trial in self.statuses else Status.PLANNED

    def attempt(self, trial: str) -> int:
        """Return the newest attempt of a trial; 1 before it began."""
        return int(self.statuses[trial].get("attempt", 1)) if trial in self.statuses else 1

    def release_rows(self) -> None:
        """Let go of rows and raw lines: a million of them take gigabytes, and a driver that trains needs none."""
        self.rows, self.lines = [], []

    def rows_by_trial(self) -> dict[str, list[Line]]:
        """Return the rows of every trial in order of steps: an empty list for one without."""
        grouped: dict[str, list[Line]] = {trial: [] for trial in self.trials}
        for row in self.rows:
            grouped.setdefault(row["trial"], []).append(row)
        return grouped


def read(run: Path | str, *, last: int | None = None, take: Callable[[Line], None] | None = None) -> Ledger:
    """Read the ledger of a run folder.

    Args:
        last: how many rows to keep of each trial, those of its largest steps; then `lines` stays empty. None: all.
        take: is called with each row when it is read, for who keeps rows in another form. Of an attempt that a later
            line replaces it has got the rows by then: `Ledger.attempts` says which ones count.

    Raises InputError where the folder is no run, UsageError where a line in the middle is damaged or a newer version
    wrote it.
    """
    segments = _segments(run)
    ledger = Ledger(bytes_read=sum(path.stat().st_size for path in segments))
    with _no_collection():
        _add(ledger, _lines(segments), Rows(last), take)
    return ledger


def add_lines(ledger: Ledger, lines: Iterable[Line]) -> None:
    """Add lines to a ledger, in the order in which they were written; UsageError for those of a newer version."""
    rows = Rows()
    for row in ledger.rows:
        rows.take(row)
    _add(ledger, lines, rows)


def _add(ledger: Ledger, lines: Iterable[Line], rows: Rows, take: Callable[[Line], None] | None = None) -> None:
    newest = ledger.attempts
    for line in lines:
        if rows.last is None:
            ledger.lines.append(line)
        attempt = line.get("attempt")
        if attempt is not None and attempt != (known := newest.get(trial := line["trial"], 0)):
            if attempt < known:
                continue
            newest[trial] = attempt
            if known:
                rows.forget(trial, before=attempt)
        if line.get("kind") == "row":
            rows.take(line)
            if take:
                take(line)
        else:
            _take(ledger, line)
    ledger.rows, ledger.seconds, ledger.spent = rows.in_order(), rows.seconds(), rows.seconds(shared=False)
    for key, line in list(ledger.artifacts.items()):
        if line.get("attempt", math.inf) < newest.get(line["trial"], 0):
            del ledger.artifacts[key]  # what an older attempt left is no longer read


def read_heads(run: Path | str) -> list[SweepLine]:
    """Read the head line of each driver, oldest first, without the rest of the ledger. Raises as `read` does."""
    firsts = [next(_lines([path]), {}) for path in _segments(run)]  # a driver opens a segment with its head line
    heads = [cast(SweepLine, line) for line in firsts if line.get("kind") == "sweep"]
    for head in heads:
        check_format(head.get("format", 0), run)
    return heads


def read_spec(run: Path | str) -> dict[str, Any]:
    """Read the sweep as resolved, as the newest head line has it; empty when there is none. Raises as `read` does."""
    heads = read_heads(run)
    return heads[-1].get("spec", {}) if heads else {}


def observe(
    run: Path | str, *, last: int | None = None, take: Callable[[Line], None] | None = None
) -> tuple[Ledger, Lease | None]:
    """Read a ledger as a viewer sees it: a trial that runs without a live driver is interrupted.

    Returns the ledger, and the lease of the run's driver, or None when none is running. Arguments and errors: `read`.
    """
    driver, ledger = current(run), read(run, last=last, take=take)
    for trial, line in ledger.statuses.items():
        if driver is None and line["status"] == Status.RUNNING:
            ledger.statuses[trial] = {**line, "status": Status.INTERRUPTED.value}
    return ledger, driver


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's search for cycles off: a reader makes none, and is searched again and again as it grows."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _segments(run: Path | str) -> list[Path]:
    segments = sorted((Path(run) / LEDGER).glob(SEGMENTS))
    if not segments:
        raise InputError("run", str(run), "a run folder (it holds ledger/000001.jsonl)")
    return segments


def _take(ledger: Ledger, line: Line) -> None:
    kind, trial = line.get("kind"), line.get("trial", "")
    if kind == "status":
        ledger.statuses[trial] = cast(StatusLine, line)
        ledger.history.setdefault(trial, []).append(cast(StatusLine, line))
    elif kind == "trial":
        ledger.trials[trial] = cast(TrialLine, line)
        adopt_data((line.get("config") or {}).get("data") or {})
    elif kind == "artifact":
        ledger.artifacts[trial, line["name"]] = cast(ArtifactLine, line)
    elif kind == "pack":
        ledger.packs.append(cast(PackLine, line))
    elif kind == "variant":
        ledger.variants.setdefault(line["key"], line["variant"])
    elif kind == "event":
        ledger.events.append(cast(EventLine, line))
    elif kind == "decision":
        ledger.decisions.append(cast(DecisionLine, line))
    elif kind == "sweep":
        check_format(line.get("format", 0), "this run")
        adopt(line.get("described", ()))
        ledger.sweeps.append(cast(SweepLine, line))


def _lines(segments: Iterable[Path]) -> Iterator[Line]:
    """Yield every line, in order. A large ledger costs what this loop costs: it makes nothing for errors alone."""
    for path in segments:
        with path.open("rb", buffering=2**20) as file:
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    break  # what follows the last newline is torn
                try:
                    line = from_json(raw, cache_strings="keys")
                except ValueError:
                    line = None
                if not isinstance(line, dict):
                    text = raw[:-1][:60].decode(errors="replace")
                    what = f"{path}:{number} is damaged: {text!r} is no JSON object"
                    raise UsageError(what, "restore the file from a copy")
                yield line


def find_trial(ledger: Ledger, given: str) -> str:
    """Return the id of the trial that `given` begins, or is. InputError lists the near ones."""
    fitting = [trial for trial in ledger.trials if given and trial.startswith(given)]
    if given in ledger.trials or len(fitting) == 1:
        return given if given in ledger.trials else fitting[0]
    near = fitting or difflib.get_close_matches(given, ledger.trials, n=SHOWN_NAMES, cutoff=0.5)
    names = sorted(near or ledger.trials)
    more = f", … {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    begin = "more of an id; so begin " if fitting else "the id of a trial, or its beginning, such as "
    raise InputError("TRIAL", given, begin + ", ".join(names[:SHOWN_NAMES]) + more)
