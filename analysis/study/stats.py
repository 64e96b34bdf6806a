"""The statistics of the report, as pure functions of numbers.

    mean_std([0.50, 0.54])                # (0.52, 0.0283): spread over seeds, ddof = 1
    t_interval([0.50, 0.54, 0.52])        # 95 % Student t interval of the mean
    welch(a, b)                           # difference of two means, its 95 % interval and p
    holm([0.01, 0.04])                    # p values adjusted for the number of comparisons

Intervals are Student t: with 3 seeds the percentile bootstrap covers 73 % where it says 95 %, the t interval 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A confidence interval, in the unit of the data."""

    low: float
    high: float


class Difference(NamedTuple):
    """mean(a) − mean(b), the interval of it, and the two-sided p of "there is none"."""

    mean: float
    low: float
    high: float
    p: float


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (ddof = 1) of (n,) numbers; NaN where n is too small for it."""
    if not len(values):
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def t_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """Student t interval of the mean of (n,) numbers; None below n = 2: one run says nothing about its spread."""
    n = len(values)
    if n < 2:
        return None
    mean, std = mean_std(values)
    half = float(distributions.t.ppf((1 + confidence) / 2, n - 1)) * std / math.sqrt(n)
    return Interval(mean - half, mean + half)


def welch(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Difference | None:
    """Welch's t interval (Welch 1947) of mean(a) − mean(b), unequal variances; None where either has n < 2.

    Two samples without any spread differ for certain or not at all: p is then 0 or 1.
    """
    if min(len(a), len(b)) < 2:
        return None
    (mean_a, std_a), (mean_b, std_b) = mean_std(a), mean_std(b)
    part_a, part_b = std_a**2 / len(a), std_b**2 / len(b)
    difference, variance = mean_a - mean_b, part_a + part_b
    if variance == 0:
        return Difference(difference, difference, difference, float(difference == 0))
    freedom = variance**2 / (part_a**2 / (len(a) - 1) + part_b**2 / (len(b) - 1))  # Welch–Satterthwaite
    error = math.sqrt(variance)
    half = float(distributions.t.ppf((1 + confidence) / 2, freedom)) * error
    p = 2 * float(distributions.t.sf(abs(difference) / error, freedom))
    return Difference(difference, difference - half, difference + half, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """(m,) p values adjusted by Holm's step-down (Holm 1979), in the order given."""
    m, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for position, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - position) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def binomial_std(accuracy: float, *, images: int) -> float:
    """Standard deviation of one accuracy (a fraction) measured on `images` fresh images."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def at_chance(accuracy: float, *, classes: int, images: int) -> bool:
    """Whether an accuracy is not above that of guessing, 1 / classes, by more than two binomial deviations."""
    chance = 1 / classes
    return accuracy <= chance + 2 * binomial_std(chance, images=images)


def slope(values: Sequence[float]) -> float:
    """Least-squares slope of (n,) numbers per position; NaN below n = 2."""
    n = len(values)
    if n < 2:
        return math.nan
    x = np.arange(n) - (n - 1) / 2
    return float(x @ np.asarray(values, dtype=float) / (x @ x))


def first_reaching(values: Sequence[float | None], *, target: float) -> int | None:
    """Position of the first of (n,) values that is at least `target`; None when none is. A missing value is not."""
    for position, value in enumerate(values):
        if value is not None and value >= target:
            return position
    return None
