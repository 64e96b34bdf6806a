"""Overfitting? Still improving at the end? Did the schedule do what I think?

data = training_curves_data(study, board)      # one row per epoch and seed of the configurations shown
"""

from __future__ import annotations

from collections import Counter

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.leaderboard import chosen
from analysis.study.load import Study
from analysis.text import configuration

VALUES = ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "momentum"]
COLUMNS = ["order", "role", "label", "optimizer", "trial", "seed", "epoch", *VALUES]
PANELS = (
    ("train_loss", "training loss"),
    ("val_loss", "validation loss"),
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
)


def training_curves_data(study: Study, board: pd.DataFrame) -> pd.DataFrame:
    """(epochs × seeds × configurations, COLUMNS), in the order of the leaderboard; final trainings if it is empty."""
    shown = chosen(board)
    if shown.empty:
        shown = _unranked(study)
    seeds = study.trials.set_index("trial")["seed"]
    records = [
        {
            "order": order,
            "role": row["role"],
            "label": _label(row, several=len(study.runs) > 1),
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
    """Losses and accuracies, training left and validation right, with the rate each epoch ended on below."""
    axes = figure.subplot_mosaic(
        [["train_loss", "val_loss"], ["train_accuracy", "val_accuracy"], ["lr", "lr"], ["legend", "legend"]],
        height_ratios=(3, 3, 1.5, 0.14 * data["order"].nunique()),
    )
    drawn: Counter[str] = Counter()  # lines of a colour: the next one is dashed otherwise
    for _, group in data.groupby("order", sort=True):
        first = group.iloc[0]
        colour = palette[first["optimizer"]].colour if first["role"] == "best" else style.GREY
        dash = style.LINES[drawn[colour] % len(style.LINES)]
        drawn[colour] += 1
        for column, _ in (*PANELS, ("lr", "")):
            _draw_line(axes[column], group, column, colour=colour, dash=dash)
    for column, name in PANELS:
        _dress(axes[column], data, column, name)
    _dress_rates(axes["lr"], data)
    handles, labels = axes["train_loss"].get_legend_handles_labels()
    axes["legend"].axis("off")
    axes["legend"].legend(handles, labels, loc="center left", ncols=2, fontsize=9, borderaxespad=0)


def _draw_line(ax: Axes, group: pd.DataFrame, column: str, *, colour: str, dash: str) -> None:
    """Each seed thin, the mean thick over the epochs that every seed reached."""
    table = group.pivot_table(index="epoch", columns="trial", values=column, dropna=False)
    if column != "lr":
        ax.plot(table.index, table, color=colour, lw=0.7, alpha=0.45, ls=dash)
    mean = table.mean(axis=1, skipna=False)
    ax.plot(mean.index, mean, color=colour, lw=2, ls=dash, label=group["label"].iloc[0])


def _dress(ax: Axes, data: pd.DataFrame, column: str, name: str) -> None:
    ax.set_title(name)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if column.endswith("loss") and (data[column] > 0).any():
        ax.set_yscale("log")
        style.plain_log_ticks(ax.yaxis)
    style.metric_axis(ax, column)
    if data[column].isna().all():
        ax.text(0.5, 0.5, "no validation split", transform=ax.transAxes, ha="center", color=style.GREY)


def _dress_rates(ax: Axes, data: pd.DataFrame) -> None:
    ax.set_title("learning rate used in the epoch's last step")
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    rates = data.loc[data["lr"] > 0, "lr"]
    if len(rates) and rates.max() > 5 * rates.min():
        ax.set_yscale("log")
    ax.yaxis.set_major_formatter(style.lr_formatter())


def _unranked(study: Study) -> pd.DataFrame:
    """What still trains, or a final training without validation: shown though nothing ranks it."""
    trials = study.trials[(study.trials["type"] == "train") & study.trials["trial"].map(lambda t: bool(study.rows[t]))]
    groups = [group for _, group in trials.groupby("configuration", sort=False)][:5]
    return pd.DataFrame(
        [{**group.iloc[0].to_dict(), "trials": list(group["trial"]), "role": "best", "rank": None} for group in groups]
    )


def _label(row: pd.Series, *, several: bool) -> str:
    name = configuration(row, run=several)
    if row["role"] == "contrast":
        return f"{name} (worst finished, as contrast)"
    return f"{row['rank']:.0f}. {name}" if pd.notna(row["rank"]) else name


def _caption(data: pd.DataFrame) -> str:
    counts = data.groupby("order")["trial"].nunique()
    n = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return (
        "The best configuration of each optimizer, then of each schedule, then the next of the leaderboard; grey: the "
        f"worst that finished. Thin: one seed (n = {n}); thick: their mean, as far as all have come. Losses are on a "
        "logarithmic axis; training values are taken while the weights move, so they lag behind validation."
    )


PLOT = Plot(
    name="training_curves",
    heading="Training curves",
    title="How did the best trainings go: overfitting, still improving, schedule as meant?",
    data=training_curves_data,
    draw=draw_training_curves,
    size=lambda data: (9.5, 8.6 + 0.22 * (data["order"].nunique() // 2)),
    caption=_caption,
    empty="No training has completed an epoch yet.",
)
