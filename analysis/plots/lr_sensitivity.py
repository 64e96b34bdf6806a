"""Which learning rate, how wide is the safe range, and is the best at the edge of what was tried?

data = lr_sensitivity_data(results)     # one row per trial
"""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.load import Study
from analysis.study.lr_ranges import LINE, best_by_lr, point_summary, safe_ranges
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count_range, is_fraction, metric_label
from ch6dist.runs.schema import Status

MAX_PANELS = 9
MAX_COLUMNS = 3
COLUMNS = [*LINE, "panel", "drawn", "lr", "seed", "trial", "status", "score", "metric", "goal", "chance"]


def lr_sensitivity_data(results: Results) -> pd.DataFrame:
    """Return one row per ended trial, with the score used for ranking; none if only one learning rate was tried."""
    study, board = results.study, results.board
    trials = study.trials[study.trials["configuration"].isin(board["configuration"]) & study.trials["lr"].notna()]
    data = trials[trials["status"].isin([Status.FINISHED, Status.DIVERGED])]
    if data.empty or data.groupby(LINE)["lr"].nunique().max() < 2:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    several = len(study.runs) > 1
    data = data.assign(
        score=pd.Series([_score(row, study) for row in data.itertuples()], index=data.index, dtype="float64"),
        panel=[_panel_title(row, run=several) for row in data.itertuples()],
        metric=study.metric,
        goal=study.goal,
        chance=1 / study.classes if study.classes and is_fraction(study.metric) else None,
    )
    return data[COLUMNS].astype({"score": "float64", "chance": "float64", "lr": "float64"})


def _score(trial: Any, study: Study) -> float | None:
    if trial.status != Status.FINISHED:
        return None
    return study.score(trial.trial, epochs=trial.epochs)


def draw_lr_sensitivity(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per schedule: scores over learning rates above, each optimizer's safe range below."""
    panels = _panels(data)
    rows, columns = style.grid_shape(len(panels), max_columns=MAX_COLUMNS)
    optimizers = sorted(set(data["optimizer"]))
    parts = figure.subfigures(rows, columns, squeeze=False).flat
    for position, (part, panel) in enumerate(zip(parts, panels, strict=False)):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=_heights(len(optimizers)))
        _draw_scores(upper, panel, palette)
        _draw_safe_ranges(lower, panel, palette, optimizers)
        if position % columns == 0:
            upper.set_ylabel(f"{metric_label(panel['metric'].iloc[0])}, last epochs")
            style.colour_labels(lower.yaxis, optimizers, palette)
        else:
            lower.set_yticklabels([])
        style.lr_axis(lower, list(panel["lr"]))
        _same_scale(upper, data)
        lower.set_xlabel("learning rate (configured)")
        if len(panels) > 1:
            upper.set_title(textwrap.fill(panel["panel"].iloc[0], 40))


def _draw_scores(ax: Axes, panel: pd.DataFrame, palette: Palette) -> None:
    best = best_by_lr(point_summary(panel), goal=panel["goal"].iloc[0])
    for optimizer, line in best.groupby("optimizer", sort=True):
        look = palette[str(optimizer)]
        seeds = panel[(panel["optimizer"] == optimizer) & panel["score"].notna()]
        ax.plot(seeds["lr"], seeds["score"], look.marker, color=look.colour, ms=6.5, alpha=0.35, mew=0)
        line = line[line["n"] > 0]
        ax.plot(line["lr"], line["mean"], look.line, marker=look.marker, ms=4, color=look.colour)
    chance = panel["chance"].iloc[0]
    if pd.notna(chance):
        ax.axhline(chance, color=style.GREY, lw=1, ls=":", zorder=1)
        ax.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    style.metric_axis(ax, panel["metric"].iloc[0])


def _draw_safe_ranges(ax: Axes, panel: pd.DataFrame, palette: Palette, optimizers: list[str]) -> None:
    """Draw a row per optimizer: bar = safe range, marker = best, arrow = best at the edge, X = diverged seeds."""
    table, goal = point_summary(panel), panel["goal"].iloc[0]
    best = best_by_lr(table, goal=goal)
    ranges = safe_ranges(best, metric=panel["metric"].iloc[0], goal=goal).set_index("optimizer")
    for optimizer, row in ranges.iterrows():
        y, look = optimizers.index(str(optimizer)), palette[str(optimizer)]
        if pd.notna(row["best_lr"]):
            ax.plot([row["safe_low"], row["safe_high"]], [y, y], color=look.colour, lw=6, alpha=0.3)
            ax.plot(row["best_lr"], y, look.marker, color=look.colour, ms=8)
        if row["edge"]:
            arrow, shift = ("→", 6) if row["edge"] == "high" else ("←", -20)
            point, offset = (row["best_lr"], y), (shift, -1)
            ax.annotate(arrow, point, offset, textcoords="offset points", va="center", color=look.colour, fontsize=14)
    for _, row in table[table["diverged"] > 0].iterrows():
        y = optimizers.index(row["optimizer"])
        ax.plot(row["lr"], y, "x", color=style.RED, ms=7, mew=2)
        if row["diverged"] < row["seeds"]:
            share = f"{row['diverged']}/{row['seeds']}"
            ax.annotate(share, (row["lr"], y), (6, 3), textcoords="offset points", fontsize=7.5, color=style.RED)
    ax.set_yticks(range(len(optimizers)), optimizers)
    ax.set_ylim(len(optimizers) - 0.4, -0.6)


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
    return (
        f"Dots: seeds (n = {n} per {per}); line: mean of {line}. Below, per optimizer: marker: "
        "best; bar: as good within one point; arrow: the best is the lowest or highest tried, so a better one may lie "
        "beyond; red X: diverged." + style.cut_note(data["panel"].nunique(), MAX_PANELS, "panels", "lr_sensitivity")
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
)
