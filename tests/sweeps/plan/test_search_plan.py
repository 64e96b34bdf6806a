"""Plans of sweeps that search: what they say will be trained is what the driver trains, and what it costs."""

from __future__ import annotations

import io
from collections.abc import Callable
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from benchmarks.early_stopping import rules
from ch6dist.branches import Branch, epochs_to_train
from ch6dist.errors import UsageError
from ch6dist.runs.ledger import Ledger
from sweeps.plan import course
from sweeps.plan.by_rule import by_rule
from sweeps.plan.costs import image_passes
from sweeps.plan.course import shared_branches
from sweeps.plan.expected import to_train
from sweeps.plan.plan import Plan, make_plan, plan_json, plan_notes
from sweeps.plan.recorded import by_recording
from sweeps.plan.render import render_plan
from sweeps.plan.wall_time import turns_after_a_rung, wall_seconds
from sweeps.spec.early_stop import parse_early_stop
from sweeps.spec.expand import expand, forecast
from sweeps.spec.sweep_file import SweepSpec
from tests.support.bad_sweeps import searched
from tests.support.ledgers import trial as recorded_trial
from tests.support.ledgers import write_ledger
from tests.support.plans import TWO_CORES
from tests.support.simulated import Simulated
from tests.support.sweep_files import spec_of, sweep

LRS = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]
HALVING = {"name": "halving", "first": 1, "factor": 3}
RULES = {text: rule.model_dump() for text, rule in rules(14).items()}
GROUPS: dict[str, dict[str, Any]] = {
    "one group": {"parameters": {"optimizer": ["SGD", "Adam"], "optimizer.lr": LRS}, "seeds": 2},
    "schedules and lengths": {
        "parameters": {"schedule": ["none", "CosineAnnealingLR"], "epochs": [9, 4], "optimizer.lr": LRS},
        "share_prefixes": False,
    },
}
BATCHES = {"method": "optuna", "trials": 14, "batch": 6, "seed": 0, "parameters": GROUPS["one group"]["parameters"]}


def searching(**changes: Any) -> SweepSpec:
    return spec_of(sweep(**{"trial": {"epochs": 9}, "parameters": {"optimizer.lr": LRS}, **changes}))


def planned(spec: SweepSpec, **more: Any) -> Plan:
    return make_plan(spec, forecast(spec), devices=TWO_CORES, calibration={}, **more)


def printed(plan: Plan) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(render_plan(plan))
    return console.export_text()


def luck(seed: int) -> Callable[[Any, int], float]:
    """Configurations as good as their luck, from the first epoch on."""

    def value(config: Any, epoch: int) -> float:
        return Random(f"{seed} {config['optimizer']} {config['schedule']} {config['epochs']}").random() + epoch / 1000

    return value


def trained(folder: Path, spec: SweepSpec, seed: int = 0) -> Ledger:
    run = Simulated(folder / f"run{seed}", spec, value=luck(seed), seed=seed)
    assert run.go()
    return run.ledger()


# Epochs


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("rule", [text for text in RULES if "top_k" in text or "halving" in text])
def test_where_no_order_counts_the_plan_says_exactly_what_a_sweep_trains(
    groups: str, rule: str, tmp_path: Path
) -> None:
    spec = searching(**GROUPS[groups], early_stop=RULES[rule])
    found = by_rule(spec, forecast(spec), {})
    assert found.epochs == pytest.approx(len(trained(tmp_path, spec).rows))
    assert found.epochs < found.asked


@pytest.mark.parametrize("rule", [text for text in RULES if "asha" in text])
def test_where_orders_count_the_plan_says_their_mean(rule: str, tmp_path: Path) -> None:
    spec = searching(parameters=GROUPS["one group"]["parameters"], early_stop=RULES[rule])
    real = [len(trained(tmp_path, spec, seed).rows) for seed in range(6)]
    found = by_rule(spec, forecast(spec), {})
    assert min(real) <= found.epochs <= max(real)
    assert found.epochs == pytest.approx(sum(real) / len(real), rel=0.2)
    assert "order" in found.basis


def test_batches_of_a_model_let_more_go_on_than_all_at_once() -> None:
    at_once = by_rule(
        searching(**GROUPS["one group"], early_stop=HALVING), forecast(searching(**GROUPS["one group"])), {}
    )
    spec = searching(**BATCHES, seeds=2, early_stop=HALVING)
    assert at_once.epochs < by_rule(spec, forecast(spec), {}).epochs < at_once.asked


@pytest.mark.parametrize("rule", RULES)
def test_a_rehearsal_on_a_run_of_the_same_trials_spends_about_what_a_sweep_spends(rule: str, tmp_path: Path) -> None:
    whole = searching(parameters=GROUPS["one group"]["parameters"])
    trained(tmp_path, whole, 3)
    spec = searching(parameters=GROUPS["one group"]["parameters"], early_stop=RULES[rule])
    real = len(trained(tmp_path / "stopped", spec, 3).rows)
    found = by_recording(spec, forecast(spec), {}, tmp_path / "run3", lanes=8)
    assert found.basis == "rehearsed on the curves of run3, which has 14 of the 14 trials"
    exact = "top_k" in rule or "halving" in rule
    assert found.epochs == (real if exact else pytest.approx(real, rel=0.5))


