"""Learning rates suggested by the curve of a range test (Smith 2015, arXiv:1506.01186): pure functions of its points.

    found = suggest(lrs, losses, beta=0.9, factor=4.0)
    found["valley"], found["interval"], found["no_signal"], found["diverged_at"]

`steepest`, `valley`, `slide` and `minimum` are the four rules of fastai (fastai/callback/schedule.py, Apache-2.0),
written again; like fastai they look at the smoothed losses without the first tenth and the last five. Unlike fastai
they end at the smallest of these losses, and begin where the loss has fallen: beyond, it is on its way back up.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ch6dist.averages import ewma
from ch6dist.optim.range_signal import signal_of

SKIP_END = 5  # points at the end that no rule uses: the loss may be diverging
SLIDE_WIDTH = 15  # points between the two slopes that `slide` compares
SLIDE_THRESHOLD = 0.005  # loss per step
ONSET = 0.05  # share of the fall after which the loss counts as fallen, if that is more than the noise
AT_START = 3.0  # standard deviations of the noise within which a loss is that of the start


def suggest(lrs: Sequence[float], losses: Sequence[float], *, beta: float, factor: float) -> dict[str, Any]:
    """Return the suggested learning rates, and whether the curve has a signal and where it diverged.

    Args:
        lrs: learning rate of each step, rising.
        losses: loss of each step, as many.
        beta: decay of the moving average, 0 ≤ beta < 1.
        factor: a smoothed loss above this multiple of the smallest before it has diverged.

    Returns:
        `lr`, `smoothed`: the curve up to the divergence, finite values only.
        `steepest`, `valley`, `slide`: learning rates between the begin of the fall and the smoothed minimum; `minimum`:
        a tenth of the latter. None without a signal, `slide` also on a short fall, `minimum` where the loss is higher
        than at the start.
        `interval`: [begin of the fall, the larger of `minimum` and `valley`], None if empty. The fall begins where the
        smoothed loss is below that of the start for good, by a twentieth of the fall or three deviations of the noise.
        `no_signal`: the loss fell by no more than its noise (range_signal.py).
        `advice`: without a signal why, and what to change; else empty.
        `diverged_at`: step, counted from 1, or None.
    """
    smoothed = smooth(losses, beta=beta)
    diverged = diverged_at(smoothed, factor=factor)
    if diverged is not None:
        end = diverged + 1 if math.isfinite(smoothed[diverged]) else diverged
        lrs, losses, smoothed = lrs[:end], losses[:end], smoothed[:end]
    return {
        "lr": list(lrs),
        "smoothed": smoothed,
        **_suggestions(lrs, losses, smoothed, diverged=diverged is not None),
        "diverged_at": None if diverged is None else diverged + 1,
    }


def smooth(losses: Sequence[float], *, beta: float) -> list[float]:
    """Return the bias-corrected moving average: beta·v_(t−1) + (1−beta)·x_t, over 1 − beta^t (Kingma & Ba 2015)."""
    smoothed: list[float] = ewma(losses, beta=beta, corrected=True).tolist()
    return smoothed


def diverged_at(smoothed: Sequence[float], *, factor: float) -> int | None:
    """Return the first index whose smoothed loss is not finite, or above `factor` times the smallest before it.

    None if there is none.
    """
    best = math.inf
    for index, loss in enumerate(smoothed):
        if not math.isfinite(loss) or loss > factor * best:
            return index
        best = min(best, loss)
    return None


def _suggestions(
    lrs: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], *, diverged: bool
) -> dict[str, Any]:
    """Return the suggestions, interval, `no_signal` and `advice` of a finite curve."""
    found: dict[str, Any] = dict.fromkeys(("steepest", "valley", "slide", "minimum", "interval"))
    signal = signal_of(lrs, losses, diverged=diverged)
    level = statistics.fmean(losses[: max(len(losses) // 10, SKIP_END)]) if losses else 0.0
    window = slice(len(lrs) // 10, max(len(lrs) - SKIP_END, 0))
    lrs, curve = lrs[window], smoothed[window]
    advice = signal.advice or _hidden(curve, level)
    if advice:
        return {**found, "no_signal": True, "advice": advice}
    lowest = curve.index(min(curve))
    fall = level - curve[lowest]
    fallen = level - min(max(ONSET * fall, AT_START * signal.noise), fall / 2)
    onset = next((i + 1 for i in range(lowest, -1, -1) if curve[i] > fallen), 0)
    lrs, curve = lrs[: lowest + 1], curve[: lowest + 1]
    minimum = _tenth(lrs, curve, level + AT_START * signal.noise)
    valley, slide = max(_valley(lrs, curve), lrs[onset]), _slide(lrs, curve)
    highest = valley if minimum is None else max(minimum, valley)
    return {
        "steepest": _steepest(lrs[onset:], curve[onset:]),
        "valley": valley,
        "slide": slide if slide is not None and slide >= lrs[onset] else None,
        "minimum": minimum,
        "interval": [lrs[onset], highest] if lrs[onset] < highest else None,
        "no_signal": False,
        "advice": "",
    }


def _hidden(curve: Sequence[float], level: float) -> str:
    """Return why a curve shows nothing of a signal that the losses have, or an empty text."""
    if len(curve) < 2:
        return "the curve is too short: take more steps"
    return "smoothing hides the fall of the loss: lower it, or take more steps" if min(curve) >= level else ""


def _tenth(lrs: Sequence[float], curve: Sequence[float], start: float) -> float | None:
    """Return a tenth of the last learning rate; None where the loss there is above that of the start."""
    lr = lrs[-1] / 10
    at = bisect_right(lrs, lr) - 1
    return lr if at < 0 or curve[at] <= start else None


def _steepest(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """Return the learning rate at the start of the step with the most negative slope over log(lr)."""
    slopes = [
        (after - before) / math.log(high / low)
        for (before, after), (low, high) in zip(pairwise(losses), pairwise(lrs), strict=True)
    ]
    return lrs[slopes.index(min(slopes))] if slopes else lrs[0]  # a fall within one step


def _valley(lrs: Sequence[float], losses: Sequence[float]) -> float:
    """Return the learning rate about half way down the longest valley: the longest strictly falling subsequence."""
    length, end = 0, 0
    tails: list[float] = []  # tails[k]: the largest loss that ends a falling subsequence of k + 1, negated to be sorted
    for index, loss in enumerate(losses):
        position = bisect_left(tails, -loss)
        tails[position : position + 1] = [-loss]
        if position + 1 > length:
            length, end = position + 1, index
    return lrs[max(end - length + length // 3 + length // 6, 0)]


def _slide(lrs: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the learning rate of the left of two slopes, SLIDE_WIDTH apart, moved left until they are alike.

    None for a curve of no more than SLIDE_WIDTH points.
    """
    right = len(losses) - 1
    left = right - SLIDE_WIDTH
    if left < 0:
        return None
    slopes, found = np.gradient(losses).tolist(), lrs[left]
    while left >= 0 and abs(slopes[right] - slopes[left]) > SLIDE_THRESHOLD:
        found = lrs[left]
        right, left = right - 1, left - 1
    return found
