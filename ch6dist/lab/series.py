"""The series behind the book's figures: Adam's three panels; gradient, momentum and Nesterov's look-ahead.

    series = adam_series(path)                          # smoothed, scale, adapted: each (steps, 2)
    series = velocity_series(path.gradients, beta=0.9)  # momentum, nesterov: each (steps, 2)

Formulas of Kingma & Ba 2015 (algorithm 1), and of momentum as torch writes it: m = β m + g, and the step is m, or
g + β m with Nesterov.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ch6dist.averages import ewma
from ch6dist.lab.paths import Path
from ch6dist.lab.problems import Array


@dataclass(frozen=True)
class AdamSeries:
    """What Adam makes of its gradients, by its formula; each (steps, 2)."""

    smoothed: Array  # bias-corrected average of the gradients
    scale: Array  # 1 ÷ (√ of the bias-corrected average of their squares + ε)
    adapted: Array  # the product of both


@dataclass(frozen=True)
class VelocitySeries:
    """What momentum makes of gradients; each (steps, 2)."""

    momentum: Array
    nesterov: Array


def adam_series(path: Path) -> AdamSeries:
    """Return the three series of a path of Adam, from its recorded gradients alone."""
    (beta1, beta2), eps = path.config.optimizer["betas"], path.config.optimizer["eps"]
    smoothed = ewma(path.gradients, beta=beta1, corrected=True)
    squared = ewma(path.gradients**2, beta=beta2, corrected=True)
    scale = 1 / (np.sqrt(squared) + eps)
    return AdamSeries(smoothed, scale, smoothed * scale)


def velocity_series(gradients: Array, *, beta: float) -> VelocitySeries:
    """Return momentum and Nesterov's look-ahead of gradients (steps, 2)."""
    momentum = _discounted(gradients, beta=beta)
    return VelocitySeries(momentum, gradients + beta * momentum)


def _discounted(values: Array, *, beta: float) -> Array:
    """Return s_t = β s_{t−1} + v_t, from 0."""
    sums = np.array(values, dtype=np.float64)
    for t in range(1, len(sums)):
        sums[t] += beta * sums[t - 1]
    return sums
