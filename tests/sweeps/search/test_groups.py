"""Seeds of a configuration compared together: what was decided stays decided, whichever seed is lost, and when."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ch6dist.runs.schema import Metric, Status
from ch6dist.sections import parse_section
from sweeps.search.decisions import Decider
from sweeps.search.next_trials import Search
from sweeps.search.observed import Observed
from sweeps.spec.sweep_file import SweepSpec, dump

EPOCHS, SEEDS = 6, 2
AT_ONCE: list[dict[str, Any]] = [
    {"name": "asha", "first": 1, "factor": 2, "promote": False},
    {"name": "median", "after": 1},
]
RULES: list[dict[str, Any]] = [
    {"name": "top_k", "after": 2, "keep": 2},
    {"name": "halving", "first": 1, "factor": 2},
    {"name": "asha", "first": 1, "factor": 2},
    {"name": "asha", "first": 1, "factor": 3},
]


def new_search(rule: dict[str, Any], configurations: int) -> Search:
    spec = {
        "name": "groups",
        "trial": {"epochs": EPOCHS},
        "parameters": {"optimizer.lr": [(i + 1) / 100 for i in range(configurations)]},
        "seeds": SEEDS,
        "early_stop": rule,
    }
    search = Search(dump(parse_section(SweepSpec, spec)), Observed(Metric()))
    search.take([new.line for new in search.new_trials()])
    return search


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule['name']} {rule.get('factor', '')}")
def test_no_configuration_that_can_go_on_is_taken_back_when_seeds_of_others_are_lost(rule: dict[str, Any]) -> None:
    for number in range(60):
        rng = Random(number)
        search = new_search(rule, rng.randint(1, 9))
        trials = search.observed.trials
        fate = {trial: rng.choice((Status.DIVERGED, Status.FAILED)) for trial in trials if rng.random() < 0.3}
        when = {trial: rng.randrange(EPOCHS) for trial in fate}  # epochs with a value before
        before: dict[str, int] = {}
        while steps := [step for step in search.steps() if not trials[step.trial].closed]:
            step = rng.choice(steps)
            seen = trials[step.trial]
            epoch = seen.epoch + 1
            ids = {"trial": step.trial, "attempt": 1}
            row = {"kind": "row", **ids, "epoch": epoch, "step": epoch, "val_accuracy": rng.random()}
            if when.get(step.trial) == seen.epoch:
                last = [{**row, "val_accuracy": None}] if fate[step.trial] == Status.DIVERGED else []
                search.take([*last, {"kind": "status", **ids, "status": fate[step.trial]}])
            else:
                ended = [{"kind": "status", **ids, "status": Status.FINISHED}] if epoch == EPOCHS else []
                search.take([row, *ended])
            lost = {one.line["configuration"] for one in trials.values() if one.lost}
            now = {trial: search.decision(trial).until for trial in trials}
            for trial, until in before.items():
                if trials[trial].line["configuration"] not in lost:
                    assert now[trial] >= until, (number, trial, search.decision(trial).why)
            before = now


@pytest.mark.parametrize("rule", RULES + AT_ONCE, ids=lambda rule: " ".join(map(str, rule.values())))
def test_a_search_that_took_lines_one_by_one_decides_as_one_that_reads_them_all(rule: dict[str, Any]) -> None:
    """Also where epochs are trained again and come to other values, trials end, and ended ones are trained again."""
    for number in range(20):
        rng = Random(number)
        search = new_search(rule, rng.randint(1, 9))
        trials = search.observed.trials
        for _ in range(80):
            trial = rng.choice(list(trials))
            ids = {"trial": trial, "attempt": 1}
            epoch = min(EPOCHS, max(1, trials[trial].epoch + rng.choice((1, 1, 1, 1, 1, 0, -1))))
            row = {"kind": "row", **ids, "epoch": epoch, "step": epoch, "val_accuracy": rng.randrange(20) / 20}
            status = rng.choice((Status.DIVERGED, Status.FAILED, Status.RUNNING, Status.FINISHED, Status.STOPPED))
            ended = {"kind": "status", **ids, "status": status, "rule": rng.random() < 0.5}
            search.take([ended if rng.random() < 0.1 else row])
            if search.stale:
                kept = {trial: (d := search.decision(trial), d.why) for trial in trials}
                anew = Decider(search.spec).decide(search.observed, over="")
                assert kept == {trial: (d, d.why) for trial, d in anew.items()}
