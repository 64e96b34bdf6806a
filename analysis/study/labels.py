"""Short names for what was compared: SGD, SGD momentum 0.9, SGD nesterov 0.9 are three different optimizers.

    optimizer_labels([trial["optimizer"] for trial in trials])    # ['SGD', 'SGD nesterov 0.9', …]

A label holds what differs from the defaults, never the rate: that is an axis of its own. A parameter that a search
drew from a continuum (more than MANY values) would make every trial its own group, so it stays out of the label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ch6dist.catalog.naming import optimizer_label, schedule_label

MANY = 8
_SHORT = {"data.batch_size": "batch", "data.train_size": "images", "label_smoothing": "smoothing", "model.name": ""}
_APART = {"type", "optimizer", "schedule", "seed", "range_test", "evaluate_test"}  # not a trial's setting


def optimizer_labels(optimizers: Sequence[Mapping[str, Any]]) -> list[str]:
    """One label per optimizer section, in order."""
    many = _drawn_from_many(optimizers)
    return [_optimizer(section, many[section["name"]]) for section in optimizers]


def schedule_labels(schedules: Sequence[Mapping[str, Any]]) -> list[str]:
    """One label per schedule section, in order."""
    return [schedule_label(section) for section in schedules]


def setting_labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """One label per trial: what else differs between the trainings (model, batch size, …); empty when nothing does."""
    flat = [_flatten({key: value for key, value in config.items() if key not in _APART}) for config in configs]
    for section in flat:
        section.pop("data.root", None)
    trainings = [section for section, config in zip(flat, configs, strict=True) if config["type"] == "train"]
    keys = dict.fromkeys(key for section in trainings for key in section)
    seen = {key: {str(section.get(key)) for section in trainings} for key in keys}
    differing = [key for key in keys if 1 < len(seen[key]) <= MANY]
    return [
        " ".join(_word(key, section[key]) for key in differing if key in section) if config["type"] == "train" else ""
        for section, config in zip(flat, configs, strict=True)
    ]


def _optimizer(section: Mapping[str, Any], many: set[str]) -> str:
    kept = {key: value for key, value in section.items() if key not in many}
    if "momentum" in many and kept.pop("nesterov", False):  # the momentum that its label would name is searched over
        return f"{optimizer_label(kept)} nesterov"
    return optimizer_label(kept)


def _drawn_from_many(optimizers: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for section in optimizers:
        for key, value in section.items():
            values[section["name"], key].add(str(value))
    many: dict[str, set[str]] = {section["name"]: set() for section in optimizers}
    for (name, key), seen in values.items():
        if len(seen) > MANY:
            many[name].add(key)
    return many


def _flatten(section: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": item for inner, item in _flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _word(key: str, value: Any) -> str:
    short = _SHORT.get(key, key.rpartition(".")[2].replace("_", " "))
    return f"{short} {value:g}".strip() if isinstance(value, float) else f"{short} {value}".strip()
