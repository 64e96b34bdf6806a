"""The axes of a sweep: what a trial key may be.

axes = {"optimizer.lr": Axis(values=(0.1, 0.01)), "epochs": Axis(values=(5, 10))}     # points.py: what they span
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from ch6dist.catalog.parameters import unknown_key
from ch6dist.errors import MISSING, InputError, suggestion
from ch6dist.sections import Frozen
from sweeps.spec.range_axis import bounds_otherwise, check_range_fields

PRESETS: dict[str, tuple[float, ...]] = {  # grids of learning rates, named by the factor between neighbours
    "factor3": (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4),
    "factor10": (0.1, 0.01, 1e-3, 1e-4, 1e-5),
}
NOT_HERE = ("seed", "vary", "evaluate_test")  # fields of a trial that a sweep sets itself
NO_AXIS = ("capture", "metrics")  # fields of a trial that are no part of its configuration
NAMED = ("model", "optimizer", "schedule")  # sections whose keys follow from their name
CONDITION = "a trial key with a value or a list of values, as in {optimizer.name: [SGD, RMSprop]}"
Point = dict[str, Any]  # a value for each axis that applies; of an axis of cases the name of one
Case = dict[str, Any]  # values by dotted trial key


class Axis(Frozen):
    """The values of one trial key: listed, or drawn from a distribution (not method grid); or cases, of several keys.

    Those of optimizer.lr may also lie between bounds that range tests find before the training runs begin.
    `[0.1, 0.01]`, `0.1` and `factor3` alone are short for a mapping with `values`. Cases come with dotted keys, as
    `flat_parameters` in cases.py writes them.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    values: tuple[Any, ...] | None = Field(
        None, description="the values, a list or one; or the name of a preset of learning rates: `factor3`, `factor10`"
    )
    distribution: Literal["log_uniform", "uniform", "int_uniform"] | None = Field(
        None, description="all methods but grid: what the values are drawn from, between `min` and `max`"
    )
    min: float | None = Field(None, description="the smallest value that is drawn")
    max: float | None = Field(None, description="the largest value that is drawn")
    cases: dict[str, Case] | None = Field(
        None,
        description="instead of all others: names, each with the trial keys that it sets together; the axis is then "
        "called as you like",
    )
    source: Literal["range_test"] | None = Field(
        None,
        alias="from",
        description="`optimizer.lr` alone, instead of values or a distribution: `range_test`, bounds from range tests "
        "that run first, a few per optimizer and whatever else varies but schedule and epochs",
    )
    seeds: int = Field(3, ge=1, description="with `from`: how many range tests, on seeds 0 … n−1; left out: 3")
    widen: float = Field(
        3.0,
        ge=1,
        description="with `from`: the lower bound is the range tests' divided by it, the upper one theirs times it; "
        "left out: 3",
    )
    otherwise: tuple[float, float] | None = Field(
        None,
        description="with `from`, which needs it: `[min, max]`, the bounds where half of the range tests or more have "
        "no signal",
    )
    points: int = Field(
        5,
        ge=2,
        description="with `from`, method grid: how many learning rates, evenly spaced on a logarithmic axis, the "
        "bounds among them; left out: 5",
    )
    default: bool = Field(
        False, description="with `from`, method grid: true: one more, the learning rate that is the optimizer's default"
    )
    where: dict[str, tuple[Any, ...]] | None = Field(
        None,
        description="when the axis applies: trial keys, or names of axes of cases, each with a value or a list of "
        "values, all of which must hold; a configuration for which one does not is trained without the axis",
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if isinstance(given, (list, tuple, str, int, float)):
            return {"values": _listed(given)}
        if not isinstance(given, Mapping):
            raise InputError("", given, "values, as in [0.1, 0.01], or a mapping with distribution, min and max")
        refuse_unknown(given, axis_fields(), "an axis")
        beside = [key for key in given if key not in ("cases", "where")]
        if "cases" in given and beside:
            raise InputError(beside[0], given[beside[0]], "nothing beside cases but where")
        check_range_fields(given)
        read = {"values": _listed, "where": _conditions}
        return {key: read[key](value) if key in read else value for key, value in given.items()}

    @field_validator("otherwise", mode="before")
    @classmethod
    def _otherwise(cls, given: Any) -> tuple[float, float]:
        return bounds_otherwise(given)

    @model_validator(mode="after")
    def _one_kind(self) -> Axis:
        if self.cases is not None or self.source is not None:
            return self
        drawn = {name: getattr(self, name) for name in ("distribution", "min", "max")}
        allowed = "either values: […], or distribution, min and max"
        if self.values is None and set(drawn.values()) == {None}:
            raise InputError("values", MISSING, allowed)
        for name, value in drawn.items():
            if (value is None) == (self.values is None):
                raise InputError(name, MISSING if value is None else value, allowed)
        if self.min is not None and self.max is not None:
            self._check_range(self.min, self.max)
        return self

    def _check_range(self, low: float, high: float) -> None:
        if high <= low:
            raise InputError("max", high, f"a number > min ({low:g})")
        if self.distribution == "log_uniform" and low <= 0:
            raise InputError("min", low, "a number > 0 (log_uniform)")
        if self.distribution == "int_uniform" and (low != int(low) or high != int(high)):
            raise InputError("min", low, "whole numbers for min and max (int_uniform)")

    @property
    def listed(self) -> tuple[Any, ...]:
        """Return the values that are listed, or the names of the cases; none for a distribution, or bounds to come."""
        return tuple(self.cases) if self.cases is not None else self.values or ()

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest value of a distribution."""
        assert self.min is not None  # _one_kind
        assert self.max is not None
        return self.min, self.max

    def every(self, *, at_most: int) -> Axis | None:
        """Return the axis with all its values listed, or the first `at_most`; None for one of fractions."""
        if self.distribution != "int_uniform":
            return self if self.distribution is None else None
        low, high = map(int, self.bounds)
        return self._listing(tuple(range(low, min(high + 1, low + at_most))))

    def first(self) -> Axis:
        """Return the axis with its first value alone."""
        if self.cases is not None:
            name, case = next(iter(self.cases.items()))
            return self.model_copy(update={"cases": {name: case}})
        return self._listing(self.listed[:1])

    def ends(self) -> Axis:
        """Return the axis with its listed values, or the smallest and the largest of its distribution."""
        if self.listed:
            return self
        return self._listing(tuple(map(int, self.bounds)) if self.distribution == "int_uniform" else self.bounds)

    def _listing(self, values: tuple[Any, ...]) -> Axis:
        return self.model_copy(update={"values": values, "distribution": None, "min": None, "max": None})

    def draw(self, rng: Random) -> Any:
        """Draw one value: a listed one, or one of the distribution, to four digits, so that names stay short."""
        if listed := self.listed:
            return rng.choice(listed)
        low, high = self.bounds
        if self.distribution == "int_uniform":
            return rng.randint(int(low), int(high))
        if self.distribution == "log_uniform":
            return self.rounded(math.exp(rng.uniform(math.log(low), math.log(high))))
        return self.rounded(rng.uniform(low, high))

    def at(self, share: float) -> Any:
        """Return the value below which a `share` of the values lies, from 0 to below 1, as `draw` gives it."""
        if listed := self.listed:
            return listed[int(share * len(listed))]
        low, high = self.bounds
        if self.distribution == "int_uniform":
            return int(low) + int(share * (int(high) - int(low) + 1))
        if self.distribution == "log_uniform":
            return self.rounded(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
        return self.rounded(low + share * (high - low))

    def rounded(self, value: float) -> float:
        """Return a value of the distribution to four digits."""
        low, high = self.bounds
        return min(max(float(f"{value:.4g}"), low), high)


def axis_fields() -> dict[str, Any]:
    """Return the fields of an axis by their names in a file."""
    return {field.alias or name: field for name, field in Axis.model_fields.items()}


def refuse_unknown(given: Any, fields: Mapping[str, Any], whose: str) -> None:
    """Raise InputError, naming the nearest, for a key of a mapping that is not among `fields`.

    Those that a sweep sets itself are not named as allowed.
    """
    for key in given if isinstance(given, Mapping) else ():
        if key not in fields:
            listed = {name: field for name, field in fields.items() if name not in NOT_HERE}
            raise unknown_key(key, listed, f"{whose} takes")


def holds(value: Any, path: Iterable[str]) -> bool:
    """Return whether a value is a mapping with something at a path of keys."""
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def _listed(values: Any) -> tuple[Any, ...]:
    """Return the values of an axis: those of a preset, those in a list, or one alone that is no text."""
    if isinstance(values, str) and values not in PRESETS:
        near = suggestion(values, PRESETS)
        raise InputError("values", values, f"{near}a list of values, as in [{values}], or {' or '.join(PRESETS)}")
    if values is None or values in ([], ()):
        raise InputError("values", values, f"a list of at least one value, or {' or '.join(PRESETS)}")
    if isinstance(values, str):
        return PRESETS[values]
    return tuple(values) if isinstance(values, (list, tuple)) else (values,)


def _conditions(given: Any) -> dict[str, tuple[Any, ...]]:
    """Return `where` by dotted key, each with the values that hold; a bare name is that of a section's `name`."""
    if not isinstance(given, Mapping) or not given:
        raise InputError("where", given, CONDITION)
    found: dict[str, tuple[Any, ...]] = {}
    for key, value in _leaves(given):
        values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        plain = all(one is None or isinstance(one, (str, int, float)) for one in values)
        if not values or not plain:
            raise InputError(f"where.{key}", value, "a value or a list of values, each a name, a number, true or false")
        key = f"{key}.name" if key in NAMED and all(isinstance(one, str) for one in values) else key
        if key in found:
            raise InputError(f"where.{key}", value, "each key once")
        found[key] = values
    return found


def _leaves(given: Mapping[Any, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if not isinstance(name, str):
            raise InputError("where", name, CONDITION)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{section}{name}.")
        else:
            yield f"{section}{name}", value
