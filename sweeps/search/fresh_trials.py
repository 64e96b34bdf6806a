"""The trials of a confirmation as ledger lines: when it begins, and again where a kill has cut them off.

lines = fresh_lines(ledger.trials, {"number": 1, "set": ["sgd-lr0.1-1c0ffee5"], "default": [], "seeds": [3, 4, 5]})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ch6dist.config import parse_trial
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.schema import ConfirmationPlan, TrialLine


def fresh_lines(trials: Mapping[str, TrialLine], plan: ConfirmationPlan) -> list[TrialLine]:
    """Return the lines of a confirmation's trials: every configuration of it with each of its seeds.

    Args:
        trials: of the run, by id.
    """
    wanted = {*plan["set"], *plan["default"]}
    lines = {line["configuration"]: line for line in trials.values()}
    configs = {name: parse_trial(lines[name]["config"]) for name in wanted}
    return [
        _fresh(
            trial_line(configs[name].model_copy(update={"seed": seed}), case=lines[name].get("case")),
            name,
            confirms,
            plan["number"],
        )
        for confirms, names in _parts(plan)
        for name in names
        for seed in plan["seeds"]
    ]


def with_seed(line: TrialLine, seed: int) -> TrialLine:
    """Return the line of the same configuration with another seed."""
    made = trial_line(parse_trial({**line["config"], "seed": seed}), case=line.get("case"))
    return {**made, "configuration": line["configuration"]}


def _parts(plan: ConfirmationPlan) -> Sequence[tuple[Literal["set", "default"], list[str]]]:
    return [("set", plan["set"]), ("default", plan["default"])]


def _fresh(line: TrialLine, configuration: str, confirms: Literal["set", "default"], number: int) -> TrialLine:
    """Return the line as that of a fresh seed, of the configuration as the run calls it: an older one may differ."""
    return {**line, "configuration": configuration, "confirms": confirms, "confirmation": number}
