"""Conditional axes: those that a configuration takes part in only where other keys have certain values.

    axes = {"optimizer.name": Axis(values=("SGD", "Adam")), "optimizer.momentum": Axis(values=(0, 0.9), where=…)}
    conditions = Conditions(axes, with_names(spec.trial))
    conditions.applying({"optimizer.name": "Adam", "optimizer.momentum": 0.9})      # {'optimizer.name': 'Adam'}
    list(conditions.grid())                                                         # 3 points

A point has a value for the axes that apply, and no others. The keys that a `where` looks at are seen as they are in the
trial of the point: set by an axis, by a mapping or a case, or by the sweep's trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any

from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError, suggestion, unknown_name
from ch6dist.trial_file import with_names
from sweeps.spec.axes import NAMED, Axis, Point
from sweeps.spec.cases import values_of, with_values
from sweeps.spec.points import grid

NO_SCHEDULE = {"schedule": {"name": "none"}}  # a trial without a schedule
NOTHING = object()  # the value of a key that a trial has not
LOOKED_AT = 10_000  # points in which the values of a key are looked for


class Conditions:
    """Which axes of a sweep apply where."""

    def __init__(self, axes: Mapping[str, Axis], trial: Mapping[str, Any]) -> None:
        """Take the axes, and the trial that all configurations share. InputError for axes that wait for each other."""
        self.axes, self.trial = axes, {**NO_SCHEDULE, **with_names(trial)}
        self.conditional = any(axis.where for axis in axes.values())
        self.order = self._order() if self.conditional else list(axes)  # those that a `where` looks at come before

    def applies(self, key: str, point: Point) -> bool:
        """Return whether an axis applies, by the values of those before it in `order`."""
        where = self.axes[key].where or {}
        return all(any(same_value(self._value(other, point), one) for one in values) for other, values in where.items())

    def applying(self, point: Point) -> Point:
        """Return a point without the values of axes that do not apply."""
        if not self.conditional:
            return point
        kept: Point = {}
        for key in self.order:
            if key in point and self.applies(key, kept):
                kept[key] = point[key]
        return {key: kept[key] for key in self.axes if key in kept}

    def grid(self) -> Iterator[Point]:
        """Yield every combination of the listed values once; the last axis changes fastest."""
        return self._sorted() if self.conditional else grid(self.axes)

    def points(self) -> Iterator[Point]:
        """Yield what `grid` yields, in an order of its own, before all are known."""
        return (self._point(ranks) for ranks in self._ranks({}, self.order))

    def count(self, *, at_most: int) -> int:
        """Return how many different points there are, drawn values included; none beyond `at_most` is counted."""
        whole = self.whole(at_most=at_most)
        return at_most if whole is None else sum(1 for _ in islice(whole.points(), at_most))

    def whole(self, *, at_most: int) -> Conditions | None:
        """Return the same with all values listed, of each axis `at_most`; None where there is no end of them."""
        whole = {key: axis.every(at_most=at_most) for key, axis in self.axes.items()}
        listed = {key: axis for key, axis in whole.items() if axis is not None}
        return Conditions(listed, self.trial) if len(listed) == len(whole) else None

    def deciding(self, key: str) -> list[str]:
        """Return the axes that decide, directly or not, whether an axis applies."""
        return self._with_earlier(self._earlier(key))

    def check(self) -> None:
        """Raise InputError for a condition on nothing that is there, or on a value that never occurs."""
        for key in self.order:
            for other, values in (self.axes[key].where or {}).items():
                place = f"parameters.{key}.where.{other}"
                if key in self._setters(other):
                    raise InputError(place, list(values), f"another key than what the axis {key} sets itself")
                found = self._occurring(other, place, values)
                for value in values:
                    if not any(same_value(value, one) for one in found):
                        raise unknown_name(place, value, dict.fromkeys(map(str, found)))

    def _occurring(self, key: str, place: str, values: tuple[Any, ...]) -> list[Any]:
        """Return the different values that a key has over all points."""
        setters = self._setters(key)
        for axis in setters:
            if not self.axes[axis].listed:
                raise InputError(place, list(values), f"a key whose values are listed; those of {axis} are drawn")
        earlier = set(self._with_earlier(setters))
        part = Conditions({axis: self.axes[axis] for axis in self.axes if axis in earlier}, self.trial)
        values_there = (part._value(key, point) for point in islice(part.points(), LOOKED_AT))
        seen = {repr(value): value for value in values_there if value is not NOTHING}
        if not seen:
            known = [*self.axes, *(f"{section}.name" for section in NAMED)]
            near = "" if key in known else suggestion(key, known)
            raise InputError(place, list(values), f"{near}another axis, or a key that the trial of the sweep has")
        return list(seen.values())

    def _value(self, key: str, point: Point) -> Any:
        """Return the value of a trial key, or of an axis of cases its case, at a point; NOTHING where there is none."""
        if key in self.axes and self.axes[key].cases is not None:
            return point.get(key, NOTHING)
        try:
            trial = with_values(*values_of(self.trial, self.axes, point))
        except InputError:  # `configure` says so
            return NOTHING
        return value_in(trial, key.split("."))

    def _setters(self, key: str) -> list[str]:
        """Return the axes that may set a key, wholly or in part, or choose the model or optimizer that has it."""
        section = key.partition(".")[0]
        name = f"{section}.name" if section in NAMED else key
        return [
            axis
            for axis, content in self.axes.items()
            if any(
                _within(key, path) or _within(path, key) or path == name
                for path in [axis, *(path for case in (content.cases or {}).values() for path in case)]
            )
        ]

    def _earlier(self, key: str) -> list[str]:
        return [axis for other in self.axes[key].where or {} for axis in self._setters(other)]

    def _with_earlier(self, keys: list[str]) -> list[str]:
        """Return axes and all that decide, directly or not, whether they apply."""
        found = list(keys)
        for key in found:
            found += [axis for axis in self._earlier(key) if axis not in found]
        return found

    def _order(self) -> list[str]:
        """Return the axes, those that a `where` looks at before the axis that has it."""
        graph = {key: [axis for axis in self._earlier(key) if axis != key] for key in self.axes}
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = error.args[1][::-1]  # an axis, what it waits for, what that waits for, …
            where = list(self.axes[circle[0]].where or {})
            raise InputError(f"parameters.{circle[0]}.where", where, f"no circle: {' → '.join(circle)}") from None

    def _ranks(self, chosen: dict[str, int], rest: list[str]) -> Iterator[dict[str, int]]:
        """Yield the places of the chosen values in their axes."""
        if not rest:
            yield chosen
            return
        key, *others = rest
        if not self.applies(key, self._point(chosen)):
            yield from self._ranks(chosen, others)
            return
        for rank in range(len(self.axes[key].listed)):
            yield from self._ranks({**chosen, key: rank}, others)

    def _point(self, ranks: Mapping[str, int]) -> Point:
        return {key: self.axes[key].listed[ranks[key]] for key in self.axes if key in ranks}

    def _sorted(self) -> Iterator[Point]:
        every = self._ranks({}, self.order)
        return map(self._point, sorted(every, key=lambda ranks: [ranks.get(key, -1) for key in self.axes]))


def _within(key: str, section: str) -> bool:
    return f"{key}.".startswith(f"{section}.")


def settled(axes: Mapping[str, Any], key: str, values: Iterable[Any]) -> dict[str, Any]:
    """Return axes (plain data) after the command line has left a key, or an axis of cases, no values but these.

    A `where` looks for these alone; an axis that waits for others never applies any more, and goes.
    """
    left = list(values)
    kept = {}
    for name, axis in axes.items():
        where = axis.get("where") or {}
        looked_at = {other: _found(left, key, other) for other in where if f"{other}.".startswith(f"{key}.")}
        narrowed = {
            other: [one for one in where[other] if any(same_value(one, value) for value in found)]
            for other, found in looked_at.items()
        }
        if all(narrowed.values()):
            kept[name] = {**axis, "where": {**where, **narrowed}} if narrowed else axis
    return kept


def _found(values: list[Any], key: str, other: str) -> list[Any]:
    """Return what values of `key` have at `other`, a key within it."""
    path = other.removeprefix(key).removeprefix(".")
    return [value_in(value, path.split(".") if path else ()) for value in values]


def value_in(content: Any, path: Iterable[str]) -> Any:
    """Return what content has at a path of keys, a bare name as its `name`; NOTHING where there is none."""
    for part in path:
        if isinstance(content, str) and part == "name":
            return content
        if not isinstance(content, Mapping) or part not in content:
            return NOTHING
        content = content[part]
    return content


def same_value(value: Any, other: Any) -> bool:
    """Return whether two values mean the same: `1e-3`, which is text to YAML, and 0.001 do, 1 and true do not."""
    numbers = as_number(value), as_number(other)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return type(value) is type(other) and bool(value == other)
