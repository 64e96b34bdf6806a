"""Who reaches the target first, and how reliably: the share of training runs that have reached it, by epoch and second.

data = time_to_target_data(results)     # one row per seed of each optimizer's best configuration
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study import stats
from analysis.study.by_seconds import comparable_by_seconds
from analysis.study.results import Results
from ch6dist.catalog.wording import DASH, format_count_range, format_metric, format_seconds, is_finite, metric_label
from ch6dist.runs.schema import Status

MAX_OPTIMIZERS = 16
ROW_INCHES = 0.24
COLUMNS = ["optimizer", "label", "trial", "seed", "status", "target", "epochs", "seconds", "last_epoch"]
SUMMARY = ["median", "low", "high"]  # of epochs and of seconds; infinite: never


def time_to_target_data(results: Results) -> pd.DataFrame:
    """Return one row per ended seed of the best configuration of each optimizer, in the order of the leaderboard.

    `epochs` and `seconds` until the metric first reached the target (seconds of training; NaN where they are not
    comparable): infinite if it never did. With the same in all rows of an optimizer: `share` that reached it, median
    and quartiles (of the distribution drawn, so one of its values). Empty without a target.
    """
    study, board = results.study, results.board
    best = board[board["score"].notna()].drop_duplicates("optimizer")
    target = board["target"].iloc[0] if len(board) else math.nan
    if best.empty or pd.isna(target):
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    rows = best.explode("trials").rename(columns={"trials": "trial"})[["optimizer", "label", "trial"]]
    rows = rows.merge(study.trials[["trial", "seed", "status"]], on="trial", how="left")
    rows = rows[rows["status"].isin([Status.FINISHED, Status.DIVERGED])]
    comparable = set(comparable_by_seconds(study, list(rows["trial"])))
    compared = rows.loc[rows["trial"].isin(comparable), "optimizer"].nunique() == rows["optimizer"].nunique()
    reached = [_reaching(study.rows[trial], study.metric, float(target)) for trial in rows["trial"]]
    data = rows.assign(
        target=float(target),
        epochs=[epochs for epochs, _ in reached],
        seconds=[
            seconds if compared and trial in comparable else math.nan
            for trial, (_, seconds) in zip(rows["trial"], reached, strict=True)
        ],
        last_epoch=[study.rows[trial][-1]["epoch"] if study.rows[trial] else 0 for trial in rows["trial"]],
    )
    return _with_summary(data.reset_index(drop=True)).assign(metric=study.metric)


def _reaching(rows: list[Any], metric: str, target: float) -> tuple[float, float]:
    """Return epochs and training seconds until the metric of a trial first reached the target; infinite: never."""
    position = stats.first_reaching([row.get(metric) for row in rows], target=target)
    if position is None:
        return math.inf, math.inf
    return float(rows[position]["epoch"]), float(sum(row.get("seconds") or 0.0 for row in rows[: position + 1]))


def _with_summary(data: pd.DataFrame) -> pd.DataFrame:
    groups = data.groupby("optimizer")
    found = {"share": groups["epochs"].transform(lambda epochs: np.isfinite(epochs).mean())}
    for unit in ("epochs", "seconds"):
        values = groups[unit].agg(_summary)
        found |= {f"{unit}_{name}": data["optimizer"].map(values.str[i]) for i, name in enumerate(SUMMARY)}
    return data.assign(**found)


def _summary(values: pd.Series) -> tuple[float, float, float]:
    """Return median and quartiles, those that compared by seconds alone; infinite where too few reached the target."""
    known = values.dropna()
    if known.empty:
        return math.nan, math.nan, math.nan
    low, high = np.quantile(known, [0.25, 0.75], method="inverted_cdf")
    return median(known), float(low), float(high)


def draw_time_to_target(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw the shares by epoch and by second side by side, and below a table of medians and quartiles."""
    names = _names(data)
    axes = figure.subplot_mosaic(
        [["epochs", "seconds"], ["table", "table"]], height_ratios=(3.2, ROW_INCHES * (len(names) + 1.5))
    )
    for unit, last in (("epochs", data["last_epoch"].max()), ("seconds", None)):
        known = data[data[unit].notna()]
        if known.empty:
            _say_not_comparable(axes[unit])
            continue
        reached = known.loc[np.isfinite(known[unit]), unit]
        end = float(last if last is not None else 1.05 * max(reached, default=1.0))
        _draw_shares(axes[unit], known, unit, names, palette, end)
    axes["epochs"].set_xlabel("epochs trained")
    axes["epochs"].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes["epochs"].set_ylabel("training runs at the target")
    axes["seconds"].set_xlabel("seconds trained, evaluation excluded")
    _draw_table(axes["table"], data, names, palette)


