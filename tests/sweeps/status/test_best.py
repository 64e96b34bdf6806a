"""The configuration to train next: the verdict's choice, and why where it is not the leader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.config import parse_trial
from sweeps.launch.final import plan_final
from sweeps.status.best import best, best_yaml, remarks
from tests.support.ledgers import SWEEP, HandTrial, trial, write_ledger


def seeds(lr: float, *scores: float, first: int = 0, **how: Any) -> list[HandTrial]:
    return [trial(lr=lr, seed=first + n, curve=[score] * 3, **how) for n, score in enumerate(scores)]


def write(folder: Path, *trials: list[HandTrial], **spec: Any) -> Path:
    return write_ledger(folder, [item for group in trials for item in group], spec={**SWEEP["spec"], **spec})


SLOW = seeds(0.1, 0.501, 0.502, 0.503, seconds=8.0)
FAST = seeds(0.2, 0.500, 0.501, 0.502, seconds=2.0)
FAR = [*seeds(0.3, 0.400, 0.401, 0.402), *seeds(0.4, 0.300, 0.301, 0.302)]


def test_of_equivalent_configurations_the_cheaper_is_chosen_and_that_is_said_in_a_line(tmp_path: Path) -> None:
    run = write(tmp_path, SLOW, FAST, FAR)
    found = best(run)
    assert parse_trial(found["trial"]).optimizer["lr"] == 0.2
    [said] = remarks(found)
    why = "they differ by less than 0.50 points, and it takes less time"
    assert said == f"SGD · lr 0.2 is chosen, not SGD · lr 0.1, which leads: {why}"
    assert f"# why: {said}" in best_yaml(found)


def test_of_equal_cost_the_simpler_is_chosen(tmp_path: Path) -> None:
    plain, momentum = (
        seeds(0.1, *(s + shift for s in (0.5, 0.501, 0.502)), parameters=parameters)
        for shift, parameters in ((0.0, {}), (0.001, {"momentum": 0.9, "weight_decay": 5e-4}))
    )
    found = best(write(tmp_path, momentum, plain, FAR))
    assert parse_trial(found["trial"]).optimizer["momentum"] == 0
    assert "has fewer settings" in found["why"]


@pytest.mark.parametrize("margin", [0, 0.0001])
def test_a_smaller_margin_of_the_sweep_keeps_the_leader(tmp_path: Path, margin: float) -> None:
    found = best(write(tmp_path, SLOW, FAST, FAR, margin=margin))
    assert parse_trial(found["trial"]).optimizer["lr"] == 0.1
    assert remarks(found) == ()


def test_with_one_seed_each_the_leader_by_score_is_chosen(tmp_path: Path) -> None:
    found = best(write(tmp_path, SLOW[2:], FAST[2:], FAR[:1]))
    assert (parse_trial(found["trial"]).optimizer["lr"], remarks(found)) == (0.1, ())


def test_where_nothing_learned_the_first_is_handed_out_with_a_warning(tmp_path: Path) -> None:
    found = best(write(tmp_path, seeds(0.1, 0.010, 0.011), seeds(0.2, 0.009, 0.010)))
    assert parse_trial(found["trial"]).optimizer["lr"] == 0.1
    assert remarks(found) == ("no configuration learned more than chance: this one came first by chance alone",)


def test_what_diverged_once_is_handed_out_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    burst = [trial(lr=0.1, seed=9, curve=[0.9], epochs=3, status="diverged")]
    assert best(write(tmp_path / "a", SLOW, burst))["note"] == "1 of 4 diverged"
    assert parse_trial(best(write(tmp_path / "b", SLOW, burst, FAR))["trial"]).optimizer["lr"] == 0.3


def test_after_a_confirmation_fresh_seeds_choose_and_the_file_still_has_the_first_seed(tmp_path: Path) -> None:
    fresh = [
        seeds(lr, *scores, first=5, confirms=("set", 1)) for lr, scores in ((0.1, (0.3, 0.32)), (0.2, (0.4, 0.42)))
    ]
    found = best(write(tmp_path, SLOW, FAST, FAR, *fresh))
    assert (found["score"], found["confirmed"]) == (pytest.approx(0.41), True)
    text = best_yaml(found)
    assert "over 2 of 2 fresh seeds" in text
    assert parse_trial(yaml.safe_load(text)) == FAST[0].config


CHOSEN_DEFAULT = [  # by fresh seeds it is equivalent to the set and takes less time; in the sweep it was far behind
    *seeds(0.001, 0.30, 0.31, 0.32, seconds=1.0),
    *seeds(0.001, 0.450, 0.451, 0.452, first=5, seconds=1.0, confirms=("default", 1)),
]
SET = [
    *seeds(0.1, 0.451, 0.452, 0.453, first=5, seconds=8.0, confirms=("set", 1)),
    *seeds(0.2, 0.40, 0.41, 0.402, first=5, seconds=8.0, confirms=("set", 1)),
]


def test_a_choice_by_fresh_seeds_is_handed_out_with_their_scores(tmp_path: Path) -> None:
    set_alone = [item for item in SET if item.config.optimizer["lr"] == 0.1]  # no other of the set is beaten
    run = write(tmp_path / "run", SLOW, FAR, CHOSEN_DEFAULT, set_alone)
    found = best(run)
    assert parse_trial(found["trial"]).optimizer["lr"] == 0.001
    assert found["scores"] == pytest.approx([0.450, 0.451, 0.452])
    assert (found["score"], found["seeds"], found["confirmed"]) == (pytest.approx(0.451), 3, True)
    assert "score: 0.451 over 3 of 3 fresh seeds" in best_yaml(found)
    assert "0.451 over 3 fresh seeds by" in plan_final(str(run)).source


@pytest.mark.parametrize(
    ("status", "cause"),
    [("diverged", "a fresh seed of it diverged"), ("failed", "a fresh seed of it failed")],
)
def test_what_led_and_lost_a_fresh_seed_is_named_with_the_cause(tmp_path: Path, status: str, cause: str) -> None:
    fresh = [
        *seeds(0.1, 0.48, 0.49, first=5, confirms=("set", 1)),
        trial(lr=0.1, seed=7, curve=[0.4], epochs=3, status=status, confirms=("set", 1)),
        *seeds(0.2, 0.40, 0.41, 0.42, first=5, confirms=("set", 1)),
    ]
    found = best(write(tmp_path, SLOW, FAST, FAR, fresh))
    assert parse_trial(found["trial"]).optimizer["lr"] == 0.2
    assert remarks(found) == (f"SGD · lr 0.2 is chosen, not SGD · lr 0.1, whose score is better: {cause}",)


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("diverged", "diverged"),
        ("out_of_memory", "failed"),
        ("stopped", "was stopped early"),
        ("running", "has not finished"),
    ],
)
def test_before_a_confirmation_the_seeds_of_the_sweep_are_named(tmp_path: Path, status: str, cause: str) -> None:
    lost = [*seeds(0.5, 0.8, 0.8), trial(lr=0.5, seed=2, curve=[0.4], epochs=3, status=status)]
    found = best(write(tmp_path, SLOW, FAR, lost))
    assert found["why"] == f"SGD · lr 0.1 is chosen, not SGD · lr 0.5, whose score is better: a seed of it {cause}"
    behind = [*seeds(0.5, 0.2, 0.2), trial(lr=0.5, seed=2, curve=[0.1], epochs=3, status=status)]
    assert best(write(tmp_path / "behind", SLOW, FAR, behind))["why"] == ""


def test_of_a_loss_the_smaller_score_is_the_better_one(tmp_path: Path) -> None:
    lost = [*seeds(0.5, 0.8), trial(lr=0.5, seed=2, curve=[0.4], epochs=3, status="diverged")]
    found = best(write(tmp_path, SLOW, FAR, lost, metric={"name": "val_loss"}))
    assert "not SGD · lr 0.5, whose score is better: a seed of it diverged" in found["why"]


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_where_the_set_was_confirmed_in_vain_nothing_is_said_of_chance(tmp_path: Path, status: str) -> None:
    fresh = [trial(lr=lr, seed=5, curve=[0.4], epochs=3, status=status, confirms=("set", 1)) for lr in (0.1, 0.2)]
    beside = seeds(0.001, 0.45, 0.451, first=5, confirms=("default", 1))
    for name, more in (("alone", []), ("beside", beside)):
        found = best(write(tmp_path / name, SLOW, FAST, FAR, CHOSEN_DEFAULT[:3], fresh, more))
        assert "chance" not in found["why"]
        assert found["score"] == pytest.approx(sum(found["scores"]) / len(found["scores"]))
