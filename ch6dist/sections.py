"""Sections of a file as pydantic models: frozen data, checked when it is parsed; the first error is one InputError.

class Warmup(Frozen):
    epochs: int = Field(5, ge=1, description="epochs of the warm-up")

parse_section(Warmup, {"epochs": 0})    # InputError: epochs: 0 is not allowed; allowed: a number ≥ 1
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from ch6dist.catalog.parameters import as_number, unknown_key
from ch6dist.errors import MISSING, InputError, unknown_name

Section = TypeVar("Section", bound="Frozen")
SCALARS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number"}  # kind → what is allowed
PLAIN = {  # pydantic's kinds of errors → what is allowed, as a person would say it
    "model_type": "a mapping (key: value lines)",
    "dict_type": "a mapping (key: value lines)",
    "tuple_type": "a list",
    "string_type": "text",
    "greater_than": "a number > {gt:g}",
    "greater_than_equal": "a number ≥ {ge:g}",
    "less_than": "a number < {lt:g}",
    "less_than_equal": "a number ≤ {le:g}",
}


class Frozen(BaseModel):
    """The base of every section: frozen, no unknown keys, no NaN or infinity.

    Every field says in its description what it is; where its default depends on other keys, or is no value of its own,
    the description ends with "; left out: …".
    """

    label: ClassVar[str] = "this section"
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _scalar(cls, given: Any, info: ValidationInfo) -> Any:
        """Parse by the catalog's rule: `5e3` is a number although YAML gives text, `true` is none, `yes` not true."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kind = next((kind for kind in SCALARS if annotation in (kind, kind | None)), None)
        if kind is None or (given is None and annotation is not kind):
            return given
        number = as_number(given)
        fits = isinstance(given, bool) if kind is bool else number is not None and (kind is float or not number % 1)
        if not fits:
            raise InputError("", given, SCALARS[kind])
        return number if isinstance(given, str) else given


def parse_section(kind: type[Section], content: Any) -> Section:
    """Return `content` as `kind`; pydantic's first error is raised as one InputError."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise _explain(kind, error) from None


def _explain(kind: type[Frozen], error: ValidationError) -> InputError:
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"]]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause.within(".".join(keys)) if keys else cause
    if first["type"] == "extra_forbidden":
        whose, valid = _fields_at(kind, keys[:-1])
        missing = unknown_key(keys[-1], valid, f"{whose} takes")
        return missing.within(".".join(keys[:-1])) if keys[:-1] else missing
    key = ".".join(keys)
    if first["type"] == "missing":
        return InputError(key, MISSING, _fields_at(kind, keys[:-1])[1][keys[-1]].description or "")
    if first["type"] == "literal_error":
        return unknown_name(key, first["input"], re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    allowed = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    plain = PLAIN.get(first["type"])
    return InputError(key, first["input"], plain.format_map(first.get("ctx", {})) if plain else allowed)


def _fields_at(kind: type[Frozen], keys: list[str]) -> tuple[str, Mapping[str, Any]]:
    """Return whose the fields at a place are, and the fields; the items of a list of sections are sections too."""
    whose = kind.label
    for part in keys:
        annotation = kind.model_fields[part].annotation if part in kind.model_fields else None  # else: an item's number
        if isinstance(annotation, type) and issubclass(annotation, Frozen):
            kind, whose = annotation, part
        item = next(iter(get_args(annotation)), None)
        if isinstance(item, type) and issubclass(item, Frozen):
            kind, whose = item, item.label
    return whose, kind.model_fields
