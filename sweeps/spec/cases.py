"""Cases: values of several trial keys that belong together, with a name, as one axis.

    flat_parameters({"change": {"cases": {"low lr": {"optimizer": {"lr": 1e-5}, "epochs": 10}}}})
    # {'change': {'cases': {'low lr': {'optimizer.lr': 1e-05, 'epochs': 10}}}}

A case is put over the sweep's trial, key by key; a model, optimizer or schedule of another name replaces the trial's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from ch6dist.catalog.text import one_line
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError, unknown_name
from ch6dist.paths import given_path
from ch6dist.trial_sections import PLACES
from ch6dist.yamlfile import with_dotted
from sweeps.spec.axes import NAMED, NO_AXIS, NOT_HERE, Axis, Case, Point, holds, refuse_unknown
from sweeps.spec.shorthand import PARTS, flat_axes

LONGEST_NAME = 40  # characters: the name of a case stands before the label of its configuration
PATHS = tuple(f"data.{key}" for key in ("root", *PLACES))
EXAMPLE = "a mapping of names to trial keys, as in {baseline: {}, low lr: {optimizer: {lr: 1e-5}, epochs: 10}}"


def flat_parameters(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return axes by dotted key, as `flat_axes` does, and in every case its values by dotted key."""
    axes = flat_axes(given)
    return {key: _with_flat_cases(key, axis) if _has_cases(axis) else axis for key, axis in axes.items()}


def check_cases(parameters: Mapping[str, Axis], *, taken: Mapping[str, Any]) -> None:
    """Raise InputError for an axis of cases that is called as a key is, and for a key that two axes set.

    Args:
        taken: the fields of a sweep; those of a trial are taken anyway.
    """
    for key, axis in parameters.items():
        if axis.cases is not None and ("." in key or key in TrialConfig.model_fields or key in taken):
            allowed = "a name without dots that is no key of a sweep or trial, such as `change`: the cases set the keys"
            raise InputError(key, key, allowed)
    for first, second in combinations(parameters, 2):
        for one, other in ((first, second), (second, first)):
            if parameters[one].cases is not None:
                _refuse_common(one, parameters[one], other, parameters[other])


def chosen_cases(parameters: Mapping[str, Axis], point: Point) -> dict[str, Case]:
    """Return the cases of a point by their axes."""
    axes = {key: parameters[key].cases for key in point}
    return {key: cases[point[key]] for key, cases in axes.items() if cases is not None}


