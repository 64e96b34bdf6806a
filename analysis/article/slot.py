"""A place in the article: which figure or table stands there, and what it needs.

    Slot("adam_vs_sgd", "Figure 2", find=…, needs="a sweep with Adam and plain SGD")

`find` looks among the sources; where it finds nothing, the article says what was needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis.article.picture import Picture
from analysis.article.sources import Sources
from analysis.report.tables import Table


@dataclass(frozen=True)
class Slot:
    """A figure's place."""

    name: str  # of its files
    number: str  # as the documents count: `Figure 2`, `Graphs 9 to 11`
    find: Callable[[Sources], Picture | None]
    needs: str  # what a source must hold for it


@dataclass(frozen=True)
class See:
    """The place of a figure that stands elsewhere already."""

    number: str
    name: str  # of the slot that shows it
    what: str  # the documents show there


@dataclass(frozen=True)
class Measured:
    """A table of measured numbers, beside those that the documents report."""

    title: str
    table: Table
    note: str  # definitions, n, and where the reported numbers are from
    source: str


@dataclass(frozen=True)
class TableSlot:
    """A table's place."""

    name: str  # of its CSV file
    number: str
    find: Callable[[Sources], Measured | None]
    needs: str


@dataclass(frozen=True)
class Part:
    """A part of the article."""

    heading: str
    intro: str
    places: tuple[Slot | See | TableSlot, ...]
