"""Do optimizer and schedule interact: each pair at its best learning rate.

data = optimizer_schedule_data(results)     # one row per optimizer and schedule, those without an outcome included
"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.plots import style, yardstick
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.compared import inside, yardstick_columns
from analysis.study.results import Results
from analysis.study.tuned import best_per_level
from ch6dist.catalog.labels import NO_SCHEDULE
from ch6dist.catalog.wording import format_count_range, format_difference, format_metric, is_fraction, metric_label

MAX_ROWS, MAX_COLUMNS = 20, 8
CELL = (1.3, 0.5)  # inches
NAME_INCHES = 2.3
COLUMNS = [
    "optimizer", "schedule", "mean", "half", "n", "lr", "label", "inside", "candidates", "tried", "lost", "cells",
]  # fmt: skip


def optimizer_schedule_data(results: Results) -> pd.DataFrame:
    """Return one row per optimizer × schedule: the best configuration's mean, and half its 95 % interval (n ≥ 2).

    A pair without an outcome has no candidates; one whose candidates all have a diverged seed, no mean. Empty unless
    there are two optimizers and two schedules. Best rows and columns come first, by their mean over the pairs.
    """
    board = results.board
    names = {axis: board[axis].unique() for axis in ("optimizer", "scheduler")}
    if min(len(levels) for levels in names.values()) < 2:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    pairs = pd.Series(list(zip(board["optimizer"], board["scheduler"], strict=True)), index=board["configuration"])
    best = best_per_level(board, pairs)
    if best.empty:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    best = best.assign(
        mean=best["score"],
        half=(best["high"] - best["low"]) / 2,
        lr=best["lr_text"],
        inside=inside(results, best),
    ).set_index(["optimizer", "scheduler"])
    order = [_by_mean(best, axis, list(levels), results.study.sign) for axis, levels in names.items()]
    cells = best.reindex(pd.MultiIndex.from_product(order, names=["optimizer", "schedule"])).reset_index()
    counts = {column: cells[column].fillna(0).astype(int) for column in ("candidates", "tried", "lost", "n")}
    text = {column: cells[column].fillna("") for column in ("label", "lr")}
    cells = cells.assign(**counts, **text, inside=cells["inside"].eq(True), cells=best["mean"].notna().sum())
    return cells[COLUMNS].assign(**yardstick_columns(results))


def _by_mean(best: pd.DataFrame, axis: str, levels: list[str], sign: int) -> list[str]:
    means = best.groupby(axis)["mean"].mean().reindex(levels)
    return list((sign * means).sort_values(ascending=False, kind="stable", na_position="last").index)


def draw_optimizer_schedule(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw the table, with the mean of each row at the right and of each column below."""
    rows, columns = _names(data)
    ax = figure.subplots()
    sign = -1.0 if data["goal"].iloc[0] == "minimize" else 1.0
    shown = data["mean"].dropna()
    norm = Normalize(*(np.quantile(sign * shown, [0.1, 1]) if len(shown) else (0, 1)))
    kept = data[data["optimizer"].isin(rows) & data["schedule"].isin(columns)]
    for _, cell in kept.iterrows():
        _draw_cell(ax, columns.index(cell["schedule"]), rows.index(cell["optimizer"]), cell, norm, sign)
    for axis, names, other in (("optimizer", rows, columns), ("schedule", columns, rows)):
        groups = kept.groupby(axis)["mean"]
        for place, (mean, count) in enumerate(zip(groups.mean()[names], groups.count()[names], strict=True)):
            x, y = (len(columns) + 0.2, float(place)) if axis == "optimizer" else (float(place), len(rows) + 0.2)
            _draw_mean(ax, x, y, mean, int(count), len(other), data["metric"].iloc[0])
    _format_axes(ax, rows, columns, palette)
    if len(shown):
        _draw_yardstick(ax, len(columns), len(rows), data, norm, best=(sign * shown).max())


def _draw_cell(ax: Axes, x: int, y: int, cell: pd.Series, norm: Normalize, sign: float) -> None:
    """Draw the best of a pair as a coloured cell; one without an outcome is hatched, never coloured as zero."""
    box = (x - 0.5, y - 0.5), 1, 1
    if not cell["candidates"]:
        ax.add_patch(Rectangle(*box, fc="white", ec="#c4c4c4", hatch="////", lw=0))
        return
    if pd.isna(cell["mean"]):
        ax.add_patch(Rectangle(*box, fc=style.STRIP, lw=0))
        ax.plot(x, y - 0.16, "x", color=style.RED, ms=7, mew=2)
        many = f"all {cell['lost']}" if cell["lost"] == cell["tried"] else f"{cell['lost']} of {cell['tried']}"
        ax.text(x, y + 0.22, f"{many} diverged", ha="center", va="center", fontsize=7.5)
        return
    colour, ink = style.shade(norm(sign * cell["mean"]))
    ax.add_patch(Rectangle(*box, fc=colour, ec="white", lw=1))
    if cell["inside"]:
        ax.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, fill=False, ec="black", lw=2))
        ax.add_patch(Rectangle((x - 0.445, y - 0.39), 0.89, 0.78, fill=False, ec="white", lw=1))
    metric = str(cell["metric"])
    number = format_metric(cell["mean"], metric) if pd.isna(cell["half"]) else _mean_half(cell, metric)
    ax.text(x, y - 0.16, number, ha="center", va="center", color=ink, fontsize=9)
    lost = f" · {cell['lost']} ×" if cell["lost"] else ""
    at = f" @ {cell['lr']}" if cell["lr"] else ""
    ax.text(x, y + 0.22, f"n={cell['n']}{at}{lost}", ha="center", va="center", color=ink, fontsize=7.5)


