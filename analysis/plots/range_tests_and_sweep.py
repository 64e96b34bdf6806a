"""Does the range test find the learning rates at which training works?

    data = range_tests_and_sweep_data(results)    # one row per point; `series` says of what

The range tests' curves are drawn over the scores of the sweep, on one axis of learning rates.
"""

from __future__ import annotations

import textwrap
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.range_matches import Match, matches, sentence
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count_range, metric_label, short_number

MAX_PANELS = 6
MAX_COLUMNS = 3
MAX_SCHEDULES = 4  # of one panel
NAME = "range_tests_and_sweep"
# fmt: off
COLUMNS = [
    "panel", "optimizer", "series", "trial", "schedule", "lr", "value", "std", "n", "diverged", "seeds", "metric",
    "words",
]
# fmt: on
NUMBERS = dict.fromkeys(("lr", "value", "std", "n", "diverged", "seeds"), "float64")


def range_tests_and_sweep_data(results: Results) -> pd.DataFrame:
    """Return one row per point of every optimizer that has range tests and training runs.

    `series` is loss (smoothed, of a range test), span (two rows), score (mean over seeds) or best; `value` is a loss or
    a score, `words` what it comes to.
    """
    records = [record for match in matches(results) for record in _records(match, results)]
    return pd.DataFrame(records, columns=pd.Index(COLUMNS)).astype(NUMBERS)


def _records(match: Match, results: Results) -> list[dict[str, Any]]:
    head = {"panel": match.label, "optimizer": match.optimizer, "metric": match.metric, "words": sentence(match)}
    records: list[dict[str, Any]] = []
    for trial in match.tests["trial"]:
        artifact = results.study.ledger.artifacts.get((trial, "range_test"))
        curve = artifact["value"] if artifact else {"lr": [], "smoothed": []}
        points = zip(curve["lr"], curve["smoothed"], strict=False)
        records += [{**head, "series": "loss", "trial": trial, "lr": lr, "value": loss} for lr, loss in points]
    records += [{**head, "series": "span", "lr": lr} for lr in match.span or ()]
    for row in match.scores.to_dict("records"):
        score = {"value": row["mean"], **{key: row[key] for key in ("schedule", "lr", "std", "n", "diverged", "seeds")}}
        records.append({**head, "series": "score", **score})
    best = match.best
    if best is not None:
        point = {"schedule": best["schedule"], "lr": best["lr"], "value": best["mean"]}
        records.append({**head, "series": "best", **point})
    return records


