"""Must one number be tuned again when another moves: lr and weight decay, or the two numbers that matter most.

data = two_axes_data(results)      # one row per cell and optimizer: the best of everything else
"""

from __future__ import annotations

import textwrap
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.cells import draw_cells, plain_frame, text_colour
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.axes import number_texts
from analysis.study.results import Results
from analysis.study.scores import as_worst
from ch6dist.catalog.wording import format_count, is_fraction, metric_label
from ch6dist.runs.schema import Status

MAX_LEVELS = 10  # of an axis; more, as a search draws them, are cut into GROUPS
GROUPS = 6  # of about equally many configurations
MAX_PANELS, MAX_COLUMNS = 6, 3
MAX_CELLS = 180  # in all panels
MAP = "viridis"
COLUMNS = [
    "panel", "x_axis", "y_axis", "x", "y", "x_text", "y_text", "score", "configurations", "diverged", "metric", "goal",
    "grouped",
]  # fmt: skip


def two_axes_data(results: Results) -> pd.DataFrame:
    """Return (cells × optimizers, COLUMNS): the best mean score over seeds of the configurations in each cell.

    The axes are the two numbers that were crossed (two values of each with one optimizer) and that together explain the
    most variance within optimizers. `x`, `y`: position of the value among those tried,
    from 0. `score` is NaN where all seeds of all configurations diverged, `diverged` the share of seeds that did.
    """
    study, axes = results.study, results.axes
    scores = results.scores.assign(value=as_worst(results.scores, sign=study.sign))
    scores["lost"] = (scores["status"] == Status.DIVERGED).astype(float)
    groups = scores[scores["value"].notna() | (scores["lost"] > 0)].groupby("configuration", sort=False)
    table = groups.agg(score=("score", "mean"), value=("value", "mean"), lost=("lost", "mean"))
    table = table.assign(score=table["score"].where(table["lost"] == 0))
    table = table.join(axes.table)
    several = axes.optimizers.nunique() > 1
    table["panel"] = axes.optimizers if several else results.board["optimizer"].iloc[:1].squeeze()
    pair = _pair(table, axes.numeric)
    if pair is None:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    table = table[table[list(pair)].notna().all(axis=1)].copy()
    grouped = []
    for letter, name in zip("xy", pair, strict=True):
        codes, texts, is_grouped = _levels(table[name])
        table[letter], table[f"{letter}_axis"] = codes, name
        table[f"{letter}_text"] = [texts[code] for code in codes]
        grouped += [name] * is_grouped
    keys = ["panel", "x_axis", "y_axis", "x", "y", "x_text", "y_text"]
    cells = table.groupby(keys, sort=True).agg(
        score=("score", "max" if study.sign > 0 else "min"), configurations=("value", "size"), diverged=("lost", "mean")
    )
    cells = cells.reset_index().assign(metric=study.metric, goal=study.goal, grouped=", ".join(grouped))
    worth = (cells["score"] * study.sign).groupby(cells["panel"]).transform("max").fillna(-np.inf)
    return cells.iloc[np.argsort(-worth.to_numpy(), kind="stable")].reset_index(drop=True)[COLUMNS]


