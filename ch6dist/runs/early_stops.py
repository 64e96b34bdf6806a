"""What a sweep's own early stopping ended, which is out by its rule; what a person stopped is not.

stopped_by_rule(ledger, "sgd-…")        # True: it was seen behind, and gets no further
rule_name(ledger.spec)                  # "halving"
rungs(ledger.spec, epochs=9)            # (1, 3): the epochs at whose end the rule decides
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Status

OVER = "the budget is spent"  # begins the reason of a trial that waits on a larger budget


def stopped_by_rule(ledger: Ledger, trial: str) -> bool:
    """Return whether a trial was stopped by the sweep's own rule."""
    return ledger.status(trial) == Status.STOPPED and bool(ledger.statuses[trial].get("rule"))


def waits_on_budget(ledger: Ledger) -> bool:
    """Return whether a trial waits on a larger budget, or could not begin since the sweep may begin no more."""
    statuses = [ledger.status(trial) for trial in ledger.trials]
    if any(
        status == Status.PAUSED and ledger.statuses[trial].get("reason", "").startswith(OVER)
        for trial, status in zip(ledger.trials, statuses, strict=True)
    ):
        return True
    most = (ledger.spec.get("budget") or {}).get("trials")
    begun = sum(status != Status.PLANNED for status in statuses)
    return most is not None and Status.PLANNED in statuses and begun >= most


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
