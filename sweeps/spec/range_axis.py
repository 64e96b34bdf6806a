"""An axis of learning rates whose bounds come from range tests: its fields, and learning rates between bounds.

optimizer.lr: {from: range_test, otherwise: [1e-5, 1]}

bounds = Bounds(low=0.0002, high=0.016, why="…")
bounds.grid(5)              # [0.0002, 0.0006, 0.0018, 0.0053, 0.016]
bounds.at(STEPS // 2)       # 0.0017889: half way, on a logarithmic axis
bounds.beside(0.001, 5)     # [0.001, 0.0002, 0.0006, 0.0018, 0.0053, 0.016]: a default first, then as many others
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ch6dist.catalog.parameters import as_number
from ch6dist.catalog.text import distinct_numbers
from ch6dist.errors import MISSING, InputError

LR = "optimizer.lr"  # the only axis that range tests give bounds to
OF_RANGE = ("seeds", "widen", "otherwise", "points", "default")  # fields of an axis that go with `from`
OTHERWISE = "[min, max], two numbers > 0: the bounds where range tests have no signal"
DIGITS = 2  # of bounds and of learning rates of a grid, or as many as tell them apart: names of trials stay short
DRAWN_DIGITS = 4  # of a learning rate that is drawn between bounds, or as many as tell neighbouring steps apart
STEPS = 10_000  # into which what lies between two bounds is divided for drawing


@dataclass(frozen=True)
class Bounds:
    """Between which learning rates the trials of one group lie."""

    low: float
    high: float
    why: str = ""  # a sentence for a person
    measured: bool = False  # by range tests; else as the axis states them

    def grid(self, points: int) -> list[float]:
        """Return so many learning rates, evenly spaced on a logarithmic axis, the bounds among them."""
        ratio = math.log(self.high / self.low)
        found = [self.low * math.exp(ratio * number / (points - 1)) for number in range(points)]
        rounded = distinct_numbers(found, digits=DIGITS)
        return [self.low, *(rounded[lr] for lr in found[1:-1]), self.high]

    def beside(self, default: float, points: int) -> list[float]:
        """Return a default learning rate and, behind it, so many others: those of `grid`.

        Where the default is one of them, another lies half way, on a logarithmic axis, to the nearest.
        """
        others = [lr for lr in self.grid(points) if lr != default]
        if len(others) < points:
            half = math.sqrt(default * min(others, key=lambda lr: abs(math.log(lr / default))))
            others = sorted([*others, distinct_numbers([default, half, *others], digits=DIGITS)[half]])
        return [default, *others]

    def at(self, step: int) -> float:
        """Return the learning rate so many STEPS up from the lower bound, on a logarithmic axis; each has its own."""
        ratio = math.log(self.high / self.low)
        digits = 1 + max(DRAWN_DIGITS - 1, math.ceil(math.log10(STEPS / ratio)))
        lr = float(f"{self.low * math.exp(ratio * step / STEPS):.{digits}g}")
        return min(max(lr, self.low), self.high)


def bounds_otherwise(given: Any) -> tuple[float, float]:
    """Return the stated bounds of an axis; InputError for anything but two numbers > 0, the smaller first."""
    numbers = [as_number(item) for item in given] if isinstance(given, (list, tuple)) and len(given) == 2 else []
    if not numbers or any(number is None or number <= 0 for number in numbers):
        raise InputError("", given, OTHERWISE)
    low, high = (number for number in numbers if number is not None)
    if low >= high:
        raise InputError("", given, f"{OTHERWISE}; the smaller comes first")
    return low, high


def check_range_fields(given: Mapping[str, Any]) -> None:
    """Raise InputError for an axis that mixes `from` with values or a distribution, or half of it.

    Args:
        given: the fields that the file sets, by their names there.
    """
    if "from" not in given:
        for name in OF_RANGE:
            if name in given:
                raise InputError(name, given[name], "nothing without `from: range_test`")
        return
    for name in given:
        if name not in ("from", *OF_RANGE):
            raise InputError(name, given[name], "nothing beside `from`: the range tests give the bounds")
    if given.get("otherwise") is None:
        raise InputError("otherwise", MISSING, OTHERWISE)
