"""The series that averages are taken of: a column of a CSV file, or a made-up one.

series = read_series(Path("history.csv"), "train_loss")
series = made_up_series()
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ch6dist.catalog.text import one_line
from ch6dist.errors import MISSING, InputError, UsageError, unknown_name

FEWEST = 2  # values of a series
NOTHING = {"", "na", "none", "null"}  # beside nan, which is a number


@dataclass(frozen=True)
class Series:
    """Values in the order of time, all finite."""

    name: str
    values: NDArray[np.float64]
    left_out: int = 0  # values of the file that are missing or not finite
    is_made_up: bool = False


def made_up_series() -> Series:
    """Return 200 values of a slow wave in noise with two spikes: 0.5 sin(0.1 t) + 0.3 noise, +3 at 50, −2 at 120."""
    steps = np.arange(200)
    values = 0.5 * np.sin(0.1 * steps) + 0.3 * np.random.default_rng(0).standard_normal(len(steps))
    values[50] += 3
    values[120] -= 2
    return Series("0.5 sin(0.1 t) + 0.3 noise, spikes at 50 and 120", values, is_made_up=True)


def read_series(path: Path, column: str | None) -> Series:
    """Return a column of a CSV file, without its missing and infinite values, which are counted.

    Raises:
        InputError: no such file or column, a row of another length, or text in the column.
        UsageError: fewer than FEWEST finite values.
    """
    head, rows = _read(path)
    columns = ", ".join(head)
    if column is None:
        raise InputError("--column", MISSING, f"one of {columns}")
    if head.count(column) > 1:
        raise InputError("--column", column, f"a name that stands once in the head line ({columns})")
    if column not in head:
        raise unknown_name("--column", column, head)
    place, values = head.index(column), np.empty(len(rows))
    for number, row in enumerate(rows):
        if len(row) != len(head):
            raise InputError(
                f"row {number + 1}", ",".join(row), f"{len(head)} fields, as the head line", file=str(path)
            )
        values[number] = _number(row[place], key=f"{column}, row {number + 1}", path=path)
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        raise UsageError(f"{path}: {column} has {len(finite)} finite values", "a series has at least two")
    return Series(one_line(f"{column} of {path.name}"), finite, left_out=len(values) - len(finite))


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the head line and the rows of a CSV file; lines without anything are no rows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            head, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except OSError as error:
        raise InputError("FILE.csv", str(path), f"a file that can be read ({error.strerror or error})") from None
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
        raise InputError("FILE.csv", str(path), f"a CSV file in UTF-8 ({error})") from None
    if not head:
        raise InputError("FILE.csv", str(path), "a CSV file with a head line")
    return head, rows


def _number(text: str, *, key: str, path: Path) -> float:
    if text.strip().lower() in NOTHING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise InputError(key, text, "a number, or nothing", file=str(path)) from None
