"""The ledger: the append-only record of a run, `ledger/000001.jsonl` and on. The driver is its only writer.

    with Writer(folder) as writer:
        writer.append([{"kind": "row", "trial": "…", "attempt": 1, "step": 352, …}])
    ledger = read(folder)

Lines, by `kind`:
    sweep     one per driver: name, question, spec, command, versions, hardware, time
    trial     trial, configuration, name, config (the resolved TrialConfig), seed
    pack      trials that ran together, engine: what a resume uses again
    row       records.ROW_COLUMNS
    status    trial, attempt, status, reason, epoch, time
    event     trials whose pack broke, epochs, host, broken (failed or out_of_memory), reason, what followed, time
    artifact  trial, attempt, name, and a path (relative to the run folder) or a value
Rows are keyed by (trial, attempt, step); the last line of a key counts, and only the newest attempt is read.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from ch6dist.errors import InputError
from ch6dist.runs.schema import ROW_COLUMNS, VOLATILE_COLUMNS, Status

FOLDER = "ledger"
LINES_PER_SEGMENT = 50_000
SHOWN_NAMES = 8
Line = dict[str, Any]


@dataclass
class Ledger:
    """A ledger as read. `rows` are sorted by (trial, step), newest attempts only, each key once."""

    sweeps: list[Line] = field(default_factory=list)
    trials: dict[str, Line] = field(default_factory=dict)
    packs: list[Line] = field(default_factory=list)
    events: list[Line] = field(default_factory=list)
    rows: list[Line] = field(default_factory=list)
    statuses: dict[str, Line] = field(default_factory=dict)  # newest of each trial
    artifacts: dict[tuple[str, str], Line] = field(default_factory=dict)  # by (trial, name)
    history: dict[str, list[Line]] = field(default_factory=dict)  # every status line of a trial, in order

    @property
    def spec(self) -> dict[str, Any]:
        """The sweep as resolved, from the newest driver; empty when there is none."""
        return self.sweeps[-1].get("spec", {}) if self.sweeps else {}

    def status(self, trial: str) -> Status:
        """The newest status of a trial; planned before it has one."""
        return Status(self.statuses[trial]["status"]) if trial in self.statuses else Status.PLANNED

    def attempt(self, trial: str) -> int:
        """The newest attempt of a trial; 1 before it began."""
        return int(self.statuses[trial].get("attempt", 1)) if trial in self.statuses else 1

    def rows_by_trial(self) -> dict[str, list[Line]]:
        """Rows in order of steps, of every trial: an empty list for one without."""
        grouped: dict[str, list[Line]] = {trial: [] for trial in self.trials}
        for row in self.rows:
            grouped.setdefault(row["trial"], []).append(row)
        return grouped


class Writer:
    """Appends lines to a segment of its own and syncs each batch to the disk before it returns."""

    def __init__(self, run: Path | str, *, lines_per_segment: int = LINES_PER_SEGMENT) -> None:
        self.folder, self.lines_per_segment = Path(run) / FOLDER, lines_per_segment
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open_segment()

    def _open_segment(self) -> None:
        numbers = [int(path.stem) for path in self.folder.glob("[0-9]*.jsonl")]
        path = self.folder / f"{max(numbers, default=0) + 1:06d}.jsonl"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._lines = 0
        _sync_folder(self.folder)

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write and sync; OSError (a full disk) reaches the caller, and what was written before stays readable."""
        encoded = [_encode(line) for line in lines]
        if not encoded:
            return
        if self._lines >= self.lines_per_segment:
            self.close()
            self._open_segment()
        rest = memoryview(b"".join(encoded))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._lines = self.lines_per_segment  # the next begins a segment: only a last line may be torn
            raise
        self._lines += len(encoded)

    def close(self) -> None:
        """Close the segment; every line is on the disk already."""
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(run: Path | str) -> Ledger:
    """The ledger of a run folder. InputError where the folder is no run or a line in the middle is damaged."""
    folder = Path(run) / FOLDER
    segments = sorted(folder.glob("[0-9]*.jsonl"))
    if not segments:
        raise InputError("run", str(run), "a run folder (it holds ledger/000001.jsonl)")
    ledger = Ledger()
    rows: dict[tuple[str, int], Line] = {}
    newest: dict[str, int] = {}
    for line in _lines(segments):
        _take(ledger, line, rows, newest)
    # what an older attempt left is no longer read
    ledger.rows = [rows[key] for key in sorted(rows) if _is_newest(rows[key], newest)]
    ledger.artifacts = {key: line for key, line in ledger.artifacts.items() if _is_newest(line, newest)}
    return ledger


