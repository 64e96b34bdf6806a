"""What an optimizer makes of a series of gradients, by its formula alone, and the settings which that formula has.

    formula = FORMULAS["Adam"]
    stages, averages = formula.apply(gradients, optimizer)      # by name: (steps, elements)
    changed(optimizer, ("betas", 0), 0.5)                       # the optimizer with another β1

Axis 0 is time. Kingma & Ba 2015 for Adam; RMSprop and momentum in torch's form. The learning rate comes after that, and
weight decay is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ch6dist.averages import ewma

RAW, SMOOTHED, SCALE, ADAPTED = "gradient", "smoothed", "scale: 1 ÷ √ of the average square", "adapted"

Floats = NDArray[np.float64]
Stages = dict[str, Floats]  # by name: (steps, elements)
Optimizer = Mapping[str, Any]  # as a trial has it: its name and its parameters
Where = tuple[str | int, ...]  # in that: ("eps",), ("betas", 0)


@dataclass(frozen=True)
class Setting:
    """A number of a formula that a trial may choose."""

    label: str
    where: Where
    usual: tuple[float, ...]  # values that show what it does; of ε as multiples of the typical √ of the average square
    is_beta: bool = True  # how much an average, or a sum, keeps of what it was


@dataclass(frozen=True)
class Formula:
    """How an optimizer turns gradients into what it multiplies by the learning rate."""

    apply: Callable[[Floats, Optimizer], tuple[Stages, Stages]]  # stages, the last is its result; what it keeps
    settings: tuple[Setting, ...]


def result(name: str, gradients: Floats, optimizer: Optimizer) -> Floats:
    """Return what the optimizer `name` multiplies by the learning rate, (steps, elements)."""
    stages, _ = FORMULAS[name].apply(gradients, optimizer)
    return list(stages.values())[-1] if stages else gradients


def own_value(optimizer: Optimizer, where: Where) -> float:
    """Return the number that an optimizer has there."""
    found: Any = optimizer
    for key in where:
        found = found[key]
    return float(found)


def changed(optimizer: Optimizer, where: Where, value: float) -> dict[str, Any]:
    """Return the optimizer with another number there; the one given stays as it is."""
    key, *rest = where
    if not rest:
        return {**optimizer, str(key): value}
    numbers = list(optimizer[str(key)])
    numbers[int(rest[0])] = value
    return {**optimizer, str(key): numbers}


def typical_root(name: str, gradients: Floats, optimizer: Optimizer) -> float:
    """Return the median over steps and elements of the √ of the average square, to one digit; 0 where all are 0."""
    stages, _ = FORMULAS[name].apply(gradients, {**optimizer, "eps": 0.0})
    with np.errstate(divide="ignore"):
        roots = 1 / stages[SCALE]
    positive = roots[np.isfinite(roots) & (roots > 0)]
    return float(f"{np.median(positive):.0e}") if positive.size else 0.0


def _adam(gradients: Floats, optimizer: Optimizer) -> tuple[Stages, Stages]:
    (beta1, beta2), eps = optimizer["betas"], optimizer["eps"]
    smoothed = ewma(gradients, beta=beta1, corrected=True)
    scale = _scale(ewma(gradients**2, beta=beta2, corrected=True), eps)
    averages = {
        "exp_avg": ewma(gradients, beta=beta1, corrected=False),
        "exp_avg_sq": ewma(gradients**2, beta=beta2, corrected=False),
    }
    return {SMOOTHED: smoothed, SCALE: scale, ADAPTED: _product(smoothed, scale)}, averages


def _rmsprop(gradients: Floats, optimizer: Optimizer) -> tuple[Stages, Stages]:
    average = ewma(gradients**2, beta=optimizer["alpha"], corrected=False)
    scale = _scale(average, optimizer["eps"])
    return {SCALE: scale, ADAPTED: _product(gradients, scale)}, {"square_avg": average}


def _sgd(gradients: Floats, optimizer: Optimizer) -> tuple[Stages, Stages]:
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


def _scale(squares: Floats, eps: float) -> Floats:
    with np.errstate(divide="ignore"):  # ε may be 0, and so may the gradients
        return np.asarray(1 / (np.sqrt(squares) + eps))


def _product(numbers: Floats, scale: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # 0 · ∞ is not a number, as 0 ÷ 0 is none
        return np.asarray(numbers * scale)


_BETA1 = Setting("β1", ("betas", 0), (0.0, 0.5, 0.9, 0.99))
_BETA2 = Setting("β2", ("betas", 1), (0.9, 0.99, 0.999, 0.9999))
_ALPHA = Setting("α", ("alpha",), (0.9, 0.99, 0.999, 0.9999))
_EPS = Setting("ε", ("eps",), (0.01, 0.1, 1.0, 10.0), is_beta=False)
_MOMENTUM = Setting("β", ("momentum",), (0.0, 0.5, 0.9, 0.99))
_ADAM = Formula(_adam, (_BETA1, _BETA2, _EPS))

FORMULAS: dict[str, Formula] = {
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "RMSprop": Formula(_rmsprop, (_ALPHA, _EPS)),
    "SGD": Formula(_sgd, (_MOMENTUM,)),
}
