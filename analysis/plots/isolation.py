"""Does a choice matter once everything else is tuned: the best result at each level of each axis of the sweep.

data = isolation_data(results)      # one row per seed of the best configuration at each level
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style, yardstick
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.axes import NONE, OPTIMIZER, SCHEDULE
from analysis.study.compared import yardstick_columns
from analysis.study.results import Results
from analysis.study.tuned import best_per_level
from ch6dist.catalog.labels import NO_SCHEDULE, SEPARATOR
from ch6dist.catalog.wording import format_count_range, is_fraction, metric_label

MAX_AXES = 6
ROW_INCHES = 0.42
COLUMNS = [
    "axis", "level", "place", "look", "rest", "score", "mean", "low", "high", "candidates", "tried", "lost",
]  # fmt: skip


def isolation_data(results: Results) -> pd.DataFrame:
    """Return one row per axis, level and seed of the level's best configuration; empty unless an axis has two levels.

    `rest`: the values of everything else that were best; `candidates`: of how many configurations it is the best. A
    level whose candidates all have a diverged seed has one row without a score. `place` numbers the levels of an axis
    from 0: numbers in their order, names from the best.
    """
    levels = results.axes.levels()
    found = [_levels(results.board, str(axis), levels[axis]) for axis in levels]
    found = [levels for levels in found if levels["level"].nunique() > 1]
    if not found:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    data = pd.concat(found, ignore_index=True)
    if OPTIMIZER in levels:  # one look per optimizer, although labels may differ in what is an axis here
        data["look"] = data["configuration"].map(levels[OPTIMIZER]).map(results.axes.looks)
    else:
        data["look"] = data["optimizer"]
    data["scores"] = [scores or [None] for scores in data["scores"]]
    rows = data.rename(columns={"score": "mean"}).explode("scores").rename(columns={"scores": "score"})
    numbers = dict.fromkeys(("score", "mean", "low", "high"), "float64")
    return rows[COLUMNS].reset_index(drop=True).astype(numbers).assign(**yardstick_columns(results))


def _levels(board: pd.DataFrame, axis: str, levels: pd.Series) -> pd.DataFrame:
    best = best_per_level(board, levels)
    numbers = pd.to_numeric(best["level"].replace(NONE, "inf"), errors="coerce")
    best = best.iloc[numbers.argsort(kind="stable")] if numbers.notna().all() else best
    rest = [_rest(row, axis) for row in best.itertuples()]
    return best.assign(axis=axis, rest=rest, place=range(len(best)))


def _rest(row: Any, axis: str) -> str:
    """Return the parts of a label that the level does not say; an optimizer's swept numbers are such parts."""
    parts = {
        "run": "",
        "case": "" if row.case == row.level else row.case,
        "": "" if row.optimizer == row.level else row.optimizer,
        "schedule": "" if row.scheduler == NO_SCHEDULE else row.scheduler,
        "setting": row.setting,
        "drawn": row.drawn,
        "lr": f"lr {row.lr_text}" if row.lr_text else "",
    }
    return SEPARATOR.join(text for name, text in parts.items() if text and name != axis)


