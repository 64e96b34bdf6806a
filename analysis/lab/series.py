"""Series over steps: Adam's three panels, momentum and Nesterov, losses, learning rates, errors along eigenvectors."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.lab.load import Visit
from analysis.lab.surfaces import draw_path, draw_surface, paths_caption, steps_note
from analysis.plots import style

GRADIENT, SMOOTH, SCALE, ADAPTED = "#8a8a8a", "#D55E00", "#0072B2", "#009E73"
LABELS = {"nesterov": "look-ahead (Nesterov)", "scale": "factor"}
MARKED = 40  # epochs up to which each has a mark
LOWEST = 1e-16  # of a loss on a logarithmic axis


def draw_adam(figure: Figure, visit: Visit) -> None:
    """Draw what Adam makes of its gradients: a row per parameter; smoothed, scale, and their product."""
    table = visit.tables["adam.csv"]
    axes = figure.subplots(2, 3, sharex=True, squeeze=False)
    for row, (ax_row, parameter) in enumerate(zip(axes, visit.parameters, strict=True)):
        own = table[table["parameter"] == parameter]
        smooth, scale, adapted = ax_row
        lines(smooth, own, {"gradient": GRADIENT, "smoothed": SMOOTH}, labelled=row == 0)
        lines(scale, own, {"scale": SCALE}, labelled=row == 0)
        lines(adapted, own, {"gradient": GRADIENT, "adapted": ADAPTED}, labelled=row == 0)
        smooth.set_ylabel(f"gradient of {parameter}")
        limits = _limits(own[["gradient", "smoothed", "adapted"]])
        smooth.set_ylim(limits)
        adapted.set_ylim(limits)
        scale.set_ylim(0, None)
        if row == 0:
            for ax, heading in zip(ax_row, ("smoothing", "scaling", "the adapted gradient"), strict=True):
                ax.set_title(heading)
        else:
            for ax in ax_row:
                ax.set_xlabel("step")


def adam_caption(visit: Visit) -> str:
    """Return the caption of `draw_adam`."""
    config = visit.about(_adam(visit))["optimizer"]
    windows = [round((1 + beta) / (1 - beta)) for beta in config["betas"]]
    table = visit.tables["adam.csv"]
    difference = float((table["adapted"] - table["taken"]).abs().max())
    return (
        f"1 path of Adam, {steps_note(visit, [_adam(visit)])}. Smoothing: the bias-corrected average of the gradients "
        f"(β1 {config['betas'][0]:g}, as an average over {windows[0]} steps). Scaling: 1 ÷ (√ of that of their squares "
        f"+ ε) (β2 {config['betas'][1]:g}, over {windows[1]}). Their product, times −lr, is the step: it differs from "
        f"the one torch took by {difference:.0e} at most."
    )


def draw_velocities(figure: Figure, visit: Visit) -> None:
    """Draw gradients, momentum and Nesterov's look-ahead of the three kinds of SGD, for the second parameter."""
    names, parameter = visit.comparison("flavours"), visit.parameters[1]
    table = visit.tables["velocities.csv"]
    axes = figure.subplots(1, len(names), sharex=True, sharey=True)
    parts = {"gradient": GRADIENT, "momentum": SMOOTH, "nesterov": SCALE}
    for place, (name, ax) in enumerate(zip(names, axes, strict=True)):
        own = table[(table["path"] == name) & (table["parameter"] == parameter)]
        lines(ax, own, dict(list(parts.items())[: place + 1]), labelled=place == len(names) - 1)
        ax.set_title(name)
        ax.set_xlabel("step")
    axes[0].set_ylabel(f"gradient of {parameter}")


def velocities_caption(visit: Visit) -> str:
    """Return the caption of `draw_velocities`."""
    names = visit.comparison("flavours")
    return (
        f"{len(names)} paths, {steps_note(visit, names)}. Each panel: the gradients on that path, and what its step is "
        "made of them: momentum m = 0.9 m + g, a discounted sum, not an average, so up to ten times as large; Nesterov "
        "g + 0.9 m. The first m is the first gradient."
    )


def draw_losses(figure: Figure, visit: Visit, names: Sequence[str], *, columns: int) -> None:
    """Draw training and validation loss by epoch, a panel per path, on one logarithmic axis."""
    rows, columns = style.grid_shape(len(names), max_columns=columns)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for place, (name, ax) in enumerate(zip(names, axes.flat, strict=False)):
        table, colour = visit.epochs(name), visit.look(name).colour
        epochs, marker = table["epoch"] + 1, "." if len(table) <= MARKED else ""
        ax.plot(epochs, table["loss"].clip(LOWEST), color=colour, marker=marker, label="training")
        ax.plot(
            epochs,
            table["val_loss"].clip(LOWEST),
            color=colour,
            ls="--",
            marker=marker,
            mfc="white",
            label="validation",
        )
        end = f" (diverged in epoch {len(table) + 1})" if visit.about(name)["diverged"] else ""
        ax.set_title("\n".join(textwrap.wrap(name + end, 32)), fontsize=9)
        if visit.problem["smallest_loss"] > 0:
            ax.axhline(visit.problem["smallest_loss"], color=style.RED, lw=0.9)
        if place == 0:
            ax.legend(loc="best", fontsize=8.5)
        if place + columns >= len(names):
            ax.set_xlabel("epoch")
            ax.tick_params(labelbottom=True)
        if place % columns == 0:
            ax.set_ylabel("loss")
    style.log_axis(axes[0, 0], "y", style.lr_formatter())


