"""The statistics of the report, as pure functions of numbers.

    mean_std([0.50, 0.54])                # (0.52, 0.0283): standard deviation over seeds, ddof = 1
    t_interval([0.50, 0.54, 0.52])        # 95 % Student t interval of the mean
    welch(a, b)                           # difference of two means, its 95 % interval and p
    holm([0.01, 0.04])                    # p values adjusted for the number of comparisons

Intervals are Student t: with 3 seeds the percentile bootstrap covers 73 % where it says 95 %, the t interval 95 %.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats

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
    mean, error = float(np.mean(values)), float(scipy.stats.sem(values))
    low, high = scipy.stats.t.interval(confidence, n - 1)
    return Interval(mean + float(low) * error, mean + float(high) * error)


def welch(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Difference | None:
    """Return Welch's t test (Welch 1947, unequal variances) of mean(a) − mean(b); None if either has n < 2.

    For two samples without any spread p is 0 (the means differ) or 1.
    """
    if min(len(a), len(b)) < 2:
        return None
    if not np.ptp(a) and not np.ptp(b):
        difference = float(a[0] - b[0])  # exact, unlike that of the rounded means
        return Difference(difference, difference, difference, float(difference == 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy warns if one of the samples is constant
        test = scipy.stats.ttest_ind(a, b, equal_var=False)
        low, high = test.confidence_interval(confidence)
    return Difference(float(np.mean(a) - np.mean(b)), float(low), float(high), float(test.pvalue))


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
    return float(scipy.stats.linregress(range(len(values)), values).slope) if len(values) > 1 else math.nan


def first_reaching(values: Sequence[float | None], *, target: float) -> int | None:
    """Return the position of the first of (n,) values that is at least `target`, missing ones skipped, or None."""
    return next((i for i, value in enumerate(values) if value is not None and value >= target), None)
