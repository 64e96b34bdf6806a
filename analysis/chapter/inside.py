"""What an optimizer makes of the gradients of a real training, step by step: raw, smoothed, scaled, adapted.

    inside = look_inside(run, ledger, trial, name="conv1.weight")
    write_drawing(INSIDE, inside_data(inside), folder)
    print(statistics_text(inside_statistics(inside)), *kept_by_the_optimizer(inside), sep="\\n")

The gradients were captured while the trial trained, as single elements of every step (`capture:` in its trial). Axis 0
is time. What follows is their formula alone (formulas.py). Where the trial also captured its optimizer's state, the
formula is held against it. Steps from the first gradient on that is not finite are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.chapter.drawing import Drawing, step_axis
from analysis.chapter.formulas import ADAPTED, FORMULAS, RAW, SCALE, SMOOTHED, Floats, Stages
from analysis.plots import style
from ch6dist.averages import describe, white_noise_share
from ch6dist.catalog.labels import label_all
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import format_count
from ch6dist.errors import UsageError, unknown_name
from ch6dist.runs.captures import Series, read_captures
from ch6dist.runs.ledger import Ledger

SHOWN = 3  # elements that are drawn; the statistics are of all
COLOURS = ("#0072B2", "#E69F00", "#009E73")
LINES = ("-", "--", ":")
HOW = "train it with capture.gradients.keep=sample, and every step (`every: 1`)"

WITHOUT_DECAY = "The learning rate comes after that."
DECAY = "The learning rate comes after that; weight decay is left out."


@dataclass(frozen=True)
class Inside:
    """A parameter's gradients over a training, and what its optimizer makes of them."""

    label: str  # of the configuration
    trial: str
    name: str  # of the parameter
    optimizer: Mapping[str, Any]
    steps: NDArray[np.int64]
    stages: Stages  # the first is the gradient
    state: Mapping[str, Floats]  # what the optimizer kept, by its name there; empty where it was not captured
    averages: Mapping[str, Floats]  # the same by the formula
    left_out: int  # steps, from the first on whose gradients are not finite


def look_inside(run: Path, ledger: Ledger, trial: str, *, name: str | None = None) -> Inside:
    """Return what was captured of a parameter, the first unless `name` says which.

    Raises:
        InputError: no such parameter among those that were captured.
        UsageError: the trial did not capture single elements of every step, it trains by another formula, or not even
            its first gradients are finite.
    """
    config = ledger.trials[trial]["config"]
    optimizer = config["optimizer"]
    if optimizer["name"] not in FORMULAS:
        raise UsageError(f"{trial} trains by {optimizer['name']}", f"its formula is known of {', '.join(FORMULAS)}")
    for key in ("amsgrad", "centered") + (("momentum",) if optimizer["name"] == "RMSprop" else ()):
        if optimizer.get(key):
            raise UsageError(f"{trial} trains with {key}, whose formula is another", "look into a trial without it")
    if len({row.get("momentum") for row in ledger.rows if row["trial"] == trial}) > 1:
        raise UsageError(f"the schedule of {trial} moves its momentum", "look into a trial with a constant one")
    captured = read_captures(run, ledger, trial)
    gradients = captured.get("gradients")
    if gradients is None or "sample" not in gradients.values:
        raise UsageError(f"{trial} did not capture elements of its gradients", HOW)
    if np.any(np.diff(gradients.steps) != 1) or gradients.steps[0] != 1:
        raise UsageError(f"{trial} did not capture the gradients of every step", HOW)
    chosen = name or gradients.names[0]
    if chosen not in gradients.names:
        raise unknown_name("--name", chosen, gradients.names)
    values = gradients.of(chosen, "sample").astype(np.float64)
    count = _finite_steps(values)
    if not count:
        raise UsageError(f"the gradients of {trial} are not finite from the first step on", "look into another trial")
    steps, values = gradients.steps[:count], values[:count]
    stages, averages = FORMULAS[optimizer["name"]].apply(values, optimizer)
    return Inside(
        label=one_line(str(label_all([config]).labels[0])),
        trial=trial,
        name=chosen,
        optimizer=optimizer,
        steps=steps,
        stages={RAW: values, **stages},
        state=_kept(captured.get("optimizer_state"), optimizer, chosen, steps, averages),
        averages=averages,
        left_out=len(gradients.steps) - count,
    )


def inside_data(inside: Inside) -> pd.DataFrame:
    """Return a row per stage, step and element that is drawn: those whose gradients vary most."""
    variance = describe(inside.stages[RAW]).variance
    elements = np.argsort(-variance, kind="stable")[:SHOWN]
    parts = [
        pd.DataFrame({"stage": stage, "element": number, "step": inside.steps, "value": values[:, element]})
        for stage, values in inside.stages.items()
        for number, element in enumerate(elements, start=1)
    ]
    return pd.concat(parts, ignore_index=True).assign(
        parameter=inside.name,
        configuration=inside.label,
        elements=inside.stages[RAW].shape[1],
        left_out=what_is_left_out(inside),
    )


