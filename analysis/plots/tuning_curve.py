"""How much tuning an optimizer needs: the best score to expect after so many tried configurations.

data = tuning_curve_data(results)       # one row per optimizer and number of configurations
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from analysis.plots import style, yardstick
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.best_of import best_of
from analysis.study.compared import yardstick_columns
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, is_fraction, metric_label

ENOUGH = 0.99  # of the final value
MAX_POINTS = 120  # numbers of configurations per optimizer
MAX_PANELS = 16
TOGETHER = 3  # so many optimizers share one panel
COLUMNS = ["optimizer", "k", "expected", "low", "high", "tried", "lost", "needed", "lost_as"]


def tuning_curve_data(results: Results) -> pd.DataFrame:
    """Return one row per optimizer and k: the expected best of k of its configurations, and quartiles of that best.

    Every order of trying is equally likely. A configuration with a diverged seed counts as chance (of an accuracy), or
    as the worst score of all; one that was stopped, failed or still runs does not count. `needed`: the k at which 99 %
    of the last value is reached. Empty unless an optimizer has two configurations that count.
    """
    study, board = results.study, results.board
    sign, chance = study.sign, 1 / study.classes if study.classes and is_fraction(study.metric) else None
    scored = board["eligible"].eq(True) & (board["diverged"] == 0)
    lost = board["diverged"] > 0
    counted = board[scored | lost]
    if not scored.any() or counted.groupby("optimizer").size().max() < 2:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    worst = chance if chance is not None else sign * (sign * board.loc[scored, "score"]).min()
    found = []
    for optimizer, group in counted.groupby("optimizer", sort=True):
        scores = group["score"].where(group["diverged"] == 0, worst).to_numpy(dtype=np.float64)
        tried = _numbers(len(scores))
        curve = best_of(sign * scores, tried)
        ends = np.sort(sign * curve[["low", "high"]].to_numpy(), axis=1)
        expected = sign * curve["expected"].to_numpy()
        table = pd.DataFrame({"k": tried, "expected": expected, "low": ends[:, 0], "high": ends[:, 1]})
        found.append(table.assign(optimizer=optimizer, tried=len(scores), lost=int((group["diverged"] > 0).sum())))
        found[-1]["needed"] = int(tried[np.argmax(_reached(sign * expected))])
    data = pd.concat(found, ignore_index=True).assign(lost_as=worst)
    return data[COLUMNS].assign(**yardstick_columns(results))


def _numbers(n: int) -> np.ndarray:
    """Return 1 … n, thinned out evenly on a logarithmic scale where they are many."""
    return np.unique(np.geomspace(1, n, MAX_POINTS).round().astype(int)) if n > MAX_POINTS else np.arange(1, n + 1)


def _reached(worth: np.ndarray) -> np.ndarray:
    """Return where a rising curve is within 1 % of the size of its last value."""
    return worth >= worth[-1] - (1 - ENOUGH) * abs(worth[-1]) - 1e-12


def draw_tuning_curve(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw the expected best over k with its quartiles, a panel per optimizer, the others grey; few in one panel."""
    optimizers = list(data["optimizer"].unique())
    groups = [optimizers] if len(optimizers) <= TOGETHER else [[name] for name in _order(data)[:MAX_PANELS]]
    rows, columns = style.grid_shape(len(groups), max_columns=4)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    low, high = _limits(data)
    curves = {name: curve[["k", "expected"]].to_numpy() for name, curve in data.groupby("optimizer")}
    for position, (ax, shown) in enumerate(zip(axes.flat, groups, strict=False)):
        ax.set_ylim(low, high)
        _count_axis(ax, int(data["tried"].max()))
        others = [curve for name, curve in curves.items() if name not in shown]
        ax.add_collection(LineCollection(others, colors="#d0d0d0", lw=0.9, zorder=1), autolim=False)
        labels = [_draw_curve(ax, data[data["optimizer"] == name], palette, name) for name in shown]
        if len(shown) > 1:
            style.end_labels(ax, labels, inches=3.5)
        else:
            ax.set_title(shown[0], color=palette[shown[0]].colour)
        style.metric_axis(ax, data["metric"].iloc[0])
        if position % columns == 0:
            ax.set_ylabel(f"expected best\n{metric_label(data['metric'].iloc[0])}")
        if position + columns >= len(groups):
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("configurations tried")
    for ax in axes.flat[len(groups) :]:
        ax.set_visible(False)
    best = data["expected"].min() if data["goal"].iloc[0] == "minimize" else data["expected"].max()
    if len(groups) > 1:
        yardstick.draw_beside(axes[0, columns - 1], data, best)
    else:
        yardstick.draw_beside(axes[0, 0], data, best, x=0.03)


