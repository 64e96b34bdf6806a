"""sweep_health: how the trials of each optimizer ended, a bar each, cut by status."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.load import Study
from analysis.text import status_words
from ch6dist.runs.schema import Status

STATUS_COLOURS = {
    Status.FINISHED: "#009E73",
    Status.DIVERGED: style.RED,
    Status.STOPPED: "#E69F00",
    Status.FAILED: "#5b2a86",
    Status.OUT_OF_MEMORY: "#CC79A7",
    Status.INTERRUPTED: "#8a8a8a",
    Status.RUNNING: "#56B4E9",
    Status.PLANNED: "#d9d9d9",
}


def sweep_health_data(study: Study, board: pd.DataFrame) -> pd.DataFrame:
    """(optimizers × statuses, [optimizer, status, trials]): how the trainings ended; empty without any."""
    counts = study.trials[study.trials["type"] == "train"].groupby(["optimizer", "status"]).size()
    return counts.rename("trials").reset_index()


def draw_sweep_health(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """A bar per optimizer, cut by status."""
    ax = figure.subplots()
    table = data.pivot_table(index="optimizer", columns="status", values="trials", fill_value=0).sort_index()
    start = pd.Series(0, index=table.index)
    for status in [status for status in STATUS_COLOURS if status in table.columns]:
        bars = ax.barh(table.index, table[status], left=start, color=STATUS_COLOURS[status], label=status_words(status))
        numbers = [f"{int(n)}" if n else "" for n in table[status]]
        ax.bar_label(bars, numbers, label_type="center", color="black" if status == Status.PLANNED else "white")
        start = start + table[status]
    for text, optimizer in zip(ax.get_yticklabels(), table.index, strict=True):
        text.set_color(palette[str(optimizer)].colour)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trainings")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0)


PLOT = Plot(
    name="sweep_health",
    heading="How the trainings ended",
    title="How did the trainings of each optimizer end?",
    data=sweep_health_data,
    draw=draw_sweep_health,
    size=lambda data: (8.5, 1.9 + 0.36 * data["optimizer"].nunique()),
    caption=lambda data: (
        f"{data['trials'].sum()} trainings by status (range tests apart); diverged is a result, failed is not."
    ),
    empty="The run has no trainings yet.",
)
