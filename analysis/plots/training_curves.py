"""How did the best training runs go: overfitting, still improving, schedule as intended?

data = training_curves_data(results)      # one row per epoch and seed of the configurations shown
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Look, Palette
from analysis.study.leaderboard import chosen
from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count_range
from ch6dist.runs.schema import Status

VALUES = ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "momentum"]
COLUMNS = ["order", "role", "label", "optimizer", "trial", "seed", "status", "epoch", *VALUES]
LONG_LABEL = 55  # characters that take more than half of the figure's width
PANELS = (
    ("train_loss", "training loss"),
    ("val_loss", "validation loss"),
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
)


def training_curves_data(results: Results) -> pd.DataFrame:
    """Return (epochs × seeds × configurations, COLUMNS), best first; of unranked trials if nothing is ranked."""
    return curve_rows(results)


def curve_rows(results: Results, *, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Return the epochs of the configurations that figures of curves show: COLUMNS, and more columns of the rows."""
    study, board = results.study, results.board
    shown = chosen(board)
    if shown.empty:
        shown = _unranked(study)
    trials = study.trials.set_index("trial")[["seed", "status"]]
    records = [
        {
            "order": order,
            "role": row["role"],
            "label": _label(row),
            "optimizer": row["optimizer"],
            **trials.loc[trial].to_dict(),
            **{column: line.get(column) for column in ["trial", "epoch", *VALUES, *extra]},
        }
        for order, (_, row) in enumerate(shown.iterrows())
        for trial in row["trials"]
        for line in study.rows[trial]
    ]
    numbers = dict.fromkeys([*VALUES, *extra], "float64")
    return pd.DataFrame(records, columns=pd.Index([*COLUMNS, *extra])).astype(numbers)


def draw_training_curves(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw losses and accuracies, training left and validation right; below, the learning rate at each epoch's end."""
    axes = figure.subplot_mosaic(
        [["train_loss", "val_loss"], ["train_accuracy", "val_accuracy"], ["lr", "lr"], ["legend", "legend"]],
        height_ratios=(3, 3, 1.5, 0.28 / legend_columns(data) * data["order"].nunique()),
    )
    handles: list[Line2D] = []
    drawn: Counter[str] = Counter()  # lines by colour: each of a colour gets another dash pattern
    for _, group in data.groupby("order", sort=True):
        look = line_look(group, palette, drawn)
        lines = {column: _draw_line(axes[column], group, column, look) for column in (*dict(PANELS), "lr")}
        handles.append(lines["train_loss"])
    for column, name in PANELS:
        _format_axes(axes[column], data, column, name)
    _format_lr_axes(axes["lr"], data)
    labels = [group["label"].iloc[0] for _, group in data.groupby("order", sort=True)]
    axes["legend"].axis("off")
    style.legend(axes["legend"], handles, labels, loc="center left", ncols=legend_columns(data), fontsize=9)


def line_look(group: pd.DataFrame, palette: Palette, drawn: Counter[str]) -> Look:
    """Return how the lines of a configuration look; `drawn` counts the lines of each colour."""
    first = group.iloc[0]
    optimizer = palette[first["optimizer"]]
    colour, marker = (optimizer.colour, optimizer.marker) if first["role"] == "best" else (style.GREY, "")
    dash = style.LINES[drawn[colour] % len(style.LINES)]
    drawn[colour] += 1
    return Look(colour, marker, dash)


def _draw_line(ax: Axes, group: pd.DataFrame, column: str, look: Look) -> Line2D:
    """Draw each seed thin, and the mean, which is returned, thick over the epochs that every seed has completed."""
    table = group.pivot_table(index="epoch", columns="trial", values=column, dropna=False)
    if column != "lr":
        draw_seeds(ax, table.index, table, look)
        mark_diverged(ax, group, "epoch", column)
    mean = table.mean(axis=1, skipna=False)
    return draw_mean(ax, mean.index, mean, look)


def draw_seeds(ax: Axes, x: Any, y: Any, look: Look) -> None:
    """Draw thin lines; as points through one epoch, where a line would be invisible."""
    ax.plot(x, y, color=look.colour, ls=look.line, lw=0.7, alpha=0.45, marker=_point(x, look), ms=4)


def draw_mean(ax: Axes, x: Any, y: Any, look: Look) -> Line2D:
    """Draw a thick line with some markers, which tell it apart without colours, and return it."""
    every = 0.15 if len(x) > 8 and np.isfinite(y).any() else 1  # matplotlib cannot measure a line that is not there
    marker = _point(x, look) or look.marker
    return ax.plot(x, y, color=look.colour, ls=look.line, lw=2, marker=marker, ms=5, markevery=every)[0]


def _point(x: Any, look: Look) -> str:
    return (look.marker or "o") if len(x) == 1 else ""


def mark_diverged(ax: Axes, group: pd.DataFrame, x: str, y: str) -> None:
    """Draw a red X where the line of each diverged seed ends."""
    ends = group[(group["status"] == Status.DIVERGED) & group[y].notna()].drop_duplicates("trial", keep="last")
    if len(ends):
        ax.plot(ends[x], ends[y], "x", color=style.RED, ms=7, mew=1.8, zorder=4)


def _format_axes(ax: Axes, data: pd.DataFrame, column: str, name: str) -> None:
    ax.set_title(name)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if column.endswith("loss") and (data[column] > 0).any():
        style.loss_axis(ax)
    style.metric_axis(ax, column)
    if data[column].isna().all():
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "no validation split", transform=ax.transAxes, ha="center", color=style.GREY)


