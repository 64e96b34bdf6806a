"""Which rate, how wide is the safe valley, and is the best at the edge of what was tried?

data = lr_sensitivity_data(study, board)     # one row per trial
summary(data)                                # one row per line and rate: mean, n, diverged
valleys(summary(data), goal="maximize")      # one row per line: best rate, safe range, edge
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.load import Study
from analysis.text import is_share, metric_name
from ch6dist.runs.ranking import trial_score
from ch6dist.runs.schema import Status

PANEL = ["run", "scheduler", "setting"]
LINE = [*PANEL, "optimizer"]
SAFE_WITHIN = 0.01  # a rate is safe within one point of the line's best
MAX_PANELS = 9
COLUMNS = [*LINE, "panel", "lr", "seed", "trial", "status", "score", "metric", "goal", "chance"]


def lr_sensitivity_data(study: Study, board: pd.DataFrame) -> pd.DataFrame:
    """One row per trial that has ended, with the score the ranking uses; empty where only one rate was tried."""
    trials = study.trials[study.trials["configuration"].isin(board["configuration"]) & study.trials["lr"].notna()]
    data = trials[trials["status"].isin([Status.FINISHED, Status.DIVERGED])]
    if data.empty or data.groupby(LINE)["lr"].nunique().max() < 2:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    several = len(study.runs) > 1
    data = data.assign(
        score=pd.Series([_score(row, study) for _, row in data.iterrows()], index=data.index, dtype="float64"),
        panel=[_panel_name(row, run=several) for _, row in data.iterrows()],
        metric=study.metric,
        goal=study.goal,
        chance=1 / study.classes if study.classes and is_share(study.metric) else None,
    )
    return data[COLUMNS].astype({"score": "float64", "chance": "float64", "lr": "float64"})


def _score(trial: pd.Series, study: Study) -> float | None:
    if trial["status"] != Status.FINISHED:
        return None
    return trial_score(study.rows[trial["trial"]], study.metric, epochs=trial["epochs"])


def summary(data: pd.DataFrame) -> pd.DataFrame:
    """One row per line and rate: mean score of the finished seeds, how many they are, how many diverged."""
    groups = data.groupby([*LINE, "panel", "lr"], sort=True)
    table = groups.agg(mean=("score", "mean"), n=("score", "count"), seeds=("trial", "size"))
    table["diverged"] = groups["status"].agg(lambda statuses: int((statuses == Status.DIVERGED).sum()))
    return table.reset_index()


def valleys(table: pd.DataFrame, *, metric: str, goal: str) -> pd.DataFrame:
    """One row per line of a summary: best rate, the rates around it that are as good within a point, and the edge.

    `edge` is low or high where the best rate is the first or the last tried, else empty. A rate with a diverged seed
    is neither the best nor safe. `decades` is the width of the safe range.
    """
    records = [
        {**dict(zip(LINE, key, strict=True)), "panel": line["panel"].iloc[0], **_valley(line, metric, goal)}
        for key, line in table.groupby(LINE, sort=False)
    ]
    return pd.DataFrame(records)


def _valley(line: pd.DataFrame, metric: str, goal: str) -> dict[str, Any]:
    line = line.sort_values("lr").reset_index(drop=True)
    sign = 1 if goal == "maximize" else -1
    usable = (sign * line["mean"]).where(line["diverged"] == 0)
    if not usable.notna().any():
        return {"best_lr": math.nan, "best": math.nan, "safe_low": math.nan, "safe_high": math.nan, "edge": ""}
    top = int(np.nanargmax(usable))
    margin = SAFE_WITHIN if is_share(metric) else 2 * SAFE_WITHIN * abs(usable[top])
    safe = (usable >= usable[top] - margin).tolist()
    low = high = top
    while low > 0 and safe[low - 1]:
        low -= 1
    while high < len(line) - 1 and safe[high + 1]:
        high += 1
    rates = line["lr"]
    edge = "" if len(line) < 2 else "low" if top == 0 else "high" if top == len(line) - 1 else ""
    return {
        "best_lr": rates[top],
        "best": line["mean"][top],
        "safe_low": rates[low],
        "safe_high": rates[high],
        "decades": math.log10(rates[high] / rates[low]),
        "edge": edge,
    }


def draw_lr_sensitivity(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """A panel per schedule: scores over rates above; below, each optimizer's safe range, best rate and divergences."""
    panels = _panels(data)
    rows, columns = _grid(len(panels))
    optimizers = sorted(set(data["optimizer"]))
    parts = figure.subfigures(rows, columns, squeeze=False).flat
    for position, (part, panel) in enumerate(zip(parts, panels, strict=False)):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=_heights(len(optimizers)))
        _draw_scores(upper, panel, palette, named=position % columns == 0)
        _draw_valleys(lower, panel, palette, optimizers, named=position % columns == 0)
        style.lr_axis(lower, list(panel["lr"]))
        _same_scale(upper, data)
        lower.set_xlabel("learning rate (configured)")
        if len(panels) > 1:
            upper.set_title(panel["panel"].iloc[0])


