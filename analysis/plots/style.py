"""How every figure looks: one colour and marker per optimizer, rates as ticks, files that come out the same each time.

    with style.context():
        figure = style.new_figure(8, 5)
        …
        style.save(figure, folder, "lr_sensitivity")

Figures are `matplotlib.figure.Figure` objects: no pyplot, no display, no global state.
"""

from __future__ import annotations

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

from analysis.text import is_share, short_number
from ch6dist.catalog.datasets import SYNTHETIC

# Okabe & Ito 2008, readable with every common colour blindness; yellow left out: it vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
LINES = ("-", "--", "-.", ":")
GREY, RED, SHADE = "#8a8a8a", "#C1272D", "#FFF3C4"
MAX_RATE_TICKS = 10

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
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Look:
    """How one optimizer is drawn in every figure of a report."""

    colour: str
    marker: str
    line: str


Palette = Mapping[str, Look]


def palette(labels: Iterable[str]) -> dict[str, Look]:
    """One look per label, from the sorted names; past 7 the colours repeat, dashed and with other markers."""
    n = len(COLOURS)
    return {
        name: Look(COLOURS[i % n], MARKERS[i % len(MARKERS)], LINES[i // n % len(LINES)])
        for i, name in enumerate(sorted(set(labels)))
    }


def context() -> AbstractContextManager[None]:
    """The settings of our figures, for the length of a block."""
    return mpl.rc_context(_SETTINGS)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches; the layout engine keeps labels apart."""
    return Figure(figsize=(width, height), layout="constrained")


def title(figure: Figure, text: str, *, caption: str, synthetic: bool) -> None:
    """The question above, how to read it below; made-up data is marked in red above everything."""
    width = figure.get_figwidth()
    wrapped = "\n".join(textwrap.wrap(text, int(width * 9.6)))  # characters of these sizes to an inch
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
    """Write NAME.png and NAME.svg, without dates or random ids: the same figure is the same file."""
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        figure.set_layout_engine("none")  # laid out once is enough
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def lr_axis(ax: Axes, rates: Sequence[float]) -> None:
    """A logarithmic axis with the tried rates as ticks, or decades where they are too many."""
    ax.set_xscale("log")
    tried = sorted(set(rates))
    if len(tried) <= MAX_RATE_TICKS:
        ax.xaxis.set_major_locator(FixedLocator(tried))
    else:
        ax.xaxis.set_major_locator(LogLocator(numticks=8))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lr_formatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    if tried:
        pad = max(tried[-1] / tried[0], 10) ** 0.06
        ax.set_xlim(tried[0] / pad, tried[-1] * pad)


def lr_formatter() -> FuncFormatter:
    """Ticks written as rates."""
    return FuncFormatter(lambda value, _: short_number(value))


def plain_log_ticks(axis: Axis) -> None:
    """Plain numbers on a logarithmic axis that may span less than a decade."""
    axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_minor_formatter(NullFormatter())


def metric_axis(ax: Axes, metric: str) -> None:
    """The y axis of a metric: per cent for an accuracy."""
    if is_share(metric):
        ax.yaxis.set_major_formatter(percent())


def percent() -> FuncFormatter:
    """Fractions as per cent, with as many digits as the ticks need."""
    return FuncFormatter(lambda value, _: f"{100 * value:.4g} %")
