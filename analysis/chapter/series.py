"""The series that averages are taken of: a column of a CSV file, or a made-up one.

series = read_series(Path("history.csv"), "train_loss")
series = made_up_series()
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ch6dist.errors import MISSING, InputError, UsageError, unknown_name

FEWEST = 2  # values of a series


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
        InputError: no such file or column, or text in it.
        UsageError: fewer than FEWEST finite values.
    """
    columns = list(_read(path, nrows=0).columns)
    if column is None:
        raise InputError("--column", MISSING, f"one of {', '.join(columns)}")
    if column not in columns:
        raise unknown_name("--column", column, columns)
    texts = _read(path, usecols=[column])[column]
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = texts[numbers.isna() & texts.notna()]
    if len(wrong):
        raise InputError(f"{column}, row {wrong.index[0] + 1}", wrong.iloc[0], "a number, or nothing", file=str(path))
    values = numbers.to_numpy(dtype=np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST:
        raise UsageError(f"{path}: {column} has {len(finite)} finite values", "a series has at least two")
    return Series(f"{column} of {path.name}", finite, left_out=len(values) - len(finite))


def _read(path: Path, *, nrows: int | None = None, usecols: list[str] | None = None) -> pd.DataFrame:
    """Return a CSV file as text, missing values as NaN."""
    try:
        return pd.read_csv(path, dtype=str, nrows=nrows, usecols=usecols, encoding="utf-8")
    except OSError as error:
        raise InputError("FILE.csv", str(path), f"a file that can be read ({error.strerror or error})") from None
    except (ValueError, pd.errors.ParserError) as error:  # UnicodeDecodeError and EmptyDataError are ValueErrors
        raise InputError("FILE.csv", str(path), f"a CSV file with a head line ({error})") from None
