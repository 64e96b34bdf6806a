"""Names by what differs from the defaults: short ones for ids and files, labels of optimizers and schedules for people.

    short_name(trial.model_dump())                                          # 'sgd-nesterov0.9-lr0.1-cosine'
    optimizer_label({"name": "SGD", "momentum": 0.9, "nesterov": True, …})  # 'SGD nesterov 0.9'
    schedule_label({"name": "StepLR", "step_size": 15, "gamma": 0.1, …})    # 'StepLR 15 ×0.1'

Two configurations may share a short name: an id ends with a hash. What no two share is the label of labels.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from itertools import zip_longest
from typing import Any

from ch6dist.catalog.lookup import RESERVED, known
from ch6dist.catalog.parameters import REQUIRED, Entry
from ch6dist.catalog.schedules import SCHEDULES, WARMUP
from ch6dist.catalog.text import number_text, value_text

LIMIT = 60  # characters of a short name
ABBREVIATIONS = {"weight_decay": "wd", "decoupled_weight_decay": "decoupled"}
_FACTORS = ("gamma", "factor")  # shown as ×0.1
_BARE = ("recipe", "step_size", "milestones", "T_0", "T_max", "mode", "monitor")  # shown by their value alone


def short_name(config: Mapping[str, Any]) -> str:
    """Return a short name of `TrialConfig.model_dump()`: letters, digits, '.', '_' and '-', at most 60 characters."""
    optimizer, schedule, model = config["optimizer"], config["schedule"], config["model"]
    is_range = config["type"] == "range_test"
    parts = ["range"] if is_range else []
    parts += [_word(optimizer["name"]), *_changes(optimizer, join="", text=_text)]
    if not is_range:  # a range test sets the learning rate itself, whatever lr and schedule the trial has
        parts.append(f"lr{optimizer['lr']:g}")
        parts += [f"warmup{schedule['warmup']['epochs']}"] if "warmup" in schedule else []
        parts += [_slug(schedule)] if schedule["name"] != "none" else []
    if model["name"] != "lenet5":
        parts.append(_word(model["name"]))
    parts += [f"{key}{_text(value)}" for key, value in differences(known("model", model), model).items()]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))[:LIMIT].rstrip("-._")


def _word(name: str) -> str:
    """Return a name as a part of an id: `timm/lion` and `myoptim:Lion` are `lion`."""
    return re.split(r"[/:.]", name)[-1].lower()


def optimizer_label(optimizer: Mapping[str, Any], *, varied: Collection[str] = ()) -> str:
    """Return an optimizer's label: its name and what differs from the defaults, without lr.

    Args:
        varied: parameters that others of this name have otherwise: said with a default too, unless it is 0 or off.
    """
    return " ".join([optimizer["name"], *_changes(optimizer, join=" ", text=value_text, varied=varied)])


def schedule_label(schedule: Mapping[str, Any]) -> str:
    """Return a schedule's label: its name, lengths, factors, and what else differs from the defaults."""
    name = schedule["name"]
    if name == "SequentialLR":
        ends = [f" to {_setting(milestone)}" for milestone in schedule.get("milestones", ())]
        children = zip_longest(map(schedule_label, schedule["schedulers"]), ends, fillvalue="")
        return " → ".join(child + end for child, end in children)
    if name == "ChainedScheduler":
        return " and ".join(schedule_label(child) for child in schedule["schedulers"])
    changed = differences(known("schedule", schedule), schedule)
    interval = changed.pop("interval", None)
    if "monitor" in schedule:
        changed.pop("mode", None)  # it follows from the metric
    factors = {key: schedule[key] for key in _FACTORS if schedule.get(key, 1.0) != 1.0}
    parts = [_schedule_part(key, value) for key, value in {**changed, **factors}.items()]
    return " ".join([_warmup_label(schedule) + name, *parts, *([f"per {interval}"] if interval else [])])


def _slug(schedule: Mapping[str, Any]) -> str:
    children = [_slug(child) for child in schedule.get("schedulers", ())]
    name = schedule["name"]
    return "-".join(children) or (SCHEDULES[name].slug if name in SCHEDULES else _word(name))


def _changes(
    optimizer: Mapping[str, Any], *, join: str, text: Callable[[Any], str], varied: Collection[str] = ()
) -> list[str]:
    """Return what differs from an optimizer's defaults, but for lr; nesterov stands for the momentum it needs.

    Args:
        join: what stands between a parameter's name and its value.
        text: returns a value as text.
    """
    entry = known("optimizer", optimizer)
    found = differences(entry, optimizer)
    found |= {key: optimizer[key] for key in varied if optimizer.get(key)}
    order = [p.name for p in entry.parameters]
    changed = {key: found[key] for key in [*order, *found] if key in found and key != "lr"}
    if optimizer.get("nesterov") and "momentum" in changed:  # a library's may need none
        changed = {"nesterov": changed.pop("momentum"), **{k: v for k, v in changed.items() if k != "nesterov"}}
    return [ABBREVIATIONS.get(k, k) + (join + text(v) if v is not True else "") for k, v in changed.items()]


def differences(entry: Entry, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that differ from their defaults, in the entry's order.

    Those without a default, as those of a lambda preset, are always included.
    """
    defaults = {p.name: p.default for p in entry.parameters}
    order = [*(key for key in defaults if key in resolved), *(key for key in resolved if key not in defaults)]
    changed = (k for k in order if k not in (*RESERVED, "warmup") and resolved[k] != defaults.get(k, REQUIRED))
    return {k: resolved[k] for k in changed}


def _schedule_part(key: str, value: Any) -> str:
    if key in _FACTORS:
        return f"×{number_text(value)}"
    if key in _BARE:
        return _setting(value)
    return ABBREVIATIONS.get(key, key) + (f" {_setting(value)}" if value is not True else "")


def _warmup_label(schedule: Mapping[str, Any]) -> str:
    if "warmup" not in schedule:
        return ""
    changed = differences(WARMUP, schedule["warmup"])
    length = f" {_setting(changed['epochs'])}" if "epochs" in changed else ""
    start = f" from ×{number_text(changed['start_factor'])}" if "start_factor" in changed else ""
    return f"warm-up{length}{start}, "


def _setting(value: Any) -> str:
    """Return a schedule's setting: 1.0, the whole training run, is not 1, one step."""
    if isinstance(value, (list, tuple)):
        return "-".join(_setting(item) for item in value)
    return "1.0" if isinstance(value, float) and value == 1 else value_text(value)


def _text(value: Any) -> str:
    """Return a value in few characters: 0.9, 0.8-0.99. Part of trial ids, so that it cannot be changed."""
    if isinstance(value, (list, tuple)):
        return "-".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
