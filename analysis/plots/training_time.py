"""Is the slower optimizer worth it per second: the curves of the best configurations over their training seconds.

data = training_time_data(results)      # one row per epoch and seed of the configurations shown
"""

from __future__ import annotations

from collections import Counter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Look, Palette
from analysis.plots.training_curves import (
    COLUMNS,
    curve_rows,
    draw_mean,
    draw_seeds,
    legend_columns,
    line_look,
    mark_diverged,
)
from analysis.study.by_seconds import comparable_by_seconds
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_count_range, metric_label
from ch6dist.runs.schema import Status


def training_time_data(results: Results) -> pd.DataFrame:
    """Return the rows of the training curves with `elapsed`, training seconds since the start, evaluation excluded.

    Only training runs of equal lanes on one device; `left_out`: how many configurations have none of these. Empty if
    fewer than two configurations are left, or one where only one was trained.
    """
    own = [name for name in (results.study.metric,) if name not in COLUMNS]
    rows = curve_rows(results, extra=("seconds", "lanes", *own))
    kept = comparable_by_seconds(results.study, list(rows["trial"].unique()))
    shown = rows[rows["trial"].isin(kept)].drop(columns="seconds")
    total = rows["order"].nunique()
    if shown["order"].nunique() < min(2, total) or shown.empty:
        return pd.DataFrame(columns=pd.Index([*COLUMNS, "lanes", "elapsed"]))
    elapsed = rows.groupby("trial", sort=False)["seconds"].cumsum()[shown.index]
    metric, goal = results.study.metric, results.study.goal
    shown = shown.assign(lanes=shown["lanes"].fillna(1.0))  # as comparable_by_seconds counts those without
    return shown.assign(elapsed=elapsed, metric=metric, goal=goal, left_out=total - shown["order"].nunique())


def draw_training_time(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw the metric and the training loss over the seconds; below, the learning rate."""
    metric, columns = data["metric"].iloc[0], legend_columns(data)
    axes = figure.subplot_mosaic(
        [["metric", "train_loss"], ["lr", "lr"], ["legend", "legend"]],
        height_ratios=(3.4, 1.3, 0.28 / columns * data["order"].nunique()),
    )
    handles: list[Line2D] = []
    drawn: Counter[str] = Counter()
    for _, group in data.groupby("order", sort=True):
        look = line_look(group, palette, drawn)
        for panel, column in (("metric", metric), ("train_loss", "train_loss"), ("lr", "lr")):
            line = _draw_line(axes[panel], group, column, look)
        handles.append(line)
    for panel, title in (("metric", metric_label(metric)), ("train_loss", "training loss"), ("lr", "learning rate")):
        axes[panel].set_title(title)
        axes[panel].set_xlabel("training seconds")
        axes[panel].set_xlim(left=0)
    style.metric_axis(axes["metric"], metric)
    if (data["train_loss"] > 0).any():
        style.loss_axis(axes["train_loss"])
    style.lr_values_axis(axes["lr"], data["lr"])
    labels = [group["label"].iloc[0] for _, group in data.groupby("order", sort=True)]
    axes["legend"].axis("off")
    style.legend(axes["legend"], handles, labels, loc="center left", ncols=columns, fontsize=9)


def _draw_line(ax: Axes, group: pd.DataFrame, column: str, look: Look) -> Line2D:
    """Draw each seed thin, and thick the mean over the epochs that all have: of the values and of the seconds."""
    if column != "lr":
        for _, seed in group.groupby("trial", sort=False):
            draw_seeds(ax, seed["elapsed"], seed[column], look)
        mark_diverged(ax, group, "elapsed", column)
    epochs = group.groupby("epoch", sort=True)
    complete = epochs[column].count() == group["trial"].nunique()
    return draw_mean(ax, epochs["elapsed"].mean()[complete], epochs[column].mean()[complete], look)


def _caption(data: pd.DataFrame) -> str:
    n = format_count_range(data.groupby("order")["trial"].nunique())
    lanes, left_out = int(data["lanes"].iloc[0]), int(data["left_out"].iloc[0])
    share = f"1/{lanes} of a device that {lanes} training runs shared" if lanes > 1 else "a device for itself"
    without = (
        f" Without {format_count(left_out, 'configuration')} trained with other lanes or on another device, whose "
        "seconds mean something else."
        if left_out
        else ""
    )
    diverged = " Red X: diverged." if (data["status"] == Status.DIVERGED).any() else ""
    return (
        "The configurations of the training curves over their training seconds, evaluation excluded; each had "
        f"{share}. Thin: one seed (n = {n}); thick: mean of seconds and values over the epochs that all have completed."
        f"{without}{diverged}"
    )


PLOT = Plot(
    name="training_time",
    section="Cost",
    heading="Training curves by second",
    title="Is the slower configuration worth it per second?",
    data=training_time_data,
    draw=draw_training_time,
    size=lambda data: (9.5, 5.9 + 0.22 * (data["order"].nunique() // legend_columns(data))),
    caption=_caption,
    empty=(
        "The training runs to compare have no seconds, or had different lanes or devices, so that their seconds do not "
        "mean the same."
    ),
    of_scores=True,
)
