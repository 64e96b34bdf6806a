"""The learning rate and momentum of schedules side by side, as `ch6dist preview --json` has computed them.

data = schedules_data(read_previews(Path("preview.json")))
write_drawing(schedules_drawing(is_log=False), data, folder)
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.chapter.drawing import Drawing
from analysis.plots import style
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import short_number
from ch6dist.errors import InputError
from ch6dist.previews import Preview, from_json

STDIN = "-"
SHOWN, MAX_COLUMNS, TITLE_WIDTH = 24, 4, 28
NAME = "schedules"
LINE, AREA, MOMENTUM = "#0072B2", "#56B4E9", "#D55E00"
SHORTEST_LOG, LONGEST_LOG = 30, 1e5  # factors that a logarithmic axis spans
MANY = 3000  # steps that differ: an SVG holds more as a picture, or it would have megabytes
ALIKE = 5  # factor between the highest learning rates of panels up to which all have one scale


def read_previews(path: str) -> list[Preview]:
    """Return the previews of a file, or of the standard input where `path` is `-`. InputError if it has none."""
    try:
        text = sys.stdin.read() if path == STDIN else Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError("FILE.json", path, "what `ch6dist preview --json` prints") from None
    except OSError as error:
        raise InputError("FILE.json", path, f"a file that can be read ({error.strerror or error})") from None
    return from_json(text, file="standard input" if path == STDIN else path)


def schedules_data(previews: Sequence[Preview]) -> pd.DataFrame:
    """Return a row per trial and step: the learning rate and momentum that it uses; `epochs`: epochs done before it."""
    tables = []
    for number, preview in enumerate(previews, 1):
        steps = np.array([used.step for used in preview.lrs])
        tables.append(
            pd.DataFrame(
                {
                    "trial": number,
                    "schedule": one_line(preview.schedule),
                    "setting": one_line(preview.setting),
                    "configured_lr": preview.configured_lr,
                    "budget": preview.budget,
                    "step": steps,
                    "epochs": (steps - 1) / preview.steps_per_epoch,
                    "steps_per_epoch": preview.steps_per_epoch,
                    "lr": [used.lr for used in preview.lrs],
                    "momentum": [used.momentum for used in preview.lrs],
                    "momentum_name": preview.momentum_name or "",
                }
            ).astype(dict.fromkeys(("configured_lr", "budget", "lr", "momentum"), "float64"))
        )
    return pd.concat(tables, ignore_index=True)


def draw_schedules(figure: Figure, data: pd.DataFrame, *, is_log: bool) -> None:
    """Draw a panel per trial: its learning rate, below it its momentum, where any has one."""
    panels, heights = _panels(data), _heights(data)
    rows, columns = style.grid_shape(len(panels), max_columns=MAX_COLUMNS)
    grid = figure.subplots(rows * len(heights), columns, squeeze=False, height_ratios=heights * rows)
    shared, limits = _shared(panels), _limits(panels, is_log=is_log)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        axes = grid[row * len(heights) : (row + 1) * len(heights), column]
        if place >= len(panels):
            for ax in axes:
                ax.axis("off")
            continue
        panel = panels[place]
        _draw_lr(axes[0], panel, is_log=is_log, limits=limits)
        axes[0].set_title(_panel_title(panel, shared=shared), fontsize=9)
        axes[0].set_ylabel("learning rate" if column == 0 else "")
        if len(axes) > 1:
            _draw_momentum(axes[1], panel, _momentum_limits(panels))
            axes[0].tick_params(labelbottom=False)
        for ax in axes:
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
            ax.set_xlim(axes[0].get_xlim())
        axes[-1].set_xlabel("epoch")


def _draw_lr(ax: Axes, panel: pd.DataFrame, *, is_log: bool, limits: tuple[float, float] | None) -> None:
    x, y = _steps(panel, "lr")
    many = len(x) > MANY
    ax.plot(x, y, color=LINE, drawstyle="steps-post", lw=1.6, rasterized=many)
    if np.isfinite(panel["configured_lr"].iloc[0]):
        ax.axhline(panel["configured_lr"].iloc[0], color="black", lw=0.9, ls="--", zorder=1)
    if not is_log:
        ax.fill_between(x, 0, y, step="post", color=AREA, alpha=0.35, lw=0, rasterized=many)
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(style.lr_formatter())
    if limits:
        ax.set_ylim(*limits)
        if is_log:
            style.log_axis(ax, "y", style.lr_formatter())
    ax.margins(x=0.02)


def _draw_momentum(ax: Axes, panel: pd.DataFrame, limits: tuple[float, float]) -> None:
    if not (panel["momentum"] > 0).any():
        ax.text(0.5, 0.5, "no momentum", transform=ax.transAxes, ha="center", va="center", color=style.GREY, fontsize=9)
        ax.set_yticks([])
        return
    x, y = _steps(panel, "momentum")
    ax.plot(x, y, color=MOMENTUM, drawstyle="steps-post", lw=1.6, rasterized=len(x) > MANY)
    ax.set_ylim(*limits)
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.set_ylabel(panel["momentum_name"].iloc[0], fontsize=8.5)


def _panel_title(panel: pd.DataFrame, *, shared: str) -> str:
    first = panel.iloc[0]
    name = first["schedule"] if first["setting"] == shared else f"{first['schedule']} · {first['setting']}"
    spends = f"\nspends {100 * first['budget']:.1f} %" if np.isfinite(first["budget"]) else ""
    return textwrap.fill(str(name), TITLE_WIDTH) + spends


def _limits(panels: Sequence[pd.DataFrame], *, is_log: bool) -> tuple[float, float] | None:
    """Return the limits of all learning rates; None where each panel has its own."""
    lrs = np.concatenate([panel[["lr", "configured_lr"]].to_numpy().ravel() for panel in panels])
    if not is_log:
        return (0, 1.06 * float(np.nanmax(lrs))) if _have_one_scale(panels) else None
    positive = lrs[lrs > 0]
    if not len(positive):
        return None
    top = float(positive.max())
    return min(max(float(positive.min()), top / LONGEST_LOG) / 1.5, top / SHORTEST_LOG), 1.5 * top


def _momentum_limits(panels: Sequence[pd.DataFrame]) -> tuple[float, float]:
    found = pd.concat([panel["momentum"] for panel in panels if (panel["momentum"] > 0).any()])
    pad = max(0.02, 0.15 * (found.max() - found.min()))
    return found.min() - pad, found.max() + pad


def _steps(panel: pd.DataFrame, column: str) -> tuple[list[float], list[float]]:
    """Return x and y of a line of steps, the last of which is drawn to its end; of equal ones only the first."""
    values = panel[column].to_numpy(dtype=float)
    kept = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    x = [*panel["epochs"].to_numpy()[kept].tolist(), len(panel) / int(panel["steps_per_epoch"].iloc[0])]
    return x, [*values[kept].tolist(), float(values[-1])]


def _panels(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [panel for _, panel in data.groupby("trial", sort=True)][:SHOWN]


def _heights(data: pd.DataFrame) -> list[float]:
    """Return the heights of a panel's axes, in inches; a momentum of 0 is none."""
    return [1.9, 0.8] if (data["momentum"] > 0).any() else [1.9]