def what_is_left_out(inside: Inside) -> str:
    """Return for a caption what of the training is not in the figure."""
    decay = DECAY if inside.optimizer["weight_decay"] else WITHOUT_DECAY
    steps = format_count(inside.left_out, "step")
    return decay + (f" Left out: {steps}, from the first gradient on that is not finite." if inside.left_out else "")


def inside_statistics(inside: Inside) -> pd.DataFrame:
    """Return a row per stage, over all steps: means over the elements, of peak, low and high the extremes.

    `kept`: share of the gradients' variance, of what has their unit; `white_noise`: what the average would keep of it.
    """
    raw = describe(inside.stages[RAW]).variance
    rows = []
    for stage, values in inside.stages.items():
        found = describe(values)
        rows.append(
            {
                "series": stage,
                "steps": len(inside.steps),
                "elements": inside.stages[RAW].shape[1],
                "variance": float(found.variance.mean()),
                "kept": float(found.variance.mean() / raw.mean()) if _same_unit(stage) and raw.mean() > 0 else math.nan,
                "white_noise": 1.0 if stage == RAW else _noise(stage, inside.optimizer),
                "peak": float(found.peak.max()),
                "low": float(found.low.min()),
                "high": float(found.high.max()),
                "autocorrelation": _mean(found.autocorrelation),
            }
        )
    return pd.DataFrame(rows)


def kept_by_the_optimizer(inside: Inside) -> list[str]:
    """Return for each thing the optimizer kept how far it is from the formula's, in lines for a person."""
    lines = []
    for slot, values in inside.state.items():
        size = np.abs(values).max()
        apart = np.abs(values - inside.averages[slot]).max() / size if size > 0 else 0.0
        lines.append(f"{slot}, as the optimizer kept it: the formula's, to {apart:.0e} of its largest value")
    return lines


def draw_inside(figure: Figure, data: pd.DataFrame) -> None:
    """Draw a panel per stage, one below the other; the same elements in each."""
    stages = list(dict.fromkeys(data["stage"]))
    axes = figure.subplots(len(stages), 1, sharex=True, squeeze=False)[:, 0]
    for ax, stage in zip(axes, stages, strict=True):
        for element, lines in data[data["stage"] == stage].groupby("element"):
            place = int(str(element)) - 1
            ax.plot(lines["step"], lines["value"], color=COLOURS[place], ls=LINES[place], lw=0.9)
        ax.set_title(stage)
        if stage == SCALE:
            style.log_axis(ax, "y", style.lr_formatter())
        else:
            ax.axhline(0, color="black", lw=0.6)
        ax.margins(x=0.01)
    step_axis(axes[-1])


def _same_unit(stage: str) -> bool:
    return stage not in (SCALE, ADAPTED)  # whose variance is no share of the gradients'


def _noise(stage: str, optimizer: Mapping[str, Any]) -> float:
    return white_noise_share(optimizer["betas"][0]) if stage == SMOOTHED else math.nan


def _kept(
    state: Series | None, optimizer: Mapping[str, Any], name: str, steps: NDArray[np.int64], averages: Stages
) -> dict[str, Floats]:
    """Return what the optimizer kept of the parameter, where it was captured of the same steps and elements."""
    # where weight decay is added to the gradient, the optimizer averages what was not captured
    if (
        state is None
        or _adds_decay(optimizer)
        or "sample" not in state.values
        or not np.array_equal(state.steps[: len(steps)], steps)
    ):
        return {}
    found = {slot: f"{name}.{slot}" for slot in averages if f"{name}.{slot}" in state.names}
    kept = {slot: state.of(full, "sample")[: len(steps)].astype(np.float64) for slot, full in found.items()}
    return {slot: values for slot, values in kept.items() if values.shape == averages[slot].shape}


def _adds_decay(optimizer: Mapping[str, Any]) -> bool:
    decoupled = optimizer["name"] == "AdamW" or optimizer.get("decoupled_weight_decay")
    return bool(optimizer["weight_decay"]) and not decoupled


def _finite_steps(values: Floats) -> int:
    """Return how many steps there are before the first that is not finite."""
    finite = np.isfinite(values).all(axis=1)
    return len(values) if finite.all() else int(np.argmin(finite))


def _mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _caption(data: pd.DataFrame) -> str:
    first, steps = data.iloc[0], format_count(data["step"].nunique(), "step")
    return (
        f"{first['parameter']} of {first['configuration']}: {steps} of a training run, from 1. Lines: the "
        f"{data['element'].nunique()} of {first['elements']} captured elements whose gradients vary most, the same in "
        f"every panel. Below the gradient: what the optimizer makes of it, by its formula. {first['left_out']}"
    )


INSIDE = Drawing(
    name="inside",
    title=lambda data: "What does the optimizer make of the gradients?",
    draw=draw_inside,
    size=lambda data: (9.0, 1.2 + 1.7 * data["stage"].nunique()),
    caption=_caption,
)
