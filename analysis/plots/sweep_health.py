"""How the training runs of each optimizer ended: a bar each, divided by status."""

from __future__ import annotations

import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.cells import text_colour
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, status_label
from ch6dist.runs.schema import Status

STATUS_COLOURS = {
    Status.FINISHED: "#009E73",
    Status.DIVERGED: style.RED,
    Status.STOPPED: "#E69F00",
    Status.FAILED: "#5b2a86",
    Status.OUT_OF_MEMORY: "#CC79A7",
    Status.INTERRUPTED: "#8a8a8a",
    Status.RUNNING: "#56B4E9",
    Status.PAUSED: "#b8a9c9",
    Status.PLANNED: "#d9d9d9",
}
HATCHES = {  # beside colours, for print in black and white
    Status.FINISHED: "",
    Status.DIVERGED: "xxxx",
    Status.STOPPED: "----",
    Status.FAILED: "....",
    Status.OUT_OF_MEMORY: "oo",
    Status.INTERRUPTED: "////",
    Status.RUNNING: "\\\\",
    Status.PAUSED: "||||",
    Status.PLANNED: "",
}
CHARACTER = 0.085  # inches of a digit; a number that its bar has no room for stands at the end
PLOT_WIDTH = 5.2  # inches of the bars, about


def sweep_health_data(results: Results) -> pd.DataFrame:
    """Return (optimizers × statuses, [optimizer, status, trials]): the number of training runs of each status."""
    trials = results.study.trials
    counts = trials[trials["type"] == "train"].groupby(["optimizer", "status"]).size()
    return counts.rename("trials").reset_index()


def draw_sweep_health(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a bar per optimizer, divided by status; what a part has no room for stands at the end of the bar."""
    ax = figure.subplots()
    table = data.pivot_table(index="optimizer", columns="status", values="trials", fill_value=0).sort_index()
    longest = table.sum(axis=1).max()
    start = pd.Series(0, index=table.index)
    left_over: dict[str, list[str]] = {name: [] for name in table.index}
    for status in [status for status in STATUS_COLOURS if status in table.columns]:
        colour, hatch = STATUS_COLOURS[status], HATCHES[status]
        counts = table[status]
        fits = counts / longest * PLOT_WIDTH > CHARACTER * (counts.astype(int).astype(str).str.len() + 1)
        bars = ax.barh(
            table.index, counts, left=start, color=colour, hatch=hatch, ec="white", lw=0, label=status_label(status)
        )
        numbers = [f"{int(n)}" if n and fit else "" for n, fit in zip(counts, fits, strict=True)]
        for text in ax.bar_label(bars, numbers, label_type="center", color=text_colour(to_rgb(colour)), zorder=5):
            if text.get_text() and hatch:
                text.set(bbox={"fc": colour, "ec": "none", "pad": 1.0})
        for name in table.index[(counts > 0) & ~fits]:
            left_over[name].append(f"{int(counts[name])} {status_label(status)}")
        start = start + counts
    for y, name in enumerate(table.index):
        ax.annotate(
            ", ".join(left_over[name]), (start[name], y), (4, 0), textcoords="offset points", va="center", fontsize=8.5
        )
    style.colour_labels(ax.yaxis, table.index, palette)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("training runs")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0)


PLOT = Plot(
    name="sweep_health",
    section="How it was made",
    heading="How the training runs ended",
    title="How did the training runs of each optimizer end?",
    data=sweep_health_data,
    draw=draw_sweep_health,
    size=lambda data: (8.5, 1.9 + 0.36 * data["optimizer"].nunique()),
    caption=lambda data: (
        f"{format_count(int(data['trials'].sum()), 'training run')} by status, without range tests; "
        "diverged is a result, failed is not. Stopped: early, by the sweep's own rule or by a person."
    ),
    empty="The run has no training runs yet.",
)
