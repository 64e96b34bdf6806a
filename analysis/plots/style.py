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
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.text import distinct_numbers, number_text
from ch6dist.catalog.wording import is_fraction, short_number

# Okabe & Ito 2008, readable with every common colour blindness; yellow left out: it vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h", "p")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 3)))
GREY, RED, SHADE, STRIP = "#8a8a8a", "#C1272D", "#FFF3C4", "#FBE3E4"  # STRIP: under what diverged
MAX_LR_TICKS = 10
LABEL_INCHES = 0.155  # height of a label at the end of a line
LR_LABEL_INCHES = 0.44  # width of a learning rate beside others

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
    "text.parse_math": False,  # a name with two $ is a name; log_axis() has no mathtext in its ticks either
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
    wrapped = "\n".join(textwrap.wrap(text, int(figure.get_figwidth() * 9.6)))  # 9.6 characters of this size to an inch
    figure.suptitle(
        wrapped + (f"\n{SYNTHETIC}" if synthetic else ""),
        fontsize=12.5,
        fontweight="bold",
        color=RED if synthetic else "black",
        x=0.01,
        ha="left",
    )
    lines = caption_lines(caption, figure.get_figwidth())
    figure.supxlabel("\n".join(lines), fontsize=8.5, color="#444", x=0.01, ha="left")


def caption_lines(caption: str, width: float) -> list[str]:
    """Return the lines of a caption in a figure that is `width` inches wide; each of its own lines is a paragraph."""
    return [line for paragraph in caption.splitlines() for line in textwrap.wrap(paragraph, int(width * 14.5))]


