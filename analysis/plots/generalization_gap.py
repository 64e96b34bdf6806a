"""Is it optimization or regularization that differs: training against validation accuracy at the end.

data = generalization_gap_data(results)      # one row per configuration, best first
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_count_range

MAX_POINTS = 1500
COLUMNS = ["label", "optimizer", "train_accuracy", "val_accuracy", "gap", "n", "augmented", "place"]


def generalization_gap_data(results: Results) -> pd.DataFrame:
    """Return (configurations, COLUMNS), best first: accuracies of the last epoch, mean over the n finished seeds.

    `augmented`: whether its training images were augmented.
    """
    board, trials = results.board, results.study.ledger.trials
    usable = board[board["train_accuracy"].notna() & board["val_accuracy"].notna()]
    augmented = [trials[names[0]]["config"]["data"].get("augment", "none") != "none" for names in usable["trials"]]
    data = usable.assign(
        gap=usable["train_accuracy"] - usable["val_accuracy"],
        augmented=augmented,
        place=np.arange(1, len(usable) + 1),
    )
    return data[COLUMNS].reset_index(drop=True)


def draw_generalization_gap(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a point per configuration; on the diagonal training and validation are equal; the best is named."""
    ax = figure.subplots()
    shown = data.head(MAX_POINTS)
    optimizers = sorted(set(shown["optimizer"]))
    for name in optimizers:
        look, points = palette[name], shown[shown["optimizer"] == name]
        ax.plot(
            points["train_accuracy"],
            points["val_accuracy"],
            look.marker,
            color=look.colour,
            ms=6,
            alpha=0.75,
            mec="white",
        )
    low = min(shown["train_accuracy"].min(), shown["val_accuracy"].min())
    high = max(shown["train_accuracy"].max(), shown["val_accuracy"].max())
    pad = 0.05 * (high - low) or 0.01
    ends = [low - pad, high + pad]
    ax.plot(ends, ends, color="black", lw=1, ls="--", zorder=1)
    best = tuple(shown[["train_accuracy", "val_accuracy"]].iloc[0])
    ax.annotate("best", best, (-6, 6), textcoords="offset points", ha="right", weight="bold")
    ax.set(xlim=ends, ylim=ends, xlabel="training accuracy, last epoch", ylabel="validation accuracy, last epoch")
    ax.xaxis.set_major_formatter(style.percent())
    ax.yaxis.set_major_formatter(style.percent())
    handles = [Line2D([], [], ls="", marker=palette[name].marker, color=palette[name].colour) for name in optimizers]
    style.legend(ax, handles, optimizers, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)


def _caption(data: pd.DataFrame) -> str:
    best = data.iloc[0]
    augmented = "with augmentation" + ("" if data["augmented"].all() else " where there is any") + ", "
    return (
        f"{format_count(len(data), 'configuration')}, mean over n = {format_count_range(data['n'])} seeds. The "
        f"training accuracy of the best of the leaderboard is {100 * abs(best['gap']):.1f} points "
        f"{'above' if best['gap'] > 0 else 'below'} its validation accuracy. Below the dashed line: it fits the "
        "training images better than new ones, more the further below, and regularization may help. Above, or low on "
        "both: training itself is the limit. Training accuracy is measured while the weights change, "
        f"{augmented if data['augmented'].any() else ''}so it lags behind."
        + style.cut_note(len(data), MAX_POINTS, "configurations", "generalization_gap")
    )


PLOT = Plot(
    name="generalization_gap",
    section="Training",
    heading="Training and validation",
    title="Is it fitting or generalizing that limits the result?",
    data=generalization_gap_data,
    draw=draw_generalization_gap,
    size=lambda data: (8.6, max(5.0, 1.2 + 0.27 * data["optimizer"].nunique())),
    caption=_caption,
    empty="No configuration has finished with both a training and a validation accuracy.",
    of_scores=True,
)
