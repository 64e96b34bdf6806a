"""How a sweep chooses its configurations: the methods, and which keys each takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from ch6dist.errors import MISSING, InputError
from sweeps.spec.axes import Axis

Method = Literal["grid", "random", "quasi", "optuna"]
Sampler = Literal["tpe", "gp", "cmaes"]
MODEL: dict[str, Any] = {"sampler": "tpe", "batch": 8}  # keys of method optuna alone, and their defaults
SMALLEST = 4  # configurations of a batch from which sampler cmaes can learn
FRACTIONS = ("uniform", "log_uniform")
DRAWN = tuple(method for method in get_args(Method) if method != "grid")


def with_method_defaults(given: Any) -> Any:
    """Return the content of a sweep file with the defaults of its method."""
    if not isinstance(given, Mapping) or given.get("method") != "optuna":
        return given
    return {**given, **{key: default for key, default in MODEL.items() if given.get(key) is None}}


def check_method(method: Method, axes: Mapping[str, Axis], given: Mapping[str, Any]) -> None:
    """Raise InputError for keys and axes that a method does not take, or for what it needs.

    Args:
        given: `trials`, `seed`, `sampler` and `batch` of the sweep, None where they are not there.
    """
    for key in ("trials", "seed"):
        if (given[key] is None) == (method in DRAWN):
            needs, takes = f"method {method} needs it", f"only the methods {', '.join(DRAWN)} take it"
            what = f"a whole number ({needs})" if method in DRAWN else f"nothing ({takes})"
            value = MISSING if given[key] is None else given[key]
            raise InputError(key, value, f"{what}; the seeds of the trials are `seeds`")
    for key in MODEL:
        if given[key] is not None and method != "optuna":
            raise InputError(key, given[key], "nothing (only method optuna takes it)")
    for key, axis in axes.items():
        if method == "grid" and axis.distribution:
            raise InputError(f"parameters.{key}.distribution", axis.distribution, "values: […] (method grid)")
    if given["sampler"] == "gp":
        _check_gaussian(axes)
    if given["sampler"] == "cmaes":
        _check_evolution(axes, given["batch"])


def _check_gaussian(axes: Mapping[str, Axis]) -> None:
    """Raise InputError for axes of which Optuna's Gaussian process would leave some to chance, or want points again."""
    for key, axis in axes.items():
        if axis.where:
            allowed = "nothing with sampler gp, whose model has all axes in every configuration; sampler tpe takes it"
            raise InputError(f"parameters.{key}.where", dict(axis.where), allowed)
    if not any(axis.distribution in FRACTIONS for axis in axes.values()):
        why = f"no axis is drawn from {' or '.join(FRACTIONS)}, and among few points gp wants the best one again"
        raise InputError("sampler", "gp", f"tpe: {why}")


def _check_evolution(axes: Mapping[str, Axis], batch: int) -> None:
    """Raise InputError for axes that are no cube, the space of an evolution strategy, or a generation too small."""
    for key, axis in axes.items():
        if axis.where:
            allowed = "nothing with sampler cmaes, which moves all axes together; sampler tpe takes it"
            raise InputError(f"parameters.{key}.where", dict(axis.where), allowed)
        if axis.distribution not in FRACTIONS:
            kind = "cases" if axis.cases else "values" if axis.values else "distribution"
            drawn = f"{' or '.join(FRACTIONS)} with sampler cmaes"
            allowed = f"distribution: {drawn}; one value goes under `trial`, and sampler tpe takes several"
            raise InputError(f"parameters.{key}.{kind}", list(axis.listed) or axis.distribution, allowed)
    if len(axes) == 1:
        raise InputError(
            "sampler", "cmaes", f"tpe or gp: {key} is the only axis, and cmaes learns how several go together"
        )
    if batch < SMALLEST:
        usual = 4 + math.floor(3 * math.log(len(axes)))
        why = f"at least {SMALLEST} with sampler cmaes, of which a batch is a generation; {usual} are usual here"
        raise InputError("batch", batch, why)