def draw_range_tests_and_sweep(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per optimizer: losses of the range tests above, scores of the sweep below, the span through both."""
    panels = [panel for _, panel in data.groupby("panel", sort=False)][:MAX_PANELS]
    rows, columns = _shape(len(panels))
    parts = figure.subfigures(rows, columns, squeeze=False).flat
    for position, (part, panel) in enumerate(zip(parts, panels, strict=False)):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(1, 1.15))
        colour = palette[panel["optimizer"].iloc[0]].colour
        _draw_losses(upper, panel, colour)
        _draw_scores(lower, panel, colour)
        span = panel[panel["series"] == "span"]["lr"]
        if len(span):
            for ax in (upper, lower):
                ax.axvspan(span.min(), span.max(), color=colour, alpha=0.13, lw=0)
        style.log_axis(lower, "x", style.lr_formatter())
        _limit_lrs(lower, panel)
        upper.set_title(textwrap.fill(panel["panel"].iloc[0], 40))
        lower.set_xlabel("learning rate")
        if position % columns == 0:
            upper.set_ylabel("training loss\nof the range tests")
            lower.set_ylabel(f"{metric_label(data['metric'].iloc[0])}\nof the training runs")


def _draw_losses(ax: Axes, panel: pd.DataFrame, colour: str) -> None:
    curves = [curve for _, curve in panel[panel["series"] == "loss"].groupby("trial", sort=False)]
    for curve in curves:
        ax.plot(curve["lr"], curve["value"], color=colour, lw=1.4, alpha=0.75)
    if not (panel["series"] == "span").any():
        said = "most of the tests found nothing"
        ax.text(0.5, 0.96, said, transform=ax.transAxes, ha="center", va="top", fontsize=8.5, color=style.RED)
    if curves:
        starts, lows = zip(*((curve["value"].iloc[0], curve["value"].min()) for curve in curves), strict=True)
        low, start = min(lows), max(starts)
        fall = max(start - low, 0.005 * abs(start))
        ax.set_ylim(low - 0.12 * fall, start + 0.5 * fall)  # beyond, the loss of a good test explodes


def _draw_scores(ax: Axes, panel: pd.DataFrame, colour: str) -> None:
    scores = panel[panel["series"] == "score"]
    top = panel[panel["series"] == "best"]
    schedules = [str(name) for name in dict.fromkeys([*top["schedule"], *scores["schedule"]])][:MAX_SCHEDULES]
    handles: list[Artist] = []
    for schedule, line in zip(schedules, style.LINES, strict=False):
        found = scores[(scores["schedule"] == schedule) & scores["value"].notna()].sort_values("lr")
        spread = found["std"].fillna(0.0)
        ax.errorbar(found["lr"], found["value"], spread, color=colour, ls="", marker="o", ms=4, capsize=3)
        handles += ax.plot(found["lr"], found["value"], color=colour, ls=line, lw=1.4)
    if len(schedules) > 1:
        names = ["no schedule" if name == "none" else textwrap.shorten(name, 30) for name in schedules]
        style.legend(ax, handles, names, loc="upper left", fontsize=7.5)
    style.metric_axis(ax, panel["metric"].iloc[0])
    bottom, high = ax.get_ylim()
    ax.set_ylim(bottom, high + (0.18 + 0.1 * len(schedules) * (len(schedules) > 1)) * (high - bottom))
    lost = scores[scores["diverged"] > 0]["lr"].unique()
    ax.plot(lost, [0.03] * len(lost), "x", color=style.RED, ms=7, mew=1.8, transform=ax.get_xaxis_transform())
    if len(top):
        lr, value = top["lr"].iloc[0], top["value"].iloc[0]
        ax.plot(lr, value, "*", color="black", ms=11, zorder=4)
        paper = {"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1}
        where: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8.5, "bbox": paper}
        ax.annotate(short_number(lr), (lr, value), (0, 10), **where)


def _limit_lrs(ax: Axes, panel: pd.DataFrame) -> None:
    lrs = panel["lr"][panel["lr"] > 0]
    pad = max(lrs.max() / lrs.min(), 10.0) ** 0.05
    ax.set_xlim(lrs.min() / pad, lrs.max() * pad)


def _shape(panels: int) -> tuple[int, int]:
    """Return rows and columns: four panels are a square."""
    return style.grid_shape(min(MAX_PANELS, panels), max_columns=2 if panels == 4 else MAX_COLUMNS)


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = _shape(data["panel"].nunique())
    return (6.5, 9.5, 12.0)[columns - 1], 5.0 * rows + 0.8


def _caption(data: pd.DataFrame) -> str:
    tests = data[data["series"] == "loss"].groupby("panel")["trial"].nunique()
    panels = data.drop_duplicates("panel")
    words = ". ".join(text[:1].upper() + text[1:] for text in panels["words"].head(MAX_PANELS))
    n = format_count_range(data[(data["series"] == "score") & (data["n"] > 0)]["n"])
    count = f" ({format_count_range(tests)} each)" if len(tests) else ""
    hidden = data[data["series"] == "score"].groupby("panel")["schedule"].nunique().max() > MAX_SCHEDULES
    return (
        f"{words}. Above: smoothed loss of the range tests{count}, whose learning rate rises from left to right: where "
        "it is too low nothing is learned, where it is too high the loss goes up again. Tinted: the span of what they "
        "suggest, from the median of the lowest to that of the highest. Below: what whole training runs reach, mean "
        f"± standard deviation over seeds (n = {n}); star: the best; red X: a seed diverged. Where the star stands in "
        "the tint, the range test has found where training works."
        + (f" Of each panel {MAX_SCHEDULES} schedules are shown, the best one first." if hidden else "")
        + style.cut_note(data["panel"].nunique(), MAX_PANELS, "panels", NAME)
    )


PLOT = Plot(
    name=NAME,
    section="Learning rates",
    heading="Range tests and training runs",
    title="Does the range test find the learning rates at which training works?",
    data=range_tests_and_sweep_data,
    draw=draw_range_tests_and_sweep,
    size=_size,
    caption=_caption,
    empty="No range test has training runs beside it, at two learning rates or more, that differ in nothing else.",
    of_scores=True,
)
