"""The style of all figures: a colour and marker per optimizer, learning rates as ticks, reproducible files.

    with style.context():
        figure = style.new_figure(8, 5)
        …
        style.save(figure, folder, "lr_sensitivity")

Figures are `matplotlib.figure.Figure` objects: no pyplot, no display, no global state.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from analysis.text import is_fraction, short_number
from ch6dist.catalog.datasets import SYNTHETIC

# Okabe & Ito 2008, readable with every common colour blindness; yellow left out: it vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 3)))
GREY, RED, SHADE = "#8a8a8a", "#C1272D", "#FFF3C4"
MAX_LR_TICKS = 10

_SETTINGS: Any = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 160,
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Look:
    """The colour, marker and line of an optimizer in every figure of a report."""

    colour: str
    marker: str
    line: str


Palette = Mapping[str, Look]


def palette(labels: Iterable[str]) -> dict[str, Look]:
    """Return one look per label, in sorted order; past 7 the colours repeat, dashed and with other markers."""
    n = len(COLOURS)
    return {
        name: Look(COLOURS[i % n], MARKERS[i % len(MARKERS)], LINES[i // n % len(LINES)])
        for i, name in enumerate(sorted(set(labels)))
    }


def context() -> AbstractContextManager[None]:
    """Return a context manager that applies the settings of our figures."""
    return mpl.rc_context(_SETTINGS)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches; the layout engine keeps labels apart."""
    return Figure(figsize=(width, height), layout="constrained")


def title(figure: Figure, text: str, *, caption: str, synthetic: bool) -> None:
    """Write the question above the figure and the caption below; mark synthetic data in red above everything."""
    width = figure.get_figwidth()
    wrapped = "\n".join(textwrap.wrap(text, int(width * 9.6)))  # 9.6 characters of this size to an inch
    figure.suptitle(
        wrapped + (f"\n{SYNTHETIC}" if synthetic else ""),
        fontsize=12.5,
        fontweight="bold",
        color=RED if synthetic else "black",
        x=0.01,
        ha="left",
    )
    figure.supxlabel(
        "\n".join(textwrap.wrap(caption, int(width * 14.5))), fontsize=8.5, color="#444", x=0.01, ha="left"
    )


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write NAME.png and NAME.svg, without dates or random ids: equal figures give equal files."""
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        figure.set_layout_engine("none")  # it was laid out for the PNG
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def grid_shape(panels: int, *, max_columns: int) -> tuple[int, int]:
    """Return the rows and columns of a grid that holds the panels."""
    columns = min(max_columns, panels)
    return math.ceil(panels / columns), columns


def colour_labels(axis: Axis, optimizers: Iterable[str], palette: Palette) -> None:
    """Give each tick label the colour of its optimizer, in order."""
    for label, optimizer in zip(axis.get_ticklabels(), optimizers, strict=True):
        label.set_color(palette[optimizer].colour)


def lr_axis(ax: Axes, lrs: Sequence[float]) -> None:
    """Make the x axis logarithmic, with the learning rates tried as ticks, or decades if they are too many."""
    ax.set_xscale("log")
    tried = sorted(set(lrs))
    if len(tried) <= MAX_LR_TICKS:
        ax.xaxis.set_major_locator(FixedLocator(tried))
    else:
        ax.xaxis.set_major_locator(LogLocator(numticks=8))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lr_formatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    if tried:
        pad = max(tried[-1] / tried[0], 10) ** 0.15  # leaves space for an arrow beside the lowest and the highest
        ax.set_xlim(tried[0] / pad, tried[-1] * pad)


def lr_formatter() -> FuncFormatter:
    """Return a formatter of ticks as learning rates."""
    return FuncFormatter(lambda value, _: short_number(value))


def plain_log_ticks(axis: Axis) -> None:
    """Write plain numbers on a logarithmic axis that may span less than a decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.set_minor_formatter(NullFormatter())


def metric_axis(ax: Axes, metric: str) -> None:
    """Format the y axis of a metric: per cent for an accuracy."""
    if is_fraction(metric):
        ax.yaxis.set_major_formatter(percent())


def percent() -> FuncFormatter:
    """Return a formatter of fractions as per cent, with as many digits as the ticks need."""
    return FuncFormatter(lambda value, _: f"{100 * value:.4g} %")
