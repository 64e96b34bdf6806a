"""A signature as the parameters that a file may give: names, defaults and kinds, as far as annotations say them.

    parameters_of(Lion, leave_out={"params"})       # (Parameter("lr", "float", 1e-4, …), …)

What has no annotation has the kind of its default; what has neither takes any plain value.
"""

from __future__ import annotations

import functools
import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from ch6dist.catalog.parameters import DERIVED, REQUIRED, Kind, Parameter

SCALARS: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
SEQUENCES = (tuple, list, typing.Sequence, typing.Iterable)
COLLECTED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters_of(found: Callable[..., Any], *, leave_out: Collection[str] = ()) -> tuple[Parameter, ...]:
    """Return what a class or function may be given by name, in its order."""
    hints = hints_of(found)
    return tuple(
        _parameter(one, hints.get(one.name, one.annotation))
        for one in _signature(found).parameters.values()
        if one.name not in leave_out and one.kind not in COLLECTED and one.kind != inspect.Parameter.POSITIONAL_ONLY
    )


def as_the_code_has(found: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a configuration as code has its own: lists as tuples, whole numbers whole where a default is."""
    defaults = {name: one.default for name, one in _signature(found).parameters.items()}

    def own(name: str, value: Any) -> Any:
        """Return one value."""
        if isinstance(value, list):
            return tuple(value)
        is_whole = type(defaults.get(name)) is int and isinstance(value, float) and value.is_integer()
        return int(value) if is_whole else value

    return {name: own(name, value) for name, value in given.items()}


def names_of(found: Callable[..., Any]) -> set[str]:
    """Return the names of everything that a class or function takes."""
    return set(_signature(found).parameters)


def unsayable(found: Callable[..., Any], *, leave_out: Collection[str] = ()) -> str:
    """Return the name of a required parameter that no file can give, such as a module; empty where there is none."""
    hints = hints_of(found)
    for one in _signature(found).parameters.values():
        kinds = [kind for kind in _choices(hints.get(one.name)) if isinstance(kind, type)]
        is_named = _is_named(one) and one.name not in leave_out and one.default is inspect.Parameter.empty
        if is_named and kinds and not any(kind in (*SCALARS, list, tuple, dict, type(None)) for kind in kinds):
            return one.name
    return ""


def names_in_order(found: Callable[..., Any]) -> list[str]:
    """Return the names of what a class or function takes by its place or its name, in order."""
    return [name for name, one in _signature(found).parameters.items() if one.kind not in COLLECTED]


def _signature(found: Callable[..., Any]) -> inspect.Signature:
    if isinstance(found, functools.partial):  # its keywords are other defaults
        inner = _signature(found.func)
        given = [one.replace(default=found.keywords.get(name, one.default)) for name, one in inner.parameters.items()]
        return inspect.Signature([one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in given if _is_named(one)])
    if not inspect.isclass(found):
        return inspect.signature(found)
    whole = inspect.signature(found.__init__)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _is_named(one: inspect.Parameter) -> bool:
    return one.kind not in COLLECTED


def hints_of(found: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of what a class or function takes and returns, resolved; none where that fails."""
    inner: Any = found.func if isinstance(found, functools.partial) else found
    try:
        return typing.get_type_hints(inner.__init__ if inspect.isclass(inner) else inner)
    except Exception:  # an annotation may name what is imported for type checkers alone
        return {}


def _parameter(one: inspect.Parameter, annotation: Any) -> Parameter:
    default = _plain(one.default)
    none = default is None or type(None) in _choices(annotation)
    kind, choices, length = _kind(annotation, default)
    if kind == "float" and isinstance(default, int):  # as it is read from a file: a configuration is its own
        default = float(default)
    if kind == "floats":
        default = [float(item) for item in default]
    low = 0.0 if one.name == "lr" else None
    if one.name == "lr" and default in (DERIVED, None):  # a library's own sign that it has to be given, or not to be
        default, none = REQUIRED, False
    if one.name == "lr" and kind == "any":
        kind = "float"
    return Parameter(
        one.name, kind, default, "", low=low, choices=choices, length=length, none=none and kind != "floats"
    )


def _plain(default: Any) -> Any:
    """Return a default as plain data; DERIVED for one that no file could say: left out, the code has its own."""
    if default is inspect.Parameter.empty:
        return REQUIRED
    if isinstance(default, (tuple, list)):
        default = list(default)
    try:
        return default if json.loads(json.dumps(default, allow_nan=False)) == default else DERIVED
    except (TypeError, ValueError):
        return DERIVED


def _kind(annotation: Any, default: Any) -> tuple[Kind, tuple[str, ...], int | None]:
    """Return a parameter's kind, choices, and the length of a list of numbers."""
    choices = [choice for choice in _choices(annotation) if choice is not type(None)]
    if len(choices) == 1:
        [only] = choices
        if only in SCALARS:
            return SCALARS[only], (), None
        if get_origin(only) is Literal and all(isinstance(value, str) for value in get_args(only)):
            return "choice", get_args(only), None
    if _are_numbers(default):
        is_fixed = [get_args(one) for one in choices if get_origin(one) is tuple and Ellipsis not in get_args(one)]
        return "floats", (), len(default) if len({len(one) for one in is_fixed}) == 1 else None
    scalars = {one for one in choices if one in SCALARS}
    if scalars and (default in (REQUIRED, DERIVED, None) or type(default) in scalars or scalars == {float}):
        return next(SCALARS[kind] for kind in (float, int, bool, str) if kind in scalars), (), None
    if annotation is inspect.Parameter.empty and type(default) in SCALARS:
        kind = SCALARS[type(default)]
        return ("float" if kind == "int" else kind), (), None  # `lr=1` takes 0.5 too
    return "any", (), None


def _choices(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation: itself, unless it is a union."""
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _are_numbers(default: Any) -> bool:
    is_list = isinstance(default, list) and bool(default)
    return is_list and all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in default)
