"""The benchmark of early stopping counts right: recordings are read as they were, and a rule's spending is exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.early_stopping import CURVES, METRIC, Grid, cells, rules
from benchmarks.recorded import Curve, grid_verdict, read_curves, replay, write_curves
from ch6dist.runs.ledger import read
from ch6dist.verdict.candidates import verdict_of
from sweeps.spec.early_stop import RULES, parse_early_stop
from tests.support.ledgers import trial, twelve, write_ledger


def curve(name: str, seed: int, values: list[float], seconds: float = 1.0) -> Curve:
    return Curve(name, seed, {"val_accuracy": list(values), "val_loss": [1.0] * len(values)}, [seconds] * len(values))


def ten(epochs: int = 6) -> list[Curve]:
    """Ten configurations × 2 seeds, the later the better from the first epoch on."""
    return [
        curve(f"c{i}", seed, [0.01 * (i + 1) + 0.001 * seed + 0.01 * epoch for epoch in range(epochs)])
        for i in range(10)
        for seed in (0, 1)
    ]


def recorded(tmp_path: Path, run: Path) -> list[Curve]:
    write_curves(run, tmp_path / "curves.csv")
    return read_curves(tmp_path / "curves.csv")


def test_recordings_are_read_as_the_run_has_them_and_judged_as_the_run_is(tmp_path: Path) -> None:
    run = twelve(tmp_path / "run")
    curves, verdict = recorded(tmp_path, run), verdict_of(read(run))
    judged = grid_verdict(curves, METRIC)
    assert len(curves) == 12
    assert sorted(c.epochs for c in curves) == [3] + [6] * 11
    assert [(m.mean, m.n, m.inside) for m in judged.compared] == [
        (pytest.approx(m.mean), m.n, m.inside) for m in verdict.compared
    ]
    diverged = next(c for c in curves if c.epochs == 3)
    assert diverged.values["val_accuracy"] == [0.05, 0.2, None]
    assert diverged.score("val_accuracy", 6) is None


def test_a_confirmation_is_no_part_of_the_grid(tmp_path: Path) -> None:
    trials = [trial(lr=lr, seed=0, curve=[0.1, 0.2, 0.3]) for lr in (0.1, 0.01)]
    fresh = trial(lr=0.1, seed=7, curve=[0.1, 0.2, 0.3], confirms=("set", 1))
    assert {c.seed for c in recorded(tmp_path, write_ledger(tmp_path / "run", [*trials, fresh]))} == {0}


def test_the_epochs_that_a_rule_spends_are_exact() -> None:
    ends = {
        "top_k": replay(parse_early_stop({"name": "top_k", "after": 2, "keep": 3}), ten(), lanes=4, metric=METRIC),
        "halving": replay(parse_early_stop({"name": "halving", "first": 1}), ten(), lanes=3, metric=METRIC),
    }
    assert ends["top_k"].epochs == 2 * (10 * 2 + 3 * 4)
    assert ends["top_k"].finished == ("c7", "c8", "c9")
    assert ends["halving"].epochs == 2 * (10 * 1 + 3 * 2 + 1 * 3)
    assert ends["halving"].finished == ("c9",)


@pytest.mark.parametrize("name", rules(10))
@pytest.mark.parametrize("lanes", [1, 7, 100])
def test_every_rule_finishes_the_best_where_nothing_is_noisy_for_less_than_the_grid(name: str, lanes: int) -> None:
    end = replay(rules(10)[name], Grid(ten()).shuffled(lanes), lanes=lanes, metric=METRIC)
    assert "c9" in end.finished
    assert end.epochs < 10 * 2 * 6


def test_the_rules_that_are_measured_are_all_that_there_are() -> None:
    assert {rule.name for rule in rules(100).values()} == set(RULES)


def test_a_stopped_seed_ends_its_configuration_where_trials_are_compared() -> None:
    levels = {("a", 0): 0.9, ("a", 1): 0.8, ("b", 0): 0.5, ("b", 1): 0.95}
    curves = [curve(*key, [level] * 4) for key, level in levels.items()]
    rule = parse_early_stop({"name": "asha", "first": 1, "factor": 2, "promote": False})
    end = replay(rule, curves, lanes=1, metric=METRIC)
    assert end.finished == ("a",)
    assert end.epochs == 4 + 4 + 1, "b's other seed never begins"


def test_what_diverged_is_trained_no_further_and_never_wins() -> None:
    curves = [
        c if (c.configuration, c.seed) != ("c9", 1) else curve("c9", 1, c.values["val_accuracy"][:2]) for c in ten()
    ]
    end = replay(parse_early_stop({"name": "top_k", "after": 2, "keep": 1}), curves, lanes=4, metric=METRIC)
    assert end.finished == ("c8",)
    grid = Grid(curves)
    assert "c9" not in grid.set
    assert grid.judge(end.epochs, end.finished).is_best


def test_a_blind_choice_spends_no_more_than_its_share_and_without_a_winner_gives_all_away() -> None:
    grid = Grid(ten())
    assert grid.judge(0, []).regret == pytest.approx(grid.means["c9"] - 0.01)
    found = {grid.blindly(0.3, seed).regret for seed in range(600)}
    assert len(found) == 8  # the best of three: one of the eight best
    assert grid.blindly(0.099, 0) == grid.judge(12, [])


def test_a_row_has_medians_and_ranges() -> None:
    grid = Grid(ten())
    tries = [grid.judge(60, ["c9"]), grid.judge(40, ["c8"]), grid.judge(20, ["c9"])]
    assert cells("x", tries, [tries[1]])[:4] == (
        "x",
        "0.333 (0.167 to 0.500)",
        f"{2 + ('c8' in grid.set)} of 3",
        "2 of 3",
    )


def test_the_recording_that_ships_is_a_whole_grid() -> None:
    curves = read_curves(CURVES)
    grid = Grid(curves)
    assert len(grid.set) >= 1
    assert len({len(own) for own in grid.configurations.values()}) == 1, "each configuration has all seeds"