def _mean_half(cell: pd.Series, metric: str) -> str:
    if is_fraction(metric):
        return f"{100 * cell['mean']:.1f} ± {100 * cell['half']:.1f}"
    return f"{cell['mean']:.3g} ± {cell['half']:.2g}"


def _draw_mean(ax: Axes, x: float, y: float, mean: float, count: int, of: int, metric: str) -> None:
    """Draw the mean of a row or column; of how many pairs, where some have none."""
    if not count:
        return
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc="#f2f2f2", ec="white", lw=1))
    text = f"{100 * mean:.1f}" if is_fraction(metric) else f"{mean:.3g}"
    ax.text(x, y, text + (f"\n({count} of {of})" if count < of else ""), ha="center", va="center", fontsize=9)


def _draw_yardstick(ax: Axes, x: int, y: int, data: pd.DataFrame, norm: Normalize, *, best: float) -> None:
    """Draw, in the corner, the colours from the best down to what the seeds just tell apart from it."""
    length = float(data["resolution"].iloc[0] or np.nan)
    if not np.isfinite(length):
        return
    steps = 24
    for i in range(steps):
        colour = style.shade(norm(best - length * i / (steps - 1)))[0]
        ax.add_patch(Rectangle((x - 0.3 + i / steps, y - 0.15), 1.05 / steps, 0.3, fc=colour, lw=0))
    ax.add_patch(Rectangle((x - 0.3, y - 0.15), 1, 0.3, fill=False, ec="black", lw=1.2))
    text = f"{format_difference(length, data['metric'].iloc[0])}\ntold apart"
    ax.text(x + 0.2, y + 0.2, text, ha="center", va="top", fontsize=8)


def _format_axes(ax: Axes, rows: list[str], columns: list[str], palette: Palette) -> None:
    width, height = len(columns), len(rows)
    schedules = ["no schedule" if name == NO_SCHEDULE else name for name in columns]
    ax.set_xticks([*range(width), width + 0.2], [*(textwrap.fill(name, 17) for name in schedules), "row mean"])
    ax.set_yticks([*range(height), height + 0.2], [*(textwrap.fill(name, 28) for name in rows), "column mean"])
    for label, name in zip(ax.get_yticklabels(), rows, strict=False):
        label.set_color(palette[name].colour)
    ax.tick_params(length=0, labelsize=9, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.set(xlim=(-0.5, width + 0.7), ylim=(height + 0.7, -0.5))
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _names(data: pd.DataFrame) -> tuple[list[str], list[str]]:
    return list(data["optimizer"].unique())[:MAX_ROWS], list(data["schedule"].unique())[:MAX_COLUMNS]


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = _names(data)
    lines = max(len(textwrap.wrap(name, 17)) for name in columns)
    return max(8.5, NAME_INCHES + CELL[0] * (len(columns) + 1.2)), 0.9 + CELL[1] * (len(rows) + 1.2) + 0.16 * lines


def _caption(data: pd.DataFrame) -> str:
    metric, scored = data["metric"].iloc[0], data[data["mean"].notna()]
    unit = ", in per cent" if is_fraction(metric) else ""
    seeds = f" (n = {format_count_range(scored['n'])})" if len(scored) else ""
    half = " ± half of its 95 % Student t interval" if scored["half"].notna().any() else ""
    inside = " Framed: in the set of the best (95 %, Hsu)." if data["inside"].any() else ""
    lost = " ×: training runs of the pair that diverged, over all learning rates." if data["lost"].any() else ""
    hatched = " Hatched: no outcome." if not data["candidates"].all() else ""
    return (
        f"Each pair at its best learning rate, all else tuned: mean {metric_label(metric)}{unit}{half} over its seeds"
        f"{seeds} @ learning rate.{inside}{lost}{hatched} Colours end at the best and at the worst tenth of the pairs."
        + yardstick.note(data).replace("Bar with ends", "Bar in the corner")
        + style.cut_note(data["optimizer"].nunique(), MAX_ROWS, "optimizers", "optimizer_schedule")
        + style.cut_note(data["schedule"].nunique(), MAX_COLUMNS, "schedules", "optimizer_schedule")
    )


PLOT = Plot(
    has_shades=True,
    name="optimizer_schedule",
    section="Schedules",
    heading="Optimizer × schedule",
    title="Do optimizer and schedule interact, or can they be chosen separately?",
    data=optimizer_schedule_data,
    draw=draw_optimizer_schedule,
    size=_size,
    caption=_caption,
    empty="The run has no outcomes of two optimizers and two schedules, so there is no interaction to show.",
    of_scores=True,
)
