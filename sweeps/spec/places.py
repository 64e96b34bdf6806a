"""Where in a sweep file the error of a trial lies: in a value of an axis, a case, or the trial that all share.

raise of_some(error, content, point, values) or in_sweep(error, spec, point)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.errors import MISSING, InputError
from sweeps.spec.axes import Point
from sweeps.spec.cases import chosen_cases
from sweeps.spec.shorthand import PARTS
from sweeps.spec.sweep_file import SweepSpec


def in_sweep(error: InputError, spec: SweepSpec, point: Point) -> InputError:
    """Return a trial's error with the key in the sweep file: an axis's value, or the base trial."""
    if place := _in_case(error, spec, point):
        return InputError(f"{place}.{error.key}", error.value, error.allowed)
    axes = [axis for axis in point if f"{error.key}.".startswith(f"{axis}.")]
    if not axes:
        section = error.key.partition(".")[0]
        cases = chosen_cases(spec.parameters, point)
        beside = [
            f"{axis}={value!r}"
            for axis, value in point.items()
            if any(key.partition(".")[0] == section for key in cases.get(axis, (axis,)))
        ]
        hint = f" (with {', '.join(beside)})" if beside else ""
        if isinstance(error.value, (list, tuple)) and "list" not in error.allowed:
            hint += f"; several values are an axis, as in parameters: {{{error.key}: […]}}"
        return InputError(f"trial.{error.key}", error.value, error.allowed + hint)
    axis = max(axes, key=len)
    values = spec.parameters[axis].values
    where = f"values[{values.index(point[axis])}]" if values else "distribution"
    return InputError(f"parameters.{axis}.{where}{error.key.removeprefix(axis)}", error.value, error.allowed)


def _in_case(error: InputError, spec: SweepSpec, point: Point) -> str:
    """Return the case that set the key of a trial's error, or something beside what is missing; empty without one."""
    section = error.key.rpartition(".")[0]
    for axis, case in chosen_cases(spec.parameters, point).items():
        own = any(f"{error.key}.".startswith(f"{key}.") for key in case)
        if own or (error.value is MISSING and any(key.startswith(f"{section}.") for key in case)):
            return f"parameters.{axis}.cases[{point[axis]}]"
    return ""


def of_some(
    error: InputError, content: Mapping[str, Any], point: Point, values: Mapping[str, Any]
) -> InputError | None:
    """Return the error for an axis over a parameter that only some of the models, optimizers or schedules have."""
    section, _, name = error.key.partition(".")
    chosen = content.get(section)
    if error.key not in point or error.value != name or not {section, f"{section}.name"} & set(values):
        return None
    if name not in PARTS.get(section, ()) or not isinstance(chosen, Mapping):
        return None
    axis = f"values of the axis {section}" if {section, f"{section}.name"} & set(point) else "their cases"
    example = f"{{name: …, {name}: {point[error.key]}}}"
    where = f"has a where: {{{section}.name: …}} beside its values"
    only = f"what only some have {where}, or goes into {axis}: {example}"
    allowed = f"parameters that {chosen.get('name')} has too; {only}"
    return InputError(f"parameters.{error.key}", point[error.key], allowed)