def values_of(
    trial: Mapping[str, Any], parameters: Mapping[str, Axis], point: Point
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return a trial without what a point's cases replace, and the values of the point by dotted trial key."""
    cases = chosen_cases(parameters, point)
    values = {key: value for key, value in point.items() if key not in cases}
    for case in cases.values():
        trial = with_case_names(trial, case)
        values |= case
    return trial, values


def with_values(trial: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a trial with values at dotted keys, outer keys first: `optimizer.lr` goes into what `optimizer` set."""
    for key in sorted(values, key=lambda key: key.count(".")):
        trial = with_dotted(trial, key, values[key])
    return trial


def with_case_names(trial: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """Return a trial without the model, optimizer or schedule that a case replaces by one of another name."""
    content = dict(trial)
    for section in NAMED:
        name, base = case.get(f"{section}.name"), content.get(section)
        known = base.get("name", name) if isinstance(base, Mapping) else base
        if name is not None and known != name:
            content[section] = {"name": name}
    return content


def only(key: str, axis: Mapping[str, Any], names: Any) -> dict[str, Any]:
    """Return an axis of cases (plain data) with those named alone, in the order of the file; InputError for others."""
    wanted = [str(name) for name in (names if isinstance(names, (list, tuple)) else [names])]
    for name in wanted:
        if name not in axis["cases"]:
            raise unknown_name(key, name, axis["cases"])
    if not wanted:
        raise InputError(key, names, "the name of a case, or a list of names")
    return {**axis, "cases": {name: case for name, case in axis["cases"].items() if name in wanted}}


def replaced(axes: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return axes (plain data) whose cases leave `key` to the trial, but where they choose what it lies in by name."""
    section = key.partition(".")[0]
    changed = dict(axes)
    for axis, content in axes.items():
        if _has_cases(content):
            cases = {}
            for name, case in content["cases"].items():
                kept = {part: given for part, given in case.items() if not f"{part}.".startswith(f"{key}.")}
                cases[name] = kept | ({key: value} if "." in key and f"{section}.name" in kept else {})
            changed[axis] = {**content, "cases": cases}
    return changed


def _has_cases(axis: Any) -> bool:
    return isinstance(axis, Mapping) and "cases" in axis


def _with_flat_cases(key: str, axis: Mapping[str, Any]) -> dict[str, Any]:
    cases = axis["cases"]
    if not isinstance(cases, Mapping) or not cases:
        raise InputError(f"{key}.cases", cases, EXAMPLE)
    found: dict[str, Case] = {}
    for name, case in cases.items():
        if not isinstance(name, str) or name != one_line(name) or not 0 < len(name) <= LONGEST_NAME:
            allowed = f"names of one line and at most {LONGEST_NAME} characters; a number goes in quotes, as in '1'"
            raise InputError(f"{key}.cases", name, allowed)
        place = f"{key}.cases[{name}]"
        if not isinstance(case, Mapping):
            raise InputError(place, case, "a mapping of trial keys, as in {epochs: 10}; {} is the trial as it stands")
        try:
            found[str(name)] = _flat_case(case)
        except InputError as error:
            raise error.within(place) from None
    return {**axis, "cases": found}


def _flat_case(case: Mapping[Any, Any]) -> Case:
    """Return the values of a case by dotted key; a section's keys each, a bare name as the section's name."""
    flat: Case = {}
    for key, value in _leaves(case):
        head = key.partition(".")[0]
        if head in NOT_HERE or head in NO_AXIS:
            what = "it goes under `trial`" if head in NO_AXIS else "the sweep has `seeds`, and never tests"
            raise InputError(key, value, f"any trial key but {', '.join((*NOT_HERE, *NO_AXIS))}: {what}")
        refuse_unknown({head: value}, TrialConfig.model_fields, "a trial")
        within = [other for other in flat if f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")]
        if within:
            raise InputError(key, value, f"each key once; {within[0]} is set too")
        flat[key] = str(given_path(value, key=key)) if key in PATHS and isinstance(value, str) else value
    return flat


def _leaves(given: Mapping[Any, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        if not isinstance(name, str):
            raise InputError(section, name, "the key of a trial, such as epochs or optimizer.lr")
        key = f"{section}{name}"
        if key in PARTS and isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        elif key in PARTS and value == {}:
            raise InputError(key, value, f"keys of {key}, as in {{{next(iter(sorted(PARTS[key])))}: …}}, or nothing")
        elif key in NAMED and isinstance(value, str):
            yield f"{key}.name", value
        else:
            yield key, value


def _refuse_common(name: str, axis: Axis, other_name: str, other: Axis) -> None:
    """Raise InputError for what a case sets and another axis sets too, be it an axis of cases or of one key."""
    parts = {part for case in (other.cases or {}).values() for part in case}
    for case, values in (axis.cases or {}).items():
        for key, value in values.items():
            within = any(f"{key}.".startswith(f"{part}.") for part in parts)
            if within or (other.cases is None and _sets(other_name, other, key)):
                raise InputError(f"{name}.cases[{case}].{key}", value, f"nothing that the axis {other_name} sets too")


def _sets(name: str, axis: Axis, key: str) -> bool:
    """Return whether an axis of values sets a key, something within it, or a section with the key in it."""
    if name == key or name.startswith(f"{key}."):
        return True
    inside = key.removeprefix(f"{name}.").split(".")
    return key.startswith(f"{name}.") and any(_names(value, inside) or holds(value, inside) for value in axis.listed)


def _names(value: Any, path: list[str]) -> bool:
    """Return whether a value is a bare name, or a list of schedules, which has none beside it."""
    return path == ["name"] and not isinstance(value, Mapping)
