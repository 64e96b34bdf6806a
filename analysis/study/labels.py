"""Short labels for what a study compares: SGD, SGD momentum 0.9, SGD nesterov 0.9 are three different optimizers.

    optimizer_labels([trial["optimizer"] for trial in trials])    # ['SGD', 'SGD nesterov 0.9', …]

A label holds what differs from the defaults, but never the learning rate, which has an axis of its own. A parameter
that a search drew from a continuum (more than MAX_VALUES values) is left out: every trial would be its own group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ch6dist.catalog.naming import optimizer_label, schedule_label

MAX_VALUES = 8
_SHORT = {"data.batch_size": "batch", "data.train_size": "images", "label_smoothing": "smoothing", "model.name": ""}
_NOT_SETTINGS = {"type", "optimizer", "schedule", "seed", "range_test", "evaluate_test"}


def optimizer_labels(optimizers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one label per optimizer section, in order."""
    searched = _searched_parameters(optimizers)
    return [_optimizer_label(section, searched[section["name"]]) for section in optimizers]


def schedule_labels(schedules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one label per schedule section, in order."""
    return [schedule_label(section) for section in schedules]


def setting_labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one label per trial: what else differs between training runs (model, batch size, …); may be empty."""
    flat = [_flatten({key: value for key, value in config.items() if key not in _NOT_SETTINGS}) for config in configs]
    for section in flat:
        section.pop("data.root", None)
    training_runs = [section for section, config in zip(flat, configs, strict=True) if config["type"] == "train"]
    keys = dict.fromkeys(key for section in training_runs for key in section)
    seen = {key: {str(section.get(key)) for section in training_runs} for key in keys}
    differing = [key for key in keys if 1 < len(seen[key]) <= MAX_VALUES]
    return [
        " ".join(_part(key, section[key]) for key in differing if key in section) if config["type"] == "train" else ""
        for section, config in zip(flat, configs, strict=True)
    ]


def _optimizer_label(section: Mapping[str, Any], searched: set[str]) -> str:
    kept = {key: value for key, value in section.items() if key not in searched}
    if "momentum" in searched and kept.pop("nesterov", False):  # the catalog's label would name the momentum
        return f"{optimizer_label(kept)} nesterov"
    return optimizer_label(kept)


def _searched_parameters(optimizers: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return, by optimizer, the parameters with more than MAX_VALUES values."""
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for section in optimizers:
        for key, value in section.items():
            values[section["name"], key].add(str(value))
    searched: dict[str, set[str]] = {section["name"]: set() for section in optimizers}
    for (name, key), seen in values.items():
        if len(seen) > MAX_VALUES:
            searched[name].add(key)
    return searched


def _flatten(section: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": item for inner, item in _flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _part(key: str, value: Any) -> str:
    short = _SHORT.get(key, key.rpartition(".")[2].replace("_", " "))
    return f"{short} {value:g}".strip() if isinstance(value, float) else f"{short} {value}".strip()
