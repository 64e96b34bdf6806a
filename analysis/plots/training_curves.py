"""How did the best training runs go: overfitting, still improving, schedule as intended?

data = training_curves_data(results)      # one row per epoch and seed of the configurations shown
"""

from __future__ import annotations

from collections import Counter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.leaderboard import chosen
from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count_range

VALUES = ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "momentum"]
COLUMNS = ["order", "role", "label", "optimizer", "trial", "seed", "epoch", *VALUES]
LONG_LABEL = 55  # characters that take more than half of the figure's width
PANELS = (
    ("train_loss", "training loss"),
    ("val_loss", "validation loss"),
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
)


def training_curves_data(results: Results) -> pd.DataFrame:
    """Return (epochs × seeds × configurations, COLUMNS), best first; of unranked trials if nothing is ranked."""
    study, board = results.study, results.board
    shown = chosen(board)
    if shown.empty:
        shown = _unranked(study)
    seeds = study.trials.set_index("trial")["seed"]
    records = [
        {
            "order": order,
            "role": row["role"],
            "label": _label(row),
            "optimizer": row["optimizer"],
            "seed": seeds[trial],
            **{column: line.get(column) for column in ["trial", "epoch", *VALUES]},
        }
        for order, (_, row) in enumerate(shown.iterrows())
        for trial in row["trials"]
        for line in study.rows[trial]
    ]
    return pd.DataFrame(records, columns=pd.Index(COLUMNS)).astype(dict.fromkeys(VALUES, "float64"))


def draw_training_curves(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw losses and accuracies, training left and validation right; below, the learning rate at each epoch's end."""
    axes = figure.subplot_mosaic(
        [["train_loss", "val_loss"], ["train_accuracy", "val_accuracy"], ["lr", "lr"], ["legend", "legend"]],
        height_ratios=(3, 3, 1.5, 0.28 / _legend_columns(data) * data["order"].nunique()),
    )
    handles: list[Line2D] = []
    drawn: Counter[str] = Counter()  # lines by colour: each of a colour gets another dash pattern
    for _, group in data.groupby("order", sort=True):
        first = group.iloc[0]
        colour = palette[first["optimizer"]].colour if first["role"] == "best" else style.GREY
        dash = style.LINES[drawn[colour] % len(style.LINES)]
        drawn[colour] += 1
        lines = {c: _draw_line(axes[c], group, c, colour=colour, dash=dash) for c in (*dict(PANELS), "lr")}
        handles.append(lines["train_loss"])
    for column, name in PANELS:
        _format_axes(axes[column], data, column, name)
    _format_lr_axes(axes["lr"], data)
    labels = [group["label"].iloc[0] for _, group in data.groupby("order", sort=True)]
    axes["legend"].axis("off")
    style.legend(axes["legend"], handles, labels, loc="center left", ncols=_legend_columns(data), fontsize=9)


def _draw_line(ax: Axes, group: pd.DataFrame, column: str, *, colour: str, dash: str) -> Line2D:
    """Draw each seed thin, and the mean, which is returned, thick over the epochs that every seed has completed."""
    table = group.pivot_table(index="epoch", columns="trial", values=column, dropna=False)
    marker = "o" if len(table) == 1 else ""  # a line through one epoch would be invisible
    if column != "lr":
        ax.plot(table.index, table, color=colour, lw=0.7, alpha=0.45, ls=dash, marker=marker, ms=4)
    mean = table.mean(axis=1, skipna=False)
    return ax.plot(mean.index, mean, color=colour, lw=2, ls=dash, marker=marker)[0]


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
    lrs = data.loc[data["lr"] > 0, "lr"]
    if len(lrs) and lrs.max() > 5 * lrs.min():
        style.log_axis(ax, "y", style.lr_formatter())
    else:
        ax.yaxis.set_major_formatter(style.lr_formatter())


def _unranked(study: Study) -> pd.DataFrame:
    """Return rows for what is not ranked: unfinished training runs, or a final training without validation."""
    trials = study.trials[(study.trials["type"] == "train") & study.trials["trial"].isin(study.history["trial"])]
    groups = [group for _, group in trials.groupby("configuration", sort=False)][:5]
    return pd.DataFrame(
        [{**group.iloc[0].to_dict(), "trials": list(group["trial"]), "role": "best", "rank": None} for group in groups]
    )


def _legend_columns(data: pd.DataFrame) -> int:
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
    return (
        (selection if "contrast" in set(data["role"]) else "")  # without a contrast: too few are ranked to choose
        + f"Thin: one seed (n = {n}); thick: their mean over the epochs that all have completed. "
        "Losses are on a logarithmic axis; training values are measured while the weights change, so they lag behind "
        "validation."
    )


PLOT = Plot(
    name="training_curves",
    section="Training",
    heading="Training curves",
    title="How did the best training runs go: overfitting, still improving, schedule as intended?",
    data=training_curves_data,
    draw=draw_training_curves,
    size=lambda data: (9.5, 8.6 + 0.22 * (data["order"].nunique() // _legend_columns(data))),
    caption=_caption,
    empty="No training run has completed an epoch yet.",
)
