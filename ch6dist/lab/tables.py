"""The rows of every table that the laboratory writes, in the order of `ch6dist.catalog.lab.TABLES`.

ROWS["paths.csv"](laboratory)       # a tuple per row, a value per column
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ch6dist.lab.comparisons import ADAM, MOMENTUM
from ch6dist.lab.laboratory import Laboratory
from ch6dist.lab.paths import Path
from ch6dist.lab.phase import REGIMES, borders
from ch6dist.lab.series import adam_series, velocity_series

Row = tuple[Any, ...]


def _paths(lab: Laboratory) -> Iterator[Row]:
    per_epoch = lab.problem.steps_per_epoch
    for name, path in lab.paths.items():
        for step, lr in enumerate(path.lrs):
            yield (
                *(name, step, step // per_epoch),
                *(*path.parameters[step], *path.gradients[step], *path.adapted[step]),
                *(path.batch_losses[step], path.losses[step], lr),
            )
        last = len(path.lrs)
        yield (name, last, last // per_epoch, *path.parameters[last], *[None] * 5, path.losses[last], None)


def _states(lab: Laboratory) -> Iterator[Row]:
    for name, path in lab.paths.items():
        for state, values in path.states.items():
            for step, value in enumerate(values):
                yield (name, step, state, *value)


def _epochs(lab: Laboratory) -> Iterator[Row]:
    per_epoch = lab.problem.steps_per_epoch
    for name, path in lab.paths.items():
        for epoch, losses in enumerate(zip(path.epoch_losses, path.val_losses, strict=True)):
            yield (name, epoch, *losses, path.lrs[(epoch + 1) * per_epoch - 1])


def _contours(lab: Laboratory) -> Iterator[Row]:
    found = lab.problem.contours()
    for i, second in enumerate(found.ys):
        for j, first in enumerate(found.xs):
            yield (first, second, found.loss[i, j], *found.gradient[i, j])


def _adam(lab: Laboratory) -> Iterator[Row]:
    path = _first(lab, "adam", ADAM["name"])
    series = adam_series(path)
    for k, parameter in enumerate(lab.problem.parameters):
        columns = (path.gradients, series.smoothed, series.scale, series.adapted, path.adapted)
        for step, values in enumerate(np.stack([column[:, k] for column in columns], axis=1)):
            yield (parameter, step, *values)


def _velocities(lab: Laboratory) -> Iterator[Row]:
    for name in lab.plan.comparisons["flavours"]:
        path = lab.paths[name]
        series = velocity_series(path.gradients, beta=MOMENTUM["momentum"])
        for k, parameter in enumerate(lab.problem.parameters):
            columns = (path.gradients, series.momentum, series.nesterov, path.adapted)
            for step, values in enumerate(np.stack([column[:, k] for column in columns], axis=1)):
                yield (name, parameter, step, *values)


def _phase(lab: Laboratory) -> Iterator[Row]:
    found = lab.diagram
    for i, j in np.ndindex(found.radius.shape[:2]):
        cell = (found.alphas[j], found.betas[i])
        columns = (found.radius[i, j], found.regime[i, j], found.measured_radius[i, j], found.measured_regime[i, j])
        for value, radius, regime, measured, seen in zip(found.eigenvalues, *columns, strict=True):
            yield (*cell, value, radius, REGIMES[regime], measured, REGIMES[seen])
        radius, regime, measured, seen = (column.max() for column in columns)
        yield (*cell, "all", radius, REGIMES[regime], measured, REGIMES[seen])


def _borders(lab: Laboratory) -> Iterator[Row]:
    betas = np.linspace(0, lab.diagram.betas[-1], 96)
    yield from zip(betas, *borders(betas), strict=True)


def _errors(lab: Laboratory) -> Iterator[Row]:
    for run in lab.errors:
        for k, value in enumerate(lab.diagram.eigenvalues):
            for step, (predicted, measured) in enumerate(zip(run.predicted[:, k], run.measured[:, k], strict=True)):
                yield (run.setting, run.alpha, run.beta, value, step, predicted, measured)


def _first(lab: Laboratory, comparison: str, optimizer: str) -> Path:
    """Return the first path of a comparison that is one of this optimizer."""
    paths = (lab.paths[name] for name in lab.plan.comparisons[comparison])
    return next(path for path in paths if path.config.optimizer["name"] == optimizer)


ROWS: dict[str, Callable[[Laboratory], Iterator[Row]]] = {
    "paths.csv": _paths,
    "states.csv": _states,
    "epochs.csv": _epochs,
    "contours.csv": _contours,
    "adam.csv": _adam,
    "velocities.csv": _velocities,
    "phase.csv": _phase,
    "borders.csv": _borders,
    "errors.csv": _errors,
}
