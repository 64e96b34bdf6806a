"""Reads the folder that `ch6dist lab` has written.

visit = load_visit(Path("out/lab"))
visit.path("Adam")                  # the rows of a path, as a table
visit.comparison("flavours")        # names of its paths
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.chapter.index import read_index
from analysis.plots.style import COLOURS, LINES, MARKERS, Look
from ch6dist.catalog.lab import COMPARISONS, FORMAT, GRID, INDEX, KIND, TABLES, columns
from ch6dist.catalog.naming import optimizer_label
from ch6dist.catalog.text import number_text
from ch6dist.errors import UsageError
from ch6dist.paths import given_path

Array = NDArray[np.float64]
TEXT = {"path", "state", "parameter", "eigenvalue", "regime", "measured_regime", "setting"}


@dataclass(frozen=True)
class Surface:
    """The training loss on its grid: loss[i, j] belongs to xs[j] and ys[i]."""

    xs: Array
    ys: Array
    loss: Array


@dataclass(frozen=True)
class Visit:
    """The numbers of a visit to the laboratory: lab.json and the tables, by the names of their files."""

    index: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]

    @property
    def problem(self) -> Mapping[str, Any]:
        """Return what lab.json says of the problem."""
        return dict(self.index["problem"])

    @property
    def parameters(self) -> tuple[str, str]:
        """Return the names of the two parameters."""
        first, second = self.problem["parameters"]
        return first, second

    @cached_property
    def surface(self) -> Surface:
        """Return the loss on its grid."""
        table, (first, second) = self.tables["contours.csv"], self.parameters
        xs, ys = table[first].to_numpy()[:GRID], table[second].to_numpy()[::GRID]
        return Surface(xs, ys, table["loss"].to_numpy().reshape(GRID, GRID))

    @cached_property
    def optimizers(self) -> list[str]:
        """Return the labels of the optimizers that are compared, the best known first: each has one look everywhere."""
        compared = [one["name"] for one in self.index["comparisons"] if not COMPARISONS[one["name"]].setting]
        order = ["flavours", "adam", *compared]
        return list(dict.fromkeys(self.optimizer(path) for name in order for path in self.comparison(name)))

    def look(self, path: str) -> Look:
        """Return the look of a path's optimizer, whatever its schedule; Adam's for any setting of Adam."""
        place, n = self.place(path), len(COLOURS)
        return Look(COLOURS[place % n], MARKERS[place % len(MARKERS)], LINES[place // n % len(LINES)])

    def place(self, path: str) -> int:
        """Return the place of a path's optimizer in the order of looks."""
        optimizer = self.optimizer(path)
        return self.optimizers.index(
            optimizer if optimizer in self.optimizers else str(self.about(path)["optimizer"]["name"])
        )

    def value(self, comparison: str, path: str) -> str:
        """Return what a comparison of settings varies, and its value on a path: `β1 0.5`."""
        optimizer, symbol = self.about(path)["optimizer"], COMPARISONS[comparison].setting
        first, second = optimizer["betas"]
        return f"{symbol} {number_text({'β1': first, 'β2': second, 'ε': optimizer['eps']}[symbol])}"

    def comparison(self, name: str) -> list[str]:
        """Return the names of the paths of a comparison."""
        return next(list(one["paths"]) for one in self.index["comparisons"] if one["name"] == name)

    def question(self, name: str) -> str:
        """Return what a comparison asks."""
        return next(str(one["question"]) for one in self.index["comparisons"] if one["name"] == name)

    def about(self, path: str) -> Mapping[str, Any]:
        """Return what lab.json says of a path."""
        return next(one for one in self.index["paths"] if one["name"] == path)

    def optimizer(self, path: str) -> str:
        """Return the label of a path's optimizer, without its learning rate and schedule."""
        return optimizer_label(self.about(path)["optimizer"])

    def path(self, name: str) -> pd.DataFrame:
        """Return the rows of a path, a step each; the last one is where it ends."""
        table = self.tables["paths.csv"]
        return table[table["path"] == name]

    def epochs(self, name: str) -> pd.DataFrame:
        """Return the rows of a path's epochs."""
        table = self.tables["epochs.csv"]
        return table[table["path"] == name]


def load_visit(folder: Path) -> Visit:
    """Return what lies in a folder. UsageError if it holds no visit, a newer one, or one that is not whole."""
    folder = given_path(folder, key="FOLDER")
    command = f"ch6dist lab -o {folder}"
    index = read_index(folder / INDEX, kind=KIND, version=FORMAT, command=command)
    try:
        parameters = tuple(index["problem"]["parameters"])
        tables = {name: _table(folder / name, list(columns(name, parameters))) for name in TABLES}
        return Visit(index, tables)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{folder} is not whole: {error}", f"write it again with `{command}`") from None


def _table(path: Path, expected: list[str]) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=dict.fromkeys(TEXT & set(expected), str), keep_default_na=False, na_values=[""])
    if list(table.columns) != expected:
        raise ValueError(f"{path.name} has other columns than {', '.join(expected)}")
    return table
