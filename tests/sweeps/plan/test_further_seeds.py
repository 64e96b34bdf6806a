"""What a plan says of further seeds: as many trials as races of such configurations add, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import pytest

from ch6dist.host.hardware import Devices, Gpu
from sweeps.plan.further_seeds import NOISE, SPREAD, Contest, FurtherSeeds, further_seeds
from sweeps.plan.plan import Plan, make_plan, plan_json, plan_notes
from sweeps.plan.recorded import by_recording
from sweeps.plan.search_facts import search_facts
from sweeps.spec.expand import forecast
from sweeps.spec.sections import Seeds
from sweeps.spec.sweep_file import SweepSpec
from tests.support.plans import TWO_CORES
from tests.support.simulated import Simulated
from tests.support.sweep_files import spec_of, sweep

LRS = [0.3 * 0.8**place for place in range(12)]
RACING = {"start": 1, "up_to": 5}


def racing(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {"trial": {"epochs": 3}, "parameters": {"optimizer.lr": LRS}, "seeds": RACING}
    return spec_of(sweep(**{**given, **changes}))


def planned(spec: SweepSpec, **more: Any) -> Plan:
    return make_plan(spec, forecast(spec), devices=TWO_CORES, calibration={}, **more)


def trained(folder: Path, spec: SweepSpec, *, spread: float, noise: float, draw: int) -> Path:
    """A sweep whose learning rates are evenly spread, and whose seeds differ."""

    def value(config: Mapping[str, Any], epoch: int) -> float:
        truth = 0.7 - spread * LRS.index(config["optimizer"]["lr"]) / len(LRS)
        return truth + Random(f"{draw} {config['optimizer']['lr']} {config['seed']}").gauss(0, noise)

    assert Simulated(folder / f"run{draw}", spec, value=value, seed=draw).go()
    return folder / f"run{draw}"


@pytest.mark.parametrize("rule", [None, {"name": "top_k", "after": 1, "keep": 4}])
def test_a_plan_says_how_many_trials_races_add_in_the_mean(rule: Mapping[str, Any] | None, tmp_path: Path) -> None:
    spec = racing(early_stop=rule)
    real = []
    for draw in range(12):
        run = trained(tmp_path, spec, spread=SPREAD, noise=NOISE, draw=draw)
        real.append(sum('"kind":"trial"' in line for line in lines_of(run)) - len(LRS))
    found = planned(spec).course.further
    assert min(real) < found.trials < max(real)
    assert found.trials == pytest.approx(fmean(real), rel=0.25)


def lines_of(run: Path) -> list[str]:
    return [line.replace(" ", "") for path in sorted((run / "ledger").iterdir()) for line in path.open()]


def test_what_further_seeds_cost_is_in_the_time_the_hours_the_disk_and_the_budget() -> None:
    plans = {text: planned(racing(**seeds)) for text, seeds in {"one": {"seeds": 1}, "racing": {}}.items()}
    one, raced = plans["one"].estimate, plans["racing"].estimate
    course = plans["racing"].course
    assert course.further_epochs == pytest.approx(3 * course.further.trials)
    assert raced.device_hours / one.device_hours == pytest.approx(1 + course.further.trials / len(LRS))
    assert raced.seconds > one.seconds
    assert raced.disk_bytes > one.disk_bytes
    hours = {"budget": {"device_hours": one.device_hours}}
    assert planned(racing(**hours)).outlook.budget_share == pytest.approx(one.device_hours / raced.device_hours)
    numbers = plan_json(plans["racing"])["search"]
    assert numbers["further_trials_expected"] == course.further.trials < numbers["further_trials"][1] == 4 * len(LRS)
    assert plan_json(plans["one"])["search"]["further_trials_expected"] is None


def test_what_races_come_to_is_their_mean() -> None:
    found = FurtherSeeds(((3, 1), (2, 2)))
    assert (found.trials, found.mean(lambda trials: -(-trials // 2)), found.mean(lambda trials: 1)) == (4, 2.5, 2)
    assert FurtherSeeds().trials == 0


def test_a_round_of_few_lanes_takes_a_gpu_longer_than_their_share_of_a_full_pack() -> None:
    """As long as a sweep of as many trials would; on cores each lane takes the same."""
    few, many = racing(parameters={"optimizer.lr": LRS[:2]}, seeds=1), racing(seeds={"start": 1, "up_to": 2})
    one_gpu = Devices(cpus=16, memory_bytes=128_000_000_000, gpus=(Gpu("NVIDIA H200", 150_000_000_000),))
    for devices in (one_gpu, TWO_CORES):
        plan, pair = (make_plan(s, forecast(s), devices=devices, calibration={}) for s in (many, few))
        hours = plan.estimate.device_hours - planned_hours(many, devices)
        of_five = pair.estimate.device_hours / 2 * plan.course.further.trials
        assert hours == pytest.approx(of_five, rel=0.5)
        assert hours > 0


def planned_hours(spec: SweepSpec, devices: Any) -> float:
    """Without further seeds."""
    alone = racing(seeds=1)
    return make_plan(alone, forecast(alone), devices=devices, calibration={}).estimate.device_hours


def test_the_closer_configurations_lie_and_the_less_is_equivalent_the_more_seeds_follow() -> None:
    def trials(behind: float, *, margin: float | None = None, **seeds: int) -> float:
        contest = Contest(tuple(behind * place for place in range(6)), 0.01)
        return further_seeds(Seeds(**{**RACING, **seeds}), contest, margin=margin).trials

    assert 0 < trials(0.1) < trials(0.02) < trials(0.005) <= 6 * 4
    assert trials(0.005, margin=0.1) < trials(0.005, margin=0.005)
    assert trials(0.005) < trials(0.005, up_to=9)
    assert trials(0.1, start=3) == 0


@pytest.mark.parametrize("finished", [0, 1])
def test_where_none_or_one_is_left_no_seed_follows(finished: int) -> None:
    contest = Contest.evenly_spread([(20, finished)])
    assert further_seeds(Seeds(**RACING), contest, margin=None).trials == 0


def test_a_plan_says_so_where_early_stopping_leaves_one() -> None:
    plan = planned(racing(early_stop={"name": "top_k", "after": 1, "keep": 1}))
    assert plan_json(plan)["search"]["further_trials"] == [0, 0]
    assert ("further seeds", "after 1 up to 5 where they decide: none, as fewer than two are left") in search_facts(
        plan.outlook
    )


def test_of_groups_that_are_never_compared_the_best_ones_of_each_race() -> None:
    assert Contest.evenly_spread([(10, 2), (4, 1.4)]).behind == (0, 0, SPREAD / 10)


def test_thousands_of_configurations_race_too() -> None:
    found = further_seeds(Seeds(**RACING), Contest.evenly_spread([(3000, 3000.0)]), margin=0.005)
    assert 100 < found.trials < 4 * 3000


def test_curves_of_a_run_tell_how_close_its_configurations_lie(tmp_path: Path) -> None:
    spec = racing()
    for draw, spread in enumerate((0.02, 0.8)):
        trained(tmp_path, racing(seeds=3), spread=spread, noise=NOISE, draw=draw)
    near, far = (
        planned(spec, found=by_recording(spec, forecast(spec), {}, tmp_path / run, lanes=2)) for run in ("run0", "run1")
    )
    assert near.course.further.trials > far.course.further.trials
    assert "configurations that lie as far apart as their recorded curves" in " ".join(plan_notes(near))


def test_of_a_loss_the_smaller_ones_are_the_better(tmp_path: Path) -> None:
    """Two far ahead and ten at chance: whichever the metric, hardly anyone has to be told from the best."""

    def value(config: Mapping[str, Any], epoch: int) -> float:
        place = LRS.index(config["optimizer"]["lr"])
        ahead = (0.0, 0.3, *[0.9] * 10)[place]
        return 1.0 + ahead + Random(f"{place} {config['seed']}").gauss(0, NOISE)

    loss = {"metric": {"name": "val_loss", "goal": "minimize"}}
    assert Simulated(tmp_path / "loss", racing(seeds=3, **loss), value=value).go()
    spec = racing(**loss)
    contest = by_recording(spec, forecast(spec), {}, tmp_path / "loss", lanes=2).contest
    assert contest.behind[:3] == pytest.approx((0, 0.3, 0.9), abs=0.05)
    assert contest.noise == pytest.approx(NOISE, rel=0.5)


def test_a_few_curves_that_stand_for_many_leave_no_ties() -> None:
    few = Contest.of_scores([[0.5, 0.52], [0.4, 0.42], [0.3, 0.32]], count=5)
    assert few is not None
    assert few.behind == pytest.approx((0, 0.05, 0.1, 0.15, 0.2))


def test_curves_of_one_seed_tell_nothing_and_usual_distances_are_assumed(tmp_path: Path) -> None:
    trained(tmp_path, racing(seeds=1), spread=0.5, noise=NOISE, draw=0)
    found = by_recording(racing(), forecast(racing()), {}, tmp_path / "run0", lanes=2)
    assert found.contest == Contest.evenly_spread([(12, 12)])
    assert "as far apart as LeNet-5's on CIFAR-100" in " ".join(plan_notes(planned(racing(), found=found)))


def test_no_margin_of_a_loss_is_compared_with_assumed_accuracies() -> None:
    loss = {"metric": {"name": "val_loss", "goal": "minimize"}}
    plain, generous = (planned(racing(**loss, **margin)).course.further for margin in ({}, {"margin": 0.3}))
    assert plain == generous
