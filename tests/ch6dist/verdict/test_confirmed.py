"""From a ledger with a confirmation to a verdict: who is compared, on which scores, and by which margin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.ledger import read
from ch6dist.runs.ranking import rank
from ch6dist.runs.schema import Metric
from ch6dist.verdict.candidates import candidates, margin_of, verdict_of
from tests.support.ledgers import HandTrial, trial, write_ledger

FIRST = ("set", 1)


def seeds(lr: float, *scores: float, first: int = 0, confirms: tuple[str, int] | None = None) -> list[HandTrial]:
    return [trial(lr=lr, seed=first + n, curve=[score] * 3, confirms=confirms) for n, score in enumerate(scores)]


SWEEP = [*seeds(0.1, 0.50, 0.52, 0.51), *seeds(0.2, 0.49, 0.51, 0.50), *seeds(0.3, 0.48, 0.50, 0.49)]
SWEEP += [*seeds(0.001, 0.20, 0.22, 0.21)]
FRESH = [*seeds(0.1, 0.44, 0.45, 0.46, first=3, confirms=FIRST), *seeds(0.2, 0.47, 0.48, 0.46, first=3, confirms=FIRST)]
DEFAULT = seeds(0.001, 0.21, 0.22, 0.20, first=3, confirms=("default", 1))


def lr_of(configuration: str) -> float:
    return float(configuration.split("-lr")[1].rpartition("-")[0])


def test_before_a_confirmation_all_are_compared_on_the_seeds_of_the_sweep(tmp_path: Path) -> None:
    verdict = verdict_of(read(write_ledger(tmp_path, SWEEP)))
    assert not verdict.fresh
    assert [lr_of(member.configuration) for member in verdict.compared] == [0.1, 0.2, 0.3, 0.001]
    assert verdict.expected is not None


def test_after_it_the_confirmed_are_compared_on_fresh_seeds_and_no_other_comes_back(tmp_path: Path) -> None:
    verdict = verdict_of(read(write_ledger(tmp_path, [*SWEEP, *FRESH, *DEFAULT])))
    assert verdict.fresh
    assert [lr_of(member.configuration) for member in verdict.compared] == [0.2, 0.1, 0.001]
    assert [member.mean for member in verdict.compared] == pytest.approx([0.47, 0.45, 0.21])
    assert [member.n for member in verdict.compared] == [3, 3, 3]
    assert verdict.expected is None, "fresh means are not too high"
    assert lr_of(verdict.leader or "") == 0.2


def test_a_confirmation_that_goes_on_changes_no_verdict(tmp_path: Path) -> None:
    waiting = [trial(lr=0.2, seed=6, epochs=3, status=None, confirms=FIRST)]
    begun, before = (
        verdict_of(read(write_ledger(tmp_path / name, trials)))
        for name, trials in (("begun", [*SWEEP, *FRESH, *waiting]), ("before", SWEEP))
    )
    assert begun.confirming
    assert replace(begun, confirming=False) == before


def test_a_fresh_seed_that_failed_leaves_its_configuration_open_and_one_that_diverged_puts_it_out(
    tmp_path: Path,
) -> None:
    for status in ("failed", "diverged"):
        last = [trial(lr=0.2, seed=6, curve=[0.9], epochs=3, status=status, confirms=FIRST)]
        ledger = read(write_ledger(tmp_path / status, [*SWEEP, *FRESH, *last]))
        found = {lr_of(c.configuration): c for c in candidates(ledger, rank(ledger))}
        assert (found[0.2].missing, found[0.2].diverged) == (("", 1) if status == "diverged" else ("failed", 0))
        verdict = verdict_of(ledger)
        out = verdict.diverged if status == "diverged" else [item.configuration for item in verdict.unfinished]
        assert [lr_of(name) for name in out] == [0.2]
        assert lr_of(verdict.leader or "") == 0.1


def test_the_leader_of_the_verdict_is_the_first_of_the_ranking(tmp_path: Path) -> None:
    ahead = seeds(0.001, 0.60, 0.61, 0.62, first=3, confirms=("default", 1))
    for name, trials in (("sweep", SWEEP), ("set", [*SWEEP, *FRESH]), ("default", [*SWEEP, *FRESH, *ahead])):
        ledger = read(write_ledger(tmp_path / name, trials))
        assert verdict_of(ledger).leader == rank(ledger)[0].configuration


@pytest.mark.parametrize(
    ("spec", "metric", "margin"),
    [
        ({}, "val_accuracy", 0.005),
        ({"margin": 0.02}, "val_accuracy", 0.02),
        ({"margin": 0}, "val_accuracy", 0),
        ({}, "val_loss", None),
        ({"metric": {"name": "val_loss"}, "margin": 0.1}, "val_loss", 0.1),
        ({"metric": {"name": "val_loss"}, "margin": 0.1}, "val_accuracy", 0.005),  # in the unit of another metric
    ],
)
def test_the_margin_is_the_sweeps_else_half_a_point_of_an_accuracy(
    spec: dict[str, object], metric: str, margin: float | None
) -> None:
    assert margin_of(spec, Metric(metric)) == margin


def test_a_configuration_with_a_diverged_seed_is_out_although_another_seed_is_open(tmp_path: Path) -> None:
    burst = trial(lr=0.7, seed=0, curve=[0.9], epochs=3, status="diverged")
    verdict = verdict_of(read(write_ledger(tmp_path, [*SWEEP, burst, trial(lr=0.7, seed=1, epochs=3, status=None)])))
    assert (verdict.unfinished, [lr_of(name) for name in verdict.diverged]) == ((), [0.7])


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_confirmation_of_which_nothing_is_of_use_leaves_the_verdict_to_the_seeds_of_the_sweep(
    status: str, tmp_path: Path
) -> None:
    useless = [trial(lr=lr, seed=3, curve=[0.4], epochs=3, status=status, confirms=FIRST) for lr in (0.1, 0.2)]
    ledger = read(write_ledger(tmp_path, [*SWEEP, *useless, *DEFAULT]))
    verdict = verdict_of(ledger)
    assert not verdict.fresh
    assert [lr_of(member.configuration) for member in verdict.compared] == [0.3, 0.001]
    assert verdict.leader == rank(ledger)[0].configuration


def test_what_may_yet_win_is_named_beside_a_confirmation(tmp_path: Path) -> None:
    rival = [*seeds(0.4, 0.60, 0.61), trial(lr=0.4, seed=2, curve=[0.6], epochs=3, status="failed")]
    verdict = verdict_of(read(write_ledger(tmp_path, [*SWEEP, *rival, *FRESH])))
    assert verdict.fresh
    assert [lr_of(item.configuration) for item in verdict.unfinished] == [0.4]
    assert verdict.before == 2


@pytest.mark.parametrize(
    ("simple", "other"),
    [
        ({}, {"parameters": {"momentum": 0.9}}),
        ({"parameters": {"momentum": 0.9}}, {"parameters": {"momentum": 0.9, "nesterov": True}}),
        ({}, {"label_smoothing": 0.1}),
        ({"schedule": "CosineAnnealingLR"}, {"schedule": {"name": "StepLR", "step_size": 2, "gamma": 0.5}}),
        ({"schedule": "CosineAnnealingLR"}, {"schedule": {"name": "CosineAnnealingLR", "warmup": {"epochs": 1}}}),
    ],
)
def test_the_simpler_configuration_has_fewer_settings_beyond_the_defaults(
    simple: dict[str, Any], other: dict[str, Any], tmp_path: Path
) -> None:
    trials = [trial(seed=0, curve=[0.1] * 3, **simple), trial(seed=0, curve=[0.2] * 3, **other)]
    ledger = read(write_ledger(tmp_path, trials))
    by_score = sorted(candidates(ledger, rank(ledger)), key=lambda candidate: candidate.scores)
    assert by_score[0].parts < by_score[1].parts
