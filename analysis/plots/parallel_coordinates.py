"""Which region of the space that was searched holds the good runs: a line per configuration across all axes.

data = parallel_coordinates_data(results)      # one row per configuration, best first
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LinearLocator
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.axes import OPTIMIZER, number_texts
from analysis.study.results import Results
from analysis.study.scores import as_worst
from ch6dist.catalog.wording import format_count, format_metric, metric_label
from ch6dist.runs.schema import Status

MAX_LINES = 600  # drawn: the best, and of the others every so many
BEST = 8  # emphasised
LOG_RATIO = 20  # largest ÷ smallest value from which on an axis is logarithmic
MAX_TICKS = 9
SPREAD = 0.55  # of the room between two categories, over which its lines are spread by their score
LABEL = 28  # characters of a category in a line
FIXED = ["place", "label", "look", "score", "goal", "metric", "diverged"]  # all other columns are axes
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """An axis: where on it (0 to 1) each line crosses, its ticks, their texts."""

    heights: Floats
    ticks: list[float]
    texts: list[str]
    text_colours: dict[int, str]


def parallel_coordinates_data(results: Results) -> pd.DataFrame:
    """Return (configurations, FIXED and axes), best first: values on each axis, and the mean score over seeds.

    A diverged seed counts with the worst score that any trial finished with; `place` counts from 1. No rows unless two
    axes were varied, or one with two configurations that have a score.
    """
    study, axes = results.study, results.axes
    lost = results.scores["status"] == Status.DIVERGED
    scores = results.scores.assign(score=as_worst(results.scores, sign=study.sign), diverged=lost.astype(int))
    groups = scores[scores["score"].notna()].groupby("configuration", sort=False)
    table = groups.agg(
        score=("score", "mean"), label=("label", "first"), look=("optimizer", "first"), diverged=("diverged", "sum")
    )
    if axes.optimizers.nunique() > 1:  # one look per optimizer, although labels may differ in what is an axis here
        table["look"] = axes.optimizers.reindex(table.index).map(axes.looks)
    table = table.join(axes.table).sort_values("score", ascending=study.sign < 0, kind="stable")
    table = table.assign(place=np.arange(1, len(table) + 1), goal=study.goal, metric=study.metric)
    varied = [name for name in axes.names if table[name].nunique() > 1]
    return table[[*FIXED, *varied]].head(len(table) if varied and len(table) > 1 else 0).reset_index(drop=True)


def draw_parallel_coordinates(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a line per configuration from axis to axis, to its score; the best in the colours of their optimizers."""
    ax = figure.subplots()
    names = [*_axes(data), "score"]
    worth = np.asarray(1 - (data["place"] - 1) / len(data), dtype=np.float64)
    scales = [_scale(data[name], worth, data, palette) for name in names]
    shown = _drawn(len(data))
    heights = np.column_stack([scale.heights for scale in scales])
    points = np.stack([np.broadcast_to(np.arange(len(names)), heights.shape), heights], axis=2)
    grey = shown[shown >= BEST][::-1]
    shades = [str(0.62 + 0.25 * (1 - worth[index])) for index in grey]
    ax.add_collection(LineCollection(list(points[grey]), colors=shades, linewidths=0.7, zorder=1))
    for index in range(min(BEST, len(data)))[::-1]:
        look = palette[data["look"].iloc[index]]
        size: dict[str, Any] = {"ms": 7, "lw": 3.2, "zorder": 4} if index == 0 else {"ms": 5, "lw": 1.6, "zorder": 3}
        ax.plot(range(len(names)), heights[index], ls=look.line, marker=look.marker, color=look.colour, **size)
    for x, (name, scale) in enumerate(zip(names, scales, strict=True)):
        _draw_axis(ax, x, scale, last=x == len(names) - 1)
        title = metric_label(data["metric"].iloc[0]) if name == "score" else name
        ax.annotate(textwrap.fill(title, 14), (x, 1.03), (0, 6), textcoords="offset points", ha="center", weight="bold")
    ax.set(xlim=(-0.1, len(names) - 0.9), ylim=(-0.04, 1.04))
    ax.axis("off")


def _draw_axis(ax: Axes, x: int, scale: Scale, *, last: bool) -> None:
    ax.plot([x, x], [-0.03, 1.03], color="black", lw=1.1, zorder=2)
    side, align = (5, "left") if last else (-5, "right")
    for index, (tick, text) in enumerate(zip(scale.ticks, scale.texts, strict=True)):
        ax.plot([x - 0.015, x + 0.015], [tick, tick], color="black", lw=1.1, zorder=2)
        ax.annotate(
            text, (x, tick), (side, 0), textcoords="offset points", ha=align, va="center", fontsize=8.5, zorder=5,
            color=scale.text_colours.get(index, "black"),
            bbox={"fc": "white", "ec": "none", "alpha": 0.75, "pad": 0.6},
        )  # fmt: skip


def _axes(data: pd.DataFrame) -> list[str]:
    return [name for name in data.columns if name not in FIXED]


