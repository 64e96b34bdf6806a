"""What a run waits on whose budget is spent, and the command that lets it go on.

waiting(run)      # {"why": "the budget is spent: 2 device hours", "trials": 7, "changes": ["budget.device_hours=2.7"]}

The numbers suffice for what is left by the pace so far; of trials on their way to a rung by the share that goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from ch6dist.catalog.wording import format_count
from ch6dist.runs.early_stops import OVER
from ch6dist.runs.ledger import Ledger, read
from sweeps.search.draws import drawn
from sweeps.search.next_trials import Search
from sweeps.search.observed import Seen
from sweeps.spec.budget import Budget
from sweeps.spec.sweep_file import SweepSpec

SLACK = 1.1  # more than the estimate, so that it is rarely too little


class Waiting(TypedDict):
    """Why trials wait, how many, and the changes of the sweep that would let them go on."""

    why: str
    trials: int
    changes: list[str]


def waiting(run: Path | str) -> Waiting | None:
    """Return what waits on a larger budget; None where nothing does, or a resume would train something."""
    return waiting_in(read(run))


def waiting_in(ledger: Ledger) -> Waiting | None:
    """Return the same of a ledger that was read with all of its lines."""
    search = Search.of(ledger.spec, ledger)
    spec = search.spec
    if spec is None or spec.budget is None or search.new_trials() or search.steps():
        return None
    left = [seen for seen in search.observed.trials.values() if not seen.confirms and not search.settled(seen)]
    undrawn = _undrawn(search, spec)
    if not left and not undrawn:
        return None
    epochs = sum(_epochs_left(seen, spec) for seen in left) + undrawn * int(spec.trial.get("epochs", 1))
    reached = search.spent or format_count(spec.budget.trials or 0, "trial")
    trained = sum(not row.get("shared") for row in ledger.rows)
    changes = list(_changes(search, spec.budget, more=1 + epochs / trained if trained else 2.0, undrawn=undrawn))
    return {"why": f"{OVER}: {reached}", "trials": len(left) + undrawn, "changes": changes}


def _undrawn(search: Search, spec: SweepSpec) -> int:
    """Return how many trials a model has not drawn yet."""
    if spec.method != "optuna":
        return 0
    return ((spec.trials or 0) - len(drawn(search.observed, spec))) * len(spec.seeds.values)


def _epochs_left(seen: Seen, spec: SweepSpec) -> float:
    """Return how many epochs a trial is expected to train yet: to its next rung, and on for the share that goes on."""
    rule, epochs = spec.early_stop, 0.0
    at, share = seen.epoch, 1.0
    ends = [rung for rung in rule.rungs(seen.epochs) if rung > at] if rule and rule.together else []
    for end in [*ends, seen.epochs]:
        epochs += share * (end - at)
        at, share = end, share / getattr(rule, "factor", 1)
    return epochs


def _changes(search: Search, budget: Budget, *, more: float, undrawn: int) -> Iterator[str]:
    """Yield a change for each bound that what is left would pass.

    Args:
        more: by how much all epochs are more than those that have been trained.
        undrawn: trials that a model has not drawn yet.
    """
    observed, workers = search.observed, search.spec.resources.workers if search.spec else 1
    hours = workers * observed.seconds * more * SLACK / 3600
    if budget.device_hours is not None and hours > budget.device_hours:
        yield f"budget.device_hours={enough_hours(hours)}"
    wall = observed.wall_seconds * more * SLACK
    if budget.wall_seconds is not None and wall > budget.wall_seconds:
        yield f"budget.wall_time={enough_time(wall)}"
    own = [seen for seen in observed.trials.values() if not seen.confirms]
    if budget.trials is not None and len(own) + undrawn > budget.trials:
        yield f"budget.trials={len(own) + undrawn}"


def enough_hours(number: float) -> str:
    """Return two digits of a number above zero, never less than it."""
    digits = 1 - math.floor(math.log10(number))
    scaled = math.ceil(number * 10.0**digits - 1e-9)
    return f"{scaled * 10**-digits}" if digits <= 0 else f"{scaled / 10**digits:.{digits}f}".rstrip("0").rstrip(".")


def enough_time(seconds: float) -> str:
    """Return a time in minutes or hours, never less than it."""
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{enough_hours(seconds / 3600)} h"
