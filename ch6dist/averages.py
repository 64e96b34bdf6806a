"""Moving averages of a series, simple and exponential, their weights by lag, and what they keep of its variance.

    ewma([5, 11, 15], period=19, corrected=True)    # array([5., 8.15789474, 10.67896679])
    simple([5, 11, 15], window=2)                   # array([nan, 8., 13.])
    window_of(0.9)                                  # 19.0

Time is axis 0; any further axes are elements, each a series of its own. An exponential average is given by one of three
numbers, of which each follows from the others: alpha, the weight of the newest value; beta = 1 − alpha; and the period
n = 2 / alpha − 1 = (1 + beta) / (1 − beta). Of all simple averages, that over n values has the same average age, and
keeps the same share of the variance of white noise, 1 / n.

What is not finite is not mended: a NaN makes a simple average NaN while it lies in the window, and an exponential one
from there on, as it would stay in the state of an optimizer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ch6dist.errors import MISSING, InputError

Floats = NDArray[np.float64]


def beta_of(*, beta: float | None = None, period: float | None = None, alpha: float | None = None) -> float:
    """Return beta, in [0, 1), from exactly one of the three numbers. InputError for another count or range."""
    given = {"beta": beta, "period": period, "alpha": alpha}
    found = {key: value for key, value in given.items() if value is not None}
    if len(found) != 1:
        raise InputError("beta, period, alpha", ", ".join(found) or MISSING, "exactly one of the three")
    if alpha is not None:
        beta, key, allowed = 1 - alpha, "alpha", "a number > 0 and ≤ 1"
    elif period is not None:
        beta, key, allowed = (period - 1) / (period + 1), "period", "a number ≥ 1"
    else:
        key, allowed = "beta", "a number ≥ 0 and < 1"
    if beta is None or not 0 <= beta < 1:  # NaN, and what is 1 but for rounding, are refused too
        raise InputError(key, found[key], allowed)
    return float(beta)


def window_of(beta: float) -> float:
    """Return the period of beta: the window of the simple average of the same age, (1 + beta) / (1 − beta)."""
    return (1 + beta) / (1 - beta)


def alpha_of(period: float) -> float:
    """Return the weight of the newest value: 2 / (period + 1)."""
    return 2 / (period + 1)


def simple_age(window: int) -> float:
    """Return the average age of the values in a simple average, the newest being 1 step old: (window + 1) / 2."""
    return (window + 1) / 2


def exponential_age(beta: float) -> float:
    """Return the average age of the values in an exponential average, the newest being 1 step old: 1 / (1 − beta)."""
    return 1 / (1 - beta)


def white_noise_share(beta: float) -> float:
    """Return the share of the variance of white noise that an exponential average keeps: (1 − beta) / (1 + beta).

    A series that keeps more was no white noise: neighbours in it are alike.
    """
    return (1 - beta) / (1 + beta)


def simple_weights(lags: ArrayLike, *, window: int) -> Floats:
    """Return the weights, of the shape of `lags`, of the values so many steps ago in a simple average: 1 / window."""
    return np.where(np.asarray(lags) < _whole_window(window), 1 / window, 0.0)


def exponential_weights(lags: ArrayLike, **given: float | None) -> Floats:
    """Return the weights, of the shape of `lags`, of the values so many steps ago: alpha · beta^lag.

    Args:
        given: beta, period or alpha, as for `beta_of`.
    """
    beta = beta_of(**given)
    return np.asarray((1 - beta) * beta ** np.asarray(lags), dtype=np.float64)


def simple(values: ArrayLike, *, window: int) -> Floats:
    """Return the simple moving average, of the shape of `values`: the mean of the last `window` of them.

    NaN before the window is full: a mean of fewer values would be noisier than the rest of the curve.
    """
    series, window = _series(values), _whole_window(window)
    steps = len(series)
    averages = np.full(series.shape, np.nan)
    if steps < window:
        return averages
    # Sums from block starts and to block ends, a window being the end of a block and the start of the next: nothing is
    # subtracted, so that no error of rounding grows with the series, and a NaN is gone when the window has passed it.
    blocks = -(-steps // window)
    padded = np.concatenate([series, np.zeros((blocks * window - steps, *series.shape[1:]))])
    cut = padded.reshape(blocks, window, *series.shape[1:])
    with np.errstate(invalid="ignore", over="ignore"):
        starts = np.cumsum(cut, axis=1).reshape(padded.shape)
        ends = np.cumsum(cut[:, ::-1], axis=1)[:, ::-1].reshape(padded.shape)
        sums = starts[window - 1 : steps].copy()
        first = np.arange(steps - window + 1)  # of each window; one that begins with a block is that block
        sums[first % window > 0] += ends[: steps - window + 1][first % window > 0]
        averages[window - 1 :] = sums / window
    return averages


class Ewma:
    """An exponential moving average that is told one value after another, and keeps its state between them.

    v_t = beta · v_(t−1) + (1 − beta) · x_t from v_0 = 0: too near to 0 at first, since its weights do not add up to 1
    yet. The corrected average is v_t over the sum of its weights, 1 − beta^t (Kingma & Ba 2015).
    """

    def __init__(self, **given: float | None) -> None:
        self.beta = beta_of(**given)
        self.average: Any = 0.0  # not corrected; of the shape of the values
        self.weight = 0.0  # the sum of the weights so far

    def update(self, value: Any) -> None:
        """Take in the next value: a number or an array, of one shape throughout."""
        with np.errstate(invalid="ignore", over="ignore"):
            self.average = self.beta * self.average + (1 - self.beta) * value
        self.weight = self.beta * self.weight + (1 - self.beta)

    @property
    def corrected(self) -> Any:
        """Return the average over the sum of its weights: of one value that value. NaN before the first."""
        return self.average / self.weight if self.weight else math.nan


def ewma(values: ArrayLike, *, corrected: bool, **given: float | None) -> Floats:
    """Return the exponential moving average after each value, of the shape of `values`.

    Args:
        corrected: divide by the sum of the weights so far, so that the first average is the first value.
        given: beta, period or alpha, as for `beta_of`.
    """
    series, state = _series(values), Ewma(**given)
    averages = np.empty_like(series)
    for step, value in enumerate(series):
        state.update(value)
        averages[step] = state.corrected if corrected else state.average
    return averages


@dataclass(frozen=True)
class Statistics:
    """What a series is like over time; each of the shape of one of its values. NaN where a value is."""

    variance: Floats  # mean squared deviation from the mean
    peak: Floats  # largest absolute value
    low: Floats
    high: Floats
    autocorrelation: Floats  # of neighbours, in [−1, 1]; NaN for a constant series


def describe(values: ArrayLike) -> Statistics:
    """Return the statistics over axis 0. InputError for a series without values."""
    series = _series(values)
    if not len(series):
        raise InputError("values", [], "at least one value")
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        apart = series - series.mean(axis=0)
        squares = (apart**2).sum(axis=0)
        # of a constant series the mean may be off by rounding: that is no variance
        squares = np.where(series.max(axis=0) == series.min(axis=0), 0.0, squares)
        neighbours = np.where(squares == 0, np.nan, (apart[1:] * apart[:-1]).sum(axis=0) / squares)
    return Statistics(
        variance=np.asarray(squares / len(series)),
        peak=np.asarray(np.abs(series).max(axis=0)),
        low=np.asarray(series.min(axis=0)),
        high=np.asarray(series.max(axis=0)),
        autocorrelation=np.asarray(neighbours),
    )


def _series(values: ArrayLike) -> Floats:
    series = np.asarray(values, dtype=np.float64)
    if series.ndim == 0:
        raise InputError("values", series.item(), "a series: an array whose axis 0 is time")
    return series


def _whole_window(window: int) -> int:
    if isinstance(window, bool) or not math.isfinite(window) or window != int(window) or window < 1:
        raise InputError("window", window, "a whole number ≥ 1")
    return int(window)
