"""What the network gets right: by class, by superclass, and which pairs of classes it confuses.

write_drawing(accuracy_drawing(network), accuracy_data(network), folder)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.chapter.drawing import Drawing
from analysis.network.load import Network
from analysis.network.tiles import readable
from analysis.plots import style
from ch6dist.catalog.look import WITH_SUPERCLASSES
from ch6dist.catalog.wording import format_count

WIDTH = 10.5  # inches
ROW_INCHES = 0.165
ONE_COLUMN = 30  # classes; more stand in two columns
SAME, OTHER = style.COLOURS[1], style.COLOURS[0]
INTERVAL = "the line is its 95 % interval (Wilson)"


def accuracy_data(network: Network) -> pd.DataFrame:
    """Return the classes that have images in the split, the best recognised first."""
    table = network.tables["classes.csv"]
    return _sorted(table[table["images"] > 0], ["accuracy"])


def accuracy_drawing(network: Network) -> Drawing:
    """Return the figure of the accuracy of every class."""
    columns = 1 if len(accuracy_data(network)) <= ONE_COLUMN else 2

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        axes = figure.subplots(1, columns, sharex=True, squeeze=False)[0]
        step = -(-len(data) // columns)
        for number, ax in enumerate(axes):
            part = data.iloc[number * step : (number + 1) * step]
            labels = [f"{readable(r['class'])}  {r['correct']}/{r['images']}" for r in part.to_dict("records")]
            _intervals(ax, part, ("accuracy", "low", "high"), colour=style.COLOURS[0], shift=0.0)
            _names(ax, labels, rows=step)
            ax.axvline(network.index["accuracy"], color=style.GREY, lw=1, ls="--", zorder=0)
            _shares(ax)

    return Drawing(
        name="class_accuracy",
        title=lambda _: "Which classes does the network recognise?",
        draw=_draw,
        size=lambda data: (WIDTH, 1.0 + ROW_INCHES * -(-len(data) // columns)),
        caption=lambda data: (
            f"{network.subject} {len(data)} classes, {network.whole}, the best "
            "first: correct of all images of the class (its recall). Dot: their share; "
            f"{INTERVAL}. Dashed: all classes together, {_percent(network.index['accuracy'])}. Classes whose lines "
            "overlap may well stand in another order."
        ),
        synthetic=network.synthetic,
    )


def superclass_data(network: Network) -> pd.DataFrame:
    """Return the superclasses that have images in the split, the best recognised first."""
    table = network.tables[WITH_SUPERCLASSES]
    return _sorted(table[table["images"] > 0], ["within_accuracy", "accuracy"])


def superclass_drawing(network: Network) -> Drawing:
    """Return the figure of the superclasses; only where the data set has some."""
    table = network.tables[WITH_SUPERCLASSES]
    within = table["within"].sum() / table["images"].sum()

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        ax = figure.subplots()
        _intervals(ax, data, ("within_accuracy", "within_low", "within_high"), colour=OTHER, shift=-0.17)
        _intervals(ax, data, ("accuracy", "low", "high"), colour=SAME, shift=0.17, marker="s")
        labels = [
            f"{readable(r['superclass'])}  {r['within']} | {r['correct']}/{r['images']}"
            for r in data.to_dict("records")
        ]
        _names(ax, labels, rows=len(data))
        _shares(ax)
        handles = [
            Line2D([], [], color=colour, marker=marker, ls="-", lw=1.2, ms=4)
            for colour, marker in ((OTHER, "o"), (SAME, "s"))
        ]
        names = ["any class of the right superclass", "the right class"]
        style.legend(ax, handles, names, loc="lower right")

    return Drawing(
        name="superclass_accuracy",
        title=lambda _: "Does it at least find the right superclass?",
        draw=_draw,
        size=lambda data: (WIDTH, 1.1 + 1.7 * ROW_INCHES * len(data)),
        caption=lambda data: (
            f"{network.subject} {len(data)} superclasses, {network.whole}. Circle: the predicted class is one of the "
            f"image's superclass (all together {_percent(within)}); square: it is the image's own class (all together "
            f"{_percent(network.index['accuracy'])}); {INTERVAL}. Numbers: right superclass | right class / images. "
            "The network knows no superclasses: a prediction's is that of its class."
        ),
        synthetic=network.synthetic,
    )


def pairs_data(network: Network) -> pd.DataFrame:
    """Return the most confused pairs."""
    return network.tables["pairs.csv"]


def pairs_drawing(network: Network) -> Drawing:
    """Return the figure of the most confused pairs; only where there are some."""
    with_superclasses = bool(network.index["data"]["superclasses"])
    wrong = network.index["images"] - network.index["correct"]

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        ax = figure.subplots()
        places = np.arange(len(data))
        colours = [SAME if same == 1 else OTHER for same in data["same_superclass"]]
        ax.barh(places, data["count"], color=colours, height=0.7)
        for y, row in enumerate(data.to_dict("records")):
            text = f" {row['count']} of {row['images']}   (back: {row['back']} of {row['back_images']})"
            ax.text(row["count"], y, text, va="center", fontsize=8.5)
        _names(
            ax, [f"{readable(r['true'])} → {readable(r['predicted'])}" for r in data.to_dict("records")], rows=len(data)
        )
        ax.set_xlim(0, data["count"].max() * 1.45)
        ax.set_xlabel("images")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if with_superclasses:
            patches = [Patch(color=SAME), Patch(color=OTHER)]
            style.legend(ax, patches, ["of one superclass", "of different superclasses"], loc="lower right")

    return Drawing(
        name="confused_pairs",
        title=lambda _: "Which classes does it take for which others?",
        draw=_draw,
        size=lambda data: (WIDTH, 1.2 + 1.6 * ROW_INCHES * len(data)),
        caption=lambda data: (
            f"{network.subject} The {format_count(len(data), 'pair')} with the most images, of all "
            f"{wrong:,} wrong of {network.whole}: class → what it was taken for, and how many of its images; back: how "
            "many of the other class were taken for this one, a pair of its own. On other images neighbours in this "
            "list may well stand in another order."
        ),
        synthetic=network.synthetic,
    )


def _sorted(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return table.sort_values(keys, ascending=False, kind="stable").reset_index(drop=True)


def _intervals(
    ax: Axes, data: pd.DataFrame, columns: tuple[str, str, str], *, colour: str, shift: float, marker: str = "o"
) -> None:
    """Draw a dot and an interval per row, the first on top."""
    share, low, high = columns
    ys = np.arange(len(data)) + shift
    ax.hlines(ys, data[low], data[high], color=colour, lw=1.1, alpha=0.7)
    ax.plot(data[share], ys, marker, color=colour, ms=4)


def _names(ax: Axes, labels: list[str], *, rows: int) -> None:
    ax.set_yticks(range(len(labels)), labels, fontsize=7.5)
    ax.set_ylim(rows - 0.4, -0.6)
    ax.grid(axis="y", visible=False)


def _shares(ax: Axes) -> None:
    ax.set_xlim(-0.01, 1.01)
    ax.xaxis.set_major_formatter(style.percent())
    ax.tick_params(axis="x", labeltop=False)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
