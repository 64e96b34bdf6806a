"""What an optimizer makes of the gradients of a real training, step by step: raw, smoothed, scaled, adapted.

    inside = look_inside(run, ledger, trial, name="conv1.weight")
    write_drawing(INSIDE, inside_data(inside), folder)
    print(statistics_text(inside_statistics(inside)), *kept_by_the_optimizer(inside), sep="\\n")

The gradients were captured while the trial trained, as single elements of every step (`capture:` in its trial). Axis 0
is time. What follows is their formula alone: Kingma & Ba 2015 for Adam, and torch's form of RMSprop and momentum. Where
the trial also captured its optimizer's state, the formula is held against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.chapter.drawing import Drawing
from ch6dist.averages import describe, ewma, white_noise_share
from ch6dist.catalog.labels import label_all
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import format_count
from ch6dist.errors import UsageError, unknown_name
from ch6dist.runs.captures import Series, read_captures
from ch6dist.runs.ledger import Ledger

SHOWN = 3  # elements that are drawn; the statistics are of all
RAW, SMOOTHED, SCALE, ADAPTED = "gradient", "smoothed", "scale: 1 ÷ √ of the average square", "adapted"
COLOURS = ("#0072B2", "#E69F00", "#009E73")
LINES = ("-", "--", ":")
HOW = "train it with capture.gradients.keep=sample, and every step (`every: 1`)"

WITHOUT_DECAY = "The learning rate comes after that."
DECAY = "The learning rate comes after that; weight decay is left out."

Floats = NDArray[np.float64]
Stages = dict[str, Floats]  # by name: (steps, elements)


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


def look_inside(run: Path, ledger: Ledger, trial: str, *, name: str | None = None) -> Inside:
    """Return what was captured of a parameter, the first unless `name` says which.

    Raises:
        InputError: no such parameter among those that were captured.
        UsageError: the trial did not capture single elements of every step, or it trains by another formula.
    """
    config = ledger.trials[trial]["config"]
    optimizer = config["optimizer"]
    if optimizer["name"] not in _STAGES:
        raise UsageError(f"{trial} trains by {optimizer['name']}", f"its formula is known of {', '.join(_STAGES)}")
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
    stages, averages = _STAGES[optimizer["name"]](values, optimizer)
    return Inside(
        label=one_line(str(label_all([config]).labels[0])),
        trial=trial,
        name=chosen,
        optimizer=optimizer,
        steps=gradients.steps,
        stages={RAW: values, **stages},
        state=_kept(captured.get("optimizer_state"), optimizer, chosen, gradients.steps, averages),
        averages=averages,
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
        left_out=DECAY if inside.optimizer["weight_decay"] else WITHOUT_DECAY,
    )


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
            ax.set_yscale("log")
        else:
            ax.axhline(0, color="black", lw=0.6)
        ax.margins(x=0.01)
    axes[-1].set_xlabel("step")


def _adam(gradients: Floats, optimizer: Mapping[str, Any]) -> tuple[Stages, Stages]:
    (beta1, beta2), eps = optimizer["betas"], optimizer["eps"]
    smoothed = ewma(gradients, beta=beta1, corrected=True)
    scale = 1 / (np.sqrt(ewma(gradients**2, beta=beta2, corrected=True)) + eps)
    averages = {
        "exp_avg": ewma(gradients, beta=beta1, corrected=False),
        "exp_avg_sq": ewma(gradients**2, beta=beta2, corrected=False),
    }
    return {SMOOTHED: smoothed, SCALE: scale, ADAPTED: smoothed * scale}, averages


def _rmsprop(gradients: Floats, optimizer: Mapping[str, Any]) -> tuple[Stages, Stages]:
    average = ewma(gradients**2, beta=optimizer["alpha"], corrected=False)
    scale = 1 / (np.sqrt(average) + optimizer["eps"])
    return {SCALE: scale, ADAPTED: gradients * scale}, {"square_avg": average}


def _sgd(gradients: Floats, optimizer: Mapping[str, Any]) -> tuple[Stages, Stages]:
    beta = optimizer["momentum"]
    if not beta:
        return {}, {}
    undamped = 1 - optimizer["dampening"]
    sums = np.array(gradients)  # a discounted sum, no average; its first is not damped
    for step in range(1, len(sums)):
        sums[step] = beta * sums[step - 1] + undamped * gradients[step]
    stages = {"momentum": sums}
    if optimizer["nesterov"]:
        stages["nesterov: gradient + β · momentum"] = gradients + beta * sums
    return stages, {"momentum_buffer": sums}


_STAGES: dict[str, Callable[[Floats, Mapping[str, Any]], tuple[Stages, Stages]]] = {
    "Adam": _adam,
    "AdamW": _adam,
    "RMSprop": _rmsprop,
    "SGD": _sgd,
}


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
        or not np.array_equal(state.steps, steps)
    ):
        return {}
    found = {slot: f"{name}.{slot}" for slot in averages if f"{name}.{slot}" in state.names}
    kept = {slot: state.of(full, "sample").astype(np.float64) for slot, full in found.items()}
    return {slot: values for slot, values in kept.items() if values.shape == averages[slot].shape}


def _adds_decay(optimizer: Mapping[str, Any]) -> bool:
    decoupled = optimizer["name"] == "AdamW" or optimizer.get("decoupled_weight_decay")
    return bool(optimizer["weight_decay"]) and not decoupled


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
