"""Other resources for a run that is resumed: its trials stay what they are, so everything else must too.

spec = change_resources(ledger.spec, ["resources.workers=2"])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ch6dist.errors import InputError
from ch6dist.sections import parse_section
from ch6dist.trial_sections import DataConfig
from ch6dist.yamlfile import parse_override
from sweeps.spec.sweep_file import Resources

PREFIX = "resources."
DEFAULT_BATCH = DataConfig.model_fields["batch_size"].default


def change_resources(spec: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """Return a sweep, as `dump` gives it, with `resources.KEY=VALUE` applied.

    Where each worker took `data.batch_size`, the global batch stays what it was: it is written out as such.
    Raises InputError for any other key, and for values that are not allowed.
    """
    given = dict(spec.get("resources", {}))
    changed = dict(given)
    for text in changes:
        key, value = parse_override(text)
        if not key.startswith(PREFIX):
            raise InputError(key, value, "resources.KEY=VALUE: the trials of a run stay what they are")
        if key == "resources.batch":
            raise InputError(key, value, "nothing: the global batch of the trials stays what it is")
        changed[key.removeprefix(PREFIX)] = value
    if changed == given:
        return dict(spec)
    try:
        resources = parse_section(Resources, changed)
    except InputError as error:
        raise error.within("resources") from None
    content = {**spec, "resources": resources.model_dump(mode="json")}
    if given.get("batch") == "per_worker":
        content = _with_global_batch(content, times=given.get("workers", 1))
        content["resources"] |= {"batch": "global"}
    return content


def _with_global_batch(spec: Mapping[str, Any], *, times: int) -> dict[str, Any]:
    """Return a sweep whose batch sizes are `times` those of each worker, wherever they are written."""
    axes = dict(spec.get("parameters", {}))
    if sizes := axes.get("data.batch_size"):
        axes["data.batch_size"] = {key: _times(value, times) for key, value in sizes.items()}
    axes = {key: {**axis, **_scaled_where(axis, times)} for key, axis in axes.items()}
    axes = {key: _scaled_cases(axis, times) if "cases" in axis else axis for key, axis in axes.items()}
    if "data" in axes:
        axes["data"] = {**axes["data"], "values": [_scaled(value, times) for value in axes["data"]["values"]]}
        return {**spec, "parameters": axes}
    trial = dict(spec.get("trial", {}))
    return {**spec, "trial": trial | {"data": _scaled(trial.get("data", {}), times)}, "parameters": axes}


def _times(value: Any, times: int) -> Any:
    """Return an axis's values or bounds, `times` as large; the name of its distribution and its `where` stay."""
    if isinstance(value, (str, Mapping)):
        return value
    return [number * times for number in value] if isinstance(value, (list, tuple)) else value * times


def _scaled_where(axis: Mapping[str, Any], times: int) -> dict[str, Any]:
    """Return the `where` of an axis, looking for batch sizes that are `times` as large."""
    where = axis.get("where") or {}
    size = "data.batch_size"
    return {"where": {**where, size: [number * times for number in where[size]]}} if size in where else {}


def _scaled_cases(axis: Mapping[str, Any], times: int) -> dict[str, Any]:
    size = "data.batch_size"
    return {
        **axis,
        "cases": {
            name: {key: value * times if key == size else value for key, value in case.items()}
            for name, case in axis["cases"].items()
        },
    }


def _scaled(data: Mapping[str, Any], times: int) -> dict[str, Any]:
    return {**data, "batch_size": data.get("batch_size", DEFAULT_BATCH) * times}
