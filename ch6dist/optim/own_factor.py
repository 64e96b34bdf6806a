"""A schedule of the user's own: a function of the progress, from 0 to before 1, that returns a factor of lr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.errors import InputError
from ch6dist.objects.find import find
from ch6dist.objects.try_schedule import factor_at
from ch6dist.optim.closed_forms import Factor


def own_factor(config: Mapping[str, Any], *, length: int, **given: Any) -> Factor:
    """Return the factor after t of `length` steps: function(t / length). InputError where it returns no number ≥ 0.

    Args:
        config: the resolved schedule: its name and its code.
        given: the function's other parameters.
    """
    name = config["name"]
    function = find("schedule", name, code=config.get("code", ""))

    def factor(t: int) -> float:
        """Return the factor after t steps."""
        try:
            return factor_at(function, min(1.0, t / length), name=name, given=given)
        except InputError as error:
            raise error.within("schedule") from None

    return factor