def test_curves_of_other_trials_and_of_stopped_ones_stand_in_and_short_ones_are_refused(tmp_path: Path) -> None:
    trained(tmp_path, searching(early_stop=HALVING))
    spec = searching(parameters={"optimizer.lr": [0.5, 0.3, 0.2]}, seeds=[7], early_stop=HALVING)
    found = by_recording(spec, forecast(spec), {}, tmp_path / "run0", lanes=2)
    assert found.epochs == 3 * 1 + 1 * 8
    assert "has 0 of the 3 trials; its other curves stand for the rest; of 6 that end early" in found.basis
    longer = searching(trial={"epochs": 10}, early_stop=HALVING)
    with pytest.raises(UsageError, match="at most 9 epochs, the sweep's 10: they say nothing about its end"):
        by_recording(longer, forecast(longer), {}, tmp_path / "run0", lanes=2)


def test_what_diverged_in_the_recording_diverges_in_the_rehearsal(tmp_path: Path) -> None:
    trials = [recorded_trial(lr=lr, seed=0, epochs=3, curve=[0.4, None], status="diverged") for lr in (0.1, 0.01)]
    run = write_ledger(tmp_path / "run", trials)
    spec = searching(
        trial={"epochs": 3},
        parameters={"optimizer.lr": [0.5, 0.4, 0.3, 0.2, 0.1]},
        early_stop={"name": "top_k", "after": 2, "keep": 5},
    )
    found = by_recording(spec, forecast(spec), {}, run, lanes=2)
    assert found.epochs == 2 * 5
    assert found.finished == 0


# Shared epochs


def test_shared_epochs_are_counted_once_and_those_behind_a_stopped_trunk_still(tmp_path: Path) -> None:
    branches = {"b": Branch(trial="a", epoch=4), "c": Branch(trial="b", epoch=6), "d": Branch(trial="a", epoch=2)}
    assert to_train(dict.fromkeys("abcd", 9), branches) == {"a": 9, "b": 5, "c": 3, "d": 7}
    assert to_train({"a": 1, "b": 9, "c": 9, "d": 1}, branches) == {"a": 1, "b": 8, "c": 3, "d": 0}
    assert to_train({"a": 9, "x": 5}, {}) == {"a": 9, "x": 5}


def test_schedules_that_begin_alike_are_planned_as_one_training_and_drawn(tmp_path: Path) -> None:
    step = {"name": "StepLR", "step_size": 5}
    spec = searching(parameters={"schedule": ["none", step], "epochs": [9, 6]}, price=2)
    trials = forecast(spec)
    branches = shared_branches(spec, trials)
    plan = planned(spec, branches=branches)
    assert plan.estimate.expected_epochs == epochs_to_train(trials, branches) == 9 + 4 < plan.estimate.epochs == 30
    text = printed(plan)
    assert "30 asked for, 13 with shared epochs trained once (43 %)" in text
    assert "Shared epochs, trained once: 30 epochs asked for, 13 to train (43 %)" in text
    assert "after 5" in text
    alone = planned(spec)
    assert plan.estimate.device_hours == pytest.approx(alone.estimate.device_hours * 13 / 30)
    assert plan.estimate.disk_bytes > alone.estimate.disk_bytes, "a checkpoint stays where others branch off"
    stopping = planned(spec.model_copy(update={"early_stop": parse_early_stop(HALVING)}), branches=branches)
    assert stopping.estimate.expected_epochs <= 13
    assert "what shares epochs with another trial" in " ".join(plan_notes(stopping))


def test_a_sweep_that_stops_early_and_shares_epochs_trains_what_its_plan_says(tmp_path: Path) -> None:
    schedules = ["none", {"name": "StepLR", "step_size": 4}, {"name": "StepLR", "step_size": 6}]
    spec = searching(parameters={"schedule": schedules, "optimizer.lr": LRS}, early_stop=HALVING)
    trials = forecast(spec)
    found = by_rule(spec, trials, shared_branches(spec, trials))
    real = sum("shared" not in row for row in trained(tmp_path, spec).rows)
    assert found.epochs == pytest.approx(real)
    assert real < found.asked


def test_no_program_is_asked_where_nothing_can_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "read_digests", lambda trials: pytest.fail("asked"))
    for spec in (
        searching(),
        searching(seeds=3, early_stop=HALVING),
        searching(parameters={"epochs": [3, 9]}, share_prefixes=False),
    ):
        assert shared_branches(spec, forecast(spec)) == {}


# Time, disk, money