def _pair(table: pd.DataFrame, numeric: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the two axes that were crossed and explain the most variance within optimizers; lr is the first of two."""
    value = table["value"] - table.groupby("panel")["value"].transform("mean")
    found: tuple[float, tuple[str, str]] | None = None
    for pair in combinations(numeric, 2):
        known = table[list(pair)].notna().all(axis=1)
        codes = {name: _levels(table.loc[known, name])[0] for name in pair if known.any()}
        if not codes or not _crossed(table.loc[known, "panel"], *codes.values()):
            continue
        keys = [table.loc[known, "panel"].to_numpy(), *codes.values()]
        explained = float((value[known].groupby(keys).transform("mean") ** 2).sum())
        if found is None or explained > found[0] * (1 + 1e-9):
            found = explained, pair
    return None if found is None else found[1]


def _crossed(panels: pd.Series, x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether for some optimizer a value of x was tried with two of y, and one of y with two of x."""
    cells = pd.DataFrame({"panel": panels.to_numpy(), "x": x, "y": y}).drop_duplicates()
    return all(len(cells) and cells.groupby(["panel", letter]).size().max() > 1 for letter in "xy")


def _levels(values: pd.Series) -> tuple[np.ndarray, list[str], bool]:
    """Return the level of each value, from 0, the levels' texts, and whether values were cut into groups."""
    tried = np.sort(values.unique())
    if len(tried) <= MAX_LEVELS:
        return np.searchsorted(tried, values), number_texts(tried.tolist()), False
    edges = np.unique(np.quantile(values, np.linspace(0, 1, GROUPS + 1)))
    codes = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    texts = number_texts(edges.tolist(), digits=2)
    return codes, [f"{low}\nto {high}" for low, high in pairwise(texts)], True


def draw_two_axes(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a heat map per optimizer; hatched: not tried; X: only diverged; a frame: the optimizer's best."""
    panels = _panels(data)
    rows, columns = style.grid_shape(len(panels), max_columns=MAX_COLUMNS)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    shown = pd.concat(panels)["score"]
    low, high = shown.min(), shown.max()
    for position, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
        _draw_panel(ax, panel, data, low=low, high=high)
        if position % columns == 0:
            ax.set_ylabel(data["y_axis"].iloc[0])
        if position >= len(panels) - columns:
            ax.set_xlabel(data["x_axis"].iloc[0])
            ax.tick_params(labelbottom=True)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")


def _draw_panel(ax: Axes, panel: pd.DataFrame, data: pd.DataFrame, *, low: float, high: float) -> None:
    x_texts, y_texts = (_axis_texts(data, letter) for letter in "xy")
    every = np.array([(x, y) for x in range(len(x_texts)) for y in range(len(y_texts))])
    draw_cells(ax, *every.T, facecolors="white", edgecolors="#cccccc", hatch="////", linewidths=0)
    span = (high - low) or 1.0
    heights = (panel["score"] - low) / span if data["goal"].iloc[0] == "maximize" else (high - panel["score"]) / span
    colours = colormaps[MAP](heights.fillna(0).to_numpy())
    colours[panel["score"].isna()] = (1, 1, 1, 1)
    draw_cells(ax, panel["x"], panel["y"], facecolors=colours, edgecolors="white", linewidths=1)
    scale, decimals = (100, 1) if is_fraction(data["metric"].iloc[0]) else (1, 2)
    for x, y, score, colour in zip(panel["x"], panel["y"], panel["score"], colours, strict=True):
        lost = pd.isna(score)
        text, ink = ("X", style.RED) if lost else (f"{scale * score:.{decimals}f}", text_colour(colour))
        ax.text(x, y, text, ha="center", va="center", fontsize=8.5, color=ink, weight="bold" if lost else "normal")
    if panel["score"].notna().any():
        best = panel[heights == heights.max()].head(1)
        draw_cells(ax, best["x"], best["y"], inset=0.03, facecolors="none", edgecolors="black", linewidths=2.2)
        draw_cells(ax, best["x"], best["y"], inset=0.07, facecolors="none", edgecolors="white", linewidths=1.2)
    ax.set_xticks(range(len(x_texts)), x_texts)
    ax.set_yticks(range(len(y_texts)), y_texts)
    ax.tick_params(labelsize=8.5)
    plain_frame(ax, len(x_texts), len(y_texts))
    ax.invert_yaxis()  # larger values above
    ax.set_title(textwrap.fill(str(panel["panel"].iloc[0]), 30))


def _axis_texts(data: pd.DataFrame, letter: str) -> list[str]:
    firsts = data.drop_duplicates(letter).sort_values(letter)
    return [str(text) for text in firsts[f"{letter}_text"]]


def _panels(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [panel for _, panel in data.groupby("panel", sort=False)][: _most_panels(data)]


def _most_panels(data: pd.DataFrame) -> int:
    """Return how many optimizers are shown: their numbers take time to draw, and width."""
    return max(1, min(MAX_PANELS, MAX_CELLS // (data["x"].nunique() * data["y"].nunique())))


def _caption(data: pd.DataFrame) -> str:
    first = data.iloc[0]
    unit = " in %" if is_fraction(first["metric"]) else ""
    count = format_count(int(data["configurations"].sum()), "configuration")
    most = int(data["configurations"].max())
    of = "" if most == 1 else f", the best of up to {most} configurations that differ in everything else"
    cut = f" {first['grouped']}: cut into groups of equal size." if first["grouped"] else ""
    return (
        f"Cells: mean {metric_label(first['metric'])} over seeds{unit}{of} ({count} in all); brighter is better, on "
        "one scale. Framed: the optimizer's best; hatched: not tried; X: a seed diverged in all that were tried. Where "
        f"the best column is another in every row, the two must be tuned together.{cut}"
        + style.cut_note(data["panel"].nunique(), _most_panels(data), "optimizers", "two_axes")
    )


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = style.grid_shape(len(_panels(data)), max_columns=MAX_COLUMNS)
    x, y = len(_axis_texts(data, "x")), len(_axis_texts(data, "y"))
    return max(8.0, columns * max(2.4, 0.8 + 0.55 * x)), 1.0 + rows * max(1.5, 0.9 + 0.36 * y)


PLOT = Plot(
    has_shades=True,
    name="two_axes",
    section="Learning rates",
    heading="Two numbers at once",
    title="Must one number be tuned again when the other moves?",
    data=two_axes_data,
    draw=draw_two_axes,
    size=_size,
    caption=_caption,
    empty="No two numbers, such as lr and weight decay, were varied together for one optimizer.",
    of_scores=True,
)