def _drawn(lines: int) -> NDArray[np.int64]:
    """Return which lines are drawn, the best ones all, of the others every so many."""
    others = np.linspace(BEST, lines - 1, min(lines, MAX_LINES) - BEST) if lines > BEST else np.empty(0)
    return np.unique(np.concatenate([np.arange(min(BEST, lines)), others]).astype(np.int64))


def _scale(values: pd.Series, worth: Floats, data: pd.DataFrame, palette: Palette) -> Scale:
    if values.name == "score":
        return _score_scale(values, data)
    return _numbers(values) if is_numeric_dtype(values) else _categories(values, worth, data, palette)


def _score_scale(values: pd.Series, data: pd.DataFrame) -> Scale:
    low, high = values.min(), values.max()
    ticks = [float(tick) for tick in LinearLocator(5).tick_values(low, high)] if high > low else [low]
    heights = _between(values.to_numpy(), low, high)
    marks = _between(np.array(ticks), low, high)
    if data["goal"].iloc[0] == "minimize":
        heights, marks = 1 - heights, 1 - marks
    return Scale(heights, marks.tolist(), [format_metric(tick, data["metric"].iloc[0]) for tick in ticks], {})


def _numbers(values: pd.Series) -> Scale:
    """Return the scale of numbers: logarithmic where they span enough; a missing one crosses below all."""
    tried = sorted(values.dropna().unique())
    few = len(tried) <= MAX_TICKS
    wide = tried[-1] > LOG_RATIO * min((value for value in tried if value > 0), default=tried[-1])
    if wide and tried[0] <= 0 and few:  # zero has no place on a logarithmic axis: levels, evenly spaced
        positions = {value: index for index, value in enumerate(tried)}
        numbers, ticks = values.map(positions).to_numpy(dtype=float), [float(i) for i in range(len(tried))]
        texts = number_texts(tried)
    else:
        log = wide and tried[0] > 0
        change = np.log10 if log else np.asarray
        marks = tried if few else _ticks(tried, log=log)
        numbers, ticks, texts = (
            change(values.to_numpy(dtype=float)),
            list(change(np.array(marks))),
            number_texts(marks, digits=4 if few else 2),
        )
    missing = bool(values.isna().any())
    floor = 0.12 if missing else 0.0
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    heights = np.nan_to_num(floor + (1 - floor) * _between(numbers, low, high), nan=0.0)
    places = (floor + (1 - floor) * _between(np.array(ticks), low, high)).tolist()
    return Scale(heights, [0.0, *places], ["none", *texts], {}) if missing else Scale(heights, places, texts, {})


def _ticks(tried: list[float], *, log: bool) -> list[float]:
    return (np.geomspace if log else np.linspace)(tried[0], tried[-1], 5).tolist()


def _categories(values: pd.Series, worth: Floats, data: pd.DataFrame, palette: Palette) -> Scale:
    """Return the scale of names, sorted; the lines of one are spread by their score, the best on top."""
    names = sorted(values.unique(), reverse=True)
    step = 1 / max(1, len(names) - 1) if len(names) > 1 else 1.0
    places = {name: index * step for index, name in enumerate(names)}
    heights = values.map(places).to_numpy(dtype=float) + SPREAD * step * (worth - 0.5) * (len(names) > 1)
    colours = {}
    if values.name == OPTIMIZER:
        looks = data.groupby(values)["look"].min()
        colours = {index: palette[looks[name]].colour for index, name in enumerate(names)}
    margin = SPREAD * step / 2
    squeeze = (1 - 2 * margin) if len(names) > 1 else 1.0
    return Scale(
        margin + squeeze * heights,
        [margin + squeeze * place for place in places.values()],
        [textwrap.fill(name, LABEL, break_long_words=False) for name in names],
        colours,
    )


def _between(values: Floats, low: float, high: float) -> Floats:
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)


def _caption(data: pd.DataFrame) -> str:
    best, count = min(BEST, len(data)), len(data)
    diverged = int((data["diverged"] > 0).sum())
    lost = (
        f" A diverged seed counts as the worst score that finished ({format_count(diverged, 'configuration')})."
        if diverged
        else ""
    )
    drawn = len(_drawn(count))
    cut = (
        f" Drawn are the best and {drawn - best} of the others, evenly chosen; all are in "
        "data/parallel_coordinates.csv."
        if drawn < count
        else ""
    )
    return (
        f"A line per configuration ({count}), from its value on each axis to its mean score, better upwards. In "
        f"colour, with markers: the best {best}, the very best thick; grey: the others, stronger where better. The "
        f"lines of one name are spread by their score.{lost}{cut}"
    )


def _size(data: pd.DataFrame) -> tuple[float, float]:
    most = max([data[name].nunique() for name in _axes(data) if not is_numeric_dtype(data[name])], default=1)
    return max(8.5, 2.1 * (len(_axes(data)) + 1)), max(4.6, 0.42 * most + 1.2)


PLOT = Plot(
    name="parallel_coordinates",
    section="What won",
    heading="Where the good runs are",
    title="Which values do the good configurations have in common?",
    data=parallel_coordinates_data,
    draw=draw_parallel_coordinates,
    size=_size,
    caption=_caption,
    empty="Fewer than two configurations have a score, so there is nothing to compare.",
    of_scores=True,
)