def _draw_shares(ax: Axes, known: pd.DataFrame, unit: str, names: list[str], palette: Palette, end: float) -> None:
    labels = []
    for name in names:
        values, look = np.sort(known.loc[known["optimizer"] == name, unit].to_numpy()), palette[name]
        if not len(values):
            continue
        steps = values[np.isfinite(values)]
        shares = np.arange(1, len(steps) + 1) / len(values)
        x, y = np.concatenate(([0.0], steps, [end])), np.concatenate(([0.0], shares, [shares[-1] if len(steps) else 0]))
        ax.step(x, y, look.line, where="post", color=look.colour, lw=1.6, alpha=0.9)
        if len(steps):  # an empty line that is not clipped would stretch the layout to the corner of the figure
            ax.plot(steps, shares, look.marker, color=look.colour, ms=5.5, mec="white", mew=0.5, clip_on=False)
        labels.append((float(y[-1]), f"{name} {len(steps)}/{len(values)}", look.colour))
    ax.set_xlim(0, end)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    style.end_labels(ax, labels, inches=2.9)


def _say_not_comparable(ax: Axes) -> None:
    text = "seconds are not comparable:\nlanes or devices differ,\nor seconds are missing"
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=style.GREY)
    ax.set(xticks=[], yticks=[])


def _draw_table(ax: Axes, data: pd.DataFrame, names: list[str], palette: Palette) -> None:
    """Write a row per optimizer: configuration, reached, medians with quartiles."""
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(len(names) + 0.5, -1))
    places = (0.02, 0.55, 0.64, 0.86)
    heads = ("best configuration", "reached", "epochs (quartiles)", "seconds (quartiles)")
    for x, head in zip(places, heads, strict=True):
        ax.text(x, -0.3, head, fontsize=8.5, fontweight="bold", va="center", in_layout=False)
    for y, name in enumerate(names):
        row, runs = data[data["optimizer"] == name].iloc[0], int((data["optimizer"] == name).sum())
        look = palette[name]
        ax.plot(0.005, y + 0.6, look.marker, color=look.colour, ms=6, clip_on=False)
        cells = (
            row["label"],
            f"{round(row['share'] * runs)}/{runs}",
            _three(row, "epochs", lambda value: f"{value:.4g}"),
            _three(row, "seconds", format_seconds),
        )
        for x, cell in zip(places, cells, strict=True):
            colour = look.colour if x == places[0] else "black"
            ax.text(x, y + 0.6, cell, fontsize=8.5, va="center", color=colour, in_layout=False)


def _three(row: pd.Series, unit: str, write: Any) -> str:
    """Return `5 (4 to 6)`; a dash where nothing is known, never where most did not reach the target."""
    values = [row[f"{unit}_{name}"] for name in SUMMARY]
    if pd.isna(values[0]):
        return DASH
    middle, low, high = (write(value) if is_finite(value) else "never" for value in values)
    return middle if low == middle == high else f"{middle} ({low} to {high})"


def _names(data: pd.DataFrame) -> list[str]:
    """Return the optimizers, fastest first."""
    first = data.drop_duplicates("optimizer").sort_values(
        ["epochs_median", "share"], ascending=[True, False], kind="stable"
    )
    return list(first["optimizer"])[:MAX_OPTIMIZERS]


def _caption(data: pd.DataFrame) -> str:
    n, metric = format_count_range(data.groupby("optimizer").size()), data["metric"].iloc[0]
    return (
        f"Target: {metric_label(metric)} {format_metric(data['target'].iloc[0], metric)}, two points below the leader. "
        f"Best configuration of each optimizer (n = {n}); marker: a seed reached the target; the line ends at the "
        "share that did; one that ended or diverged without counts as never. Table: medians and quartiles of the seeds."
        + style.cut_note(data["optimizer"].nunique(), MAX_OPTIMIZERS, "optimizers", "time_to_target")
    )


PLOT = Plot(
    name="time_to_target",
    section="Training",
    heading="Time to target",
    title="Which optimizer reaches the target first, and how reliably?",
    data=time_to_target_data,
    draw=draw_time_to_target,
    size=lambda data: (10.5, 4.3 + ROW_INCHES * (min(MAX_OPTIMIZERS, data["optimizer"].nunique()) + 1)),
    caption=_caption,
    empty="There is no target: it takes an accuracy as metric, and a leader more than two points above chance.",
    of_scores=True,
)
