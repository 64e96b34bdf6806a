"""A figure as a record: the question it answers, its numbers, its drawing, and what to say when there are none.

Numbers first, drawing second: `data(study, board)` gives the table that is written beside the figure, and
`draw(figure, data, palette)` sees nothing else, so every figure can be drawn again from its CSV.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from analysis.plots.style import Palette
from analysis.study.load import Study


@dataclass(frozen=True)
class Plot:
    """One kind of figure. Registered in analysis/plots/registry.py."""

    name: str  # of its files and on the command line
    heading: str  # what it is, in a few words
    title: str  # the question it answers
    data: Callable[[Study, pd.DataFrame], pd.DataFrame]  # empty: there is nothing to draw
    draw: Callable[[Figure, pd.DataFrame, Palette], None]
    size: Callable[[pd.DataFrame], tuple[float, float]]  # width and height in inches
    caption: Callable[[pd.DataFrame], str]  # how to read it: n, statistic
    empty: str  # why there is no data, in a sentence
