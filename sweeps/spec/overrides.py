"""`key=value` on the command line of a sweep: which key it sets, and what happens to an axis there.

    content = override(content, "optimizer.lr=0.1", fields=SweepSpec.model_fields)

`seeds=1` and `trial.epochs=2` reach into the sweep; `epochs=2`, which no field of the sweep has, into its trial. What
an axis sets becomes that single value, in each of the axis's mappings if the key lies inside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.config import TrialConfig
from ch6dist.yamlfile import parse_override, with_dotted
from sweeps.spec.axes import Axis, refuse_unknown


def override(content: Mapping[str, Any], text: str, *, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checked sweep (plain data, with `trial` and `parameters`) after one `key=value`."""
    key, value = parse_override(text)
    head = key.partition(".")[0]
    if head == "parameters" != key:
        return {**content, "parameters": _set_axis(content["parameters"], key.removeprefix("parameters."), value)}
    if head in fields and not key.startswith("trial."):
        return with_dotted(content, key, value)
    key = key.removeprefix("trial.")
    trial_fields = TrialConfig.model_fields
    refuse_unknown({key.partition(".")[0]: value}, {**fields, **trial_fields}, "a sweep, and the trial in it,")
    axes = content["parameters"]
    if key in axes:
        return {**content, "parameters": {**axes, key: {"values": [value]}}}
    outer = [axis for axis in axes if key.startswith(f"{axis}.")]
    if outer:
        axis = max(outer, key=len)
        inside = f"value.{key.removeprefix(f'{axis}.')}"
        values = [with_dotted({"value": item}, inside, value)["value"] for item in axes[axis]["values"]]
        return {**content, "parameters": {**axes, axis: {"values": values}}}
    return with_dotted(content, f"trial.{key}", value)


def _set_axis(axes: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Set `optimizer.lr.values=[…]` or a whole axis: an axis's key has dots of its own."""
    axis, _, field = key.rpartition(".")
    if axis and field in Axis.model_fields:
        return {**axes, axis: {**axes.get(axis, {}), field: value}}
    return {**axes, key: value}
