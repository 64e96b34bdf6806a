"""A contest of optimizers: who reaches the target first, what the tuning gains, and when it is no fair one (yet)."""

from __future__ import annotations

import math
import random
from statistics import mean, median
from typing import Any

import pytest

from analysis.study.contest import Contest, contest_of
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.errors import InputError, UsageError
from tests.support.contests import three
from tests.support.ledgers import range_trial, trial, write_ledger

DEFAULTS = {"SGD": 0.001, "Adam": 0.001, "RMSprop": 0.01, "Adamax": 0.002}  # torch's


def contest(folder, trials, target=None, **sweep) -> Contest:
    return contest_of(analyse(load_study([write_ledger(folder, trials, **sweep)])), target=target)


def row(found: Contest, name: str) -> dict[str, Any]:
    return dict(found.table.set_index("optimizer").loc[name])


def test_the_fastest_trial_of_a_heat_counts_and_over_heats_the_median(tmp_path):
    found = contest(tmp_path, three())
    assert found.target == pytest.approx(0.50)
    assert found.rule == "the mean score of untuned Adam (lr 0.001) over 3 seeds"
    times = found.heats.set_index(["optimizer", "heat"])["epochs"]
    assert [times[("Adam", heat)] for heat in range(3)] == [3, 5, 6]
    assert [times[("SGD", heat)] for heat in range(3)] == [math.inf, 3, 2]
    assert list(found.table["optimizer"]) == ["SGD", "Adam", "RMSprop"]
    assert list(found.table["epochs"]) == [3, 5, math.inf]
    assert list(found.table["epochs_low"]) == [2, 3, math.inf]
    assert list(found.table["epochs_high"]) == [math.inf, 6, math.inf]
    assert list(found.table["seconds"]) == [6, 15, math.inf]
    assert list(found.table["in_time"]) == [2, 3, 0]
    assert found.warnings == ()


def test_what_tuning_gains_is_the_best_of_a_heat_over_its_default(tmp_path):
    found = contest(tmp_path, three())
    adam, sgd = row(found, "Adam"), row(found, "SGD")
    assert (adam["best"], adam["untuned"]) == pytest.approx((mean([0.50, 0.52, 0.49]), 0.50))
    assert (sgd["best"], sgd["untuned"]) == pytest.approx((mean([0.05, 0.50, 0.50]), 0.05))
    assert (adam["gain"], sgd["gain"]) == pytest.approx((0.01 / 3, 0.30))
    assert adam["untuned_label"] == "Adam · lr 1e-3"
    assert (adam["untuned_epochs"], sgd["untuned_epochs"]) == (5, math.inf)
    assert (adam["reached"], adam["counted"], sgd["reached"], sgd["diverged"]) == (4, 6, 2, 1)


def test_a_stated_target_moves_times_and_no_score(tmp_path):
    easy = contest(tmp_path, three(), target=0.2)
    assert easy.rule == "as stated"
    assert list(easy.table["optimizer"]) == ["RMSprop", "Adam", "SGD"]  # SGD as fast as Adam, in two heats of three
    assert list(easy.table["epochs"]) == [1, 2, 2]
    assert row(easy, "Adam")["best"] == row(contest(tmp_path / "again", three()), "Adam")["best"]


@pytest.mark.parametrize("target", [0.0, 1.0, 23.4, -0.1, math.nan, math.inf])
def test_a_target_that_no_accuracy_can_be_is_refused(target, tmp_path):
    with pytest.raises(InputError, match=r"--target.*a fraction above 0 and below 1"):
        contest(tmp_path, three(), target=target)


def test_without_untuned_adam_a_target_has_to_be_stated(tmp_path):
    tuned = [item for item in three() if item.config.optimizer["lr"] != DEFAULTS[item.config.optimizer["name"]]]
    with pytest.raises(UsageError, match="no target: Adam with its defaults") as error:
        contest(tmp_path, tuned)
    assert "--target" in str(error.value)
    assert math.isnan(row(contest(tmp_path / "stated", tuned, target=0.5), "Adam")["untuned"])


def test_one_optimizer_or_none_is_no_contest(tmp_path):
    adam = [item for item in three() if item.config.optimizer["name"] == "Adam"]
    for name, trials in (("one", adam), ("none", []), ("tests", [range_trial(losses=[1.0], lrs=[0.1])])):
        with pytest.raises(UsageError, match="no contest"):
            contest(tmp_path / name, trials)


