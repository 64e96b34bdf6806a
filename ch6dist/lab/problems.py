"""Problems with two parameters: least squares, so that loss, gradient, curvature and optimum have formulas.

    problem = build_problem("regression", {})
    problem.train.loss(np.array([1.0, 2.0]))            # of all training points, at b = 1, w = 2
    problem.batches(epoch=0)                            # rows of each batch, the same for every optimizer
    problem.contours().loss                             # (101, 101)

All numbers are fp64: what differs between two optimizers is theirs, not a rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ch6dist.catalog.lab import GRID
from ch6dist.seeding import generator

Array = NDArray[np.float64]

TRUE_B, TRUE_W, NOISE, POINTS, SEED = 1.0, 2.0, 0.1, 100, 42  # the book's
TRAIN_SHARE, BATCH_SIZE = 0.8, 16
# weight and bias of torch.nn.Linear(1, 1) after manual_seed(42), from where the book starts, as (b, w)
BOOK_START = (0.8300079107284546, 0.7645385265350342)
STEEPEST = 12.0  # largest curvature of the valley: SGD zigzags at lr 0.1, and Nesterov with momentum 0.9 converges
VALLEY_STEPS = 5  # of an epoch, as the regression has


@dataclass(frozen=True)
class LeastSquares:
    """The loss mean((A θ − y)²) over the rows of A (n, 2) and y (n,)."""

    inputs: Array
    targets: Array

    def loss(self, parameters: Array) -> Array:
        """Return the loss (…) at parameters (…, 2)."""
        with np.errstate(over="ignore", invalid="ignore"):  # a path that diverges may leave the range of fp64
            return np.asarray(((parameters @ self.inputs.T - self.targets) ** 2).mean(axis=-1))

    def gradient(self, parameters: Array) -> Array:
        """Return the gradient (…, 2) of the loss at parameters (…, 2): 2 Aᵀ (A θ − y) / n."""
        errors = parameters @ self.inputs.T - self.targets
        return np.asarray(2 * errors @ self.inputs / len(self.targets))

    def hessian(self) -> Array:
        """Return the matrix of second derivatives (2, 2), the same everywhere: 2 Aᵀ A / n."""
        return np.asarray(2 * self.inputs.T @ self.inputs / len(self.targets))

    def optimum(self) -> Array:
        """Return the parameters (2,) of the smallest loss."""
        return np.asarray(np.linalg.lstsq(self.inputs, self.targets, rcond=None)[0])


@dataclass(frozen=True)
class Contours:
    """Loss and gradient on a grid: loss[i, j] belongs to the first parameter xs[j] and the second ys[i]."""

    xs: Array  # (101,)
    ys: Array  # (101,)
    loss: Array  # (101, 101)
    gradient: Array  # (101, 101, 2)


@dataclass(frozen=True)
class Problem:
    """A loss of two parameters, where every path starts, and in which batches its points come."""

    name: str
    settings: Mapping[str, Any]  # its own parameters, resolved
    parameters: tuple[str, str]  # names
    train: LeastSquares
    validation: LeastSquares
    start: tuple[float, float]
    window: tuple[float, float]  # that is shown, of both parameters
    batch_size: int
    steps_per_epoch: int
    seed: int  # of the order of the points

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the training rows of each batch of an epoch: a function of seed and epoch alone."""
        rows = len(self.train.targets)
        if self.batch_size >= rows:
            return [np.arange(rows)] * self.steps_per_epoch
        order = torch.randperm(rows, generator=generator(self.seed, epoch, "order")).numpy()
        return [order[begin : begin + self.batch_size] for begin in range(0, rows, self.batch_size)]

    def eigenvalues(self) -> tuple[float, float]:
        """Return the curvatures along the two eigenvectors of the training loss, the smaller one first."""
        small, large = np.linalg.eigvalsh(self.train.hessian())
        return float(small), float(large)

    def contours(self) -> Contours:
        """Return the training loss and its gradient on a grid over the window."""
        axis = np.linspace(*self.window, GRID)
        points = np.stack(np.meshgrid(axis, axis), axis=-1)
        return Contours(axis, axis, self.train.loss(points), self.train.gradient(points))


def build_problem(name: str, settings: Mapping[str, Any]) -> Problem:
    """Build a problem of `ch6dist.catalog.lab.PROBLEMS` from its resolved settings."""
    return BUILDERS[name](**settings)


def regression() -> Problem:
    """Return the book's linear regression: 100 points of y = 1 + 2 x + noise, 80 of them to train on."""
    random = np.random.RandomState(SEED)
    x = random.rand(POINTS, 1)
    y = TRUE_B + TRUE_W * x + NOISE * random.randn(POINTS, 1)
    order = np.arange(POINTS)
    random.shuffle(order)
    inputs, targets = np.hstack([np.ones_like(x), x]), y[:, 0]
    split = int(POINTS * TRAIN_SHARE)
    train, validation = (LeastSquares(inputs[rows], targets[rows]) for rows in (order[:split], order[split:]))
    return Problem(
        name="regression",
        settings={},
        parameters=("b", "w"),
        train=train,
        validation=validation,
        start=BOOK_START,
        window=(0.7, 2.3),
        batch_size=BATCH_SIZE,
        steps_per_epoch=math.ceil(split / BATCH_SIZE),
        seed=SEED,
    )


def valley(*, condition: float, angle: float) -> Problem:
    """Return ½ (λ₁ x² + λ₂ y²) with λ₂ = 12, λ₁ = 12 / condition, its axes turned by `angle` degrees."""
    turn = math.radians(angle)
    axes = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])  # a row an eigenvector
    curvatures = np.array([STEEPEST / condition, STEEPEST])
    whole = LeastSquares(np.sqrt(curvatures)[:, None] * axes, np.zeros(2))  # ½ of the sum of both: their mean
    start = axes.T @ np.array([-2.0, 0.8])  # the same place in the valley, however it is turned
    return Problem(
        name="valley",
        settings={"condition": condition, "angle": angle},
        parameters=("x", "y"),
        train=whole,
        validation=whole,
        start=(float(start[0]), float(start[1])),
        window=(-2.4, 2.4),
        batch_size=2,
        steps_per_epoch=VALLEY_STEPS,
        seed=SEED,
    )


BUILDERS: dict[str, Callable[..., Problem]] = {"regression": regression, "valley": valley}
