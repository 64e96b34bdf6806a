"""The leaderboard as a figure: which configuration won, by how much, and how sure is that?

data = leaderboard_data(results)      # one row per configuration and seed of the best 20
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_count_range, is_fraction, metric_label

SHOWN = 20


def leaderboard_data(results: Results) -> pd.DataFrame:
    """Return one row per seed of the best configurations: rank, label, seed's score, mean, interval, inside."""
    study, board = results.study, results.board
    best = board[board["score"].notna()].head(SHOWN)
    records = [
        {
            "rank": row["rank"],
            "label": row["label"],
            "optimizer": row["optimizer"],
            "metric": study.metric,
            "score": score,
            "mean": row["score"],
            "low": row["low"],
            "high": row["high"],
            "inside": row["inside"] is True,
            "diverged": int(row["diverged"]),
        }
        for _, row in best.iterrows()
        for score in row["scores"]
    ]
    return pd.DataFrame(records)


def draw_leaderboard(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a line per configuration, best on top: dots are seeds, the bar is the 95 % interval of the mean."""
    ax = figure.subplots()
    groups = [group for _, group in data.groupby("label", sort=False)]
    for y, group in enumerate(groups):
        row, look = group.iloc[0], palette[group.iloc[0]["optimizer"]]
        if row["inside"]:
            ax.axhspan(y - 0.5, y + 0.5, color=style.SHADE, lw=0, zorder=0)
        if pd.notna(row["low"]):
            ax.plot([row["low"], row["high"]], [y, y], color=look.colour, lw=2.2, alpha=0.45, solid_capstyle="butt")
        ax.plot(group["score"], [y] * len(group), "o", color=look.colour, ms=4.5, alpha=0.6, mew=0)
        ax.plot(row["mean"], y, "|", color=look.colour, ms=13, mew=2.4)
    ax.set_yticks(range(len(groups)), [_tick_label(group.iloc[0]) for group in groups])
    style.colour_labels(ax.yaxis, [group.iloc[0]["optimizer"] for group in groups], palette)
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    metric = data["metric"].iloc[0]
    _limit_to_scores(ax, data)
    if is_fraction(metric):
        ax.xaxis.set_major_formatter(style.percent())
    ax.set_xlabel(f"{metric_label(metric)} over the last epochs")


def _limit_to_scores(ax: Axes, data: pd.DataFrame) -> None:
    """Limit the axis to the scores of the seeds: the interval of a few seeds may be much wider and is cut."""
    low, high = data["score"].min(), data["score"].max()
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 0.01
    ax.set_xlim(low - pad, high + pad)


def _tick_label(row: pd.Series) -> str:
    rank = f"{row['rank']:.0f}. " if pd.notna(row["rank"]) else ""
    return f"{rank}{row['label']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def _caption(data: pd.DataFrame) -> str:
    n = data.groupby("label").size()
    shaded = "the best and those that cannot be told from it (Hsu's comparison with the best, 95 %)"
    if not data["inside"].any():
        shaded = "nothing, since nothing complete has learned"
    return (
        f"The best {format_count(len(n), 'configuration')}. Dots: seeds (n = {format_count_range(n)}); tick: their "
        f"mean; bar: 95 % Student t interval of the mean, cut at the frame. Shaded: {shaded}."
    )


PLOT = Plot(
    name="leaderboard",
    section="What won",
    heading="The best configurations",
    title="Which configuration won, by how much, and how sure is that?",
    data=leaderboard_data,
    draw=draw_leaderboard,
    size=lambda data: (9.5, 1.9 + 0.3 * data["label"].nunique()),
    caption=_caption,
    empty="Nothing to rank: no training run has finished, other than final training runs.",
)
