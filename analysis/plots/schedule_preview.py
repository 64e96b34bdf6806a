"""The learning rate that each schedule really used, and how much of it: do the schedules spend the same?

data = schedule_preview_data(results)      # one row per schedule and epoch
"""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from analysis.study.scores import curves
from ch6dist.catalog.wording import format_count_range

SHOWN, COLUMNS_OF_PANELS = 12, 4
COLOUR = "#56B4E9"
CONSTANT = "constant"
AGREE = 1e-6  # relative spread below which trials of a schedule have the same course
COLUMNS = ["schedule", "optimizers", "epochs", "epoch", "ratio", "low", "high", "budget", "trials"]


def schedule_preview_data(results: Results) -> pd.DataFrame:
    """Return (schedules × epochs, COLUMNS): the lr of each epoch's last step ÷ the configured one.

    `ratio` is the median over the trials of a schedule, `low` and `high` their extremes, `budget` the mean ratio over
    the epochs: what the schedule spends, a constant learning rate being 1. Trials without all their rows are left out;
    no rows where there is no schedule.
    """
    study = results.study
    trials = study.trials[(study.trials["type"] == "train") & ~study.trials["final"] & study.trials["lr"].notna()]
    tables = []
    for (name, _), group in trials.groupby(["scheduler", "epochs"], sort=False):
        epochs = int(group["epochs"].iloc[0])
        ratios = curves(study, "lr", group["trial"], epochs=epochs) / group["lr"].to_numpy(dtype=float)[:, None]
        whole = np.isfinite(ratios).all(axis=1)
        if not whole.any():
            continue
        ratios = ratios[whole]
        table = {
            "schedule": CONSTANT if name == "none" else name,
            "optimizers": ", ".join(sorted(set(group.loc[whole, "optimizer"]))),
            "epochs": epochs,
            "epoch": np.arange(1, epochs + 1),
            "ratio": np.median(ratios, axis=0),
            "low": ratios.min(axis=0),
            "high": ratios.max(axis=0),
            "budget": float(np.median(ratios.mean(axis=1))),
            "trials": int(whole.sum()),
        }
        tables.append(pd.DataFrame(table))
    if all(table["schedule"].iloc[0] == CONSTANT for table in tables):
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def draw_schedule_preview(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per schedule: the area under the line is what it spends."""
    panels = _panels(data)
    rows, columns = style.grid_shape(len(panels), max_columns=COLUMNS_OF_PANELS)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for position, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
        _draw_panel(ax, panel, several=data["epochs"].nunique() > 1)
        if position % columns == 0:
            ax.set_ylabel("lr ÷ configured")
        if position >= len(panels) - columns:
            ax.set_xlabel("epoch")
    for ax in figure.axes[len(panels) :]:
        ax.axis("off")


def _draw_panel(ax: Axes, panel: pd.DataFrame, *, several: bool) -> None:
    first = panel.iloc[0]
    x = panel["epoch"].to_numpy()
    marker = "o" if len(x) == 1 else ""
    ax.fill_between(x, 0, panel["ratio"], color=COLOUR, alpha=0.35, lw=0)
    if ((panel["high"] - panel["low"]) > AGREE * panel["high"].abs()).any():
        ax.plot(x, panel[["low", "high"]], color=style.GREY, lw=1, ls=":")
    ax.plot(x, panel["ratio"], color="#0072B2", marker=marker)
    ax.axhline(1, color="black", lw=0.9, ls="--", zorder=1)
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    name = f"{first['schedule']}" + (f", {first['epochs']} epochs" if several else "")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    ax.set_title(f"{textwrap.fill(name, 27)}\nspends {100 * first['budget']:.0f} %", fontsize=9.5)


def _panels(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [panel for _, panel in data.groupby(["schedule", "epochs"], sort=False)][:SHOWN]


def _never_moved(panel: pd.DataFrame) -> bool:
    """Return whether a schedule, not a constant learning rate, had the same one in each of several epochs."""
    courses = panel[["low", "ratio", "high"]]
    same = (courses.max() - courses.min() <= AGREE * courses.abs().max()).all()
    return bool(same) and len(panel) > 1 and panel["schedule"].iloc[0] != CONSTANT


def _caption(data: pd.DataFrame) -> str:
    firsts = data.drop_duplicates(["schedule", "epochs"])
    budgets = firsts["budget"]
    low, high = 100 * budgets.min(), 100 * budgets.max()
    spend = (
        "All spend the same learning rate in total."
        if high - low < 1
        else f"They spend between {low:.0f} and {high:.0f} % of it: at one configured learning rate the schedules also "
        "compare different amounts of it, so compare each at its own best."
    )
    varies = ((data["high"] - data["low"]) > AGREE * data["high"].abs()).any()
    band = (
        " Dotted: lowest and highest, where trials of one schedule differ (max_lr or a plateau decides)."
        if varies
        else ""
    )
    panels = [panel for _, panel in data.groupby(["schedule", "epochs"], sort=False)]
    still = list(dict.fromkeys(panel["schedule"].iloc[0] for panel in panels if _never_moved(panel)))
    never = f" {', '.join(still)} never changed {'its' if len(still) == 1 else 'their'} learning rate in the rows."
    return (
        "Learning rate of each epoch's last step ÷ the configured one, as recorded (median over n = "
        f"{format_count_range(firsts['trials'])} trials); area: its mean over the epochs, a constant one (dashed) "
        "being "
        f"100 %. {spend}{never if still else ''}{band}"
        + style.cut_note(len(firsts), SHOWN, "schedules", "schedule_preview")
    )


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = style.grid_shape(len(_panels(data)), max_columns=COLUMNS_OF_PANELS)
    return max(7.5, 2.6 * columns), 1.4 + 2.3 * rows


PLOT = Plot(
    name="schedule_preview",
    section="Schedules",
    heading="What the schedules spend",
    title="Do the schedules that are compared spend the same learning rate?",
    data=schedule_preview_data,
    draw=draw_schedule_preview,
    size=_size,
    caption=_caption,
    empty="No training run with a schedule has recorded the learning rate of all its epochs.",
)
