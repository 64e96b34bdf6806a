"""What the catalog allows, as JSON Schema (draft 2020-12): for editors, which complete and check while one writes.

    parameter_schema(OPTIMIZERS["SGD"].parameter("lr"))     # {'type': 'number', 'exclusiveMinimum': 0, …}
    entry_schema(OPTIMIZERS["SGD"])                         # an object: name, lr, momentum, …

A schema knows no rules between parameters and no defaults that follow from the trial: `sweeps plan` checks these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.parameters import DERIVED, REQUIRED, Entry, Parameter

Schema = dict[str, Any]
BOUNDS = {"low": "minimum", "high": "maximum", "above": "exclusiveMinimum", "below": "exclusiveMaximum"}
_NULL: Schema = {"type": "null"}
_STEPS: Schema = {"type": "integer", "minimum": 1}
_FRACTION: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_EPOCHS: Schema = {
    "type": "object",
    "properties": {"epochs": {"type": "number", "exclusiveMinimum": 0}},
    "required": ["epochs"],
    "additionalProperties": False,
}


def parameter_schema(parameter: Parameter) -> Schema:
    """Return the schema of a parameter's values, with its meaning and its default."""
    schema = _values(parameter)
    if parameter.none and parameter.kind != "floats":
        schema = {"anyOf": [schema, _NULL]}
    schema["description"] = parameter.meaning
    if parameter.default not in (REQUIRED, DERIVED):
        schema["default"] = parameter.default
    return schema


def entry_schema(entry: Entry, *, also: Iterable[Parameter] = (), extra: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of `{name: …, parameters…}` of one entry.

    Required parameters may be left out here: an axis of a sweep can set them.

    Args:
        also: further parameters, such as those of a lambda preset.
        extra: schemas of further keys.
    """
    parameters = {parameter.name: parameter_schema(parameter) for parameter in (*entry.parameters, *also)}
    return {
        "description": entry.description,
        "type": "object",
        "properties": {"name": {"const": entry.name}, **parameters, **(extra or {})},
        "required": ["name"],
        "additionalProperties": False,
    }


def names_schema(registry: Mapping[str, Entry | DatasetEntry]) -> Schema:
    """Return the schema of the bare names of a registry, each with its description."""
    return {"oneOf": [{"const": name, "description": entry.description} for name, entry in registry.items()]}


def any_of(schemas: Iterable[Schema]) -> Schema:
    """Return a schema that allows what any of `schemas` does, each once, without their descriptions and defaults."""
    found: list[Schema] = []
    for schema in schemas:
        bare = {key: value for key, value in schema.items() if key not in ("description", "default")}
        found += [part for part in (bare["anyOf"] if set(bare) == {"anyOf"} else [bare]) if part not in found]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _values(p: Parameter) -> Schema:
    bounds = {word: getattr(p, ours) for ours, word in BOUNDS.items() if getattr(p, ours) is not None}
    if p.kind == "bool":
        return {"type": "boolean"}
    if p.kind == "choice":
        return {"enum": list(p.choices)}
    if p.kind == "duration":
        return {"anyOf": [_STEPS, _FRACTION, _EPOCHS]}
    if p.kind == "durations":
        return {"type": "array", "items": {"anyOf": [_STEPS, _FRACTION]}, "minItems": 1}
    if p.kind == "floats":
        number = {"type": ["number", "null"] if p.none else "number", **bounds}
        size = {} if p.length is None else {"minItems": p.length, "maxItems": p.length}
        return {"type": "array", "items": number, **size}
    return {"type": "integer" if p.kind == "int" else "number", **bounds}
