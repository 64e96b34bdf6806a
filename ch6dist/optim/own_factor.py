"""A schedule of the user's own: a function of the progress, from 0 to before 1, that returns a factor of lr."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ch6dist.errors import InputError
from ch6dist.objects.find import find, why
from ch6dist.optim.closed_forms import Factor


def own_factor(config: Mapping[str, Any], *, length: int, **given: Any) -> Factor:
    """Return the factor after t of `length` steps: function(t / length). InputError where it returns no number ≥ 0.

    Args:
        config: the resolved schedule: its name and its code.
        given: the function's other parameters.
    """
    function = find("schedule", config["name"], code=config.get("code", ""))
    return lambda t: factor_at(function, min(1.0, t / length), name=config["name"], given=given)


def factor_at(function: Callable[..., Any], progress: float, *, name: str, given: Mapping[str, Any]) -> float:
    """Return the factor at a progress. Raises InputError."""
    try:
        factor = float(function(progress, **given))
    except Exception as error:
        raise InputError("schedule.name", name, f"a function of the progress: {why(error)}") from error
    if not math.isfinite(factor) or factor < 0:
        allowed = f"a function that returns a factor ≥ 0; at the progress {progress:g} it returned {factor:g}"
        raise InputError("schedule.name", name, allowed)
    return factor
