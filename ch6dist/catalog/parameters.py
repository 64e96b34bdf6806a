"""A parameter as data: its kind, default and bounds, and the check of every section of a trial.

Nothing here imports torch: `--help`, `plan` and `status` read the catalog and answer at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from ch6dist.errors import MISSING, InputError, suggestion, unknown_name

Kind = Literal["float", "int", "bool", "choice", "floats", "duration", "durations", "text", "any"]


class _Marker:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


REQUIRED = _Marker("REQUIRED")  # there is no default: it has to be given
DERIVED = _Marker("DERIVED")  # left out, it follows from the trial (epochs, steps per epoch, optimizer.lr)
LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


@dataclass(frozen=True)
class Parameter:
    """One parameter of an optimizer, a schedule, a model or a data set."""

    name: str
    kind: Kind
    default: Any
    meaning: str
    low: float | None = None  # smallest allowed value
    high: float | None = None  # largest allowed value
    above: float | None = None  # an open lower bound
    below: float | None = None  # an open upper bound
    choices: tuple[str, ...] = ()
    length: int | None = None  # for `floats`
    none: bool = False  # None is a value of its own (or, in `floats`, of an element)
    until: bool = False  # a `duration` that says when: its fraction is a moment of the training run, 0.5 its middle

    def parse(self, value: Any) -> Any:
        """Return `value` as this parameter's type; InputError if it is none. The text `1e-3` is a number (YAML 1.1)."""
        if value is None and self.none and self.kind != "floats":
            return None
        return _PARSERS[self.kind](self, value)

    def allowed(self) -> str:
        """Return what is allowed as text, such as `a number > 0`."""
        bounds = [
            f"≥ {self.low:g}" if self.low is not None else "",
            f"> {self.above:g}" if self.above is not None else "",
            f"≤ {self.high:g}" if self.high is not None else "",
            f"< {self.below:g}" if self.below is not None else "",
        ]
        limits = " and ".join(bound for bound in bounds if bound)
        base = {
            "float": "a number",
            "int": "a whole number",
            "bool": "true or false",
            "choice": "one of " + ", ".join(self.choices),
            "floats": f"a list of {self.length} numbers" if self.length else "a list of numbers",
            "duration": "a whole number, a fraction of the training run (0 < x ≤ 1.0), or {epochs: x}",
            "text": "text",
            "any": "text, a number, true or false, or a list or mapping of these",
            "durations": "an increasing list of whole numbers or of fractions of the training run",
        }[self.kind]
        return (f"{base} {limits}" if limits else base) + (" or null" if self.none else "")


@dataclass(frozen=True)
class Entry:
    """A name with a description and parameters: what the registries hold."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = field(default=())
    code: str = ""  # of what is the user's own: the hash of its files

    def parameter(self, name: str) -> Parameter:
        """Return the parameter called `name`; KeyError if there is none."""
        return {p.name: p for p in self.parameters}[name]

    def default(self, name: str, otherwise: Any) -> Any:
        """Return the default of a parameter; `otherwise` where it has none of its own."""
        found = next((p.default for p in self.parameters if p.name == name), REQUIRED)
        return otherwise if found in (REQUIRED, DERIVED) else found

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check `given` and return it with the defaults filled in (DERIVED ones stay out). Raises InputError."""
        known = {p.name: p for p in self.parameters}
        for key in given:
            if key not in known:
                raise unknown_key(key, known, f"{self.name} takes")
        resolved = {}
        for name, parameter in known.items():
            if name in given:
                resolved[name] = parameter.parse(given[name])
            elif parameter.default is REQUIRED:
                raise InputError(name, MISSING, f"{parameter.allowed()} ({self.name} needs it)")
            elif parameter.default is not DERIVED:
                resolved[name] = parameter.default
        return resolved


def unknown_key(key: object, valid: Mapping[str, Any], whose: str) -> InputError:
    """Return the error for an unknown key: the nearest valid one, then all of them."""
    return InputError(str(key), key, f"{suggestion(key, valid)}{whose} {', '.join(valid) or 'nothing'}")


