"""Paths over the contours of the loss: a panel per path, or several paths in one.

draw_panels(figure, visit, names, columns=3)
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.lab.load import Visit
from analysis.plots import style
from ch6dist.catalog.wording import format_count

LEVELS = 12  # contours, as in the book
PANEL_INCHES, LEAST_INCHES = 2.9, 7.0  # of a panel, of a figure
CONTOUR = "#b9b9b9"


def draw_panels(
    figure: Figure, visit: Visit, names: Sequence[str], *, columns: int, titles: Sequence[str] | None = None
) -> None:
    """Draw every path in a panel of its own, over the same contours; its title, left out, is its name."""
    rows, columns = style.grid_shape(len(names), max_columns=columns)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for place, (name, ax) in enumerate(zip(names, axes.flat, strict=False)):
        draw_surface(ax, visit)
        draw_path(ax, visit, name)
        title = "\n".join(textwrap.wrap(titles[place] if titles else name, 32)) + (
            " (diverged)" if visit.about(name)["diverged"] else ""
        )
        ax.set_title(title, fontsize=9)
        if place + columns >= len(names):
            ax.set_xlabel(visit.parameters[0])
            ax.tick_params(labelbottom=True)
        if place % columns == 0:
            ax.set_ylabel(visit.parameters[1])


def panels_size(panels: int, *, columns: int) -> tuple[float, float]:
    """Return width and height in inches of a figure of panels, with title and caption."""
    rows, columns = style.grid_shape(panels, max_columns=columns)
    width = max(LEAST_INCHES, PANEL_INCHES * columns)
    return width, 0.7 + (0.93 * width / columns + 0.35) * rows


def contour_levels(visit: Visit) -> np.ndarray:
    """Return the levels of the contours: dense at the optimum, where linear ones would leave the ground empty."""
    surface, smallest = visit.surface, visit.problem["smallest_loss"]
    highest = surface.loss.max() - smallest
    return np.asarray(smallest + highest * np.linspace(0, 1, LEVELS + 1)[1:] ** 2.5)


def draw_surface(ax: Axes, visit: Visit) -> None:
    """Draw the contours of the training loss and its optimum in red."""
    surface, window = visit.surface, visit.problem["window"]
    ax.grid(False)
    ax.contour(surface.xs, surface.ys, surface.loss, levels=contour_levels(visit), colors=CONTOUR, linewidths=0.8)
    ax.plot(*visit.problem["optimum"], "+", color=style.RED, ms=11, mew=1.6, zorder=7)
    ax.set(xlim=window, ylim=window, aspect="equal")


def draw_path(ax: Axes, visit: Visit, name: str) -> None:
    """Draw a path: a line, a dot at every step, a ring at the start and a filled mark at the end."""
    rows, (first, second) = visit.path(name), visit.parameters
    look = visit.look(name)
    ax.plot(rows[first], rows[second], color=look.colour, lw=1.1, zorder=3)
    ax.plot(rows[first], rows[second], ".", color=look.colour, ms=3.2, zorder=3)
    ax.plot(*visit.problem["start"], "o", mfc="white", mec="black", ms=6, zorder=4)
    if not visit.about(name)["diverged"]:
        ax.plot(
            rows[first].iloc[-1], rows[second].iloc[-1], look.marker, color=look.colour, mec="white", ms=7.5, zorder=6
        )


def steps_note(visit: Visit, names: Sequence[str]) -> str:
    """Return what a caption says of the steps of paths."""
    problem = visit.problem
    about = [visit.about(name) for name in names]
    steps = sorted({path["steps"] for path in about if not path["diverged"]}) or [max(p["steps"] for p in about)]
    batches = (
        "batches of the whole loss"
        if problem["batch_size"] >= problem["train_points"]
        else f"batches of {problem['batch_size']} of {problem['train_points']} points"
    )
    each = " each" if len(names) > 1 else ""
    fewer = ", fewer where it diverged" if any(path["diverged"] for path in about) else ""
    count = f"{' or '.join(map(str, steps))} steps{each}{fewer}"
    return f"{count} ({format_count(about[0]['epochs'], 'epoch')} of {problem['steps_per_epoch']} {batches})"


def paths_caption(visit: Visit, names: Sequence[str]) -> str:
    """Return the caption of paths over contours."""
    return (
        f"{format_count(len(names), 'path')}, {steps_note(visit, names)}; the same start (ring) and the same batches "
        f"for all. Dots: the parameters after each step; last one: the larger mark. Grey: {LEVELS} contours of the "
        "training loss; red cross: its optimum."
    )