def _have_one_scale(panels: Sequence[pd.DataFrame]) -> bool:
    tops = [float(panel[["lr", "configured_lr"]].max().max()) for panel in panels]
    return max(tops) <= ALIKE * min(tops)


def _shared(panels: Sequence[pd.DataFrame]) -> str:
    """Return what all trials are beside their schedule; empty where they differ in it."""
    settings = {str(panel["setting"].iloc[0]) for panel in panels}
    return settings.pop() if len(settings) == 1 else ""


def _caption(data: pd.DataFrame, *, is_log: bool) -> str:
    panels, total = _panels(data), int(data["trial"].nunique())
    names = sorted({str(panel["momentum_name"].iloc[0]) for panel in panels if (panel["momentum"] > 0).any()})
    below = f" (above) and {' or '.join(names)} (below)" if names else ""
    area = "the area under it" if not is_log else "what lies under it on a linear axis"
    spends = (
        " Dashed: optimizer.lr, the configured learning rate. Spends: mean learning rate of all steps ÷ the configured "
        f"one, {area}."
        if data["budget"].notna().any()
        else ""
    )
    plateau = data["schedule"].str.contains("ReduceLROnPlateau").any()
    constant = "; a plateau sees a metric that never changes" if plateau else ""
    shared = _shared(panels)
    scale = "" if is_log or len(panels) == 1 or _have_one_scale(panels) else " Each panel has its own scale."
    limits = _limits(panels, is_log=is_log) if is_log else None
    cut = f" Cut below {short_number(limits[0])}." if limits and (data["lr"] < limits[0]).any() else ""
    all_are = f" All: {shared}." if shared else ""
    return (
        f"Learning rate{below} that every step uses, computed without training{constant}.{spends}{scale}{cut}{all_are}"
        + style.cut_note(total, SHOWN, "trials", NAME)
    )


def _size(data: pd.DataFrame) -> tuple[float, float]:
    panels = _panels(data)
    rows, columns = style.grid_shape(len(panels), max_columns=MAX_COLUMNS)
    lines = max(_panel_title(panel, shared=_shared(panels)).count("\n") for panel in panels)
    return max(7.0, 3.0 * columns), 0.5 + rows * (sum(_heights(data)) + 0.7 + 0.17 * lines)


def schedules_drawing(*, is_log: bool) -> Drawing:
    """Return the figure of `schedules_data`, with a logarithmic or a linear learning rate."""
    return Drawing(
        name=NAME,
        title=lambda data: (
            "What does the schedule do, step by step?"
            if data["trial"].nunique() == 1
            else "What do the schedules do, step by step?"
        ),
        draw=partial(draw_schedules, is_log=is_log),
        size=_size,
        caption=partial(_caption, is_log=is_log),
    )
