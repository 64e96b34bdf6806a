"""What a report says of a search is what its driver did: the same rungs and rounds, every epoch counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.study.load import load_study
from analysis.study.searched import searched
from ch6dist.runs.early_stops import over_budget
from ch6dist.runs.schema import Status
from sweeps.status.explain import explain
from tests.support.simulated import Simulated
from tests.sweeps.search.test_next_trials import RULES, spec_of, value

BUDGETS: dict[str, dict[str, Any]] = {
    "whole": {},
    "hours": {"budget": {"device_hours": 20 / 3600}},
    "trials": {"budget": {"trials": 3}},
}


@pytest.mark.parametrize("bound", BUDGETS)
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "none"])
def test_a_report_says_of_a_search_what_happened(rule: str, bound: str, tmp_path: Path) -> None:
    run = Simulated(tmp_path, spec_of(rule, **BUDGETS[bound]), value)
    assert run.go()
    ledger = run.ledger()
    [found] = searched(load_study([tmp_path]))
    assert found.asked == found.trained + found.shared + found.stopped + found.open + found.lost
    assert found.trained == sum("shared" not in row for row in ledger.rows)
    assert found.spent_seconds == pytest.approx(sum(ledger.spent.values()))
    said = explain(tmp_path)
    if found.rule not in ("", "median"):
        assert [(rung.epochs, rung.came, rung.went_on) for rung in found.rungs] == [
            (rung["epochs"], rung["came"], rung["went_on"]) for rung in said["rungs"]
        ]
    rounds = [(item["seed"], item["configurations"], item["why"]) for item in said["rounds"] if item["configurations"]]
    assert [(item.seed, item.configurations, item.why) for item in found.rounds] == rounds
    open_trials = any(ledger.status(trial) in (Status.PAUSED, Status.PLANNED) for trial in ledger.trials)
    assert found.over_budget == over_budget(ledger)
    assert bool(found.over_budget) is (open_trials and bound != "whole")
