"""What a sweep may spend, and whether it has: device hours, trials, wall time.

spent(budget, observed)             # "2 device hours", the bound that is reached; "" while none is
"""

from __future__ import annotations

from sweeps.search.observed import Observed
from sweeps.spec.budget import Budget


def spent(budget: Budget | None, observed: Observed, *, workers: int = 1) -> str:
    """Return the bound of a budget that a run has reached, as text; empty while it has reached none.

    A device hour is an hour of one process on its device or core: the sum of the rows' seconds, times the processes
    that train a trial together.
    """
    if budget is None:
        return ""
    if budget.device_hours is not None and workers * observed.seconds >= 3600 * budget.device_hours:
        return f"{budget.device_hours:g} device hours"
    limit = budget.wall_seconds
    if limit is not None and observed.wall_seconds >= limit:
        return f"{budget.wall_time} of wall time"
    return ""


def places_left(budget: Budget | None, observed: Observed) -> int | None:
    """Return how many more trials of the sweep may begin; None: no bound. Confirmations are not counted."""
    if budget is None or budget.trials is None:
        return None
    return max(0, budget.trials - sum(seen.begun and not seen.confirms for seen in observed.trials.values()))