def _count_axis(ax: Axes, most: int) -> None:
    """Make the x axis logarithmic: most of the gain is in the first configurations."""
    ax.set_xscale("log")
    steps = (1, 2, 5) if most <= 50 else (1,)
    ticks = [step * 10**power for power in range(6) for step in steps if step * 10**power <= most]
    ax.set_xticks(ticks, [f"{k:,}" for k in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(0.93, max(2, most) * 1.08)


def _draw_curve(ax: Axes, curve: pd.DataFrame, palette: Palette, name: str) -> tuple[float, str, str]:
    """Draw one optimizer's curve; return the label of its end."""
    look, needed = palette[name], int(curve["needed"].iloc[0])
    ax.fill_between(curve["k"], curve["low"], curve["high"], color=look.colour, alpha=0.18, lw=0)
    ax.plot(curve["k"], curve["expected"], look.line, color=look.colour, marker=look.marker, ms=4, markevery=0.12)
    at = float(curve.loc[curve["k"] == needed, "expected"].iloc[0])
    ax.plot([needed], [at], "|", color="black", ms=16, mew=2, zorder=4)
    small = curve["goal"].iloc[0] == "minimize"
    ax.annotate(
        f"{needed}",
        (needed, at),
        (3, 9 if small else -9),
        textcoords="offset points",
        va="bottom" if small else "top",
        fontsize=8.5,
        zorder=5,
    )
    return float(curve["expected"].iloc[-1]), name, look.colour


def _order(data: pd.DataFrame) -> list[str]:
    last = data.drop_duplicates("optimizer", keep="last").set_index("optimizer")["expected"]
    return list(last.sort_values(ascending=data["goal"].iloc[0] == "minimize").index)


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    low, high = data["expected"].min(), data["expected"].max()
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.01
    return low - pad, high + pad


def _size(data: pd.DataFrame) -> tuple[float, float]:
    optimizers = data["optimizer"].nunique()
    if optimizers <= TOGETHER:
        return 8.5, 4.6
    rows, _ = style.grid_shape(min(optimizers, MAX_PANELS), max_columns=4)
    return 10.5, 1.1 + 2.0 * rows


def _caption(data: pd.DataFrame) -> str:
    ends = data.drop_duplicates("optimizer")
    low, high = int(ends["tried"].min()), int(ends["tried"].max())
    tried = format_count(high, "configuration") if low == high else f"{low} to {high:,} configurations"
    metric, lost = data["metric"].iloc[0], int(ends["lost"].sum())
    as_what = "chance" if is_fraction(metric) else "the worst score"
    return (
        "Line: expected best of k configurations of an optimizer, tried in any order (exact, without replacement; "
        f"{tried} each, a score is the mean over its seeds); band: quartiles of that best, cut at the frame; "
        f"upright tick: {100 * ENOUGH:.0f} % of the last value is reached, with so many configurations"
        + ("; grey: the other optimizers." if len(ends) > TOGETHER else ".")
        + (f" {format_count(lost, 'configuration')} with a diverged seed: counted as {as_what}." if lost else "")
        + " How an optimizer does depends on the ranges that were searched."
        + yardstick.note(data)
        + style.cut_note(len(ends), MAX_PANELS, "optimizers", "tuning_curve")
    )


PLOT = Plot(
    name="tuning_curve",
    section="How sure",
    heading="Tuning effort",
    title="How many configurations must be tried before an optimizer is good?",
    data=tuning_curve_data,
    draw=draw_tuning_curve,
    size=_size,
    caption=_caption,
    empty="No optimizer has two configurations whose seeds have all ended, so there is no tuning to follow.",
    of_scores=True,
)
