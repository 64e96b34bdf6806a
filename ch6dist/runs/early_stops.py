"""What a sweep's own early stopping ended, which is out by its rule; what a person stopped is not.

stopped_by_rule(ledger, "sgd-…")        # True: it was seen behind, and gets no further
over_budget(ledger)                     # "2 device hours": the bound for which trials wait; "": none
rule_name(ledger.spec)                  # "halving"
rungs(ledger.spec, epochs=9)            # (1, 3): the epochs at whose end the rule decides
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.catalog.wording import format_count
from ch6dist.runs.confirmations import key_of
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Status

OVER = "the budget is spent"  # begins the reason of a trial that waits on a larger budget


def stopped_by_rule(ledger: Ledger, trial: str) -> bool:
    """Return whether a trial was stopped by the sweep's own rule."""
    return ledger.status(trial) == Status.STOPPED and bool(ledger.statuses[trial].get("rule"))


def over_budget(ledger: Ledger) -> str:
    """Return the bound of the sweep's budget that trials wait for, as text; empty where none does.

    Who waits at a rung when a budget is spent has no line that says so: the sums of the ledger do.
    """
    budget = ledger.spec.get("budget") or {}
    statuses = [ledger.status(trial) for trial, line in ledger.trials.items() if key_of(line) is None]
    if not budget or not {Status.PAUSED, Status.PLANNED} & set(statuses):
        return ""
    for line in ledger.statuses.values():
        if line["status"] == Status.PAUSED and line.get("reason", "").startswith(OVER):
            return line.get("reason", "").partition(": ")[2]
    hours, most = budget.get("device_hours"), budget.get("trials")
    workers = (ledger.spec.get("resources") or {}).get("workers", 1)
    if hours is not None and workers * sum(ledger.spent.values()) >= 3600 * hours:
        return f"{hours:g} device hours"
    begun = sum(status != Status.PLANNED for status in statuses)
    return format_count(most, "trial") if most is not None and begun >= most and Status.PLANNED in statuses else ""


def rule_name(spec: Mapping[str, Any]) -> str:
    """Return the name of a sweep's rule of early stopping; empty without one."""
    return str((spec.get("early_stop") or {}).get("name", ""))


def rungs(spec: Mapping[str, Any], *, epochs: int) -> tuple[int, ...]:
    """Return the epochs of a training at whose end its sweep's rule decides."""
    rule = spec.get("early_stop") or {}
    if "factor" in rule:
        found, rung = [], int(rule["first"])
        while rung < epochs:
            found.append(rung)
            rung *= int(rule["factor"])
        return tuple(found)
    if "keep" in rule:
        return (int(rule["after"]),) if rule["after"] < epochs else ()
    return tuple(range(int(rule["after"]), epochs)) if rule else ()
