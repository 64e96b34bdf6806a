"""The figures of a contest of optimizers: the time to the target in every heat, and the performance profile.

    write_drawing(TIMES, contest.heats, folder)
    write_drawing(PROFILE, profile_data(contest.heats), folder)

The profile is that of Dolan and Moré (2002), as AlgoPerf draws it (Dahl et al. 2023), with heats in place of workloads.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from analysis.chapter.drawing import Drawing
from analysis.plots import style
from ch6dist.catalog.wording import format_count, format_count_range

ROW_INCHES = 0.46
TOGETHER, COLUMNS = 5, 4  # optimizers that share one panel of the profile; panels beside each other
PANEL_INCHES = 2.6  # height of one panel
UNTUNED = 0.32  # rows below its optimizer at which the untuned configuration is marked


def profile_data(heats: pd.DataFrame) -> pd.DataFrame:
    """Return a row per optimizer and step of its profile: in which `share` of the `heats` it is within `factor`.

    The factor is that of its time to the fastest of its heat. One that is never in time has a single row, of factor 1
    and share 0. Only heats count in which all have ended; empty without any.
    """
    rows = []
    for name, group in heats[heats["ratio"].notna()].groupby("optimizer", sort=False):
        factors = np.sort(group.loc[np.isfinite(group["ratio"]), "ratio"].to_numpy(dtype=np.float64))
        shares = np.arange(1, len(factors) + 1) / len(group)
        steps = list(zip(factors.tolist(), shares.tolist(), strict=True)) or [(1.0, 0.0)]
        rows += [{"optimizer": name, "factor": factor, "share": share, "heats": len(group)} for factor, share in steps]
    return pd.DataFrame(rows, columns=pd.Index(["optimizer", "factor", "share", "heats"]))


def draw_times(figure: Figure, data: pd.DataFrame) -> None:
    """Draw a row per optimizer: its heats at their epochs to the target, their median, and the untuned ones below."""
    ax, names = figure.subplots(), list(data["optimizer"].unique())
    looks = style.palette(names)
    last = _last(data)
    never = last + max(1.0, 0.12 * last)  # where those stand that did not reach the target
    ax.axvspan(never - (never - last) / 2, never + (never - last) / 2, color=style.STRIP, zorder=0)
    for y, name in enumerate(names):
        its, look = data[data["optimizer"] == name], looks[name]
        tuned, untuned = _placed(its["epochs"], never), _placed(its["untuned_epochs"], never)
        if tuned:
            middle = float(np.median([x if x < never else math.inf for x in tuned]))
            ax.plot([min(middle, never)] * 2, [y - 0.3, y + 0.2], color=look.colour, lw=2.2, alpha=0.5, zorder=2)
        _mark(ax, tuned, y, marker=look.marker, color=look.colour, ms=6.5, up=True)
        _mark(ax, untuned, y + UNTUNED, marker="o", color=style.GREY, mfc="none", ms=4.5, up=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names)
    style.colour_labels(ax.yaxis, names, looks)
    ax.set_xlim(0, never + (never - last) / 2)
    ax.set_xlabel("epochs to the target")
    ticks = [tick for tick in MaxNLocator(9, integer=True).tick_values(0, last) if 0 <= tick <= last]
    ax.set_xticks([*ticks, never], [*(f"{tick:g}" for tick in ticks), "not\nreached"])
    ax.grid(axis="y", visible=False)


def _last(data: pd.DataFrame) -> float:
    """Return the latest epoch at which anyone reached the target; 1 without."""
    times = pd.concat([data["epochs"], data["untuned_epochs"]])
    return float(max(times[np.isfinite(times)], default=1.0))


def _placed(times: pd.Series, never: float) -> list[float]:
    return [min(float(time), never) for time in times.dropna()]


def _mark(ax: Axes, places: list[float], y: float, *, color: str, up: bool, **look: Any) -> None:
    """Draw marks in a row; beside one that stands for several how many they are, a little `up` or down."""
    for x, count in Counter(places).items():
        ax.plot([x], [y], ls="none", color=color, zorder=3, **look)
        if count > 1:
            beside = (5.0, 5.5 if up else -4.5)
            ax.annotate(f"×{count}", (x, y), beside, textcoords="offset points", va="center", fontsize=8, color=color)


def draw_profile(figure: Figure, data: pd.DataFrame) -> None:
    """Draw for each optimizer the share of the heats in which it is within a factor of the fastest.

    A few together, many in a panel each, the others grey behind.
    """
    names = list(data["optimizer"].unique())
    groups = [names] if len(names) <= TOGETHER else [[name] for name in names]
    rows, columns = style.grid_shape(len(groups), max_columns=COLUMNS)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    looks, end = style.palette(names), max(1.05 * float(data["factor"].max()), 1.5)
    for position, (ax, shown) in enumerate(zip(axes.flat, groups, strict=False)):
        for name in names:
            if name not in shown:
                ax.step(*_steps(data, name, end), where="post", color="#d0d0d0", lw=0.9, zorder=1)
        labels = []
        for name in shown:
            x, y = _steps(data, name, end)
            ax.step(x, y, looks[name].line, where="post", color=looks[name].colour, lw=1.8, zorder=2)
            heats = int(data.loc[data["optimizer"] == name, "heats"].iloc[0])
            labels.append((float(y[-1]), f"{name} {round(y[-1] * heats)}/{heats}", looks[name].colour))
        if len(groups) > 1:
            ax.set_title(labels[0][1], color=labels[0][2])
        _profile_axes(ax, end, is_left=position % columns == 0, is_lowest=position + columns >= len(groups))
        if len(groups) == 1:
            style.end_labels(ax, labels, inches=PANEL_INCHES)
    for ax in axes.flat[len(groups) :]:
        ax.set_visible(False)


def _steps(data: pd.DataFrame, name: str, end: float) -> tuple[list[float], list[float]]:
    its = data[data["optimizer"] == name]
    shares = its["share"].tolist()
    return [1.0, *its["factor"].tolist(), end], [0.0, *shares, shares[-1]]


def _profile_axes(ax: Axes, end: float, *, is_left: bool, is_lowest: bool) -> None:
    ax.set_xlim(1, end)
    ax.set_ylim(-0.02, 1.04)
    ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(1, end)
    ax.set_xticks([1.0, *(tick for tick in ticks if 1 + 0.1 * (end - 1) < tick <= end)])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}×"))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if is_lowest:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("factor of the fastest")
    if is_left:
        ax.set_ylabel("share of heats")


def _profile_size(data: pd.DataFrame) -> tuple[float, float]:
    count = data["optimizer"].nunique()
    rows = 1 if count <= TOGETHER else style.grid_shape(count, max_columns=COLUMNS)[0]
    return (8.6, 0.9 + PANEL_INCHES) if count <= TOGETHER else (10.4, 0.9 + 1.75 * rows)


def _times_caption(data: pd.DataFrame) -> str:
    trials, heats = format_count_range(data["trials"]), format_count(data["heat"].nunique(), "heat")
    left = int((~data["complete"]).sum())
    return (
        f"A filled mark is a heat ({heats}: one seed each), ×2 two of them: of an optimizer's {trials} tuning trials "
        "in it the one that reaches the target in the fewest epochs. Bar: their median. Open circles: its default "
        "learning rate, untuned. Further left is faster; on the red strip stands who did not reach the target in time."
        + (f" {left} of {len(data)} heats have not ended and are not drawn." if left else "")
    )


def _profile_caption(data: pd.DataFrame) -> str:
    return (
        "Performance profile: at 1× a line shows how often an optimizer is the fastest of a heat (all that tie are), "
        "at 2× how often it needs at most twice the epochs of the fastest. Higher is better; a line that ends below "
        "100 % did not reach the target in all heats; beside its name stands in how many it did. "
        f"{format_count(int(data['heats'].iloc[0]), 'heat')} in which all have ended."
    )


TIMES = Drawing(
    name="contest_times",
    title=lambda data: "How fast is each optimizer at the target, tuned with the same effort?",
    draw=draw_times,
    size=lambda data: (8.6, 1.5 + ROW_INCHES * data["optimizer"].nunique()),
    caption=_times_caption,
)
PROFILE = Drawing(
    name="contest_profile",
    title=lambda data: "How often is each optimizer the fastest, and how far behind is it otherwise?",
    draw=draw_profile,
    size=_profile_size,
    caption=_profile_caption,
)
