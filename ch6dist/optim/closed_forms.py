"""Factors of the first learning rate after t steps: lambda presets, and schedules of ours.

    factor = wsd(decay=40, shape="linear", final=0.0, length=100)
    factor(60), factor(80)      # 1.0, 0.5

Functions, because torch would save callable objects in a state.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Factor = Callable[[int], float]


def step_power(*, step_size: int, gamma: float) -> Factor:
    """Return gamma ^ ⌊t / step_size⌋"""
    return lambda t: gamma ** (t // step_size)


def inverse_sqrt(*, timescale: int) -> Factor:
    """Return 1 / √(1 + t / timescale) (Vaswani et al. 2017)"""
    return lambda t: (1 + t / timescale) ** -0.5


def linear_to_zero(*, total_iters: int) -> Factor:
    """Return 1 − t / total_iters, not below 0"""
    return lambda t: max(0.0, 1 - t / total_iters)


def wsd(*, decay: int, shape: str, final: float, length: int) -> Factor:
    """Return 1, and in the last `decay` of `length` steps final + (1 − final) · s(u), where u goes from 0 to 1.

    s(u) is 1 − u (linear), (1 + cos πu) / 2 (cosine) or 1 − √u (sqrt). Warm-up, stable, decay: Hu et al. 2024
    (MiniCPM); the shapes: Hägele et al. 2024. Before the decay nothing depends on `length`.
    """
    course = SHAPES[shape]
    begin = length - decay

    def factor(t: int) -> float:
        return 1.0 if t <= begin else final + (1 - final) * course(min(1.0, (t - begin) / decay))

    return factor


def rex(*, length: int) -> Factor:
    """Return (1 − u) / (1/2 + (1 − u) / 2), u = t / length: the reflected exponential of Chen et al. 2021."""

    def factor(t: int) -> float:
        left = max(0.0, 1 - t / length)
        return left / (0.5 + left / 2)

    return factor


def cosine_to_final(*, final: float, length: int) -> Factor:
    """Return final + (1 − final) · (1 + cos πu) / 2, u = t / length (Loshchilov & Hutter 2017)"""
    return lambda t: final + (1 - final) * SHAPES["cosine"](min(1.0, t / length))


SHAPES: dict[str, Callable[[float], float]] = {  # of a decay from 1 to 0, of the share of it that is over
    "linear": lambda u: 1 - u,
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
    "sqrt": lambda u: 1 - math.sqrt(u),
}
CLOSED_FORMS: dict[str, Callable[..., Factor]] = {"WSD": wsd, "REX": rex, "warmup_cosine": cosine_to_final}
LAMBDA_FACTORS: dict[str, Callable[..., Factor]] = {f.__name__: f for f in (step_power, inverse_sqrt, linear_to_zero)}
