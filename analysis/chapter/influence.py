"""What each setting of an optimizer does to it: β1, β2 and ε of Adam, say, on the gradients of a real training.

    inside = look_inside(run, ledger, trial)
    write_drawing(INFLUENCE, influence_data(inside), folder)
    print(influence_text(influence_statistics(inside)))

One setting takes other values while the rest stay as the trial has them; the formulas and their settings are those of
formulas.py. The gradients stay those of the training that ran: with another β it would have met others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.chapter.drawing import Drawing, step_axis
from analysis.chapter.formulas import ADAPTED, FORMULAS, RAW, Floats, Setting, changed, own_value, result, typical_root
from analysis.chapter.inside import Inside, what_is_left_out
from ch6dist.averages import describe, window_of
from ch6dist.catalog.text import distinct_numbers, number_text
from ch6dist.catalog.wording import format_count, short_number

OWN, BEHIND, OTHER = "#0072B2", "#A9D3EC", "#3f3f3f"
ROW_INCHES = 2.0
SMALLEST = 1e-300  # stands for 0 where the distance to it is a ratio


def influence_data(inside: Inside) -> pd.DataFrame:
    """Return a row per setting, value and step: what the optimizer makes of the element whose gradients vary most."""
    element = int(np.argmax(describe(inside.stages[RAW]).variance))
    typical = _typical(inside)
    parts = [
        pd.DataFrame({"setting": setting.label, "value": value, "step": inside.steps, "result": values[:, element]})
        .assign(own=value == own_value(inside.optimizer, setting.where))
        .assign(times=math.nan if setting.is_beta or not typical else value / typical)
        for setting, value, values in _tried(inside)
    ]
    return pd.concat(parts, ignore_index=True).assign(
        stage=_stage(inside),
        typical=typical,
        parameter=inside.name,
        configuration=inside.label,
        elements=inside.stages[RAW].shape[1],
        left_out=what_is_left_out(inside),
    )


def influence_statistics(inside: Inside) -> pd.DataFrame:
    """Return a row per setting and value, over all steps: means over the elements, of the peak the largest.

    `sign_changes`: share of steps whose sign is opposite to that before; `window`: of a β, 2 ÷ (1 − β) − 1 steps.
    """
    rows = []
    for setting, value, values in _tried(inside):
        found = describe(values)
        alike = found.autocorrelation[np.isfinite(found.autocorrelation)]
        rows.append(
            {
                "setting": setting.label,
                "value": value,
                "own": value == own_value(inside.optimizer, setting.where),
                "steps": len(inside.steps),
                "elements": values.shape[1],
                "variance": float(found.variance.mean()),
                "peak": float(found.peak.max()),
                "autocorrelation": float(alike.mean()) if alike.size else math.nan,
                "sign_changes": sign_changes(values),
                "window": window_of(value) if setting.is_beta else math.nan,
            }
        )
    return pd.DataFrame(rows)


def sign_changes(values: Floats) -> float:
    """Return the share of steps, (steps, elements) after the first, whose sign is opposite to that of the step before.

    NaN where there is no second step. From or to 0 is no change.
    """
    signs = np.sign(values)
    return float((signs[1:] * signs[:-1] < 0).mean()) if len(values) > 1 else math.nan


def values_to_try(own: float, usual: Sequence[float], *, is_beta: bool) -> list[float]:
    """Return the usual values, rising, with the trial's own in the place of the nearest: each once.

    Nearest by ratio; of betas by that of their windows, since 0.99 is as far from 0.9 as 0.999 is from 0.99.
    """

    def size(value: float) -> float:
        return math.log(window_of(value) if is_beta else max(value, SMALLEST))

    nearest = min(usual, key=lambda value: abs(size(value) - size(own)), default=own)
    return sorted({own, *(value for value in usual if value != nearest)})


def draw_influence(figure: Figure, data: pd.DataFrame) -> None:
    """Draw a row of panels per setting, on one scale, a panel per value; what the trial had is in all of them."""
    settings = list(dict.fromkeys(data["setting"]))
    columns = int(data.groupby("setting")["value"].nunique().max())
    grid = figure.subplots(len(settings), columns, sharex=True, sharey="row", squeeze=False)
    for row, setting in zip(grid, settings, strict=True):
        panels = [panel for _, panel in data[data["setting"] == setting].groupby("value", sort=False)]
        own, names = next(panel for panel in panels if panel["own"].iloc[0]), _names(data, setting)
        for ax, panel in zip(row, panels, strict=False):
            _draw_panel(ax, panel, own, names[float(panel["value"].iloc[0])])
        if not (data.loc[data["setting"] == setting, "result"] != 0).any():
            row[0].set_ylim(-1, 1)
        for ax in row[len(panels) :]:
            ax.set_axis_off()
        row[0].set_ylabel(str(data["stage"].iloc[0]))
    for ax in grid[-1]:
        step_axis(ax, most=5)


def _draw_panel(ax: Axes, panel: pd.DataFrame, own: pd.DataFrame, name: str) -> None:
    is_own, marker = bool(panel["own"].iloc[0]), "o" if len(panel) == 1 else ""
    ax.axhline(0, color="black", lw=0.6)
    if not is_own:
        ax.plot(own["step"], own["result"], color=BEHIND, lw=0.9, marker=marker)
    ax.plot(panel["step"], panel["result"], color=OWN if is_own else OTHER, lw=0.8, marker=marker)
    ax.set_title(name, color=OWN if is_own else "black")
    ax.margins(x=0.01)


def _names(data: pd.DataFrame, setting: str) -> dict[float, str]:
    """Return what the panel of each value of a setting is called."""
    found = data.loc[data["setting"] == setting, ["value", "times", "own"]].drop_duplicates()
    shown = distinct_numbers(found["value"], digits=5)
    names = {}
    for value, times, own in found.itertuples(index=False):
        note = "the trial's" if own else f"{short_number(times)} × typical" if math.isfinite(times) else ""
        names[value] = f"{setting} = {number_text(shown[value])}" + (f"  ({note})" if note else "")
    return names


def _tried(inside: Inside) -> Iterator[tuple[Setting, float, Floats]]:
    """Yield each setting with each of its values, and what the optimizer then makes of the gradients."""
    name, gradients = str(inside.optimizer["name"]), inside.stages[RAW]
    for setting in FORMULAS[name].settings:
        usual = setting.usual
        if not setting.is_beta:
            typical = _typical(inside)
            usual = tuple(float(f"{times * typical:.0e}") for times in usual) if typical else ()
        for value in values_to_try(own_value(inside.optimizer, setting.where), usual, is_beta=setting.is_beta):
            yield setting, value, result(name, gradients, changed(inside.optimizer, setting.where, value))


def _stage(inside: Inside) -> str:
    if ADAPTED in inside.stages:
        return "adapted gradient"
    return "gradient + β · sum" if inside.optimizer["nesterov"] else "sum of gradients"


def _typical(inside: Inside) -> float:
    """Return the typical √ of the average square; 0 where the formula has none, or the gradients are 0."""
    name = str(inside.optimizer["name"])
    has_eps = any(not setting.is_beta for setting in FORMULAS[name].settings)
    return typical_root(name, inside.stages[RAW], inside.optimizer) if has_eps else 0.0


def _caption(data: pd.DataFrame) -> str:
    first, steps = data.iloc[0], format_count(data["step"].nunique(), "step")
    count = first["elements"]
    one = "its captured element" if count == 1 else f"the one of {count} captured elements whose gradients vary most"
    typical = (
        f" ε is added to the √ of the average square, whose median here is about {number_text(first['typical'])} "
        "(typical). Far below that it does nothing; far above, the division is by ε alone, the same for every element."
        if first["typical"]
        else ""
    )
    return (
        f"{first['parameter']} of {first['configuration']}: {steps} of a training run; {one}. Every panel: what the "
        "formula makes of the same gradients, one setting changed, the others as the trial has them. "
        f"{first['left_out']} Blue: the trial's own value, pale behind the others; the panels of a row share one scale."
        f"{typical} The gradients are those of the training that ran: another value would have led it elsewhere, and "
        "what it does to the training itself takes a sweep."
    )


def _title(data: pd.DataFrame) -> str:
    *others, last = dict.fromkeys(data["setting"])
    if others:
        return f"What do {', '.join(others)} and {last} each do to the {data['stage'].iloc[0]}?"
    return f"What does {last} do to the discounted sum of the gradients?"


INFLUENCE = Drawing(
    name="influence",
    title=_title,
    draw=draw_influence,
    size=lambda data: (10.5, 1.2 + ROW_INCHES * data["setting"].nunique()),
    caption=_caption,
)