def test_the_rungs_of_halving_come_one_after_another() -> None:
    levels = [(0, 1, 27.0), (1, 3, 9.0), (3, 9, 3.0)]
    one, two, many = (
        wall_seconds(10, levels=levels, batches=1, slots=slots, packs=slots, start=0) for slots in (1, 2, 100)
    )
    assert one == pytest.approx(10 * (27 + 18 + 18), rel=0.01)
    assert 10 * (14 + 2 * 5 + 6 * 2) < two < one, "half of them, and a pack keeps what chance gives it"
    assert 10 * 9 <= many < 1.2 * 10 * 9, "no sooner than one that trains to its end"
    batches = wall_seconds(10, levels=[(0, 9, 8.0)], batches=4, slots=8, packs=8, start=1)
    assert batches == pytest.approx(4 * 10 * 9, rel=0.02)


@pytest.mark.parametrize(("slots", "packs"), [(1, 1), (2, 2), (2, 9), (4, 4), (30, 30)])
@pytest.mark.parametrize("trials", [1, 4, 9, 100])
def test_the_busiest_slot_has_its_share_at_least_and_all_at_most(slots: int, packs: int, trials: int) -> None:
    assert -(-trials // slots) - 1e-9 <= turns_after_a_rung(trials, slots, packs) <= trials + 1e-9


def test_a_rule_saves_time_and_device_hours_and_what_waits_takes_space() -> None:
    one = {"parameters": {"optimizer": ["SGD", "Adam"], "optimizer.lr": LRS}, "checkpoints": {"keep": ["best"]}}
    whole, halved = (planned(searching(**one, **rule)) for rule in ({}, {"early_stop": HALVING}))
    share = halved.estimate.expected_epochs / whole.estimate.epochs
    assert halved.estimate.device_hours == pytest.approx(share * whole.estimate.device_hours)
    assert halved.estimate.seconds < whole.estimate.seconds
    assert halved.estimate.disk_bytes > whole.estimate.disk_bytes
    passes = sum(map(image_passes, whole.trials))
    assert whole.estimate.device_hours == pytest.approx(passes / prod(whole.estimate.images_per_second.values()) / 3600)


def test_hours_money_and_what_the_budget_ends_are_said_and_numbers_in_json() -> None:
    price = {"per_device_hour": 1.5, "currency": "EUR"}
    hours = planned(searching()).estimate.device_hours
    plan = planned(searching(price=price, budget={"device_hours": hours / 2, "trials": 7, "wall_time": "1 d"}))
    text, numbers = printed(plan), plan_json(plan)["search"]
    assert f"{1.5 * hours:.2f} EUR at 1.5 each; within the budget {0.75 * hours:.2f} EUR" in text
    assert "ends it after" in text
    assert "7 of 7 trials begin; 1 d: enough for about" in text
    assert (numbers["device_hours"], numbers["currency"]) == (hours, "EUR")
    assert numbers["money"] == pytest.approx(1.5 * hours)
    assert numbers["budget_share"] == pytest.approx(0.5)
    assert plan_json(planned(searching()))["search"]["money"] is None
    assert "EUR" not in printed(planned(searching()))


def test_each_part_of_a_search_is_a_line(tmp_path: Path) -> None:
    text = printed(planned(searching(**BATCHES, seeds={"start": 1, "up_to": 4}, early_stop={**HALVING, "first": 3})))
    assert "3 of 6 configurations, each by the results of those before it (sampler tpe)" in text
    assert "after 1 up to 4 where they decide: about " in text
    assert " epochs (0 to " in text
    assert "halving: 14 configurations for 3 epochs" in text
    grouped = planned(searching(**GROUPS["schedules and lengths"], early_stop=HALVING))
    assert "halving, 4 groups of one schedule and one length: in 2 of them 7 configurations for 1 epoch, " in printed(
        grouped
    )
    where = {"optimizer": ["SGD", "Adam"], "optimizer.momentum": {"values": [0, 0.9], "where": {"optimizer": "SGD"}}}
    assert "1 of 4 combinations: they differ only in axes that do not apply" in printed(
        planned(searching(parameters={**where}))
    )


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"early_stop": {"name": "top_k", "after": 2, "keep": 40}}, "early_stop.keep is 40, and the sweep has 7"),
        ({"early_stop": {"name": "median", "after": 2}}, "50% are assumed to end after 2 epochs"),
        (
            {"parameters": {"schedule": ["none", "CosineAnnealingLR"]}, "early_stop": HALVING},
            "2 configurations with a schedule or length of its own",
        ),
    ],
)
def test_what_cannot_act_and_what_is_assumed_is_noted(changes: dict[str, Any], note: str) -> None:
    assert note in " ".join(plan_notes(planned(searching(**changes))))


def test_the_first_stage_alone_has_no_rule_to_forecast() -> None:
    ranged = {"optimizer.lr": {"from": "range_test", "otherwise": [1e-4, 1]}}
    spec = spec_of(searched("random", parameters=ranged, early_stop=HALVING))
    tests = expand(spec)
    assert {trial.type for trial in tests} == {"range_test"}
    assert by_rule(spec, tests, {}).epochs == 0
    assert by_rule(spec, forecast(spec), {}).epochs == 2 * 1 + 1 * 9
