"""What is wrong inside a training, by what was captured of an epoch: the definitions, with their numbers.

    capture_signs(captured)     # {'exploding_steps': 0, 'vanishing_gradients': 2, 'saturated_layers': 0}

- A step explodes when the norm of all captured gradients together is not finite or above EXPLODING_NORM.
- A gradient vanishes when its root mean square is below VANISHING_RMS in half of the captured steps or more: times a
  learning rate of 0.1, that is less than the rounding of an fp32 weight of 0.01 (6e-10).
- An output is saturated where a change of its input hardly changes it: of a layer that is bounded (BOUNDS), within
  SATURATED_EDGE of its range from a bound; of all others, such as ReLU, where it is zero for every image of the batch.
  A layer is saturated when more than SATURATED_SHARE of its outputs are, averaged over the captured steps.

Gradients need `keep: norm` or `summary`, layers `keep: summary`; of what was not captured nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ch6dist.runs.captures import Series

EXPLODING_NORM = 100.0
VANISHING_RMS = 1e-9
SATURATED_SHARE = 0.5
SATURATED_EDGE = 0.01
BOUNDS = {"Sigmoid": (0.0, 1.0), "Hardsigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0), "Hardtanh": (-1.0, 1.0)}  # by class


def capture_signs(captured: Mapping[str, Series]) -> dict[str, int]:
    """Return the columns of an epoch's row that say what is wrong; those whose series was captured."""
    found: dict[str, int] = {}
    gradients, activations = captured.get("gradients"), captured.get("activations")
    if gradients and "norm" in gradients.values:
        found["exploding_steps"] = int(is_exploding(gradients).sum())
        found["vanishing_gradients"] = int((is_small(gradients).mean(axis=0) >= 0.5).sum())
    if activations and "saturated" in activations.values:
        found["saturated_layers"] = int((activations.values["saturated"].mean(axis=0) > SATURATED_SHARE).sum())
    return found


def whole_norm(gradients: Series) -> NDArray[np.float64]:
    """Return the norm of all captured gradients together, step by step: [S]. They have to have norms."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt((gradients.values["norm"].astype(np.float64) ** 2).sum(axis=1)))


def is_exploding(gradients: Series) -> NDArray[np.bool_]:
    """Return of each step whether it explodes: [S]."""
    return np.asarray(~(whole_norm(gradients) <= EXPLODING_NORM))


def is_small(gradients: Series) -> NDArray[np.bool_]:
    """Return of each step and gradient whether its root mean square is below VANISHING_RMS: [S, N]."""
    norms = gradients.values["norm"].astype(np.float64)
    return np.asarray(norms / np.sqrt(np.array(gradients.sizes)) < VANISHING_RMS)
