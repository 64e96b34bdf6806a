"""The rows of all trials as one table of numbers: a row of the ledger takes 150 bytes here, and a kilobyte as a dict.

columns = Columns()
ledger, _ = observe(folder, last=5, take=columns.take)
history = columns.table(ledger)                 # COLUMNS, in order of trials, then of steps
rows = TrialRows(history)
rows["…"]                                       # the rows of one trial, as dicts
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ch6dist.errors import UsageError
from ch6dist.runs.columns import ROW_COLUMNS
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Line

NUMBERS = tuple(column.name for column in ROW_COLUMNS if column.dtype != "string")
WHOLE = {"attempt": 1, "epoch": 0, "step": 0}  # columns that every row has, as whole numbers; and what stands for none
COLUMNS = tuple(column.name for column in ROW_COLUMNS)
BLOCK = 20_000  # rows that are turned into numbers at once


class Columns:
    """Takes the rows of a ledger one by one, and keeps their numbers."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}  # of trials, in the order in which they were seen
        self._trials = array("q")  # the code of each row
        self._sources: dict[str, int] = {}  # codes of the trials that have trained rows of others
        self._shared = array("q")  # of each row the code of the trial that has trained it; −1: its own
        self._values: list[Any] = []  # of the rows of this block, one after another
        self._blocks: list[np.ndarray] = []  # (rows, NUMBERS), float64

    def take(self, row: Line) -> None:
        """Add a row, in the order in which it was written. UsageError for a value that is no number."""
        self._trials.append(self._codes.setdefault(row["trial"], len(self._codes)))
        source = row.get("shared")
        self._shared.append(-1 if source is None else self._sources.setdefault(source, len(self._sources)))
        self._values.extend(map(row.get, NUMBERS))
        if len(self._values) >= BLOCK * len(NUMBERS):
            self._end_block()

    def table(self, ledger: Ledger) -> pd.DataFrame:
        """Return COLUMNS of the rows that count: the newest attempt of each trial, the last row of each step.

        In order of the ledger's trials, then of steps. `trial` is categorical, and so is `shared`, the trial that has
        trained the row for this one, NaN where it was trained here; WHOLE are int64, all else float64, NaN where the
        row has nothing.
        """
        self._end_block()
        values = np.concatenate(self._blocks) if self._blocks else np.empty((0, len(NUMBERS)))
        self._blocks.clear()
        names = list(dict.fromkeys([*ledger.trials, *self._codes]))
        place = {name: position for position, name in enumerate(names)}
        places = np.array([place[name] for name in self._codes], dtype=np.int64)
        newest = np.array([ledger.attempts.get(name, 0) for name in self._codes], dtype=np.float64)
        codes = np.frombuffer(self._trials, dtype=np.int64) if self._trials else np.empty(0, dtype=np.int64)
        kept = np.flatnonzero(~(values[:, NUMBERS.index("attempt")] < newest[codes]))
        trials, steps = places[codes[kept]], values[kept, NUMBERS.index("step")]
        order = np.lexsort((steps, trials))  # stable: of equal keys the last one was written last
        trials, steps = trials[order], steps[order]
        is_last = np.append((trials[1:] != trials[:-1]) | (steps[1:] != steps[:-1]), True)[: len(order)]
        chosen = kept[order[is_last]]
        table = {"trial": pd.Categorical.from_codes(trials[is_last], pd.Index(names, dtype="str"))}
        for position, name in enumerate(NUMBERS):
            column = values[chosen, position]
            table[name] = np.nan_to_num(column, nan=WHOLE[name]).astype(np.int64) if name in WHOLE else column
        shared = np.frombuffer(self._shared, dtype=np.int64) if self._shared else np.empty(0, dtype=np.int64)
        table["shared"] = pd.Categorical.from_codes(shared[chosen], pd.Index(list(self._sources), dtype="str"))
        return pd.DataFrame(table, columns=pd.Index(COLUMNS))

    def _end_block(self) -> None:
        try:
            block = np.array(self._values, dtype=np.float64).reshape(-1, len(NUMBERS))
        except (TypeError, ValueError):
            raise self._no_number() from None
        self._values.clear()
        self._blocks.append(block)

    def _no_number(self) -> UsageError:
        first = len(self._trials) - len(self._values) // len(NUMBERS)
        for position, value in enumerate(self._values):
            if value is not None and not isinstance(value, (int, float)):
                row, column = divmod(position, len(NUMBERS))
                trial = list(self._codes)[self._trials[first + row]]
                what = f"a row of trial {trial} is damaged: {NUMBERS[column]} is {value!r}, no number"
                return UsageError(what, "restore the ledger from a copy")
        return UsageError("a row is damaged: it holds a number beyond all bounds", "restore the ledger from a copy")


class TrialRows(Mapping[str, list[Line]]):
    """The rows of every trial, in order of steps: made of the table when they are asked for."""

    def __init__(self, history: pd.DataFrame) -> None:
        self._names = list(history["trial"].cat.categories)
        codes = history["trial"].cat.codes.to_numpy()
        bounds = np.searchsorted(codes, np.arange(len(self._names) + 1))
        self._spans = dict(zip(self._names, zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True), strict=True))
        self._columns = {name: history[name].to_numpy() for name in NUMBERS}
        self._sources, self._shared = list(history["shared"].cat.categories), history["shared"].cat.codes.to_numpy()

    def __getitem__(self, trial: str) -> list[Line]:
        """Return the rows of a trial as dicts, None where one has nothing; an empty list for a trial without."""
        first, end = self._spans[trial]
        values = [self._column(name, first, end) for name in NUMBERS]
        nothing = {"trial": trial, "shared": None}
        rows: list[Line] = [nothing | dict(zip(NUMBERS, row, strict=True)) for row in zip(*values, strict=True)]
        for position in np.flatnonzero(self._shared[first:end] >= 0):
            rows[position] = {**rows[position], "shared": self._sources[self._shared[first + position]]}
        return rows

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of the trials."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self._names)

    def array(self, trial: str, column: str) -> np.ndarray:
        """Return a column of a trial's rows, (rows,), NaN where one has nothing; all NaN for a column that is none."""
        first, end = self._spans[trial]
        return self._columns[column][first:end] if column in self._columns else np.full(end - first, np.nan)

    def _column(self, name: str, first: int, end: int) -> list[float | None]:
        column = self._columns[name][first:end]
        return [None if value != value else value for value in column.tolist()]
