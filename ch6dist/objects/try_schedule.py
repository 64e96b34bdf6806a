"""Whether a user's own schedule can be used, found out by a few calls; and what it returns, checked at each.

schedule_facts(triangle)        # {}; InputError with one line where it cannot
factor_at(triangle, 0.25, name="mysched:triangle", given={"top": 2.0})      # 1.5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ch6dist.catalog.parameters import REQUIRED
from ch6dist.errors import InputError
from ch6dist.objects.find import why
from ch6dist.objects.signature import names_in_order, parameters_of

MOMENTS = (0.0, 0.5, 0.999)


def progress_name(found: Callable[..., Any]) -> set[str]:
    """Return the name of its first parameter: the progress."""
    return set(names_in_order(found)[:1])


def schedule_facts(found: Callable[..., Any]) -> dict[str, Any]:
    """Return nothing; InputError for a function that returns no factor."""
    if not progress_name(found):
        raise InputError("name", found, "a function of the progress of the training, from 0 to 1")
    if "interval" in names_in_order(found):
        raise InputError("name", found, "a function without a parameter called interval, which every schedule has")
    if any(one.default is REQUIRED for one in parameters_of(found, leave_out=progress_name(found))):
        return {}  # only the file says what they are
    for moment in MOMENTS:
        factor_at(found, moment, name=getattr(found, "__name__", str(found)))
    return {}


def factor_at(
    function: Callable[..., Any], progress: float, *, name: str, given: Mapping[str, Any] | None = None
) -> float:
    """Return the factor of lr at a progress. Raises InputError, its key relative to the schedule, for no number ≥ 0."""
    try:
        factor = float(function(progress, **(given or {})))
    except Exception as error:
        raise InputError("name", name, f"a function that returns a factor of lr: {why(error)}") from error
    if not math.isfinite(factor) or factor < 0:
        allowed = f"a function that returns a factor ≥ 0; at the progress {progress:g} it returned {factor:g}"
        raise InputError("name", name, allowed)
    return factor
