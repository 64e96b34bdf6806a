"""The yardstick of a sweep as a bar with ends in figures that rank: the smallest difference that its seeds tell apart.

    data = data.assign(**yardstick_columns(results))
    yardstick.draw_beside(ax, data, best)       # y is the metric; draw_above where x is
    caption += yardstick.note(data)

Nothing is drawn or said where no seeds were repeated.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from ch6dist.catalog.wording import format_difference, is_finite


def draw_beside(ax: Axes, data: pd.DataFrame, best: float, *, x: float = 1.025) -> None:
    """Draw the yardstick of a sweep right of the frame: from `best` to what the seeds just tell apart from it.

    Call it when the limits of the y axis are set: what lies beyond is cut.

    Args:
        x: where, as a share of the width of the axes.
    """
    length = float(data["resolution"].iloc[0] or math.nan)
    if not is_finite(length) or not is_finite(best):
        return
    low, high = sorted(ax.get_ylim())
    end = best + length if data["goal"].iloc[0] == "minimize" else best - length
    ends = [min(max(value, low), high) for value in (best, end)]
    where = blended_transform_factory(ax.transAxes, ax.transData)
    ax.plot([x] * 2, ends, color="black", lw=1.6, marker="_", ms=7, transform=where, clip_on=False)
    text = f"{format_difference(length, data['metric'].iloc[0])} told apart"
    side = "bottom" if (end > best) != ax.yaxis_inverted() else "top"  # beside the bar, longer than it if need be
    ax.text(x + 0.025, ends[0], text, rotation=90, va=side, ha="left", fontsize=8, transform=where)


def draw_above(ax: Axes, data: pd.DataFrame) -> None:
    """Draw the yardstick of a sweep above the right end of axes whose x axis is the metric; call it last."""
    length = float(data["resolution"].iloc[0] or math.nan)
    if not is_finite(length):
        return
    low, high = ax.get_xlim()
    start = max(0.0, 1 - length / (high - low))
    ax.plot([start, 1], [1.04] * 2, color="black", lw=1.6, marker="|", ms=7, transform=ax.transAxes, clip_on=False)
    text = f"{format_difference(length, data['metric'].iloc[0])} told apart"
    ax.annotate(text, (1, 1.04), (0, 5), "axes fraction", "offset points", ha="right", fontsize=8)


def note(data: pd.DataFrame) -> str:
    """Return the sentence of a caption that says what the bar is; empty where there is none."""
    length = float(data["resolution"].iloc[0] or math.nan)
    if not is_finite(length):
        return ""
    return (
        " Bar with ends: the smallest difference from the best that the seeds of this sweep tell apart, "
        f"{format_difference(length, data['metric'].iloc[0])}."
    )
