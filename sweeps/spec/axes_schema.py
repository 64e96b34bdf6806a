"""The part of the JSON Schema that is about axes: values, presets, distributions, range tests and cases.

axes_at("", keys)       # a mapping of axes; `keys` are the dotted keys of a trial that an axis can set
case_at("", keys)       # a case: values of such keys, together
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ch6dist.catalog.json_schema import Schema
from sweeps.spec.axes import NAMED, PRESETS
from sweeps.spec.cases import LONGEST_NAME
from sweeps.spec.range_axis import LR, OF_RANGE
from sweeps.spec.shorthand import PARTS

SCALAR = ["number", "boolean"]  # what stands for a list of one value


def axis_kinds(fields: Mapping[str, Schema]) -> dict[str, Schema]:
    """Return the definitions of an axis: of listed values, or (`numbers`) also of a preset or a distribution.

    Learning rates (`learning_rates`) may also come from range tests.

    Args:
        fields: the schemas of the fields of Axis.
    """
    values = {"description": fields["values"]["description"]}
    short = [{"type": "array", "minItems": 1, "uniqueItems": True}, {"type": SCALAR}]
    preset = {"enum": list(PRESETS)}
    listed, numbers = values | {"anyOf": [*short, {"type": "object"}]}, values | {"anyOf": [*short, preset]}
    drawn = {
        name: fields[name]["anyOf"][0] | {"description": fields[name]["description"]}
        for name in ("distribution", "min", "max")
    }
    where = {"where": where_schema(fields["where"]["description"])}
    kinds = [_object({"values": numbers}, where), _object(drawn, where), *short, preset]
    return {
        "axis": {"anyOf": [_object({"values": listed}, where), *short]},
        "numbers": {"anyOf": kinds},
        "learning_rates": {"anyOf": [_from_range_tests(fields), *kinds]},
    }


def _from_range_tests(fields: Mapping[str, Schema]) -> Schema:
    """Return the schema of an axis whose bounds come from range tests."""
    above_zero = {"type": "number", "exclusiveMinimum": 0}
    bounds = {"type": "array", "items": above_zero, "minItems": 2, "maxItems": 2, "uniqueItems": True}
    properties = {name: fields[name] for name in OF_RANGE}
    properties |= {
        "from": {"const": "range_test", "description": fields["from"]["description"]},
        "otherwise": {**bounds, "description": fields["otherwise"]["description"]},
    }
    return {**_object(properties, {}), "required": ["from", "otherwise"]}


def where_schema(description: str) -> Schema:
    """Return the schema of the conditions of an axis: keys, or keys within sections, each with what must hold."""
    one = {"type": ["string", *SCALAR, "null"]}
    several = {"type": "array", "items": one, "minItems": 1}
    inner = {"type": "object", "minProperties": 1}
    return {**inner, "additionalProperties": {"anyOf": [one, several, inner]}, "description": description}


def axes_at(section: str, keys: Iterable[str]) -> Schema:
    """Return the schema of a mapping of axes: by the dotted keys of a trial, or by keys within `section`."""
    axes: dict[str, Schema] = {}
    for key in keys:
        if key.startswith(section):
            axis = {"$ref": f"#/$defs/{key}.axis"}
            inner = [axes_at(f"{key}.", keys)] if key in PARTS else []
            axes[key.removeprefix(section)] = {"anyOf": [axis, *inner]} if inner else axis
    return {"type": "object", "properties": axes, "additionalProperties": False}


def axis_schema(key: str, schema: Schema) -> Schema:
    """Return the schema of the axis `key`, whose values have `schema`, or its short form."""
    kinds = {part.get("type") for part in schema.get("anyOf", [schema])}
    kind = "learning_rates" if key == LR else "numbers" if kinds & {"number", "integer"} else "axis"
    item = {"$ref": f"#/$defs/{key}.value"}
    values = _each(item, [*SCALAR, "object"])
    return {"allOf": [{"$ref": f"#/$defs/{kind}"}], "properties": {"values": values}, **_each(item, SCALAR)}


def cases_schema(fields: Mapping[str, Schema]) -> Schema:
    """Return the schema of an axis of cases, from the schemas of the fields of Axis."""
    name = {"minLength": 1, "maxLength": LONGEST_NAME}
    cases = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": name,
        "additionalProperties": {"$ref": "#/$defs/case"},
    }
    where = {"where": where_schema(fields["where"]["description"])}
    return _object({"cases": {**cases, "description": fields["cases"]["description"]}}, where)


def case_at(section: str, keys: Iterable[str]) -> Schema:
    """Return the schema of a case: values by the dotted keys of a trial, or by keys within `section`.

    A model, optimizer or schedule without a name takes the keys of all of them: the trial says which it is.
    """
    values: dict[str, Schema] = {}
    for key in keys:
        if key.startswith(section):
            whole = {"$ref": f"#/$defs/{key}.value"}
            inner = case_at(f"{key}.", keys) if key in PARTS else None
            if inner is None:
                values[key.removeprefix(section)] = whole
            elif key in NAMED:
                unnamed = {**inner, "not": {"required": ["name"]}, "minProperties": 1}
                values[key.removeprefix(section)] = {"anyOf": [whole, unnamed]}
            else:
                values[key.removeprefix(section)] = {**inner, "minProperties": 1}
    return {"type": "object", "properties": values, "additionalProperties": False}


def _object(required: dict[str, Schema], others: dict[str, Schema]) -> Schema:
    properties = {**required, **others}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _each(item: Schema, kinds: list[str]) -> Schema:
    """Return the schema of a list of `item`, or of one alone that is of `kinds`."""
    return {"items": item, "if": {"type": kinds}, "then": item}
