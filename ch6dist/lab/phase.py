"""Which learning rate α and momentum β converge on a quadratic: predicted by formulas, measured with torch's SGD.

    diagram = phase_diagram((0.6, 12.0), alphas, betas)
    diagram.radius, diagram.measured_radius             # (betas, alphas, eigenvalues)
    diagram.agreement()                                 # share of cells with the predicted regime

Along an eigenvector with curvature λ a step is the linear map (v, e) → (β v + λ e, e − α (β v + λ e)) of velocity and
error. Its eigenvalues z solve z² − (1 + β − α λ) z + β = 0 (Polyak 1964; Goh 2017, "Why Momentum Really Works",
doi:10.23915/distill.00006), so that for 0 ≤ β < 1 and α λ > 0

    monotone       α λ ≤ (1 − √β)²: both are real and positive, the error never changes its sign
    oscillating    up to 2 (1 + β): complex, |z| = √β, and beyond (1 + √β)² real and negative, a change at every step
    diverging      α λ ≥ 2 (1 + β): one is ≤ −1

"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ch6dist.lab.problems import Array
from ch6dist.optim.optimizers import build_optimizer

Regime = Literal["monotone", "oscillating", "diverging"]
REGIMES: tuple[Regime, ...] = ("monotone", "oscillating", "diverging")  # from good to bad: of two, the later one holds
STEPS = 200  # of each measured run


@dataclass(frozen=True)
class Diagram:
    """Factor per step and regime of every α and β along each eigenvector: arrays (betas, alphas, eigenvalues)."""

    eigenvalues: tuple[float, ...]
    alphas: Array
    betas: Array
    radius: Array  # predicted
    regime: NDArray[np.int64]  # predicted; places in REGIMES
    measured_radius: Array
    measured_regime: NDArray[np.int64]

    def agreement(self) -> float:
        """Return the share of cells whose measured regime, the worse of all eigenvectors, is the predicted one."""
        return float((self.regime.max(axis=-1) == self.measured_regime.max(axis=-1)).mean())


@dataclass(frozen=True)
class Best:
    """The α and β with the smallest factor per step over two curvatures, and that factor."""

    alpha: float
    beta: float
    radius: float


def iteration_matrix(alpha: float, beta: float, eigenvalue: float) -> Array:
    """Return the map (2, 2) of (velocity, error) that a step of SGD with momentum is."""
    return np.array([[beta, eigenvalue], [-alpha * beta, 1 - alpha * eigenvalue]])


def spectral_radius(alpha: float, beta: float, eigenvalue: float) -> float:
    """Return the factor by which velocity and error shrink or grow per step, in the long run."""
    return float(np.abs(np.linalg.eigvals(iteration_matrix(alpha, beta, eigenvalue))).max())


def borders(beta: Array) -> tuple[Array, Array, Array]:
    """Return the α λ from which on it oscillates, changes sign at every step, and diverges."""
    root = np.sqrt(beta)
    return (1 - root) ** 2, (1 + root) ** 2, 2 * (1 + beta)


def regime_of(alpha: float, beta: float, eigenvalue: float) -> Regime:
    """Return the regime along an eigenvector, by the borders."""
    oscillates, _, diverges = (float(border) for border in borders(np.array(beta)))
    if alpha * eigenvalue >= diverges:
        return "diverging"
    return "monotone" if alpha * eigenvalue <= oscillates else "oscillating"


def best_settings(small: float, large: float) -> Best:
    """Return Polyak's choice: α = (2 / (√λ₁ + √λ₂))², √β = (√λ₂ − √λ₁) / (√λ₂ + √λ₁), which is its radius."""
    low, high = math.sqrt(small), math.sqrt(large)
    root = (high - low) / (high + low)
    return Best((2 / (low + high)) ** 2, root**2, root)


def phase_diagram(eigenvalues: tuple[float, ...], alphas: Array, betas: Array, *, steps: int = STEPS) -> Diagram:
    """Return the diagram over all `alphas` and `betas`, predicted, and measured by `steps` steps of SGD each."""
    shape = (len(betas), len(alphas), len(eigenvalues))
    radius, regime = np.empty(shape), np.empty(shape, dtype=np.int64)
    for i, j, k in np.ndindex(shape):
        settings = (float(alphas[j]), float(betas[i]), eigenvalues[k])
        radius[i, j, k], regime[i, j, k] = spectral_radius(*settings), REGIMES.index(regime_of(*settings))
    settings_of_runs = [(float(alpha), float(beta)) for beta in betas for alpha in alphas]
    measured_radius, measured_regime = _measured(measured_errors(eigenvalues, settings_of_runs, steps=steps))
    return Diagram(
        eigenvalues, alphas, betas, radius, regime, measured_radius.reshape(shape), measured_regime.reshape(shape)
    )


def measured_errors(
    eigenvalues: tuple[float, ...], settings: list[tuple[float, float]], *, steps: int = STEPS
) -> Array:
    """Return the errors (steps + 1, settings, eigenvalues) of torch's SGD at each (α, β), from 1.

    The loss is ½ Σ λ e², whose minimum is at 0: there a rounding is as small as the error itself.
    """
    errors = torch.ones(len(settings), len(eigenvalues), dtype=torch.float64)
    gradients, curvatures = torch.empty_like(errors), torch.tensor(eigenvalues, dtype=torch.float64)
    weights = [torch.nn.Parameter(row) for row in errors]  # they share the memory of `errors`
    groups = [{"params": [own], "lr": a, "momentum": b} for own, (a, b) in zip(weights, settings, strict=True)]
    optimizer = build_optimizer(groups, {"name": "SGD"})
    for own, row in zip(weights, gradients, strict=True):
        own.grad = row
    seen = [errors.numpy().copy()]
    for _ in range(steps):
        torch.mul(errors, curvatures, out=gradients)
        optimizer.step()
        seen.append(errors.numpy().copy())
    return np.array(seen)


def predicted_errors(alpha: float, beta: float, eigenvalue: float, *, steps: int) -> Array:
    """Return the errors (steps + 1,) along an eigenvector by powers of the iteration matrix, from 1 at rest."""
    matrix, state = iteration_matrix(alpha, beta, eigenvalue), np.array([0.0, 1.0])
    errors = [1.0]
    for _ in range(steps):
        state = matrix @ state
        errors.append(float(state[1]))
    return np.array(errors)


def _measured(errors: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return factor per step and regime of errors (steps + 1, …), each (…).

    The factor is that from the largest size in the second quarter of the steps to the largest in the last one; it
    oscillates where an error changes its sign.
    """
    size = np.hypot(errors[1:], errors[:-1])  # an error alone passes through 0 while it oscillates
    quarter = len(size) // 4
    early, late = size[quarter : 2 * quarter].max(axis=0), size[3 * quarter : 4 * quarter].max(axis=0)
    radius = np.where(early > 0, late / np.where(early > 0, early, 1.0), 0.0) ** (1 / (2 * quarter))
    changes = (np.sign(errors[1:]) * np.sign(errors[:-1]) < 0).any(axis=0)
    return radius, np.where(radius >= 1, 2, np.where(changes, 1, 0))
