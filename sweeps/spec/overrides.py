"""`key=value` on the command line of a sweep: which key it sets, and what happens to an axis there.

    content = override(content, "optimizer.lr=0.1", fields=SweepSpec.model_fields)

`seeds=1` and `trial.epochs=2` reach into the sweep; `epochs=2`, which no field of the sweep has, into its trial. What
an axis sets becomes that single value, in each of the axis's mappings if the key lies inside them. What cases set
becomes one value for all of them; `modification=baseline` keeps of the cases of an axis those that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.sections import parse_section
from ch6dist.yamlfile import parse_override, with_dotted
from sweeps.spec.axes import Axis, axis_fields, refuse_unknown
from sweeps.spec.cases import flat_parameters, only, replaced
from sweeps.spec.where import settled


def override(content: Mapping[str, Any], text: str, *, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked sweep (plain data, with `trial` and `parameters`) after one `key=value`."""
    return set_key(content, *parse_override(text), fields=fields)


def set_key(content: Mapping[str, Any], key: str, value: Any, *, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked sweep after a key of it, or of its trial, got a value."""
    head = key.partition(".")[0]
    if head == "parameters":
        try:
            axes = _axes(value) if key == head else _set_axis(content[head], key.removeprefix(f"{head}."), value)
        except InputError as error:
            raise error.within(head) from None
        return {**content, head: axes}
    if head == "seeds" and not isinstance(value, Mapping):
        return {**content, head: _with_seeds(content.get(head), key.removeprefix("seeds").removeprefix("."), value)}
    if head in fields and not key.startswith("trial."):
        return with_dotted(content, key, value)
    axes = content["parameters"]
    if "cases" in axes.get(head, ()):
        _refuse_inside(head, key, value)
        axes = {**axes, head: only(head, axes[head], value)}
        return {**content, "parameters": settled(axes, head, axes[head]["cases"])}
    key = key.removeprefix("trial.")
    trial_fields = TrialConfig.model_fields
    refuse_unknown({key.partition(".")[0]: value}, {**fields, **trial_fields}, "a sweep, and the trial in it,")
    axes = settled(replaced(axes, key, value), key, [value])
    content = {**content, "parameters": axes}
    if key in axes:
        return {**content, "parameters": {**axes, key: _with_values(axes[key], [value])}}
    outer = [axis for axis in axes if key.startswith(f"{axis}.")]
    if outer:
        axis = max(outer, key=len)
        inside = f"value.{key.removeprefix(f'{axis}.')}"
        if "values" not in axes[axis]:
            raise InputError(f"parameters.{axis}", axes[axis], f"values that are mappings, so that {key} can be set")
        values = [with_dotted({"value": item}, inside, value)["value"] for item in axes[axis]["values"]]
        return {**content, "parameters": {**axes, axis: _with_values(axes[axis], values)}}
    return with_dotted(content, f"trial.{key}", value)


def _with_values(axis: Mapping[str, Any], values: list[Any]) -> dict[str, Any]:
    return {"values": values, **({"where": axis["where"]} if "where" in axis else {})}


def _set_axis(axes: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Set `optimizer.lr.values=[…]` or a whole axis: an axis's key has dots of its own.

    A whole axis is checked here, so that the next override finds what it expects. A part of one is not: `min` may come
    before `max`.
    """
    head = key.partition(".")[0]
    if "cases" in axes.get(head, ()) and key != f"{head}.cases":
        _refuse_inside(head, key, value)
    axis, _, field = key.rpartition(".")
    if not axis or field not in axis_fields():
        return {**axes, **_axes({key: value})}
    part = _axes({axis: {field: value}})[axis] if field in ("values", "cases") else {field: value}
    return {**axes, axis: {**axes.get(axis, {}), **part}}


def _refuse_inside(axis: str, key: str, value: Any) -> None:
    if key != axis:
        anew = f"parameters.{axis}.cases={{…}}"
        raise InputError(key, value, f"{axis}=NAME for one of its cases, KEY=VALUE for all of them, or {anew} anew")


def _axes(given: Any) -> dict[str, Any]:
    """Return axes in any of their forms as checked plain data."""
    if not isinstance(given, Mapping):
        raise InputError("", given, "a mapping of axes, such as {optimizer.lr: [0.1, 0.01]}")
    axes = {}
    for key, value in flat_parameters(given).items():
        try:
            axes[key] = parse_section(Axis, value).model_dump(mode="json", exclude_unset=True)
        except InputError as error:
            raise error.within(key) from None
    return axes


def _with_seeds(given: Any, key: str, value: Any) -> Any:
    """Return `seeds` with a key of it set, or with other seeds where `key` is empty; `vary` stays what it was."""
    name = key or ("count" if isinstance(value, int) else "values")
    if not isinstance(given, Mapping):
        given = {"count" if isinstance(given, int) else "values": given} if key == "vary" else {}
    if name in ("count", "values"):
        given = {other: old for other, old in given.items() if other not in ("count", "values")}
    return {**given, name: value} if key or given else value
