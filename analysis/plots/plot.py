"""A figure as a record: the question it answers, its numbers, its drawing, and a sentence if it has no numbers.

Numbers first, drawing second: `data(results)` gives the table that is written beside the figure, and
`draw(figure, data, palette)` uses nothing else, so every figure can be drawn again from its CSV.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from analysis.plots.style import Palette
from analysis.study.results import Results

Section = Literal[
    "What won", "How sure", "How it was searched", "Learning rates", "Schedules", "Training", "Cost", "How it was made"
]  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """One kind of figure. Registered in analysis/plots/registry.py."""

    name: str  # on the command line and of the files
    section: Section  # of the report
    heading: str  # in the report: what it shows
    title: str  # the question it answers
    data: Callable[[Results], pd.DataFrame]  # an empty table: there is nothing to draw
    draw: Callable[[Figure, pd.DataFrame, Palette], None]
    size: Callable[[pd.DataFrame], tuple[float, float]]  # width and height in inches
    caption: Callable[[pd.DataFrame], str]  # how to read it, with n and the statistic
    empty: str  # a sentence that says why there is no data
    of_scores: bool = False  # compares scores: the caption says what has none since a search stopped it
    has_shades: bool = False  # cells whose lightness means something: on a dark page they stay as they are, on white
