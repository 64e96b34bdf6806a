"""The axes of a sweep: what a trial key may be, and the points they span.

axes = {"optimizer.lr": Axis(values=(0.1, 0.01)), "epochs": Axis(values=(5, 10))}
list(grid(axes))                                  # 4 points, {"optimizer.lr": 0.1, "epochs": 5} first
list(random(axes, count=3, rng=Random(0)))        # 3 different points
"""

from __future__ import annotations

import itertools
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
NO_AXIS = ("capture",)  # fields of a trial that are no part of its configuration
DRAWS_PER_POINT = 1000  # draws for a point that was not drawn before, until the axes count as exhausted
Point = dict[str, Any]  # a value for each axis; of an axis of cases the name of one
Case = dict[str, Any]  # values by dotted trial key


class Axis(Frozen):
    """The values of one trial key: listed, or drawn from a distribution (method random); or cases, of several keys.

    Those of optimizer.lr may also lie between bounds that range tests find before the training runs begin.
    `[0.1, 0.01]`, `0.1` and `factor3` alone are short for a mapping with `values`. Cases come with dotted keys, as
    `flat_parameters` in cases.py writes them.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    values: tuple[Any, ...] | None = Field(
        None, description="the values, a list or one; or the name of a preset of learning rates: `factor3`, `factor10`"
    )
    distribution: Literal["log_uniform", "uniform", "int_uniform"] | None = Field(
        None, description="method random: what the values are drawn from, between `min` and `max`"
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

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if isinstance(given, (list, tuple, str, int, float)):
            return {"values": _listed(given)}
        if not isinstance(given, Mapping):
            raise InputError("", given, "values, as in [0.1, 0.01], or a mapping with distribution, min and max")
        refuse_unknown(given, axis_fields(), "an axis")
        if "cases" in given and len(given) > 1:
            other = next(key for key in given if key != "cases")
            raise InputError(other, given[other], "nothing beside cases")
        check_range_fields(given)
        return {**given, "values": _listed(given["values"])} if "values" in given else given

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

    def draw(self, rng: Random) -> Any:
        """Draw one value: a listed one, or one of the distribution, to four digits, so that names stay short."""
        if listed := self.listed:
            return rng.choice(listed)
        assert self.min is not None  # _one_kind
        assert self.max is not None
        if self.distribution == "int_uniform":
            return rng.randint(int(self.min), int(self.max))
        if self.distribution == "log_uniform":
            value = math.exp(rng.uniform(math.log(self.min), math.log(self.max)))
        else:
            value = rng.uniform(self.min, self.max)
        return min(max(float(f"{value:.4g}"), self.min), self.max)


def axis_fields() -> dict[str, Any]:
    """Return the fields of an axis by their names in a file."""
    return {field.alias or name: field for name, field in Axis.model_fields.items()}


def grid(axes: Mapping[str, Axis]) -> Iterator[Point]:
    """Yield every combination of the axes' values; the last axis changes fastest."""
    for values in itertools.product(*(axis.listed for axis in axes.values())):
        yield dict(zip(axes, values, strict=True))


def random(axes: Mapping[str, Axis], *, count: int, rng: Random) -> Iterator[Point]:
    """Yield `count` different points. With an equal `rng` a larger count begins with the same points."""
    seen: set[str] = set()
    for _ in range(count):
        for _ in range(DRAWS_PER_POINT):
            point = {key: axis.draw(rng) for key, axis in axes.items()}
            if repr(point) not in seen:
                break
        else:
            raise InputError("trials", count, f"at most {len(seen)}: the axes hold no more different points")
        seen.add(repr(point))
        yield point


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
