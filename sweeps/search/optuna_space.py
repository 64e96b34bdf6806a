"""The axes of a sweep as parameters of Optuna, and a study of them."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ch6dist.catalog.parameters import as_number
from sweeps.spec.axes import Axis, Point
from sweeps.spec.expand import conditions_of
from sweeps.spec.sweep_file import SweepSpec

ORDERED = 3  # listed numbers from which on their order is used


class Space:
    """The axes of a sweep as Optuna's parameters.

    Listed numbers are the places in their order, other listed values a choice among their places; in a space of names,
    for people, all are what the file says.
    """

    def __init__(self, spec: SweepSpec, *, named: bool = False) -> None:
        """Take the axes of a sweep."""
        self.conditions = conditions_of(spec)
        self.choices = {key: _labels(axis) if named else _places(axis) for key, axis in spec.parameters.items()}
        self.distributions = {
            key: _distribution(axis, self.choices[key], named=named) for key, axis in spec.parameters.items()
        }

    def suggest(self, trial: optuna.Trial) -> Point:
        """Return the point of a trial: the axes one after another, as far as they apply."""
        point: Point = {}
        for key in self.conditions.order:
            if self.conditions.applies(key, point):
                point[key] = self._value(key, _suggested(trial, key, self.distributions[key]))
        return {key: point[key] for key in self.conditions.axes if key in point}

    def holds(self, point: Point) -> bool:
        """Return whether a point lies on the axes of the sweep, which may have changed since it was drawn."""
        kept: Point = {}
        for key in self.conditions.order:
            if self.conditions.applies(key, kept) != (key in point):
                return False
            if key in point:
                if not self._lies_on(key, point[key]):
                    return False
                kept[key] = point[key]
        return len(kept) == len(point)

    def parameters(self, point: Point) -> dict[str, Any]:
        """Return a point that it holds as the arguments of a trial."""
        params = {key: self._parameter(key, value) for key, value in point.items()}
        return {"params": params, "distributions": {key: self.distributions[key] for key in params}}

    def _value(self, key: str, parameter: Any) -> Any:
        axis = self.conditions.axes[key]
        if axis.listed:
            return axis.listed[self.choices[key].index(parameter)]
        return parameter if axis.distribution == "int_uniform" else axis.rounded(parameter)

    def _parameter(self, key: str, value: Any) -> Any:
        axis = self.conditions.axes[key]
        return self.choices[key][_place(axis, value)] if axis.listed else value

    def _lies_on(self, key: str, value: Any) -> bool:
        axis = self.conditions.axes[key]
        if axis.listed:
            return any(key_of(value) == key_of(one) for one in axis.listed)
        low, high = axis.bounds
        number = isinstance(value, int if axis.distribution == "int_uniform" else (int, float))
        return number and low <= value <= high


def _place(axis: Axis, value: Any) -> int:
    return [key_of(one) for one in axis.listed].index(key_of(value))


def _places(axis: Axis) -> list[int]:
    """Return a number for each listed value: its place in the order of numbers, or in the list."""
    numbers = [as_number(value) for value in axis.listed]
    if not _is_ordered(axis):
        return list(range(len(numbers)))
    order = sorted(range(len(numbers)), key=lambda place: numbers[place] or 0)
    return [order.index(place) for place in range(len(numbers))]


def _labels(axis: Axis) -> list[Any]:
    """Return what a person reads for each listed value, all different."""
    plain = [
        value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, ensure_ascii=False)
        for value in axis.listed
    ]
    return [f"{label} ({place})" if label in plain[:place] else label for place, label in enumerate(plain)]


def _is_ordered(axis: Axis) -> bool:
    return len(axis.listed) >= ORDERED and all(as_number(value) is not None for value in axis.listed)


def _distribution(axis: Axis, choices: Sequence[Any], *, named: bool) -> BaseDistribution:
    if axis.listed:
        ordered = _is_ordered(axis) and not named
        return IntDistribution(0, len(choices) - 1) if ordered else CategoricalDistribution(choices)
    low, high = axis.bounds
    if axis.distribution == "int_uniform":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=axis.distribution == "log_uniform")


def _suggested(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)


def new_study(spec: SweepSpec, **options: Any) -> optuna.Study:
    """Make a study of the sweep's metric, without a trial."""
    return optuna.create_study(study_name=spec.name, direction=spec.metric.goal, **options)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from writing to the terminal, for the time of the block."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def key_of(value: Any) -> str:
    """Return a point or a value as text that is equal for equal ones, read from a ledger or not."""
    return json.dumps(value, sort_keys=True)


def finite(values: Mapping[int, float]) -> dict[int, float]:
    """Return the values that are finite numbers."""
    return {epoch: value for epoch, value in values.items() if is_finite(value)}


def is_finite(value: float | None) -> bool:
    """Return whether there is a value, and it is a finite number."""
    return value is not None and math.isfinite(value)
