"""A run with range tests and the training runs that follow from them, really trained: every view takes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.errors import UsageError
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.provenance import sweep_line, trial_line
from ch6dist.runs.writer import Writer
from sweeps.launch.confirm import plan_confirmation
from sweeps.plan.plan import Plan, make_plan, plan_json
from sweeps.plan.render import render_plan
from sweeps.search.range_stage import bounds_of, range_trials
from sweeps.spec.expand import expand, forecast
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import SweepSpec, dump
from sweeps.status.best import best
from sweeps.status.queries import show, status, top
from sweeps.status.views import render_status, render_top
from tests.support.bad_sweeps import ranged
from tests.support.paths import ROOT
from tests.support.plans import TWO_CORES
from tests.support.printing import printed
from tests.support.runs import in_two_stages

CONTENT: dict[str, Any] = {
    "name": "two-stages",
    "trial": {
        "data": {"name": "synthetic_mnist", "train_size": 300, "val_size": 100, "batch_size": 20},
        "model": "simple_nn",
        "epochs": 1,
        "range_test": {"start_lr": 1e-4, "end_lr": 100, "steps": 110},
    },
    "parameters": {"optimizer": ["SGD", "Adam"], **ranged(seeds=2, points=2, otherwise=[1e-5, 10])},
    "seeds": [5],
}


@dataclass(frozen=True)
class Trained:
    run: Path
    spec: SweepSpec
    ledger: Ledger


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("two stages")
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return Trained(folder / "run", load_spec(path), in_two_stages(path, folder / "run"))


def results(ledger: Ledger) -> dict[str, Any]:
    return {trial: line["value"] for (trial, name), line in ledger.artifacts.items() if name == "range_test"}


def test_the_ledger_gives_the_bounds_again_between_which_all_was_trained(trained: Trained) -> None:
    bounds = bounds_of(trained.spec, results(trained.ledger))
    assert all(found.measured for found in bounds.values())
    assert [trial.trial_id for trial in [*range_trials(trained.spec), *expand(trained.spec, bounds=bounds)]] == list(
        trained.ledger.trials
    )
    sgd, adam = bounds.values()
    assert adam.high < sgd.high  # Adam's learning rates are the smaller ones, whatever the data
    lrs = {"SGD": {sgd.low, sgd.high}, "Adam": {adam.low, adam.high}}
    for line in trained.ledger.trials.values():
        if line["config"]["type"] == "train":
            assert line["config"]["optimizer"]["lr"] in lrs[line["config"]["optimizer"]["name"]]
    again = load_spec(trained.run / "sweep.yaml")  # as a resume reads it
    assert bounds_of(again, results(read(trained.run))) == bounds


def test_range_tests_are_never_ranked_nor_chosen(trained: Trained) -> None:
    found = top(trained.run)
    assert found["configurations"] == 4
    assert not [one for one in found["top"] if "range" in one["configuration"]]
    assert all(one["rank"] and one["seeds"] == 1 for one in found["top"])
    assert "lr" in printed(render_top(found))
    assert best(trained.run)["trial"]["type"] == "train"
    assert best(trained.run)["configurations"] == 4


def test_status_counts_steps_and_epochs(trained: Trained) -> None:
    found = status(trained.run)
    assert found["trials"] == 8
    assert found["progress"]["epochs"] == {"done": 4, "total": 4}
    assert found["progress"]["steps"]["done"] == found["progress"]["steps"]["total"] > 100
    assert "all trials have ended" in found["next"]
    assert "8 finished" in printed(render_status(found))


def test_a_range_test_of_the_run_can_be_shown(trained: Trained) -> None:
    name = range_trials(trained.spec)[0].trial_id
    assert show(trained.run, name)["artifacts"]["range_test"]["interval"]


def test_a_confirmation_takes_training_runs_alone_on_seeds_that_no_range_test_had(trained: Trained) -> None:
    plan = plan_confirmation(trained.run, trained.ledger, seeds=2).plan
    assert plan["set"]
    assert not [name for name in plan["set"] + plan["default"] if name.startswith("range")]
    assert plan["seeds"] == [6, 7]


def first_stage(folder: Path, spec: SweepSpec, state: str | None) -> Path:
    """A run whose range tests have ended, or (None) are still to come."""
    trials = range_trials(spec)
    with Writer(folder) as writer:
        writer.append([sweep_line(dump(spec)), *map(trial_line, trials)])
        for trial in trials if state else ():
            writer.append([{"kind": "status", "trial": trial.trial_id, "status": state, "attempt": 1, "time": 1.7e9}])
    return folder


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "trains the remaining 4 trials"),
        ("finished", "trains between the bounds that they give"),
        ("failed", "trains between the bounds that they give"),
    ],
)
def test_between_the_stages_a_run_has_not_ended(state: str | None, said: str, tmp_path: Path, trained: Trained) -> None:
    run = first_stage(tmp_path / "run", trained.spec, state)
    found = status(run)
    assert said in found["next"]
    assert "sweeps resume" in found["next"]
    assert top(run)["top"] == []
    with pytest.raises(UsageError, match="holds no training runs"):
        best(run)


def planned(spec: SweepSpec) -> Plan:
    return make_plan(spec, forecast(spec), devices=TWO_CORES, calibration={})


def test_a_plan_counts_both_stages_and_says_which_learning_rates_are_to_come(trained: Trained) -> None:
    plan = planned(trained.spec)
    text = printed(render_plan(plan))
    assert "4 range tests of 110 steps: 2 configurations × 2 seeds" in text
    assert "4 training runs: 4 configurations × 1 seed" in text
    assert "the learning rates of the training runs follow from the range tests" in text
    assert "the stated bounds, 1e-5 to 10" in text
    found = json.loads(json.dumps(plan_json(plan), default=str))
    assert found["configurations"] == 4
    assert found["trials"] == 8
    assert found["range_tests"] == [trial.trial_id for trial in range_trials(trained.spec)]


def test_no_pack_holds_both_and_range_tests_come_first(trained: Trained) -> None:
    plan = planned(trained.spec)
    kinds = [{trial.type for trial in pack.trials} for pack in plan.packs]
    assert all(len(kind) == 1 for kind in kinds)
    assert kinds == sorted(kinds, key=lambda kind: "train" in kind)


def test_the_second_stage_begins_when_the_first_has_ended(trained: Trained) -> None:
    """With more slots than packs the time is that of the longest of each, one after the other."""
    cost = planned(trained.spec).estimate
    kinds = [pack.trials[0].type for pack in planned(trained.spec).packs]
    longest = [max(s for s, kind in zip(cost.pack_seconds, kinds, strict=True) if kind == k) for k in set(kinds)]
    assert cost.seconds >= 15 + sum(longest)


def test_a_sweep_of_range_tests_alone_is_planned_as_ever() -> None:
    spec = load_spec(ROOT / "sweeps" / "configs" / "range_test.yaml")
    plan = planned(spec)
    assert {trial.type for trial in plan.trials} == {"range_test"}
    assert plan.range_tests == []
    assert plan.configurations == 4
    assert "trials" in printed(render_plan(plan))
    assert "stage" not in printed(render_plan(plan))