def draw_isolation(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per axis and a row per level: dots are the seeds of its best, the bar the interval of their mean."""
    panels = _panels(data)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=[_rows(p) + 0.6 for p in panels])
    for ax, panel in zip(axes[:, 0], panels, strict=True):
        strip = _limit_to_scores(ax, data)
        _draw_panel(ax, panel, palette, strip)
    ax = axes[-1, 0]
    metric = data["metric"].iloc[0]
    if is_fraction(metric):
        ax.xaxis.set_major_formatter(style.percent())
    ax.set_xlabel(f"{metric_label(metric)} over the last epochs, of the best at each level")
    yardstick.draw_above(axes[0, 0], data)


def _limit_to_scores(ax: Axes, data: pd.DataFrame) -> tuple[float, float]:
    """Limit the x axis to the scores, with a strip for what diverged at the worse end; return the strip."""
    low, high = data["score"].min(), data["score"].max()
    if pd.isna(low):
        low, high = 0.0, 1.0
    pad = 0.07 * (high - low) or 0.05 * abs(high) or 0.01
    low, high, width = low - pad, high + pad, 0.5 * pad if data["lost"].any() else 0.0
    if data["goal"].iloc[0] == "minimize":
        ax.set_xlim(low, high + width)
        return high, high + width
    ax.set_xlim(low - width, high)
    return low - width, low


def _draw_panel(ax: Axes, panel: pd.DataFrame, palette: Palette, strip: tuple[float, float]) -> None:
    levels = [level for _, level in panel.groupby("place", sort=True)]
    few = panel["candidates"].max()
    for y, level in enumerate(levels):
        row, look = level.iloc[0], palette[level.iloc[0]["look"]]
        if pd.notna(row["low"]):
            ax.plot([row["low"], row["high"]], [y, y], color=look.colour, lw=2.2, alpha=0.45, solid_capstyle="butt")
        ax.plot(level["score"], [y] * len(level), look.marker, color=look.colour, ms=5, alpha=0.85, mew=0)
        ax.plot(row["mean"], y, "|", color=look.colour, ms=14, mew=2.4)
        if row["lost"]:
            ax.plot(sum(strip) / 2, y, "x", color=style.RED, ms=6, mew=1.8)
        text = f"best of {row['candidates']}" + (f", {row['lost']}/{row['tried']} diverged" if row["lost"] else "")
        weight = "bold" if row["candidates"] < few else "normal"
        ax.text(1.01, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=8.5, fontweight=weight)
        none = "all diverged" if row["lost"] == row["tried"] else "none without a diverged seed"
        rest = f"at {row['rest']}" if pd.notna(row["mean"]) else none
        ax.text(-0.012, y + 0.3, rest, transform=ax.get_yaxis_transform(), va="center", ha="right", fontsize=7.5)
    if strip[0] < strip[1]:
        ax.axvspan(*strip, color=style.STRIP, lw=0, zorder=0)
    ax.set_yticks([y - 0.12 for y in range(len(levels))], [_level_text(level.iloc[0]) for level in levels])
    ax.tick_params(axis="y", length=0)
    if panel["axis"].iloc[0] == OPTIMIZER:
        style.colour_labels(ax.yaxis, [level["look"].iloc[0] for level in levels], palette)
    ax.set_ylim(len(levels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set_title(panel["axis"].iloc[0])


def _level_text(row: pd.Series) -> str:
    return "no schedule" if row["axis"] == SCHEDULE and row["level"] == NO_SCHEDULE else str(row["level"])


def _panels(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [panel for _, panel in data.groupby("axis", sort=False)][:MAX_AXES]


def _rows(panel: pd.DataFrame) -> int:
    return int(panel["place"].nunique())


def _size(data: pd.DataFrame) -> tuple[float, float]:
    return 9.5, 1.2 + sum(ROW_INCHES * _rows(panel) + 0.35 for panel in _panels(data))


def _caption(data: pd.DataFrame) -> str:
    n = data[data["score"].notna()].groupby(["axis", "level"]).size()
    unequal = data.groupby("axis")["candidates"].nunique() > 1
    flag = (
        " The numbers are unequal here (fewer: bold): a level with more candidates had more chances."
        if unequal.any()
        else ""
    )
    lost = " Red X on the strip: some of the level's training runs diverged." if data["lost"].any() else ""
    bar = "; bar: 95 % Student t interval, cut at the frame" if data["low"].notna().any() else ""
    seeds = f" (n = {format_count_range(n)})" if len(n) else ""
    return (
        f"Each row: the best configuration at that level, all else tuned, its values in small print. Dots: "
        f"seeds{seeds}; tick: their mean{bar}. The best of m candidates is "
        f"an optimistic choice, the more so the larger m.{flag}{lost}{yardstick.note(data)}"
        + style.cut_note(data["axis"].nunique(), MAX_AXES, "axes", "isolation")
    )


PLOT = Plot(
    name="isolation",
    section="What won",
    heading="Each choice, all else tuned",
    title="Does a choice matter once everything else is tuned?",
    data=isolation_data,
    draw=draw_isolation,
    size=_size,
    caption=_caption,
    empty="No axis but the learning rate has two levels with an outcome, so there is no choice to isolate.",
    of_scores=True,
)
