"""How far each trial of a run may train: by the early stopping rule, and by the budget.

decisions(observed, spec, over="")["sgd-…"]         # Decision(until=3, out=False, why="rung of 3 epochs: …")
"""

from __future__ import annotations

from functools import partial

from ch6dist.runs.early_stops import OVER
from sweeps.search.groups import groups
from sweeps.search.observed import Observed
from sweeps.search.rules.contestant import Decision
from sweeps.search.rules.decide import decide
from sweeps.spec.early_stop import EarlyStop
from sweeps.spec.sweep_file import SweepSpec

Decisions = dict[str, Decision]


def decisions(observed: Observed, spec: SweepSpec | None, *, over: str) -> Decisions:
    """Return the decision of every trial.

    Args:
        over: the bound of the budget that is reached, as text; empty while none is. Running trials then finish their
            epoch, and confirmations train on: a person has asked for them.
    """
    found = {trial: Decision(seen.epochs, False, str) for trial, seen in observed.trials.items()}
    if spec and spec.early_stop:
        _stop_early(found, observed, spec, spec.early_stop)
    for trial, seen in observed.trials.items() if over else ():
        if not seen.confirms and not seen.closed and seen.epoch < found[trial].until:
            found[trial] = Decision(seen.epoch, False, partial(str, f"{OVER}: {over}"))
    return found


def _stop_early(found: Decisions, observed: Observed, spec: SweepSpec, rule: EarlyStop) -> None:
    """Put the rule's decisions over those of the trials that it compares; seeds that a race adds train in full."""
    seeds = set(spec.seeds.values) if spec.seeds.up_to else None
    for group in groups(observed, seeds=seeds, together=rule.together):
        decided = decide(rule, group.contestants, epochs=group.epochs, share=group.share, metric=observed.metric)
        for name, decision in decided.items():
            for seen in group.members[name]:
                found[seen.line["trial"]] = decision
    if not rule.together:
        _stop_all_seeds(found, observed)


def _stop_all_seeds(found: Decisions, observed: Observed) -> None:
    """Stop all seeds of a configuration once the rule has stopped one."""
    out: dict[str, tuple[str, Decision | None]] = {}
    for trial, seen in observed.trials.items():
        if found[trial].out and found[trial].until < seen.epochs:
            out.setdefault(seen.line["configuration"], (trial, found[trial]))
    for trial, seen in observed.trials.items():
        first, why = out.get(seen.line["configuration"], (trial, None))
        if why and first != trial and not found[trial].out and not seen.confirms:
            found[trial] = Decision(min(seen.epoch, seen.epochs), True, partial(_with, first, why))


def _with(first: str, decision: Decision) -> str:
    return f"stopped with {first}: {decision.why}"
