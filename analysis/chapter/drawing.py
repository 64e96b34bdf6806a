"""A figure outside the report, of a file, a formula or one trial: written as PNG, SVG and CSV.

written = write_drawing(AVERAGES, series_data(series, beta=0.9), folder)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import style

LINE_INCHES = 0.16  # height of a line of the caption


@dataclass(frozen=True)
class Drawing:
    """One kind of figure: as `Plot` of analysis/plots/plot.py, but drawn from a table alone."""

    name: str  # of the files
    title: Callable[[pd.DataFrame], str]  # the question it answers
    draw: Callable[[Figure, pd.DataFrame], None]
    size: Callable[[pd.DataFrame], tuple[float, float]]  # width and height in inches, without the caption
    caption: Callable[[pd.DataFrame], str]  # how to read it
    synthetic: bool = False  # the images are generated: said in red above it


def draw_figure(drawing: Drawing, data: pd.DataFrame) -> Figure:
    """Return the figure of `data`, with title and caption. Call it within style.context()."""
    caption = drawing.caption(data)
    width, height = drawing.size(data)
    figure = style.new_figure(width, height + LINE_INCHES * len(style.caption_lines(caption, width)))
    drawing.draw(figure, data)
    style.title(figure, drawing.title(data), caption=caption, synthetic=drawing.synthetic)
    return figure


def step_axis(ax: Axes, *, most: int = 9) -> None:
    """Make the x axis one of steps: whole numbers, in at most so many intervals. Call it when all is drawn."""
    low, high = ax.get_xlim()
    if high - low < 1:  # a single step
        ax.set_xlim(low - 1, high + 1)
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10], integer=True))


def write_drawing(drawing: Drawing, data: pd.DataFrame, folder: Path) -> Path:
    """Write figures/NAME.png and .svg and data/NAME.csv under `folder` and return the path of the PNG."""
    with style.context():
        figure = draw_figure(drawing, data)
        write_table(drawing.name, data, folder)
        figures = folder / "figures"
        figures.mkdir(exist_ok=True)
        style.save(figure, figures, drawing.name)
    return figures / f"{drawing.name}.png"


def write_table(name: str, data: pd.DataFrame, folder: Path, *, digits: int | None = None) -> Path:
    """Write data/NAME.csv under `folder`, which is made, and return its path.

    Args:
        digits: significant ones of each number; None: all.
    """
    path = folder / "data" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_csv(path, index=False, float_format=f"%.{digits}g" if digits else None)
    return path
