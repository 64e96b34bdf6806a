"""The short forms of axes, written out, and where a key belongs that stands elsewhere.

    flat_axes({"optimizer": {"lr": [0.1, 0.01], "momentum": 0.9}})
    # {'optimizer.lr': [0.1, 0.01], 'optimizer.momentum': 0.9}, which Axis reads as the values of two axes

A short form is accepted where it has one meaning. Where it has none or several, the message shows the right form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import Entry
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.catalog.schedules import WARMUP
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError, nearest_name
from ch6dist.trial_sections import DataConfig, RangeTestConfig
from sweeps.spec.axes import axis_fields


def _parameters(entries: Iterable[Entry]) -> set[str]:
    return {parameter.name for entry in entries for parameter in entry.parameters}


PARTS: dict[str, set[str]] = {  # sections of a trial → the keys in them, whatever names them
    "data": set(DataConfig.model_fields),
    "range_test": set(RangeTestConfig.model_fields),
    "model": {"name", *_parameters(MODELS.values())},
    "optimizer": {"name", *_parameters(OPTIMIZERS.values())},
    "schedule": {"name", "warmup", "schedulers", *_parameters((*SCHEDULES.values(), *LAMBDA_PRESETS.values()))},
    "schedule.warmup": _parameters([WARMUP]),
}


def flat_axes(given: Mapping[Any, Any]) -> dict[str, Any]:
    """Return axes by dotted key: those in a mapping of a section, such as `optimizer: {lr: …}`, by keys of their own.

    Raises InputError for an axis that is given in both ways.
    """
    flat: dict[str, Any] = {}
    for key, value in given.items():
        if not isinstance(key, str):
            raise InputError("", key, "the dotted key of a trial, such as optimizer.lr")
        if key.startswith("trial."):
            raise InputError(key, value, f"the same without `trial.`: {key.removeprefix('trial.')}")
        for name, axis in _inner_axes(key, value).items():
            if name in flat:
                raise InputError(name, axis, "each axis once")
            flat[name] = axis
    return flat


def _inner_axes(key: str, value: Any) -> dict[str, Any]:
    if key not in PARTS or not isinstance(value, Mapping) or not value:
        return {key: value}
    of_section = [part for part in value if part in PARTS[key]]
    of_axis = [part for part in value if part in axis_fields()]
    if of_section and of_axis:
        inner = f"{key}.{of_section[0]}"
        raise InputError(inner, value[of_section[0]], f"an axis of its own beside {key}, under the key {inner}")
    if of_axis or not all(isinstance(part, str) for part in value):
        return {key: value}
    if not of_section and any(nearest_name(part, axis_fields()) for part in value):
        return {key: value}  # a misspelt field of an axis
    return flat_axes({f"{key}.{part}": axis for part, axis in value.items()})


def refuse_misplaced(given: Any, fields: Iterable[str]) -> None:
    """Raise InputError, with the right place, for a key of a trial that stands beside `fields` of the sweep."""
    for key in given if isinstance(given, Mapping) else ():
        head = str(key).partition(".")[0]
        if head in TrialConfig.model_fields and head not in fields:
            allowed = f"under `trial`, as in trial: {_nested(str(key))}, or as an axis under `parameters`"
            raise InputError(str(key), given[key], allowed)


def refuse_dotted(trial: Mapping[str, Any]) -> None:
    """Raise InputError, with the nested form, for a dotted key in a sweep's trial."""
    for key, value in trial.items():
        if "." in key and key.partition(".")[0] in TrialConfig.model_fields:
            raise InputError(key, value, f"a mapping in a mapping: {_nested(key)}")


def _nested(key: str) -> str:
    head, dot, rest = key.partition(".")
    return f"{{{head}: {_nested(rest) if dot else '…'}}}"
