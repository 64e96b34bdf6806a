"""One visit to the laboratory: a problem, all its paths, and the phase diagram of its curvature.

laboratory = visit(build_problem("valley", …), plan_runs(chosen=[], epochs=10, lr=None))
laboratory.paths["Adam"], laboratory.diagram
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ch6dist.catalog.lab import LR
from ch6dist.lab.comparisons import Plan
from ch6dist.lab.paths import Path, run_paths
from ch6dist.lab.phase import Best, Diagram, best_settings, measured_errors, phase_diagram, predicted_errors
from ch6dist.lab.problems import Array, Problem

LARGEST = 4.2  # α λ at the right end of the diagram, for the larger curvature: all its borders lie below
NUM_ALPHAS, LARGEST_BETA, NUM_BETAS = 36, 0.95, 20
ERROR_STEPS = 60
MOMENTUM = 0.9  # beside none and the best


@dataclass(frozen=True)
class ErrorRun:
    """Errors along each eigenvector at one α and β; arrays (steps + 1, eigenvalues), 1 at the start."""

    setting: str
    alpha: float
    beta: float
    predicted: Array
    measured: Array


@dataclass(frozen=True)
class Laboratory:
    """Everything that was seen."""

    problem: Problem
    plan: Plan
    paths: Mapping[str, Path]
    diagram: Diagram
    best: Best
    errors: list[ErrorRun]


def visit(problem: Problem, plan: Plan) -> Laboratory:
    """Return all paths of a plan, and what momentum does on the problem's curvature."""
    paths = run_paths(problem, plan.runs)  # first: a schedule that does not fit is refused here
    small, large = problem.eigenvalues()
    alphas = np.linspace(0, LARGEST / large, NUM_ALPHAS + 1)[1:]
    diagram = phase_diagram((small, large), alphas, np.linspace(0, LARGEST_BETA, NUM_BETAS))
    best = best_settings(small, large)
    settings = {
        f"no momentum, α {LR.default:g}": (LR.default, 0.0),
        f"momentum {MOMENTUM:g}, α {LR.default:g}": (LR.default, MOMENTUM),
        f"the best of both: momentum {best.beta:.2f}, α {best.alpha:.2g}": (best.alpha, best.beta),
    }
    return Laboratory(problem, plan, paths, diagram, best, _errors((small, large), settings))


def _errors(eigenvalues: tuple[float, float], settings: Mapping[str, tuple[float, float]]) -> list[ErrorRun]:
    measured = np.abs(measured_errors(eigenvalues, list(settings.values()), steps=ERROR_STEPS))
    runs = []
    for place, (name, (alpha, beta)) in enumerate(settings.items()):
        predicted = [np.abs(predicted_errors(alpha, beta, value, steps=ERROR_STEPS)) for value in eigenvalues]
        runs.append(ErrorRun(name, alpha, beta, np.stack(predicted, axis=-1), measured[:, place]))
    return runs
