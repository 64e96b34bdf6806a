"""Which learning rate, how wide is the safe range, and is the best at the edge of what was tried?

data = lr_sensitivity_data(results)     # one row per trial
"""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style, yardstick
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.compared import yardstick_columns
from analysis.study.load import Study
from analysis.study.lr_ranges import LINE, SAFE_WITHIN, best_by_lr, point_summary, safe_ranges
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count_range, is_fraction, metric_label
from ch6dist.runs.schema import Status

MAX_PANELS = 9
MAX_COLUMNS = 3
COLUMNS = [*LINE, "panel", "drawn", "lr", "seed", "trial", "status", "by_rule", "score", "chance"]


def lr_sensitivity_data(results: Results) -> pd.DataFrame:
    """Return one row per ended trial, with the score used for ranking; none if only one learning rate was tried.

    Of what was stopped early those that the sweep's own rule stopped: without a score, but a learning rate was tried.
    """
    study, board = results.study, results.board
    trials = study.trials[study.trials["configuration"].isin(board["configuration"]) & study.trials["lr"].notna()]
    data = trials[trials["status"].isin([Status.FINISHED, Status.DIVERGED]) | trials["by_rule"]]
    if data.empty or data.groupby(LINE)["lr"].nunique().max() < 2:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    several = len(study.runs) > 1
    scores = [_score(row, study) for row in data[["trial", "status", "epochs"]].itertuples()]
    data = data.assign(
        score=pd.Series(scores, index=data.index, dtype="float64"),
        panel=[_panel_title(row, run=several) for row in data[["run", "scheduler", "setting"]].itertuples()],
        chance=1 / study.classes if study.classes and is_fraction(study.metric) else None,
    )
    numbers = dict.fromkeys(("score", "chance", "lr"), "float64")
    return data[COLUMNS].astype(numbers).assign(**yardstick_columns(results))


def _score(trial: Any, study: Study) -> float | None:
    if trial.status != Status.FINISHED:
        return None
    return study.score(trial.trial, epochs=trial.epochs)


def draw_lr_sensitivity(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per schedule: scores over learning rates above, each optimizer's safe range below."""
    panels = _panels(data)
    rows, columns = style.grid_shape(len(panels), max_columns=MAX_COLUMNS)
    optimizers, metric, goal = sorted(set(data["optimizer"])), data["metric"].iloc[0], data["goal"].iloc[0]
    points = point_summary(data)
    best = best_by_lr(points, goal=goal)
    ranges = safe_ranges(best, metric=metric, goal=goal)
    parts = figure.subfigures(rows, columns, squeeze=False).flat
    for position, (part, panel) in enumerate(zip(parts, panels, strict=False)):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=_heights(len(optimizers)))
        name = panel["panel"].iloc[0]
        here = [table[table["panel"] == name] for table in (best, ranges, points)]
        _draw_scores(upper, panel, here[0], palette)
        _draw_safe_ranges(lower, here[1], palette, optimizers)
        _draw_diverged(lower, here[2], optimizers)
        _draw_stopped(lower, here[2], optimizers)
        if position % columns == 0:
            upper.set_ylabel(f"{metric_label(metric)}, last epochs")
            style.colour_labels(lower.yaxis, optimizers, palette)
        else:
            lower.tick_params(labelleft=False)
            upper.tick_params(labelleft=False)
        style.lr_axis(lower, list(panel["lr"]), inches=figure.get_figwidth() / columns - 1.7)
        _same_scale(upper, data)
        if position == columns - 1:
            yardstick.draw_beside(upper, data, data["score"].min() if goal == "minimize" else data["score"].max())
        lower.set_xlabel("learning rate (configured)")
        if len(panels) > 1:
            upper.set_title(textwrap.fill(name, 40))


def _draw_scores(ax: Axes, panel: pd.DataFrame, best: pd.DataFrame, palette: Palette) -> None:
    many = panel["lr"].nunique() > style.MAX_LR_TICKS
    size, every, layer = (4.0, 0.08, -1.0) if many else (6.5, 1.0, 1.9)
    ax.set_rasterization_zorder(0 if many else None)  # the seeds as one image: an SVG of thousands of marks is slow
    for optimizer, line in best.groupby("optimizer", sort=True):
        look = palette[str(optimizer)]
        seeds = panel[(panel["optimizer"] == optimizer) & panel["score"].notna()]
        ax.plot(seeds["lr"], seeds["score"], look.marker, color=look.colour, ms=size, alpha=0.35, mew=0, zorder=layer)
        line = line[line["n"] > 0]
        ax.plot(line["lr"], line["mean"], look.line, marker=look.marker, ms=4, color=look.colour, markevery=every)
    chance = panel["chance"].iloc[0]
    if pd.notna(chance):
        ax.axhline(chance, color=style.GREY, lw=1, ls=":", zorder=1)
        ax.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    style.metric_axis(ax, panel["metric"].iloc[0])