def losses_caption(visit: Visit, names: Sequence[str]) -> str:
    """Return the caption of `draw_losses`."""
    problem = visit.problem
    val = (
        f"validation loss ({problem['val_points']} points, after the epoch). Red: the smallest training loss."
        if problem["smallest_loss"] > 0
        else "loss after the epoch (the valley has no other points)."
    )
    return (
        f"{len(names)} paths, {steps_note(visit, names)}; the same start and batches for all. Solid: mean of the "
        f"batches' losses in the epoch, weighted by their sizes; dashed: {val}"
    )


def draw_schedules(figure: Figure, visit: Visit) -> None:
    """Draw the paths of momentum and Nesterov with each schedule, and the learning rates between the two rows."""
    names = visit.comparison("schedules")
    half = len(names) // 2
    axes = figure.subplots(3, half, height_ratios=(3, 1, 3), squeeze=False)
    for row, own in ((0, names[:half]), (2, names[half:])):
        for ax, name in zip(axes[row], own, strict=True):
            draw_surface(ax, visit)
            draw_path(ax, visit, name)
            ax.set_title("\n".join(textwrap.wrap(name, 36)), fontsize=9)
            ax.set_xlabel(visit.parameters[0])
        axes[row, 0].set_ylabel(visit.parameters[1])
    largest = max(visit.path(name)["lr"].max() for name in names)
    for ax, name in zip(axes[1], names[:half], strict=True):
        rows = visit.path(name)
        ax.plot(rows["step"], rows["lr"], color="black", drawstyle="steps-post", lw=1.4)
        ax.set(xlabel="step", ylim=(0, 1.1 * largest))
    axes[1, 0].set_ylabel("learning rate")


def schedules_caption(visit: Visit) -> str:
    """Return the caption of `draw_schedules`."""
    return (
        paths_caption(visit, visit.comparison("schedules"))
        + " Between the rows: the learning rate of each step, the same in both. CyclicLR cycles the momentum too, "
        "against the learning rate, between 0.8 and 0.9."
    )


def draw_errors(figure: Figure, visit: Visit) -> None:
    """Draw the error along each eigenvector over steps: predicted as lines, measured as dots."""
    table = visit.tables["errors.csv"]
    settings = list(dict.fromkeys(table["setting"]))
    axes = figure.subplots(1, len(settings), sharex=True, sharey=True, squeeze=False)[0]
    for ax, setting in zip(axes, settings, strict=True):
        own = table[table["setting"] == setting]
        for value, (colour, marker) in zip(own["eigenvalue"].unique(), ((SCALE, "o"), (SMOOTH, "^")), strict=False):
            rows = own[own["eigenvalue"] == value]
            label = f"λ {float(value):.3g}"
            ax.plot(rows["step"], rows["predicted"].clip(LOWEST), color=colour, lw=1.2, label=f"{label}, predicted")
            ax.plot(rows["step"], rows["measured"].clip(LOWEST), marker, color=colour, ms=3.5, mfc="white",
                    label=f"{label}, measured")  # fmt: skip
        ax.set_title("\n".join(textwrap.wrap(setting, 40)), fontsize=9)
        ax.set_xlabel("step")
    axes[1].legend(loc="best", fontsize=8.5)
    axes[0].set_ylabel("error ÷ error at the start")
    style.log_axis(axes[0], "y", style.lr_formatter())
    axes[0].set_ylim(max(LOWEST / 3, 1e-8), None)


def errors_caption(visit: Visit) -> str:
    """Return the caption of `draw_errors`."""
    table = visit.tables["errors.csv"]
    steps, settings = int(table["step"].max()), table["setting"].nunique()
    difference = float((table["predicted"] - table["measured"]).abs().max())
    return (
        f"{settings} settings, {steps} steps of SGD on the curvature of the problem, without noise, from an error of 1 "
        "along each eigenvector. Lines: powers of the iteration matrix; marks: torch's SGD. They differ by "
        f"{difference:.0e} at most. Dips: the error passes through 0."
    )


def lines(ax: Axes, table: pd.DataFrame, columns: dict[str, str], *, labelled: bool) -> None:
    """Draw columns of a table over its steps, each in its colour; a name for each in the legend."""
    for column, colour in columns.items():
        ax.plot(table["step"], table[column], color=colour, lw=1.5, label=LABELS.get(column, column))
    if labelled:
        ax.legend(loc="best", fontsize=8.5)


def _limits(table: pd.DataFrame) -> tuple[float, float]:
    """Return one range for all columns, with a margin."""
    low, high = float(np.nanmin(table.to_numpy())), float(np.nanmax(table.to_numpy()))
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def _adam(visit: Visit) -> str:
    return next(name for name in visit.comparison("adam") if visit.about(name)["optimizer"]["name"] == "Adam")
