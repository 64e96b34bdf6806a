"""The JSON Schema of a sweep file (draft 2020-12), from its fields and the catalog: `sweeps schema` prints it.

    # yaml-language-server: $schema=sweep.schema.json      (the first line of a sweep file)

An editor that reads it completes keys and names, shows what they mean, and marks what is misspelt or out of bounds.
What is a matter of several keys together, `sweeps plan` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from ch6dist.catalog.augmentations import AUGMENTATIONS
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.json_schema import Schema, any_of, entry_schema, names_schema, parameter_schema
from ch6dist.catalog.lookup import LIBRARIES
from ch6dist.catalog.metrics import Goal, MetricName, goal_of
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import Entry
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import BOTH, LAMBDA_PRESETS, LambdaEntry, ScheduleEntry
from ch6dist.catalog.schedules import WARMUP
from ch6dist.catalog.vary import VARIABLE
from ch6dist.config import TrialConfig
from ch6dist.runs.folders import NAME
from sweeps.spec.axes import NO_AXIS, NOT_HERE
from sweeps.spec.axes_schema import axes_at, axis_kinds, axis_schema, case_at, cases_schema
from sweeps.spec.methods import DRAWN, MODEL
from sweeps.spec.sections import MAX_TRIALS
from sweeps.spec.sweep_file import SweepSpec

WIDTH = 110  # characters of a line of the schema
DRAFT = "https://json-schema.org/draft/2020-12/schema"
SECTIONS = {"data": "DataConfig", "range_test": "RangeTestConfig"}
REGISTRIES: dict[str, Mapping[str, Entry]] = {"model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
OWN: Schema = {"type": "string", "pattern": ":", "description": "package.module:name"}
FOREIGN_DATA: Schema = {"type": "string", "pattern": rf"^(({'|'.join(LIBRARIES['data'])})/.|[^/]*:)"}
LOSS: Schema = {
    "properties": {"name": {"enum": [name for name in get_args(MetricName) if goal_of(name) == "minimize"]}},
    "required": ["name"],
}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER_OF_SEEDS: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_TRIALS}
LIST_OF_SEEDS: Schema = {"type": "array", "items": WHOLE, "minItems": 1, "uniqueItems": True}
VARY: Schema = {
    "anyOf": [{"enum": list(VARIABLE)}, {"type": "array", "items": {"enum": list(VARIABLE)}, "uniqueItems": True}]
}


def schema_text() -> str:
    """Return the schema as `sweeps schema` prints it, and as it lies in sweeps/configs."""
    return _dump(sweep_schema()) + "\n"


def sweep_schema() -> Schema:
    """Return the schema of a sweep file."""
    sweep, trial = _plain(SweepSpec.model_json_schema()), _plain(TrialConfig.model_json_schema())
    definitions = {**trial.pop("$defs"), **sweep.pop("$defs"), **_catalog()}
    axis_fields = definitions.pop("Axis")["properties"]
    definitions |= axis_kinds(axis_fields)
    definitions["DataConfig"]["properties"]["name"] |= {"anyOf": [names_schema(DATASETS), FOREIGN_DATA]}
    definitions["DataConfig"]["properties"]["augment"]["anyOf"] = [_augment(), {"type": "array", "items": _augment()}]
    definitions["Resources"]["properties"]["gpus"]["anyOf"][1:] = [SHARE, WHOLE]
    definitions["CheckpointRules"]["properties"]["total"]["anyOf"][1]["pattern"] += r"\s*$"
    names = definitions["SeriesConfig"]["properties"]["names"]
    names |= {"anyOf": [{"type": "string"}, {"type": names.pop("type"), "items": names.pop("items"), "minItems": 1}]}
    fields = trial["properties"]
    trial_fields = list(fields)
    for name in NOT_HERE:
        del fields[name]
    for name in REGISTRIES:
        fields[name] = {"$ref": f"#/$defs/{name}", "description": fields[name]["description"]}
    properties = sweep["properties"]
    properties["name"]["pattern"] = f"^{NAME.pattern}$"
    properties["seeds"] = {
        "anyOf": [NUMBER_OF_SEEDS, LIST_OF_SEEDS, {"$ref": "#/$defs/Seeds"}],
        "description": properties["seeds"]["description"],
        "default": 1,
    }
    definitions["Seeds"]["not"] = {"required": ["count", "values"]}
    seeds = definitions["Seeds"]["properties"]
    for name, schema in (("count", NUMBER_OF_SEEDS), ("values", LIST_OF_SEEDS), ("vary", VARY)):
        seeds[name] = {**schema, "description": seeds[name]["description"]}
    properties["trial"] = {**trial, "description": properties["trial"]["description"]}
    properties["metric"] = {
        "anyOf": [{"enum": list(get_args(MetricName))}, {"$ref": "#/$defs/Metric"}],
        "description": properties["metric"]["description"],
    }
    definitions["Budget"]["minProperties"] = 1
    hour = definitions["Price"]["properties"]["per_device_hour"]
    properties["price"]["anyOf"].insert(0, {key: hour[key] for key in hour if key != "description"})
    definitions["Metric"] |= {"if": LOSS, "then": _goal("minimize"), "else": _goal("maximize")}
    keys = _trial_keys(fields, definitions)
    definitions |= {f"{key}.value": schema for key, schema in keys.items()}
    definitions |= {f"{key}.axis": axis_schema(key, schema) for key, schema in keys.items()}
    definitions |= {"case": case_at("", keys), "cases": cases_schema(axis_fields)}
    axes = axes_at("", keys)
    axes["properties"] |= {name: False for name in sorted({*trial_fields, *properties}) if name not in keys}
    properties["parameters"] = {
        "description": properties["parameters"]["description"],
        "minProperties": 1,
        **axes,
        "additionalProperties": {"$ref": "#/$defs/cases"},
    }
    sweep["required"] = [name for name in sweep["required"] if name != "name"]  # left out: the file's
    drawn = {"properties": {"method": {"enum": list(DRAWN)}}, "required": ["method"]}
    modelled = {"properties": {"method": {"const": "optuna"}}, "required": ["method"]}
    searched = {"required": ["trials", "seed"], "properties": {"parameters": _no_axis_with("points", "default")}}
    grid = {"properties": {"trials": False, "seed": False, "parameters": _no_axis_with("distribution")}}
    sweep |= {"if": drawn, "then": searched, "else": grid}
    sweep["anyOf"] = [modelled, {"properties": dict.fromkeys(MODEL, False)}]
    head = {"$schema": DRAFT, "title": "sweep file", "description": "A sweep: base trial, axes, seeds, resources."}
    return {**head, **{key: value for key, value in sweep.items() if key != "description"}, "$defs": definitions}


def _dump(value: Any, indent: int = 0) -> str:
    """Return `value` as JSON, with a line of its own for each item of what is longer than a line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, (dict, list)):
        return line
    inner = indent + 1
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_dump(item, inner)}" for key, item in value.items()]
    else:
        items = [_dump(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    between = ",\n" + " " * inner
    return f"{opening}\n{' ' * inner}{between.join(items)}\n{' ' * indent}{closing}"


def _plain(schema: Any) -> Any:
    """Return pydantic's schema without its titles, and without defaults that are not what "left out" means."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"title"} if isinstance(schema.get("title"), str) else set()
    if schema.get("default", ...) is None or "; left out: " in str(schema.get("description")):
        left_out.add("default")
    return {key: _plain(value) for key, value in schema.items() if key not in left_out}


def _catalog() -> dict[str, Schema]:
    """Return the definitions of every model, optimizer and schedule, and of what may stand for one."""
    single = {name: _schedule(entry) for name, entry in SCHEDULES.items()}
    definitions = {name: entry_schema(entry) for name, entry in {**MODELS, **OPTIMIZERS}.items()}
    definitions |= single | {"warmup": _without_name(entry_schema(WARMUP))}
    for kind, registry in REGISTRIES.items():
        definitions[kind] = {"anyOf": [names_schema(registry), *({"$ref": f"#/$defs/{name}"} for name in registry)]}
    foreign = {"type": "string", "pattern": "[/:]", "description": "LIBRARY/NAME, or package.module:Name"}
    whole = _named(foreign)
    for kind in ("model", "optimizer"):
        definitions[kind]["anyOf"] += [foreign, whole]
    definitions["schedule"]["anyOf"] += [OWN, _named(OWN)]
    definitions["schedule"]["anyOf"].append({"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 2})
    parts = {name: entry for name, entry in SCHEDULES.items() if set(BOTH) & set(entry.within)}
    epochs = {"epochs": {"type": "integer", "minimum": 1, "description": "its length in a list of schedules"}}
    objects = [_schedule(entry, extra=epochs) for entry in parts.values()]
    return definitions | {"part": {"anyOf": [names_schema(parts), *objects, OWN, _named(OWN)]}}


def _augment() -> Schema:
    """Return the schema of one augmentation: a name, a mapping with one, or an import path."""
    entries = map(entry_schema, AUGMENTATIONS.values())
    return {"anyOf": [names_schema(AUGMENTATIONS), *entries, OWN, _named(OWN)]}


def _named(name: Schema) -> Schema:
    """Return the schema of a mapping whose name is of the user's own, and its keys with it."""
    return {"type": "object", "properties": {"name": name}, "required": ["name"]}


def _schedule(entry: ScheduleEntry, *, extra: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of a schedule; as a part of another (with `extra` keys) it has no warm-up of its own."""
    presets = LAMBDA_PRESETS.values() if isinstance(entry, LambdaEntry) else ()
    more = dict(extra or {})
    if entry.name in BOTH:
        more["schedulers"] = {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 2}
    elif extra is None and not entry.sets_lr:
        more["warmup"] = {"$ref": "#/$defs/warmup"}
    return entry_schema(entry, also=[p for preset in presets for p in preset.parameters], extra=more)


def _without_name(schema: Schema) -> Schema:
    properties = {key: value for key, value in schema["properties"].items() if key != "name"}
    return {**schema, "properties": properties, "required": ["epochs"]}


def _trial_keys(fields: dict[str, Schema], definitions: dict[str, Schema]) -> dict[str, Schema]:
    """Return the schema of the values of every dotted trial key that an axis can set."""
    varied = {name: schema for name, schema in fields.items() if name not in NO_AXIS}
    keys = {name: {"$ref": f"#/$defs/{name}"} if name in definitions else schema for name, schema in varied.items()}
    for section, name in SECTIONS.items():
        keys[section] = {"$ref": f"#/$defs/{name}"}
        keys |= {f"{section}.{key}": schema for key, schema in definitions[name]["properties"].items()}
    for section, registry in REGISTRIES.items():
        keys[f"{section}.name"] = names_schema(registry)
        keys |= _parameter_keys(
            section, [*registry.values(), *(LAMBDA_PRESETS.values() if section == "schedule" else ())]
        )
    keys["schedule.warmup"] = {"$ref": "#/$defs/warmup"}
    keys |= _parameter_keys("schedule.warmup", [WARMUP])
    keys["schedule.schedulers"] = {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 2}
    return keys


def _parameter_keys(section: str, entries: Iterable[Entry]) -> dict[str, Schema]:
    found: dict[str, list[Schema]] = {}
    for entry in entries:
        for parameter in entry.parameters:
            found.setdefault(f"{section}.{parameter.name}", []).append(parameter_schema(parameter))
            if parameter.kind == "duration":
                found.setdefault(f"{section}.{parameter.name}.epochs", []).append(
                    {"type": "number", "exclusiveMinimum": 0}
                )
    return {key: any_of(schemas) for key, schemas in found.items()}


def _no_axis_with(*fields: str) -> Schema:
    """Return the schema of axes, those in a section too, none of which has one of these fields."""
    without = {"properties": dict.fromkeys(fields, False)}
    return {"additionalProperties": {**without, "additionalProperties": without}}


def _goal(goal: Goal) -> Schema:
    return {"properties": {"goal": {"const": goal}}}