def _take(ledger: Ledger, line: Line, rows: dict[tuple[str, int], Line], newest: dict[str, int]) -> None:
    kind, trial = line.get("kind"), line.get("trial", "")
    if not _is_newest(line, newest):
        return
    if "attempt" in line:
        newest[trial] = line["attempt"]
    if kind == "row":
        rows[trial, line["step"]] = line
    elif kind == "status":
        ledger.statuses[trial] = line
        ledger.history.setdefault(trial, []).append(line)
    elif kind == "trial":
        ledger.trials[trial] = line
    elif kind == "artifact":
        ledger.artifacts[trial, line["name"]] = line
    elif kind == "pack":
        ledger.packs.append(line)
    elif kind == "event":
        ledger.events.append(line)
    elif kind == "sweep":
        ledger.sweeps.append(line)


def _is_newest(line: Line, newest: Mapping[str, int]) -> bool:
    """Whether no newer attempt of the line's trial has been seen."""
    attempt = newest.get(line.get("trial", ""), 0)
    return bool(line.get("attempt", attempt) >= attempt)


def _lines(segments: Iterable[Path]) -> Iterator[Line]:
    for path in segments:
        lines = path.read_bytes().split(b"\n")
        for number, raw in enumerate(lines[:-1], start=1):  # what follows the last newline is torn, or empty
            yield _decode(raw, f"{path}:{number}")


def find_trial(ledger: Ledger, given: str) -> str:
    """The trial whose id is `given`, or the only one that begins with it. InputError lists the near ones."""
    fitting = [trial for trial in ledger.trials if given and trial.startswith(given)]
    if given in ledger.trials or len(fitting) == 1:
        return given if given in ledger.trials else fitting[0]
    near = fitting or difflib.get_close_matches(given, ledger.trials, n=SHOWN_NAMES, cutoff=0.5)
    names = sorted(near or ledger.trials)
    more = f", … {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    begin = "more of an id; so begin " if fitting else "the id of a trial, or its beginning, such as "
    raise InputError("TRIAL", given, begin + ", ".join(names[:SHOWN_NAMES]) + more)


def differences(a: Ledger, b: Ledger) -> list[str]:
    """Why two ledgers are not equal (times, speeds, memory and attempts aside); empty when they are."""
    columns = [c.name for c in ROW_COLUMNS if c.name not in VOLATILE_COLUMNS | {"attempt"}]
    left = {(row["trial"], row["step"]): row for row in a.rows}
    right = {(row["trial"], row["step"]): row for row in b.rows}
    found = [f"only in the first: {key}" for key in sorted(left.keys() - right.keys())]
    found += [f"only in the second: {key}" for key in sorted(right.keys() - left.keys())]
    for key in sorted(left.keys() & right.keys()):
        for name in columns:
            if left[key].get(name) != right[key].get(name):
                found.append(f"{key} {name}: {left[key].get(name)} and {right[key].get(name)}")
    found += [f"{trial} only in one of the two" for trial in sorted(a.trials.keys() ^ b.trials.keys())]
    for trial in sorted(a.trials.keys() & b.trials.keys()):
        if a.status(trial) != b.status(trial):
            found.append(f"{trial} status: {a.status(trial)} and {b.status(trial)}")
    return found


def _encode(line: Mapping[str, Any]) -> bytes:
    """One line. Half a surrogate pair, as in a file name that is no UTF-8, becomes `?`: JSON could not be read back."""
    text = json.dumps(_finite(line), separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace") + b"\n"


def _decode(raw: bytes, place: str) -> Line:
    with contextlib.suppress(ValueError):
        line = from_json(raw, cache_strings="keys")
        if isinstance(line, dict):
            return line
    raise InputError(place, raw[:60].decode(errors="replace"), "one JSON object")


def _finite(value: Any) -> Any:
    """JSON knows no NaN: a number that is not finite is written as null (the status says `diverged`)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