def as_number(value: Any) -> float | None:
    """Return `value` as a finite float, else None.

    Text such as `1e-3` is a number (YAML 1.2), a boolean is none, and neither is `010`: 8 to some, 10 to others.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and LEADING_ZERO.fullmatch(value.strip()):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # no number; a whole number beyond the largest float
        return None
    return number if math.isfinite(number) else None


def _in_bounds(p: Parameter, number: float) -> bool:
    return (
        (p.low is None or number >= p.low)
        and (p.high is None or number <= p.high)
        and (p.above is None or number > p.above)
        and (p.below is None or number < p.below)
    )


def _float(p: Parameter, value: Any) -> float:
    number = as_number(value)
    if number is None or not _in_bounds(p, number):
        raise InputError(p.name, value, p.allowed())
    return number


def _int(p: Parameter, value: Any) -> int:
    number = as_number(value)
    if number is None or number != int(number) or not _in_bounds(p, number):
        raise InputError(p.name, value, p.allowed())
    return int(number)


def _bool(p: Parameter, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(p.name, value, p.allowed())
    return value


def _choice(p: Parameter, value: Any) -> str:
    if value not in p.choices:
        raise unknown_name(p.name, value, p.choices)
    return str(value)


def _floats(p: Parameter, value: Any) -> list[float | None]:
    if not isinstance(value, (list, tuple)) or (p.length is not None and len(value) != p.length):
        raise InputError(p.name, value, p.allowed())
    numbers: list[float | None] = []
    for item in value:
        number = as_number(item)
        if (number is None and not (item is None and p.none)) or (number is not None and not _in_bounds(p, number)):
            raise InputError(p.name, value, p.allowed())
        numbers.append(number)
    return numbers


def _duration(p: Parameter, value: Any) -> int | float | dict[str, float]:
    """Return a length in the schedule's own unit (int), as a fraction of the run (float), or in epochs (mapping).

    `1` is one step, `1.0` the whole training run.
    """
    if isinstance(value, Mapping):
        epochs = as_number(value.get("epochs"))
        if set(value) == {"epochs"} and epochs is not None and epochs > 0:
            return {"epochs": epochs}
        raise InputError(p.name, value, p.allowed())
    number = as_number(value)
    if number is None or number <= 0 or (number > 1 and number != int(number)):
        raise InputError(p.name, value, p.allowed())
    return number if number < 1 or (number == 1 and not _is_whole(value)) else int(number)


def _is_whole(value: Any) -> bool:
    """Return whether a number is written as a whole one: `1`, not `1.0`."""
    return isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+").isdecimal())


def _durations(p: Parameter, value: Any) -> list[int | float]:
    if not isinstance(value, (list, tuple)) or not value:
        raise InputError(p.name, value, p.allowed())
    items = [_duration(p, item) for item in value]
    numbers = [item for item in items if not isinstance(item, dict)]
    mixed = any(isinstance(n, int) for n in numbers) and any(isinstance(n, float) for n in numbers)
    if len(numbers) != len(items) or mixed or any(b <= a for a, b in pairwise(numbers)):
        raise InputError(p.name, value, p.allowed())
    return numbers


def _text(p: Parameter, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(p.name, value, p.allowed())
    return value


def _any(p: Parameter, value: Any) -> Any:
    """Return what a signature says nothing of, as the file has it; text that is a number is one."""
    if isinstance(value, Mapping):
        return {str(key): _any(p, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_any(p, item) for item in value]
    number = as_number(value) if isinstance(value, str) else None
    if number is not None:
        return int(number) if _is_whole(value) else number
    if value is None or isinstance(value, (bool, str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InputError(p.name, value, p.allowed())


_PARSERS = {
    "float": _float,
    "int": _int,
    "bool": _bool,
    "choice": _choice,
    "floats": _floats,
    "duration": _duration,
    "durations": _durations,
    "text": _text,
    "any": _any,
}