def _draw_scores(ax: Axes, panel: pd.DataFrame, palette: Palette, *, named: bool) -> None:
    metric = panel["metric"].iloc[0]
    for optimizer, line in summary(panel).groupby("optimizer", sort=True):
        look = palette[str(optimizer)]
        seeds = panel[(panel["optimizer"] == optimizer) & panel["score"].notna()]
        ax.plot(seeds["lr"], seeds["score"], look.marker, color=look.colour, ms=6.5, alpha=0.35, mew=0)
        line = line[line["n"] > 0]
        ax.plot(line["lr"], line["mean"], look.line, marker=look.marker, ms=4, color=look.colour)
    chance = panel["chance"].iloc[0]
    if pd.notna(chance):
        ax.axhline(chance, color=style.GREY, lw=1, ls=":", zorder=1)
        ax.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    style.metric_axis(ax, metric)
    if named:
        ax.set_ylabel(f"{metric_name(metric)}, last epochs")


def _draw_valleys(ax: Axes, panel: pd.DataFrame, palette: Palette, optimizers: list[str], *, named: bool) -> None:
    """One row per optimizer: bar = safe range, marker = best rate, arrow = best at the edge, X = diverged seeds."""
    table = summary(panel)
    ranges = valleys(table, metric=panel["metric"].iloc[0], goal=panel["goal"].iloc[0]).set_index("optimizer")
    for optimizer, row in ranges.iterrows():
        y, look = optimizers.index(str(optimizer)), palette[str(optimizer)]
        if pd.notna(row["best_lr"]):
            ax.plot([row["safe_low"], row["safe_high"]], [y, y], color=look.colour, lw=6, alpha=0.3)
            ax.plot(row["best_lr"], y, look.marker, color=look.colour, ms=8)
        if row["edge"]:
            arrow, shift = ("→", 6) if row["edge"] == "high" else ("←", -20)
            place = (row["best_lr"], y)
            ax.annotate(
                arrow, place, (shift, -1), textcoords="offset points", va="center", color=look.colour, fontsize=14
            )
    for _, row in table[table["diverged"] > 0].iterrows():
        y = optimizers.index(row["optimizer"])
        ax.plot(row["lr"], y, "x", color=style.RED, ms=7, mew=2)
        if row["diverged"] < row["seeds"]:
            share = f"{row['diverged']}/{row['seeds']}"
            ax.annotate(share, (row["lr"], y), (6, 3), textcoords="offset points", fontsize=7.5, color=style.RED)
    ax.set_yticks(range(len(optimizers)), optimizers if named else [""] * len(optimizers))
    for text, optimizer in zip(ax.get_yticklabels(), optimizers, strict=True):
        text.set_color(palette[optimizer].colour)
    ax.set_ylim(len(optimizers) - 0.4, -0.6)


def _panels(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [panel for _, panel in data.groupby("panel", sort=False)][:MAX_PANELS]


def _panel_name(row: pd.Series, *, run: bool) -> str:
    scheduler = "no schedule" if row["scheduler"] == "none" else row["scheduler"]
    return " · ".join(part for part in ([row["run"]] if run else []) + [scheduler, row["setting"]] if part)


def _grid(panels: int) -> tuple[int, int]:
    columns = min(3, panels)
    return math.ceil(panels / columns), columns


def _heights(optimizers: int) -> tuple[float, float]:
    return 3.4, 0.4 + 0.24 * optimizers


def _same_scale(ax: Axes, data: pd.DataFrame) -> None:
    values = pd.concat([data["score"], data["chance"].head(1)]).dropna()
    pad = 0.06 * (values.max() - values.min()) or 0.01
    ax.set_ylim(values.min() - pad, values.max() + pad)


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = _grid(len(_panels(data)))
    return max(8.5, 4.6 * columns), rows * (sum(_heights(data["optimizer"].nunique())) + 0.7) + 1.0


def _caption(data: pd.DataFrame) -> str:
    seeds = data.groupby([*LINE, "lr"]).size()
    n = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    hidden = data["panel"].nunique() - MAX_PANELS
    return (
        f"Dots: seeds (n = {n} per rate); line: mean of the finished ones. Below, per optimizer: marker: best rate; "
        "bar: rates as good within one point; arrow: the best is the first or last rate tried, so a better one may lie "
        "beyond; red X: diverged." + (f" {hidden} more panels are in the data file." if hidden > 0 else "")
    )


PLOT = Plot(
    name="lr_sensitivity",
    heading="Learning-rate sensitivity",
    title="Which learning rate, how wide is the safe range, and is the best at its edge?",
    data=lr_sensitivity_data,
    draw=draw_lr_sensitivity,
    size=_size,
    caption=_caption,
    empty="No optimizer has ended trials at two rates or more, so there is no sensitivity to show.",
)