def _format_lr_axes(ax: Axes, data: pd.DataFrame) -> None:
    ax.set_title("learning rate used in the epoch's last step")
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    style.lr_values_axis(ax, data["lr"])


def _unranked(study: Study) -> pd.DataFrame:
    """Return rows for what is not ranked: unfinished training runs, or a final training without validation."""
    trials = study.trials[(study.trials["type"] == "train") & study.trials["trial"].isin(study.history["trial"])]
    groups = [group for _, group in trials.groupby("configuration", sort=False)][:5]
    return pd.DataFrame(
        [{**group.iloc[0].to_dict(), "trials": list(group["trial"]), "role": "best", "rank": None} for group in groups]
    )


def legend_columns(data: pd.DataFrame) -> int:
    """Return how many labels fit beside each other: a wider legend would squeeze the panels."""
    return 1 if data["label"].str.len().max() > LONG_LABEL else 2


def _label(row: pd.Series) -> str:
    name = row["label"]
    if row["role"] == "contrast":
        return f"{name} (worst finished, as contrast)"
    return f"{row['rank']:.0f}. {name}" if pd.notna(row["rank"]) else str(name)


def _caption(data: pd.DataFrame) -> str:
    n = format_count_range(data.groupby("order")["trial"].nunique())
    selection = (
        "The best configuration of each optimizer, then of each schedule, then the next of the leaderboard; grey: the "
        "worst that finished. "
    )
    diverged = " Red X: diverged." if (data["status"] == Status.DIVERGED).any() else ""
    return (
        (selection if "contrast" in set(data["role"]) else "")  # without a contrast: too few are ranked to choose
        + f"Thin: one seed (n = {n}); thick: their mean over the epochs that all have completed. "
        "Losses are on a logarithmic axis; training values are measured while the weights change, so they lag behind "
        "validation." + diverged
    )


PLOT = Plot(
    name="training_curves",
    section="Training",
    heading="Training curves",
    title="How did the best training runs go: overfitting, still improving, schedule as intended?",
    data=training_curves_data,
    draw=draw_training_curves,
    size=lambda data: (9.5, 8.6 + 0.22 * (data["order"].nunique() // legend_columns(data))),
    caption=_caption,
    empty="No training run has completed an epoch yet.",
    of_scores=True,
)
