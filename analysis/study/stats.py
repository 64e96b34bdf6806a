"""The statistics of the report, as pure functions of numbers.

    mean_std([0.50, 0.54])                # (0.52, 0.0283): standard deviation over seeds, ddof = 1
    t_interval([0.50, 0.54, 0.52])        # 95 % Student t interval of the mean
    welch(a, b)                           # difference of two means, its 95 % interval and p
    holm([0.01, 0.04])                    # p values adjusted for the number of comparisons

Intervals are Student t: with 3 seeds the percentile bootstrap covers 73 % where it says 95 %, the t interval 95 %.
The formulas are the textbooks', written out: a leaderboard of thousands of configurations needs thousands of them, and
scipy.stats takes a millisecond for each. Its distributions (scipy.special) are used, and its tests check the results.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # Student's t: the distribution and its quantiles, by degrees of freedom

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A confidence interval, in the unit of the data."""

    low: float
    high: float


class Difference(NamedTuple):
    """mean(a) − mean(b), its confidence interval, and the two-sided p of the hypothesis that the means are equal."""

    mean: float
    low: float
    high: float
    p: float


def mean_std(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (ddof = 1) of (n,) numbers; NaN where n is too small."""
    if not len(values):
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def t_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the Student t interval of the mean of (n,) numbers, or None if n < 2."""
    n = len(values)
    if n < 2:
        return None
    mean, std = mean_std(values)
    margin = float(stdtrit(n - 1, (1 + confidence) / 2)) * std / math.sqrt(n)
    return Interval(mean - margin, mean + margin)


def welch(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Difference | None:
    """Return Welch's t test (Welch 1947, unequal variances) of mean(a) − mean(b); None if either has n < 2.

    For two samples without any spread p is 0 (the means differ) or 1.
    """
    if min(len(a), len(b)) < 2:
        return None
    u, v = (float(np.var(values, ddof=1)) / len(values) for values in (a, b))  # squared errors of the means
    if (min(a) == max(a) and min(b) == max(b)) or not u + v:
        difference = float(a[0] - b[0])  # exact, unlike that of the rounded means
        return Difference(difference, difference, difference, float(difference == 0))
    share = u / (u + v)
    error, freedom = math.sqrt(u + v), 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    difference = float(np.mean(a) - np.mean(b))
    margin = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Difference(difference, difference - margin, difference + margin, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return (m,) p values adjusted by Holm's step-down procedure (Holm 1979), in the order given."""
    m, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for position, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (m - position) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def binomial_std(accuracy: float, *, images: int) -> float:
    """Return the standard deviation of an accuracy (a fraction) measured on `images` independent images."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def at_chance(accuracy: float, *, classes: int, images: int) -> bool:
    """Return whether an accuracy is at most chance, 1 / classes, plus two binomial standard deviations."""
    chance = 1 / classes
    return accuracy <= chance + 2 * binomial_std(chance, images=images)


def slope(values: Sequence[float]) -> float:
    """Return the least-squares slope of (n,) numbers per position; NaN for n < 2."""
    n = len(values)
    if n < 2:
        return math.nan
    covariance = sum((position - (n - 1) / 2) * float(value) for position, value in enumerate(values))
    return covariance / (
        n * (n**2 - 1) / 12
    )  # the denominator: the sum of the squared distances of 0 … n − 1 to their mean


def first_reaching(values: Sequence[float | None], *, target: float) -> int | None:
    """Return the position of the first of (n,) values that is at least `target`, missing ones skipped, or None."""
    return next((i for i, value in enumerate(values) if value is not None and value >= target), None)