def test_unequal_budgets_are_said_and_counted_all_the_same(tmp_path):
    more = contest(tmp_path / "more", [*three(), trial("Adam", lr=0.03, seed=1, curve=[0.6] * 6)])
    (said,) = more.warnings
    assert said == "budgets are not equal: Adam has 3 tuning trials in heat 1, Adam 2 in heat 0"
    assert row(more, "Adam")["epochs"] == 3
    longer = [*three()[:-1], trial("RMSprop", lr=0.1, seed=2, curve=[0.25] * 9)]
    assert "RMSprop has 15 planned epochs in heat 2" in contest(tmp_path / "longer", longer).warnings[0]
    fewer = [item for item in three() if (item.config.optimizer["name"], item.config.seed) != ("SGD", 2)]
    assert "Adam has 3 heats, SGD 2" in contest(tmp_path / "fewer", fewer).warnings[0]


@pytest.mark.parametrize("status", ["running", None, "failed", "paused"])
def test_a_heat_counts_when_all_of_its_trials_have_ended(status, tmp_path):
    trials = three()
    open_trial = trial("SGD", lr=0.1, seed=2, curve=[] if status is None else [0.1, 0.5], status=status, epochs=6)
    found = contest(tmp_path, [open_trial if t.config == open_trial.config else t for t in trials])
    sgd = row(found, "SGD")
    assert (sgd["complete"], sgd["heats"], sgd["in_time"], sgd["counted"]) == (2, 3, 1, 5)
    assert sgd["epochs"] == math.inf  # of ∞ and 3
    assert math.isnan(found.heats.set_index(["optimizer", "heat"])["epochs"][("SGD", 2)])
    assert found.heats.groupby("heat")["ratio"].apply(lambda ratio: ratio.isna().all()).tolist() == [False, False, True]
    assert found.warnings[0].startswith(
        "1 of 9 heats, each optimizer's counted, have not ended (1 trial left or failed)"
    )
    assert sgd["inside"] is None or math.isnan(sgd["inside"])


def test_a_target_that_may_still_move_is_said(tmp_path):
    trials = three()
    trials[2] = trial("Adam", lr=0.001, seed=2, curve=[0.1], status="running", epochs=6)
    found = contest(tmp_path, trials)
    assert found.target == pytest.approx(0.51)
    assert found.warnings[0] == "the target is the mean of 2 of 3 seeds, and may still move"


def test_a_stopped_trial_counts_as_far_as_it_came_and_has_no_score(tmp_path):
    trials = [
        trial("SGD", lr=0.1, seed=2, curve=[0.1, 0.9], status="stopped", epochs=6)
        if (t.config.optimizer["name"], t.config.optimizer["lr"], t.config.seed) == ("SGD", 0.1, 2)
        else t
        for t in three()
    ]
    found = contest(tmp_path, trials)
    heat = found.heats.set_index(["optimizer", "heat"]).loc[("SGD", 2)]
    assert (heat["epochs"], heat["best"], heat["stopped"], heat["complete"]) == (2, 0.05, 1, True)


def test_what_is_no_number_never_reaches_a_target(tmp_path):
    curve = [None, math.nan, 0.3, 0.7, None, 0.2]
    trials = [trial("SGD", seed=0, curve=curve), trial("Adam", lr=0.001, seed=0, curve=[0.1, 0.2, math.nan])]
    found = contest(tmp_path, trials, target=0.5)
    assert (row(found, "SGD")["epochs"], row(found, "Adam")["epochs"]) == (4, math.inf)
    assert math.isnan(row(found, "SGD")["best"])


def test_one_heat_says_that_it_is_one(tmp_path):
    found = contest(tmp_path, [item for item in three() if item.config.seed == 0])
    assert list(found.table["optimizer"]) == ["Adam", "RMSprop", "SGD"]  # behind the target by the best score
    assert found.warnings == ("one heat says nothing about chance: take more seeds",)
    assert found.table["inside"].isna().all()


def test_where_nobody_reaches_the_target_the_best_scores_rank(tmp_path):
    found = contest(tmp_path, three(), target=0.9)
    assert list(found.table["epochs"]) == [math.inf] * 3
    assert list(found.table["optimizer"]) == ["Adam", "SGD", "RMSprop"]
    assert found.warnings == ("nobody has reached the target: take a lower one (--target), or more epochs",)
    assert set(found.heats["ratio"]) == {math.inf}


def test_a_loss_is_reached_from_above(tmp_path):
    metric = {"spec": {"metric": {"name": "val_loss", "goal": "minimize"}}}
    found = contest(tmp_path, three(), **metric)
    assert found.target == pytest.approx(-mean([math.log(0.50), math.log(0.52), math.log(0.48)]))
    assert row(found, "SGD")["epochs"] == 3
    assert row(found, "SGD")["gain"] == pytest.approx(mean([0, *[math.log(0.5 / 0.05)] * 2]))


