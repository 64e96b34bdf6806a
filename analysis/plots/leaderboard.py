"""The leaderboard as a figure: which configuration won, by how much, and how sure is that?

data = leaderboard_data(results)      # one row per configuration and seed of the best 20
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style, yardstick
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.compared import inside, yardstick_columns
from analysis.study.results import Results
from ch6dist.catalog.wording import (
    format_count,
    format_count_range,
    format_difference,
    format_probability,
    is_finite,
    is_fraction,
    metric_label,
)
from ch6dist.verdict.verdict import Verdict

SHOWN = 20
COLUMNS = ["rank", "label", "optimizer", "score", "mean", "low", "high", "inside", "p_best", "diverged"]


def leaderboard_data(results: Results) -> pd.DataFrame:
    """Return one row per seed of the best configurations: the seed's score, and its configuration's mean and interval.

    `inside`: in the set of the best; `p_best`: probability of being the best, NaN where nothing was compared. What the
    comparison rests on is the same in all rows: state, sd (pooled over `pooled` configurations), resolution, …
    """
    best = results.board[results.board["score"].notna()].head(SHOWN)
    best = best.assign(inside=inside(results, best)).rename(columns={"score": "mean"})
    rows = best.explode("scores").rename(columns={"scores": "score"})
    data = rows[COLUMNS].reset_index(drop=True)
    data = data.astype(dict.fromkeys(("score", "mean", "low", "high", "p_best"), "float64"))
    return data.assign(diverged=data["diverged"].astype(int), **yardstick_columns(results), **_basis(results.verdict))


def _basis(verdict: Verdict) -> dict[str, Any]:
    """Return what a comparison rests on, the same for all rows."""
    return {
        "state": verdict.state,
        "sd": verdict.sd,
        "pooled": verdict.pooled,
        "why_not_pooled": verdict.why_not_pooled,
        "number": len(verdict.compared),
        "fresh": verdict.fresh,
    }


def draw_leaderboard(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a line per configuration, best on top: dots are seeds, the bar is the 95 % interval of the mean."""
    ax = figure.subplots()
    groups = [group for _, group in data.groupby("label", sort=False)]
    _limit_to_scores(ax, data)
    for y, group in enumerate(groups):
        row, look = group.iloc[0], palette[group.iloc[0]["optimizer"]]
        if row["inside"]:
            ax.axhspan(y - 0.5, y + 0.5, color=style.SHADE, lw=0, zorder=0)
        if pd.notna(row["low"]):
            ax.plot([row["low"], row["high"]], [y, y], color=look.colour, lw=2.2, alpha=0.45, solid_capstyle="butt")
        ax.plot(group["score"], [y] * len(group), look.marker, color=look.colour, ms=4.5, alpha=0.85, mew=0)
        ax.plot(row["mean"], y, "|", color=look.colour, ms=13, mew=2.4)
        if pd.notna(row["p_best"]):
            text = f"P(best) {format_probability(row['p_best'])}"
            colour = "black" if row["inside"] else style.GREY
            where: Any = ("axes fraction", "data")
            ax.annotate(text, (1.01, y), xycoords=where, va="center", fontsize=8.5, color=colour)
    first = _draw_yardstick(ax, data)
    ax.set_yticks(range(len(groups)), [_tick_label(group.iloc[0]) for group in groups])
    style.colour_labels(ax.yaxis, [group.iloc[0]["optimizer"] for group in groups], palette)
    ax.set_ylim(len(groups) - 0.5, first - 0.5)
    ax.grid(axis="y", visible=False)
    metric = data["metric"].iloc[0]
    if is_fraction(metric):
        ax.xaxis.set_major_formatter(style.percent())
    ax.set_xlabel(f"{metric_label(metric)} over the last epochs")


def _draw_yardstick(ax: Axes, data: pd.DataFrame) -> int:
    """Draw the yardstick as a row above the first, from the leader's mean; return the row where the figure begins."""
    row = data.iloc[0]
    length = row["resolution"]
    if not is_finite(length):
        return 0
    low, high = ax.get_xlim()
    ends = sorted((row["mean"], row["mean"] + (length if row["goal"] == "minimize" else -length)))
    ax.plot([max(ends[0], low), min(ends[1], high)], [-1, -1], color="black", lw=1.6)
    for end in (end for end in ends if low <= end <= high):
        ax.plot(end, -1, "|", color="black", ms=8, mew=1.6)
    text, at_left = f"{format_difference(length, row['metric'])} told apart", ends[0] - low > high - ends[1]
    end, shift, side = (ends[0], -6, "right") if at_left else (ends[1], 6, "left")
    if max(ends[0] - low, high - ends[1]) > 0.3 * (high - low):
        ax.annotate(text, (end, -1), (shift, 0), textcoords="offset points", ha=side, va="center", fontsize=8)
    else:  # no room beside it
        ax.annotate(text, ((low + high) / 2, -1), (0, 2), textcoords="offset points", ha="center", fontsize=8)
    return -1


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
    fresh = ", of those compared the fresh ones, which took no part in the choice" if data["fresh"].iloc[0] else ""
    bar = " bar: 95 % Student t interval of the mean, cut at the frame." if data["low"].notna().any() else ""
    return (
        f"The best {format_count(len(n), 'configuration')}. Dots: seeds (n = {format_count_range(n)}{fresh}); tick: "
        f"their mean{';' if bar else '.'}{bar} {_comparison(data)}{yardstick.note(data)}"
    )


def _comparison(data: pd.DataFrame) -> str:
    """Return what is shaded and what that rests on, or why nothing is."""
    row = data.iloc[0]
    if row["state"] == "repeat":
        return "Nothing is shaded: with one seed each, nothing tells a difference from chance. Repeat with more seeds."
    if row["state"] != "compared":
        why = "all are at chance" if row["state"] == "chance" else "none has finished with all its seeds"
        return f"Nothing is shaded: no configuration can be compared, {why}."
    if row["number"] < 2:
        return "Nothing to compare it with: no other configuration learned and finished with all its seeds."
    spread = (
        f"each by its own standard deviation, as {row['why_not_pooled']}"
        if row["why_not_pooled"]
        else f"standard deviation {format_difference(row['sd'], row['metric'])}, "
        f"pooled over {format_count(int(row['pooled']), 'configuration')}"
    )
    return (
        f"Shaded: what may be the best of {format_count(int(row['number']), 'configuration')} that learned "
        f"(Hsu's comparison with the best, 95 %; {spread}); P(best): how probably each one is."
    )


PLOT = Plot(
    name="leaderboard",
    section="What won",
    heading="The best configurations",
    title="Which configuration won, by how much, and how sure is that?",
    data=leaderboard_data,
    draw=draw_leaderboard,
    size=lambda data: (9.5, 2.0 + 0.3 * data["label"].nunique()),
    caption=_caption,
    empty="Nothing to rank: no training run has finished, other than final training runs.",
    of_scores=True,
)