def cut_note(total: int, shown: int, noun: str, name: str) -> str:
    """Return the end of a caption that says where the rest is, if not all of something are shown; else nothing."""
    return f" Shown are the first {shown} of {total} {noun}; all are in data/{name}.csv." if total > shown else ""


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write NAME.png and NAME.svg, without dates or random ids: equal figures give equal files.

    By the canvases themselves: `savefig` draws everything twice, the first time for a size that is known here.
    """
    with mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box; the page has the name
        figure.set_dpi(mpl.rcParams["savefig.dpi"])
        FigureCanvasAgg(figure).print_png(folder / f"{name}.png", metadata={"Software": None})
        figure.set_layout_engine("none")  # it was laid out for the PNG
        FigureCanvasSVG(figure).print_svg(folder / f"{name}.svg", metadata={"Date": None})


def body(figure: Figure) -> tuple[float, float]:
    """Return what lies between the title and the caption of a saved figure: fractions of its height, from the top."""
    texts, height = {text.get_text(): text for text in figure.texts}, figure.bbox.height
    heading, caption = texts[figure.get_suptitle()], texts[figure.get_supxlabel()]
    return 1 - heading.get_window_extent().y0 / height, 1 - caption.get_window_extent().y1 / height


def picture(figure: Figure, file: IO[bytes], *, dpi: int, kind: str = "png") -> None:
    """Write a figure to an open file, as png, svg or pdf, without dates or random ids."""
    nothing = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with mpl.rc_context({"svg.hashsalt": "figure", "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format=kind, dpi=dpi, metadata=nothing)


def grid_shape(panels: int, *, max_columns: int) -> tuple[int, int]:
    """Return the rows and columns of a grid that holds the panels."""
    columns = min(max_columns, panels)
    return math.ceil(panels / columns), columns


def legend(ax: Axes, handles: Sequence[Artist], labels: Sequence[str], **where: Any) -> None:
    """Draw a legend. Its texts are set afterwards: matplotlib would leave out those that begin with an underscore."""
    made = ax.legend(handles, map(str, range(len(handles))), borderaxespad=0, handlelength=3, **where)
    for text, label in zip(made.get_texts(), labels, strict=True):
        text.set_text(label)


def colour_labels(axis: Axis, optimizers: Iterable[str], palette: Palette) -> None:
    """Give each tick label the colour of its optimizer, in order."""
    for label, optimizer in zip(axis.get_ticklabels(), optimizers, strict=True):
        label.set_color(palette[optimizer].colour)


def shade(share: float) -> tuple[Any, str]:
    """Return a colour of cividis for a share of [0, 1], and black or white, whichever can be read on it."""
    colour = mpl.colormaps["cividis"](min(max(float(share), 0.0), 1.0))
    return colour, "black" if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 0.45 else "white"


def end_labels(ax: Axes, labels: Sequence[tuple[float, str, str]], *, inches: float) -> None:
    """Write (y, text, colour) beside the right end of lines, moved apart, in axes that are about `inches` high."""
    scale = ax.yaxis.get_transform().transform  # of a logarithmic axis: the logarithm
    low, high = scale(ax.get_ylim())
    order = sorted(labels, key=lambda label: (label[0], label[1]))
    gap = min(LABEL_INCHES / inches, 1 / max(1, len(order) - 1))
    wanted = [float((scale([y])[0] - low) / (high - low)) for y, _, _ in order]
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + gap) if places else max(place, 0.0))
    top = 1.0
    for i in reversed(range(len(places))):
        places[i] = top = min(places[i], top)
        top -= gap
    for place, want, (_, text, colour) in zip(places, wanted, order, strict=True):
        ax.plot([1, 1.02], [want, place], color=colour, lw=0.6, transform=ax.transAxes, clip_on=False)
        ax.text(1.025, place, text, color=colour, va="center", fontsize=8.5, transform=ax.transAxes)


def lr_axis(ax: Axes, lrs: Sequence[float], *, inches: float = math.inf) -> None:
    """Make the x axis logarithmic, with the learning rates tried as ticks, or decades if they are too many.

    Args:
        inches: width of the axes, about: a tick that is too near to a labelled one has no label.
    """
    log_axis(ax, "x", lr_formatter())
    tried = sorted(set(lrs))
    pad = max(tried[-1] / tried[0], 10) ** 0.15 if tried else 1.0  # leaves space for an arrow beside the outer ones
    if len(tried) <= MAX_LR_TICKS:
        shown, labelled = distinct_numbers(tried, digits=2), -math.inf
        labels = []
        for lr in tried:
            place = math.log(lr / tried[0]) / math.log(pad**2 * tried[-1] / tried[0]) * inches if lr > tried[0] else 0.0
            near = place - labelled < LR_LABEL_INCHES
            labels.append("" if near else number_text(shown[lr]))
            labelled = labelled if near else place
        ax.set_xticks(tried, labels)
    else:
        ax.xaxis.set_major_locator(LogLocator(numticks=8))
    ax.xaxis.set_minor_locator(NullLocator())
    if tried:
        ax.set_xlim(tried[0] / pad, tried[-1] * pad)


def lr_values_axis(ax: Axes, lrs: pd.Series) -> None:
    """Format the y axis as learning rates: logarithmic where they span more than a factor of five."""
    positive = lrs[lrs > 0]
    if len(positive) and positive.max() > 5 * positive.min():
        log_axis(ax, "y", lr_formatter())
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        ax.yaxis.set_major_formatter(lr_formatter())


def lr_formatter() -> FuncFormatter:
    """Return a formatter of ticks as learning rates."""
    return FuncFormatter(lambda value, _: short_number(value))


def log_axis(ax: Axes, which: Literal["x", "y"], formatter: FuncFormatter) -> None:
    """Make an axis logarithmic; matplotlib's own ticks would be mathtext, which is off."""
    scale, axis = (ax.set_xscale, ax.xaxis) if which == "x" else (ax.set_yscale, ax.yaxis)
    scale("log")
    axis.set_major_formatter(formatter)
    axis.set_minor_formatter(NullFormatter())


def loss_axis(ax: Axes) -> None:
    """Make the y axis logarithmic with plain numbers, although it may span less than a decade."""
    log_axis(ax, "y", FuncFormatter(lambda value, _: f"{value:.4g}"))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0)))


def metric_axis(ax: Axes, metric: str) -> None:
    """Format the y axis of a metric: per cent for an accuracy."""
    if is_fraction(metric):
        ax.yaxis.set_major_formatter(percent())


def percent() -> FuncFormatter:
    """Return a formatter of fractions as per cent, with as many digits as the ticks need."""
    return FuncFormatter(lambda value, _: f"{100 * value:.4g} %")
