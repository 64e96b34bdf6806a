"""Whether a user's own schedule can be used, found out by a few calls.

schedule_facts(triangle)        # {}; InputError with one line where it cannot
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
        try:
            factor = float(found(moment))
        except Exception as error:
            raise InputError("name", found, f"a function that returns a factor of lr: {why(error)}") from error
        if not math.isfinite(factor) or factor < 0:
            allowed = f"a function that returns a factor ≥ 0; at the progress {moment:g} it returned {factor:g}"
            raise InputError("name", found, allowed)
    return {}
