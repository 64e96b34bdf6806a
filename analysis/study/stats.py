"""The statistics of the report, as pure functions of numbers.

    mean_std([0.50, 0.54])                # (0.52, 0.0283): standard deviation over seeds, ddof = 1
    t_interval([0.50, 0.54, 0.52])        # 95 % Student t interval of the mean
    common_slope(curves)                  # slope that curves share, and p that they do not rise

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


def welch_interval(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """Return Welch's interval of mean(a) − mean(b) of (n,) and (m,) numbers, or None if one of them has fewer than 2.

    Welch 1947: each with its own variance, degrees of freedom by Satterthwaite.
    """
    if min(len(a), len(b)) < 2:
        return None
    (first, first_std), (second, second_std) = mean_std(a), mean_std(b)
    parts = first_std**2 / len(a), second_std**2 / len(b)
    total = sum(parts)
    if not total:
        return Interval(first - second, first - second)
    df = total**2 / sum(part**2 / (len(x) - 1) for part, x in zip(parts, (a, b), strict=True))
    margin = float(stdtrit(df, (1 + confidence) / 2)) * math.sqrt(total)
    return Interval(first - second - margin, first - second + margin)


def binomial_std(accuracy: float, *, images: int) -> float:
    """Return the standard deviation of an accuracy (a fraction) measured on `images` independent images."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def common_slope(curves: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the slope per position that curves share, by least squares, and the one-sided p that it is not positive.

    Each curve has a level of its own; the residual variance is pooled over them, with Σ (n_i − 1) − 1 degrees of
    freedom (analysis of covariance). NaN for curves without three points in all that say something.
    """
    used = [np.asarray(curve, dtype=float) for curve in curves if len(curve) > 1]
    if not used:
        return math.nan, math.nan
    x = np.concatenate([np.arange(len(curve)) - (len(curve) - 1) / 2 for curve in used])
    y = np.concatenate([curve - curve.mean() for curve in used])
    slope, df = float(x @ y / (x @ x)), len(y) - len(used) - 1
    if df < 1:
        return slope, math.nan
    error = math.sqrt(float(((y - slope * x) ** 2).sum()) / df / float(x @ x))
    if not error:
        return slope, 0.0 if slope > 0 else 1.0
    return slope, float(stdtr(df, -slope / error))


def first_reaching(values: Sequence[float | None], *, target: float) -> int | None:
    """Return the position of the first of (n,) values that is at least `target`, missing ones skipped, or None."""
    return next((i for i, value in enumerate(values) if value is not None and value >= target), None)
