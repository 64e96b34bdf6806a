"""The figures of a training's norms: a panel per kind with a line per layer, and all gradients raw against smoothed.

write_drawing(NORMS, norms_data(norms, beta=0.9), folder)
write_drawing(MAGNITUDE, magnitude_data(norms, beta=0.9), folder)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from analysis.chapter.drawing import Drawing, step_axis
from analysis.chapter.norms import GRADIENTS, PARAMETERS, TOGETHER, UPDATES
from analysis.plots import style
from ch6dist.catalog.text import number_text
from ch6dist.catalog.wording import format_count, short_number
from ch6dist.runs.capture_signs import EXPLODING_NORM, VANISHING_RMS

MOST_LAYERS = 12  # that are drawn
PANEL_INCHES = 2.9
FEW_DECADES = 300.0  # largest ÷ smallest, up to which decades alone would be too few ticks
MARK_SHARE = 0.035  # of a panel's height, for a row of marks
VALUE, SMOOTHED = "#b5b5b5", "#0072B2"


def draw_norms(figure: Figure, data: pd.DataFrame) -> None:
    """Draw a panel per kind, one below the other; each layer has one colour and dash in all of them."""
    panels, layers = list(dict.fromkeys(data["panel"])), shown_layers(data)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        of_panel = data[data["panel"] == panel]
        _size_axis(ax, of_panel)
        ends = []
        for number, layer in enumerate(layers):
            lines = of_panel[of_panel["layer"] == layer]
            colour = style.COLOURS[number % len(style.COLOURS)]
            end = _draw_series(ax, lines, colour=colour, pale=colour, ls=style.LINES[number % len(style.LINES)])
            if end is not None:
                ends.append((end, layer, colour))
        ax.set_title(panel)
        ax.margins(x=0.01)
        _mark_steps(ax, of_panel, layers)
        style.end_labels(ax, ends, inches=PANEL_INCHES - 0.6)
    step_axis(axes[-1])


def draw_magnitude(figure: Figure, data: pd.DataFrame) -> None:
    """Draw the series thin and its average thick."""
    ax = figure.subplots()
    _size_axis(ax, data)
    _draw_series(ax, data, colour=SMOOTHED, pale=VALUE, ls="-")
    ax.margins(x=0.01)
    step_axis(ax)
    ax.set_ylabel("norm" if data["what"].iloc[0] == TOGETHER else "mean absolute gradient")
    handles = [ax.plot([], [], color=VALUE, lw=0.9)[0], ax.plot([], [], color=SMOOTHED, lw=1.9)[0]]
    labels = ["raw", f"exponential average, beta {_beta(data)}, bias-corrected"]
    style.legend(ax, handles, labels, loc="lower left", bbox_to_anchor=(0, 1.02), ncols=2)


def shown_layers(data: pd.DataFrame) -> list[str]:
    """Return the layers that are drawn, in order: all, or MOST_LAYERS from the first to the last, evenly apart."""
    layers = list(dict.fromkeys(data["layer"]))
    places = np.linspace(0, len(layers) - 1, min(len(layers), MOST_LAYERS)).round().astype(int)
    return [layers[place] for place in places]


def _draw_series(ax: Axes, lines: pd.DataFrame, *, colour: str, pale: str, ls: Any) -> float | None:
    """Draw the values thin and their average thick, or the values alone; return where the thick line ends."""
    has_average = bool(lines["smoothed"].notna().any())
    thick = (lines["smoothed"] if has_average else lines["value"]).where(lambda values: np.isfinite(values))
    marker = "o" if len(lines) == 1 else ""
    if has_average:
        value = lines["value"].where(np.isfinite(lines["value"]))
        ax.plot(lines["step"], value, color=pale, lw=0.7, alpha=1.0 if pale != colour else 0.35)
    ax.plot(lines["step"], thick, color=colour, lw=1.9, ls=ls, marker=marker)
    ends = thick[thick > 0] if ax.get_yscale() == "log" else thick.dropna()
    return float(ends.iloc[-1]) if len(ends) else None


def _mark_steps(ax: Axes, data: pd.DataFrame, layers: list[str]) -> None:
    """Mark exploding steps red above; below, in a row per layer and under all lines, where its gradients vanished."""
    vanished = [number for number, layer in enumerate(layers) if (data["vanishing"] & (data["layer"] == layer)).any()]
    low, high = ax.get_ylim()
    if vanished and ax.get_yscale() == "log":
        ax.set_ylim(low * (low / high) ** (MARK_SHARE * (len(vanished) + 1)), high)
    rows: list[tuple[float, pd.Series, str, str]] = [(1.0, data["exploding"], "|", style.RED)]
    for row, number in enumerate(vanished, start=1):
        colour = style.COLOURS[number % len(style.COLOURS)]
        rows.append((row * MARK_SHARE, data["vanishing"] & (data["layer"] == layers[number]), "v", colour))
    for height, chosen, marker, colour in rows:
        steps = data.loc[chosen, "step"].drop_duplicates()
        if len(steps):  # a line without points would count as one at the figure's edge
            (marks,) = ax.plot(steps, np.full(len(steps), height), color=colour, ls="", marker=marker, clip_on=False)
            marks.set(transform=ax.get_xaxis_transform(), markersize=3 if marker == "v" else 7)


def _size_axis(ax: Axes, data: pd.DataFrame) -> None:
    """Make the y axis logarithmic, if there is anything that has a logarithm, with ticks also within a decade."""
    value = data["value"][np.isfinite(data["value"]) & (data["value"] > 0)]
    if len(value):
        style.log_axis(ax, "y", style.lr_formatter())
        if value.max() < FEW_DECADES * value.min():
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def _norms_caption(data: pd.DataFrame) -> str:
    first, panels, layers = data.iloc[0], set(data["panel"]), data["layer"].nunique()
    parts = [f"{first['configuration']}, {_steps(data)}. Each line is a layer, its weights and biases together."]
    if layers > MOST_LAYERS:
        parts.append(f"Drawn are {MOST_LAYERS} of {layers} layers, evenly from first to last; all are in the CSV.")
    if panels != {PARAMETERS}:
        parts.append(f"Thin: raw; thick: its bias-corrected exponential average, beta {_beta(data)}.")
    if GRADIENTS in panels:
        parts.append(_signs(data))
    if UPDATES in panels:
        parts.append("Update ÷ parameter: norm of a step's change over that of the parameters before it, by samples.")
    return " ".join(parts)


def _signs(data: pd.DataFrame) -> str:
    exploding = data.loc[data["exploding"], "step"].nunique()
    vanishing = list(dict.fromkeys(data.loc[data["vanishing"], "layer"]))
    steps = f"{format_count(exploding, 'step')}, red above, exploded" if exploding else "No step exploded"
    layers = f"a gradient vanished (▼) in {', '.join(vanishing)}" if vanishing else "no gradient vanished"
    return (
        f"{steps} (norm of all captured gradients together above {EXPLODING_NORM:g}, or not finite), and {layers} "
        f"(root mean square below {short_number(VANISHING_RMS)})."
    )


def _magnitude_caption(data: pd.DataFrame) -> str:
    first = data.iloc[0]
    broken = data.loc[~np.isfinite(data["value"]), "step"]
    ends = f" From step {broken.iloc[0]:,} on it is not finite, and has no average." if len(broken) else ""
    return f"{first['configuration']}, {_steps(data)}: {first['what']}.{ends}"


def _steps(data: pd.DataFrame) -> str:
    """Return which steps there are: `704 steps`, `71 steps from 1 to 701`."""
    steps = np.unique(data["step"])
    whole = len(steps) == steps[-1] - steps[0] + 1
    return format_count(len(steps), "step") + ("" if whole else f" from {steps[0]:,} to {steps[-1]:,}")


def _beta(data: pd.DataFrame) -> str:
    return number_text(float(data["beta"].iloc[0]))


NORMS = Drawing(
    name="norms",
    title=lambda data: "How large are gradients and parameters, layer by layer?",
    draw=draw_norms,
    size=lambda data: (9.5, 0.9 + PANEL_INCHES * data["panel"].nunique()),
    caption=_norms_caption,
)
MAGNITUDE = Drawing(
    name="magnitude",
    title=lambda data: "Do the gradients grow or shrink over the training?",
    draw=draw_magnitude,
    size=lambda data: (9.0, 3.6),
    caption=_magnitude_caption,
)
