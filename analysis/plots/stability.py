"""Is a result repeatable, or a lucky last epoch: the score against how much a training wobbles at its end.

data = stability_data(results)      # one row per configuration, best first; then one per optimizer, what diverged
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from analysis.plots import style, yardstick
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.compared import yardstick_columns
from analysis.study.leaderboard import LATE_EPOCHS
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_count_range, is_fraction, metric_label

SHOWN = 60
NUMBERED = 8  # of the best: the rank stands beside the marker
COLUMNS = ["kind", "rank", "label", "optimizer", "wobble", "score", "std", "n", "lost", "tried", "of"]


def stability_data(results: Results) -> pd.DataFrame:
    """Return one row per configuration of the best (`kind` configuration), and one per optimizer (`kind` optimizer).

    `wobble`: standard deviation over the last epochs of a training run, mean over seeds; `std`: over seeds, NaN with
    one; `lost` of `tried`: training runs that diverged, among those that finished, diverged or were stopped by the
    sweep's own rule. Empty where no training run has three epochs.
    """
    board = results.board
    rows = board[board["score"].notna() & board["late_epoch_std"].notna()]
    if rows.empty:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    rows = rows.rename(columns={"late_epoch_std": "wobble", "diverged": "lost"}).assign(
        kind="configuration", tried=rows["n"] + rows["diverged"], of=len(rows)
    )
    stopped = results.study.trials.loc[results.study.trials["by_rule"], "configuration"].value_counts()
    ended = board["n"] + board["diverged"] + board["configuration"].map(stopped).fillna(0)
    totals = board.assign(lost=board["diverged"], tried=ended)
    totals = totals.groupby("optimizer", sort=True)[["lost", "tried"]].sum().reset_index()
    data = pd.concat([rows.head(SHOWN), totals.assign(kind="optimizer")], ignore_index=True)
    numbers = ["rank", "wobble", "score", "std", "n", "of"]
    data = data.reindex(columns=pd.Index(COLUMNS)).astype(dict.fromkeys(numbers, "float64"))
    return data.astype({"lost": int, "tried": int}).assign(**yardstick_columns(results))


def draw_stability(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a marker per configuration, good at the upper left; beside it, the share of each optimizer that diverged."""
    shown, totals = data[data["kind"] == "configuration"], data[data["kind"] == "optimizer"]
    left, right = figure.subplots(1, 2, width_ratios=(3.4, 1))
    for optimizer, group in shown.groupby("optimizer", sort=True):
        look = palette[str(optimizer)]
        left.errorbar(
            group["wobble"], group["score"], yerr=group["std"].fillna(0), fmt=look.marker, color=look.colour,
            ms=6, lw=0, elinewidth=1, alpha=0.85, mec="white", mew=0.5,
        )  # fmt: skip
        lost = group[group["lost"] > 0]
        left.plot(lost["wobble"], lost["score"], "x", color=style.RED, ms=9, mew=1.6, zorder=4)
    _number_the_best(left, shown)
    _format_axes(left, shown)
    _draw_lost(right, totals, palette)


def _number_the_best(ax: Axes, shown: pd.DataFrame) -> None:
    """Write the rank beside the best, where no other marker is in the way."""
    x = shown["wobble"] / (shown["wobble"].max() or 1)
    y = (shown["score"] - shown["score"].min()) / (np.ptp(shown["score"]) or 1)
    y = 1 - y if shown["goal"].iloc[0] == "minimize" else y
    for i in range(min(NUMBERED, int(shown["rank"].notna().sum()))):
        row, dx, dy = shown.iloc[i], x - x.iloc[i], y - y.iloc[i]
        if not (dx.between(0.002, 0.04) & dy.between(-0.01, 0.07)).any():
            where = (row["wobble"], row["score"])
            ax.annotate(f"{row['rank']:.0f}", where, (5, 4), textcoords="offset points", fontsize=8)


def _format_axes(ax: Axes, shown: pd.DataFrame) -> None:
    metric, small = shown["metric"].iloc[0], shown["goal"].iloc[0] == "minimize"
    spread = shown["std"].fillna(0)
    low, high = (shown["score"] - spread).min(), (shown["score"] + spread).max()
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 0.01
    ax.set_ylim(*((high + pad, low - pad) if small else (low - pad, high + pad)))
    ax.set_xlim(0, 1.08 * shown["wobble"].max() or 0.01)
    style.metric_axis(ax, metric)
    if is_fraction(metric):
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}"))
    unit = " (points)" if is_fraction(metric) else ""
    ax.set_xlabel(f"steady ←  std over the last {LATE_EPOCHS} epochs{unit}  → wobbling")
    ax.set_ylabel(metric_label(metric) + (", small is up" if small else ""))
    ax.set_title("upper left is good: high and steady" if not small else "upper left is good: low loss and steady")
    yardstick.draw_beside(ax, shown, shown["score"].min() if small else shown["score"].max())


def _draw_lost(ax: Axes, totals: pd.DataFrame, palette: Palette) -> None:
    """Draw the share of each optimizer's training runs that diverged, as a bar from 0; it is the legend as well."""
    shares = totals["lost"] / totals["tried"].clip(lower=1)
    ax.barh(range(len(totals)), shares, color=style.RED, height=0.5)
    for y, (_, row) in enumerate(totals.iterrows()):
        look = palette[str(row["optimizer"])]
        ax.plot(-0.07, y, look.marker, color=look.colour, ms=6, clip_on=False)
        ax.text(1.08, y, f"{row['lost']}/{row['tried']}", va="center", fontsize=8.5)
    ax.set_yticks(range(len(totals)), list(totals["optimizer"]))
    style.colour_labels(ax.yaxis, list(totals["optimizer"]), palette)
    ax.tick_params(axis="y", pad=19, length=0)
    ax.set_ylim(max(len(totals), 4) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0", "50", "100 %"])
    ax.set_title("diverged")
    ax.grid(axis="y", visible=False)


def _size(data: pd.DataFrame) -> tuple[float, float]:
    optimizers = int((data["kind"] == "optimizer").sum())
    return 10.5, max(4.8, 1.4 + 0.3 * optimizers)


def _caption(data: pd.DataFrame) -> str:
    shown = data[data["kind"] == "configuration"]
    bars = "; bar: ± std over its seeds" if shown["std"].notna().any() else ""
    lost = "; red X on a marker: some of its seeds diverged" if shown["lost"].any() else ""
    return (
        f"Markers: {format_count(len(shown), 'configuration')}, each the mean of the last epochs over its seeds (n = "
        f"{format_count_range(shown['n'])}){bars}{lost}; numbers: ranks of the best, where there is room. How much a "
        "run wobbles late and how far seeds differ are two things: one is read across, the other from the bars. "
        "Right, from 0: share of all training runs of each optimizer that diverged."
        + yardstick.note(shown)
        + style.cut_note(int(shown["of"].iloc[0]), len(shown), "configurations", "leaderboard").replace(
            "data/leaderboard.csv", "leaderboard.csv"
        )
    )


PLOT = Plot(
    name="stability",
    section="How sure",
    heading="Stability",
    title="Is the result repeatable, or a lucky last epoch?",
    data=stability_data,
    draw=draw_stability,
    size=_size,
    caption=_caption,
    empty="No training run has finished three epochs or more, so there is no wobble to measure.",
    of_scores=True,
)