def _draw_safe_ranges(ax: Axes, ranges: pd.DataFrame, palette: Palette, optimizers: list[str]) -> None:
    """Draw a row per optimizer: bracket = safe range and its width, marker = best, arrow = best at the edge."""
    ranges = ranges[ranges["best_lr"].notna()]
    ranges = ranges.assign(y=[optimizers.index(name) for name in ranges["optimizer"]])
    colours = [palette[name].colour for name in ranges["optimizer"]]
    ax.hlines(ranges["y"], ranges["safe_low"], ranges["safe_high"], colors=colours, lw=2)
    for end in ("safe_low", "safe_high"):
        ax.scatter(ranges[end], ranges["y"], s=60, c=colours, marker="|", lw=1.6)
    row: Any
    for row in ranges.itertuples():
        look = palette[row.optimizer]
        ax.plot(row.best_lr, row.y, look.marker, color=look.colour, ms=7, zorder=3)
        width = f"{row.decades:.1f}" if row.decades else "0"
        ax.text(1.015, row.y, width, va="center", fontsize=8, transform=ax.get_yaxis_transform())
        if row.edge:
            arrow, shift = ("→", 6) if row.edge == "high" else ("←", -20)
            point, offset = (row.best_lr, row.y), (shift, -1)
            ax.annotate(arrow, point, offset, textcoords="offset points", va="center", color=look.colour, fontsize=14)
    ax.text(1.015, -0.95, "decades", va="center", fontsize=8, transform=ax.get_yaxis_transform())
    ax.set_yticks(range(len(optimizers)), optimizers)
    ax.set_ylim(len(optimizers) - 0.4, -0.6)


def _draw_diverged(ax: Axes, points: pd.DataFrame, optimizers: list[str]) -> None:
    """Mark where seeds diverged, on a strip: a bold X for all of them, a thin one for some."""
    lost = points[points["diverged"] > 0]
    y = lost["optimizer"].map(optimizers.index)
    every = lost["diverged"] == lost["seeds"]
    many = points["lr"].nunique() > style.MAX_LR_TICKS
    strips = lost.groupby(y)["lr"].agg(["min", "max"])
    ax.hlines(strips.index, 0.88 * strips["min"], strips["max"] / 0.88, color=style.STRIP, lw=9, zorder=0)
    for chosen, width in ((every, 2.0), (~every, 0.9)):
        ax.plot(lost["lr"][chosen], y[chosen], "x", color=style.RED, ms=4.5 if many else 7, mew=width, zorder=2)
    if not many:
        for row in lost[~every].itertuples():
            share, point = f"{row.diverged}/{row.seeds}", (row.lr, optimizers.index(str(row.optimizer)))
            ax.annotate(share, point, (6, 3), textcoords="offset points", fontsize=7.5, color=style.RED)


def _draw_stopped(ax: Axes, points: pd.DataFrame, optimizers: list[str]) -> None:
    """Mark, by an upright tick, the learning rates all of whose seeds were stopped early."""
    stopped = points[(points["stopped"] > 0) & (points["n"] == 0) & (points["diverged"] == 0)]
    ax.plot(stopped["lr"], stopped["optimizer"].map(optimizers.index), "|", color=style.GREY, ms=9, mew=2.0, zorder=2)


def _panels(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [panel for _, panel in data.groupby("panel", sort=False)][:MAX_PANELS]


def _panel_title(row: Any, *, run: bool) -> str:
    scheduler = "no schedule" if row.scheduler == "none" else row.scheduler
    return " · ".join(part for part in ([row.run] if run else []) + [scheduler, row.setting] if part)


def _heights(optimizers: int) -> tuple[float, float]:
    return 3.4, 0.4 + 0.24 * optimizers


def _same_scale(ax: Axes, data: pd.DataFrame) -> None:
    values = pd.concat([data["score"], data["chance"].head(1)]).dropna()
    if values.empty:  # every trial diverged, and a loss has no chance
        return
    pad = 0.06 * (values.max() - values.min()) or 0.01
    ax.set_ylim(values.min() - pad, values.max() + pad)


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = style.grid_shape(len(_panels(data)), max_columns=MAX_COLUMNS)
    return max(8.5, 4.6 * columns), rows * (sum(_heights(data["optimizer"].nunique())) + 0.7) + 1.0


def _caption(data: pd.DataFrame) -> str:
    n = format_count_range(data.groupby([*LINE, "lr", "drawn"]).size())
    drawn = data["drawn"].any()
    per, line = ("configuration", "the best of each learning rate") if drawn else ("learning rate", "the finished ones")
    within = "one point" if is_fraction(data["metric"].iloc[0]) else f"{200 * SAFE_WITHIN:.0f} % of its size"
    return (
        f"Dots: seeds (n = {n} per {per}); line: mean of {line}. Below, per optimizer: marker: best; bracket: as good "
        f"within {within}, its width in decades at the right; arrow: the best is the lowest or highest tried, so a "
        "better one may lie beyond; red X: diverged, bold: all seeds, thin: some."
        + (" Grey tick: stopped early, so its score is not known." if data["by_rule"].any() else "")
        + yardstick.note(data)
        + style.cut_note(data["panel"].nunique(), MAX_PANELS, "panels", "lr_sensitivity")
    )


PLOT = Plot(
    name="lr_sensitivity",
    section="Learning rates",
    heading="Learning-rate sensitivity",
    title="Which learning rate, how wide is the safe range, and is the best at its edge?",
    data=lr_sensitivity_data,
    draw=draw_lr_sensitivity,
    size=_size,
    caption=_caption,
    empty="No optimizer has ended trials at two or more learning rates, so there is no sensitivity to show.",
    of_scores=True,
)
