"""Whether the losses of a range test fall by more than their noise, and what to change where they do not.

    found = signal_of(lrs, losses, diverged=False)
    found.noise, found.advice          # std of an average of 1/16 of the points; '' where there is a signal

The losses are averaged in about 16 blocks. The noise is that of the smaller second differences of neighbouring
blocks, which a rise or fall over several of them hardly changes; a signal is a fall from the first block by more than
SIGNAL times that noise. Noise alone passes in at most 5 % of curves, white noise in 2 %: measured on 4,000 curves each
of 15 to 400 points, with a correlation of neighbours of up to 0.5, up to 0.8 from 100 points on (AR(1); as in
`tests/ch6dist/optim/test_range_signal.py`, with fewer curves). The setting `smoothing` takes no part.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BLOCKS = 16
SIGNAL = 7.0  # standard deviations of the noise that the fall must exceed
FEWEST = 6  # points, or there is no noise to compare with
STEPS_PER_DECADE = 60  # with fewer, more steps deepen the fall more than they cost
SMALLER = 2 / 3  # share of the second differences that say how large the noise is: the others may be bends of the curve
TRUNCATED = 0.524  # root mean square of the smaller two thirds of standard normal values
SECOND = math.sqrt(6)  # std of a second difference of independent values of std 1


@dataclass(frozen=True)
class Signal:
    """What the losses of a range test tell apart from noise."""

    noise: float  # standard deviation of the mean loss of a block
    advice: str  # why there is no signal and what to change, for a person; empty where there is one


def signal_of(lrs: Sequence[float], losses: Sequence[float], *, diverged: bool) -> Signal:
    """Return the noise of a curve, and the advice where it has no signal.

    Args:
        lrs: learning rate of each step, rising.
        losses: loss of each step up to the divergence, finite, as many.
        diverged: whether the curve ends because the loss diverged.
    """
    if len(losses) < FEWEST:
        return Signal(0.0, f"the curve has {len(losses)} points: {'lower start_lr' if diverged else 'take more steps'}")
    size = max(1, len(losses) // BLOCKS)
    means = [statistics.fmean(losses[low : low + size]) for low in range(0, len(losses) - size + 1, size)]
    first, lowest = means[0], min(means[1:])
    noise = _noise(means)
    rounding = 1e-9 * abs(first)  # what averages of a constant may differ by
    if first - lowest > SIGNAL * noise + rounding:
        return Signal(noise, "")
    times = max(first - lowest, 0.0) / noise if noise > 0 else 0.0
    found = f"the loss falls by {times:.1f} times its noise, {SIGNAL:g} are needed"
    if max(means[1:]) - first > SIGNAL * noise + rounding and first - lowest <= noise:
        return Signal(noise, "the loss only rises: lower start_lr")
    return Signal(noise, f"{found}: {_advice(lrs, means, diverged=diverged)}")


def _noise(means: Sequence[float]) -> float:
    """Return the standard deviation of the blocks' means, from their second differences up to the lowest one."""
    second = [abs(b - (c - b) - a) for (a, b), c in zip(pairwise(means), means[2:], strict=False)]
    up_to = max(means.index(min(means)) - 1, 2 * len(second) // 3, 4)  # beyond the minimum the loss may explode
    smaller = sorted(second[:up_to])
    smaller = smaller[: max(1, int(SMALLER * len(smaller)))]
    return math.sqrt(statistics.fmean(size**2 for size in smaller)) / (TRUNCATED * SECOND)


def _advice(lrs: Sequence[float], means: Sequence[float], *, diverged: bool) -> str:
    """Return what to change: the range where its end is too low, else steps, range or batch, which lessen the noise."""
    decades = math.log10(lrs[-1] / lrs[0])
    if not diverged and means.index(min(means)) == len(means) - 1:
        return "it is lowest at the end, so raise end_lr, or take more steps"
    if decades > 0 and len(lrs) / decades < STEPS_PER_DECADE:
        return f"take more steps ({len(lrs) / decades:.0f} per decade now) or a narrower range"
    return "take a larger batch, or more steps"
