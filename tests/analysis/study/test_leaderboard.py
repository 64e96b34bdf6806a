"""The leaderboard's numbers on a sweep of 12 training runs whose results are known, and on sweeps that went wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.study import stats
from analysis.study.finals import finals
from analysis.study.flags import ALPHA, IMPROVING
from analysis.study.leaderboard import chosen, ranking_rule
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.errors import InputError, UsageError
from ch6dist.runs.ledger import read
from ch6dist.verdict.candidates import verdict_of
from tests.support.ledgers import range_trial, trial, twelve, write_ledger


def board_of(folder):
    return analyse(load_study([folder])).board


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return board_of(twelve(tmp_path_factory.mktemp("runs") / "twelve"))


def test_order_is_that_of_the_ranking(board):
    order = [(row["rank"], row["optimizer"], row["lr"]) for _, row in board.iterrows()]
    assert order == [(1, "SGD", 0.1), (2, "Adam", 0.001), (3, "SGD", 0.01), (4, "Adam", 0.1)]


def test_score_spread_and_interval_by_hand(board):
    first = board.iloc[0]
    assert first["scores"] == pytest.approx([0.49, 0.51, 0.53])
    assert (first["score"], first["std"]) == pytest.approx((0.51, 0.02))
    assert first["high"] - first["score"] == pytest.approx(4.3027 * 0.02 / math.sqrt(3), rel=1e-4)
    assert (first["best"], first["last"]) == pytest.approx((0.52, 0.52))  # the last epoch is the best: 0.50 0.52 0.54


def test_each_row_stands_beside_the_leader_as_the_verdict_says(board):
    # sd over seeds 0.02, 0.01 and 0.02, six degrees of freedom: pooled √0.0003; d(2 comparisons, df 6) = 2.34
    allowed = 2.337 * math.sqrt(0.0003) * math.sqrt(2 / 3)
    assert board["behind"].tolist()[:3] == pytest.approx([0, 0.01, 0.10])
    assert board["allowed"].tolist()[1:3] == pytest.approx([allowed, allowed], rel=1e-3)
    assert board["inside"].tolist()[:3] == [True, True, False]
    assert sum(board["p_best"].tolist()[:3]) == pytest.approx(1)


def test_a_diverged_seed_is_counted_ranked_last_and_not_compared(board):
    last = board.iloc[3]
    assert (last["diverged"], last["seeds"], last["n"]) == (1, 3, 2)
    assert last["inside"] is not True
    assert last["note"] == "1 of 3 diverged"


@pytest.mark.parametrize(("margin", "chosen"), [(0.0, "Adam"), (0.01, "SGD")])
def test_the_report_chooses_by_the_margin_of_the_sweep_as_the_commands_do(tmp_path, margin, chosen):
    trials = [trial("Adam", seed=s, curve=[0.1, 0.2, 0.5002 + s / 10_000], seconds=9) for s in range(5)]
    trials += [trial("SGD", seed=s, curve=[0.1, 0.2, 0.5 + s / 10_000]) for s in range(5)]
    run = write_ledger(tmp_path / "run", trials, spec={"margin": margin})
    found = analyse(load_study([run])).verdict
    assert (found.margin, found.choice) == (margin, verdict_of(read(run)).choice)
    assert str(found.choice).startswith(chosen.lower())


def test_time_to_target_is_the_median_of_the_seeds(board):
    # The target is 0.51 - 0.02 = 0.49. SGD 0.1 reaches it after 6, 5, 5 epochs of 2 s; Adam 0.001 after 5, 5, 5 of 3 s.
    assert board["target"].tolist() == pytest.approx([0.49] * 4)
    assert board["epochs_to_target"].tolist() == [5, 5, math.inf, math.inf]
    assert board["seconds_to_target"].tolist() == [10, 15, math.inf, math.inf]
    assert board["reached"].tolist() == [3, 3, 0, 0]


def test_edge_of_the_grid_is_flagged_for_the_best_of_each_optimizer_only(board):
    assert ["lr_edge" in flags for flags in board["flags"]] == [True, True, False, False]


def test_a_best_learning_rate_inside_the_grid_is_not_flagged(tmp_path):
    trials = [trial(lr=lr, curve=[0.1, 0.2, top]) for lr, top in [(0.1, 0.3), (0.01, 0.5), (0.001, 0.2)]]
    assert "lr_edge" not in " ".join(board_of(write_ledger(tmp_path, trials))["flags"])


def test_learning_rates_that_diverged_count_as_tried(tmp_path):
    trials = [trial(lr=1.0, curve=[None], status="diverged", epochs=3)]
    trials += [trial(lr=lr, curve=[0.1, 0.2, top]) for lr, top in [(0.1, 0.5), (0.01, 0.3)]]
    assert "lr_edge" not in board_of(write_ledger(tmp_path, trials)).iloc[0]["flags"]


def test_a_single_seed_gets_no_interval_and_no_comparison(tmp_path):
    row = board_of(write_ledger(tmp_path, [trial(curve=[0.1, 0.2, 0.3]), trial(lr=0.2, curve=[0.1, 0.2, 0.2])]))
    assert row["low"].isna().all()
    assert row["p_best"].isna().all()
    assert all("single_run" in flags for flags in row["flags"])


def test_chance_is_finished_but_not_learning(tmp_path):
    row = board_of(write_ledger(tmp_path, [trial(curve=[0.010, 0.011, 0.0105]), trial(lr=0.2, curve=[0.1, 0.2, 0.3])]))
    assert [("not_learning" in flags) for flags in row["flags"]] == [False, True]


def test_still_improving_needs_a_tenth_of_a_point_an_epoch(tmp_path):
    flat = trial(curve=[0.30, 0.3005, 0.301, 0.3015, 0.302])
    rising = trial(lr=0.2, curve=[0.10, 0.102, 0.104, 0.106, 0.108])
    flags = board_of(write_ledger(tmp_path, [flat, rising]))["flags"]
    assert ["still_improving" in row for row in flags] == [False, True]


@pytest.mark.parametrize("level", [0.3, 0.6])
def test_flat_curves_with_noise_are_called_still_improving_in_no_more_than_five_per_cent(level):
    generator, flagged = np.random.default_rng(1), 0
    for _ in range(2000):
        curves = level + 0.01 * generator.normal(size=(3, 5))
        slope, p = stats.common_slope(curves.tolist())
        flagged += p < ALPHA and slope > IMPROVING
    assert flagged / 2000 < 0.06


def test_a_rise_beside_the_noise_is_found_and_a_falling_loss_too(tmp_path):
    noisy = [0.30, 0.302, 0.301, 0.304, 0.305, 0.304, 0.307, 0.309, 0.308, 0.311, 0.312, 0.313]
    trials = [trial(seed=seed, curve=[0.2] * 12 + [value + seed / 100 for value in noisy]) for seed in range(3)]
    for spec in ({}, {"metric": {"name": "val_loss"}}):
        assert (
            "still_improving" in board_of(write_ledger(tmp_path / str(len(spec)), trials, spec=spec)).iloc[0]["flags"]
        )


def test_a_loss_is_minimized(tmp_path):
    spec = {"metric": {"name": "val_loss", "goal": "minimize"}}
    row = board_of(twelve(tmp_path, spec=spec))
    assert row.iloc[0]["lr"] == 0.1
    assert row.iloc[0]["score"] < row.iloc[1]["score"]
    assert row["target"].isna().all()


def test_an_old_run_whose_goal_contradicts_its_metric_is_ranked_by_the_metric_and_says_so(tmp_path):
    right = load_study([twelve(tmp_path / "a", spec={"metric": {"name": "val_loss"}})])
    old = load_study([twelve(tmp_path / "b", spec={"metric": {"name": "val_loss", "goal": "maximize"}})])
    assert analyse(old).board["lr"].tolist() == analyse(right).board["lr"].tolist()
    assert (old.goal, old.sign) == ("minimize", -1)
    assert "although the sweep says goal: maximize" in ranking_rule(old)
    assert "although" not in ranking_rule(right)
    both = load_study([tmp_path / "a", tmp_path / "b"])
    assert ranking_rule(both).endswith("goal: maximize (b)")


def test_empty_sweep(tmp_path):
    assert board_of(write_ledger(tmp_path, [])).empty


def test_all_diverged(tmp_path):
    trials = [trial(seed=seed, curve=[0.1, None], status="diverged", epochs=6) for seed in range(3)]
    row = board_of(write_ledger(tmp_path, trials)).iloc[0]
    assert (row["diverged"], row["n"], row["eligible"]) == (3, 0, False)


def test_unequal_lengths_are_scored_each_over_its_own_last_epochs(tmp_path):
    trials = [trial(curve=[0.1] * 10 + [0.4] * 5), trial(lr=0.2, curve=[0.1, 0.2, 0.3])]
    study = load_study([write_ledger(tmp_path, trials)])
    assert analyse(study).board["score"].tolist() == pytest.approx([0.4, 0.3])
    assert ranking_rule(study).count("mean val_accuracy") == 2


def test_nan_in_the_middle_never_wins(tmp_path):
    broken = trial(curve=[0.9, None, 0.9, None, 0.9, None], status="finished")
    board = board_of(write_ledger(tmp_path, [broken, trial(lr=0.2, curve=[0.1] * 6)]))
    assert board.iloc[0]["lr"] == 0.2
    assert not board.iloc[1]["eligible"]


def test_missing_seeds_are_not_eligible(tmp_path):
    trials = [trial(seed=0, curve=[0.9] * 3), trial(seed=1, status=None), trial(lr=0.2, curve=[0.1] * 3)]
    board = board_of(write_ledger(tmp_path, trials))
    assert board.iloc[0]["lr"] == 0.2
    assert board.iloc[1]["note"] == "1 of 2 not finished"


def test_an_incomplete_configuration_has_no_rank_whatever_its_other_seeds_did(tmp_path):
    waiting = [trial(seed=0, curve=[0.9, None], status="diverged", epochs=3), trial(seed=1, status=None)]
    failed = [trial("Adam", seed=0, curve=[0.8] * 3), trial("Adam", seed=1, status="failed", epochs=3)]
    gone = [trial(lr=9.0, seed=s, curve=[None], status="diverged", epochs=3) for s in (0, 1)]
    done = [trial(lr=0.2, seed=s, curve=[0.1, 0.2, 0.3]) for s in (0, 1)]
    board = board_of(write_ledger(tmp_path, [*waiting, *failed, *gone, *done])).set_index("label")
    ranks = {label: None if math.isnan(rank) else rank for label, rank in board["rank"].items()}
    assert ranks == {"SGD · lr 0.2": 1, "SGD · lr 9": 2, "Adam · lr 0.1": None, "SGD · lr 0.1": None}


def test_running_without_a_driver_is_interrupted(tmp_path):
    study = load_study([write_ledger(tmp_path, [trial(status="running", curve=[0.1], epochs=3)])])
    assert study.trials["status"].tolist() == ["interrupted"]


def test_a_final_training_is_reported_apart(tmp_path):
    data = {"train_size": 50_000, "val_size": 0}
    trials = [
        trial(seed=s, curve=[0.1, 0.2, 0.3], data=data, evaluate_test=True, extra={"test_accuracy": 0.4 + s / 50})
        for s in range(3)
    ]
    study = load_study([write_ledger(tmp_path, trials)])
    assert analyse(study).board.empty
    row = finals(study).iloc[0]
    assert row["per_seed"] == pytest.approx([0.40, 0.42, 0.44])
    assert (row["test_accuracy"], row["std"], row["n"]) == pytest.approx((0.42, 0.02, 3))


def test_range_tests_are_not_ranked(tmp_path):
    assert board_of(write_ledger(tmp_path, [range_trial(losses=[4.6, 4.5], lrs=[1e-3, 1e-2])])).empty


def test_two_runs_are_ranked_together(tmp_path):
    first, second = twelve(tmp_path / "a"), twelve(tmp_path / "b")
    board = analyse(load_study([first, second])).board
    assert board["run"].tolist() == ["a", "b"] * 4
    assert len(set(board["configuration"])) == 8


def test_runs_that_do_not_compare_are_refused(tmp_path):
    loss = twelve(tmp_path / "loss", spec={"metric": {"name": "val_loss", "goal": "minimize"}})
    other = write_ledger(tmp_path / "mnist", [trial(curve=[0.9] * 3, data={"name": "mnist"})])
    first = twelve(tmp_path / "first")
    with pytest.raises(UsageError, match="different metrics"):
        load_study([first, loss])
    with pytest.raises(UsageError, match="different data sets"):
        load_study([first, other])
    with pytest.raises(InputError, match="each run once"):
        load_study([first, first])


def test_curves_show_the_best_of_each_optimizer_and_the_worst(board):
    shown = chosen(board, k=2)
    assert shown[["optimizer", "lr", "role"]].to_numpy().tolist() == [
        ["SGD", 0.1, "best"],
        ["Adam", 0.001, "best"],
        ["SGD", 0.01, "contrast"],
    ]