def test_fresh_seeds_and_final_trainings_take_no_part(tmp_path):
    beside = [
        trial("SGD", lr=0.1, seed=7, curve=[0.9] * 6, confirms=("set", 1)),
        trial("SGD", lr=0.1, seed=8, curve=[0.9] * 6, evaluate_test=True),
    ]
    assert contest(tmp_path / "a", [*three(), *beside]).table.equals(contest(tmp_path / "b", three()).table)


def test_untuned_is_all_that_was_tuned_as_the_catalog_has_it(tmp_path):
    """Of a weight decay that was swept too the default is 0; momentum that all share is part of the contestant."""
    trials = [
        trial("SGD", lr=lr, seed=0, curve=[score] * 6, parameters={"momentum": 0.9, "weight_decay": decay})
        for lr, decay, score in [(0.1, 0.0, 0.3), (0.001, 0.1, 0.4), (0.001, 0.0, 0.2)]
    ]
    trials += [
        trial("Adam", lr=lr, seed=0, curve=[0.5] * 6, parameters={"weight_decay": w})
        for lr in (0.001, 0.01)
        for w in (0.0, 0.1)
    ]
    found = contest(tmp_path, trials, spec={"parameters": {"optimizer.weight_decay": {}}})
    assert set(found.table["optimizer"]) == {"Adam", "SGD momentum 0.9"}
    assert row(found, "SGD momentum 0.9")["untuned"] == pytest.approx(0.2)


def test_seconds_that_do_not_compare_are_said(tmp_path):
    trials = [
        trial("Adam", lr=0.001, seed=seed, curve=[0.5] * 3) for seed in (0, 1)
    ] + [
        trial("SGD", lr=0.1, seed=seed, curve=[0.6] * 3, columns={"lanes": [8] * 3}) for seed in (0, 1)
    ]  # fmt: skip
    assert contest(tmp_path, trials).warnings == (
        "seconds are no comparison: lanes or devices differ, or seconds are missing",
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_contest_is_what_plain_loops_make_of_it(seed, tmp_path):
    rng, trials = random.Random(seed), []
    plain: dict[str, dict[int, list[list[float]]]] = {}
    for name, default in DEFAULTS.items():
        for lr in (default, 3 * default, 10 * default):
            for heat in range(3):
                curve = [round(rng.uniform(0.1, 0.9), 3) for _ in range(6)]
                trials.append(trial(name, lr=lr, seed=heat, curve=curve))
                plain.setdefault(name, {}).setdefault(heat, []).append(curve)
    found = contest(tmp_path, trials)
    target = mean(mean(curves[0][-2:]) for curves in plain["Adam"].values())
    assert found.target == pytest.approx(target)
    for name, heats in plain.items():
        times = [
            min(next((epoch for epoch, y in enumerate(curve, 1) if y >= found.target), math.inf) for curve in curves)
            for curves in heats.values()
        ]
        bests = [max(mean(curve[-2:]) for curve in curves) for curves in heats.values()]
        its = row(found, name)
        assert (its["epochs"], its["epochs_high"]) == (median(times), max(times))
        assert its["best"] == pytest.approx(mean(bests))
        reached = sum(max(curve) >= found.target for curves in heats.values() for curve in curves)
        assert its["share"] == pytest.approx(reached / 9)
        assert its["gain"] >= 0
    assert list(found.table["epochs"]) == sorted(found.table["epochs"])


def test_of_trials_that_are_equally_fast_the_higher_one_stands_for_the_heat(tmp_path):
    peaks = {0.1: 0.6, 0.2: 0.7, 0.3: 0.65}
    trials = [trial("SGD", lr=lr, curve=[0.1, peak, 0.1], seconds=10 * lr) for lr, peak in peaks.items()]
    found = contest(tmp_path, [*trials, trial("Adam", lr=0.001, curve=[0.5] * 3)])
    heat = found.heats.set_index("optimizer").loc["SGD"]
    assert (heat["epochs"], heat["seconds"], heat["fastest"]) == (2, pytest.approx(4), "SGD · lr 0.2")


def test_equal_medians_are_ranked_by_the_heats_in_time_before_the_scores(tmp_path):
    def of(name, lr, ends):
        return [trial(name, lr=lr, seed=seed, curve=[0.1, end, end]) for seed, end in enumerate(ends)]

    trials = [*of("Adam", 0.001, [0.5, 0.5, 0.5]), *of("SGD", 0.1, [0.9, 0.9, 0.4]), *of("RMSprop", 0.1, [0.7] * 3)]
    found = contest(tmp_path, trials)
    assert list(found.table["epochs"]) == [2, 2, 2]
    assert list(found.table["optimizer"]) == ["RMSprop", "Adam", "SGD"]  # SGD's mean is the highest
