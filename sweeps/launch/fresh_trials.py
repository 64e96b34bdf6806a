"""The trials of a confirmation as ledger lines: when it begins, and again where a kill has cut them off.

lines = fresh_lines(ledger, {"number": 1, "set": ["sgd-lr0.1-1c0ffee5"], "default": [], "seeds": [3, 4, 5]})
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ch6dist.config import parse_trial
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.schema import ConfirmationPlan, TrialLine


def fresh_lines(ledger: Ledger, plan: ConfirmationPlan) -> list[TrialLine]:
    """Return the lines of a confirmation's trials: every configuration of it with each of its seeds."""
    wanted = {*plan["set"], *plan["default"]}
    configs = {line["configuration"]: line["config"] for line in ledger.trials.values()}
    cases = {line["configuration"]: line.get("case") for line in ledger.trials.values()}
    trials = {name: parse_trial(configs[name]) for name in wanted}
    return [
        _fresh(
            trial_line(trials[name].model_copy(update={"seed": seed}), case=cases[name]),
            name,
            confirms,
            plan["number"],
        )
        for confirms, names in _parts(plan)
        for name in names
        for seed in plan["seeds"]
    ]


def lines_cut_off(ledger: Ledger) -> list[TrialLine]:
    """Return the lines of trials that the head line of a confirmation announces and the ledger lacks."""
    plans = [head["confirmation"] for head in ledger.sweeps if "confirmation" in head]
    return [line for plan in plans for line in fresh_lines(ledger, plan) if line["trial"] not in ledger.trials]


def _parts(plan: ConfirmationPlan) -> Sequence[tuple[Literal["set", "default"], list[str]]]:
    return [("set", plan["set"]), ("default", plan["default"])]


def _fresh(line: TrialLine, configuration: str, confirms: Literal["set", "default"], number: int) -> TrialLine:
    """Return the line as that of a fresh seed, of the configuration as the run calls it: an older one may differ."""
    return {**line, "configuration": configuration, "confirms": confirms, "confirmation": number}
