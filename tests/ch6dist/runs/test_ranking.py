"""The ranking against numbers worked out by hand, on ledgers written by hand."""

from __future__ import annotations

import math

import pytest

from ch6dist.runs.ledger import read
from ch6dist.runs.ranking import last_k, rank, rule, trial_score
from ch6dist.runs.schema import Metric
from ch6dist.runs.writer import Writer
from tests.support.ledgers import range_trial, trial, twelve, write_ledger


def ranked(folder, *trials, metric=None):
    return rank(read(write_ledger(folder, trials)), metric)


def names(items):
    return [item.configuration.rpartition("-")[0] for item in items]


@pytest.mark.parametrize(
    ("epochs", "k"), [(1, 1), (2, 1), (3, 1), (5, 1), (6, 2), (9, 3), (14, 4), (15, 5), (30, 5), (200, 5)]
)
def test_a_score_averages_five_epochs_or_a_third_and_at_least_one(epochs, k):
    assert last_k(epochs) == k


def test_the_rule_has_a_name_with_its_numbers():
    assert rule(30, "val_loss") == "mean val_loss over the last 5 epochs, then over seeds; diverged seeds rank last"
    assert "over the last epoch," in rule(2, "val_accuracy")


def test_a_score_is_the_mean_of_the_last_epochs_by_hand():
    rows = [{"epoch": epoch, "val_accuracy": epoch / 100} for epoch in range(1, 16)]
    assert trial_score(rows, "val_accuracy", epochs=15) == pytest.approx((11 + 12 + 13 + 14 + 15) / 500)
    assert trial_score(rows[:5], "val_accuracy", epochs=15) is None
    assert trial_score(rows[:-1], "val_accuracy", epochs=15) is None
    assert trial_score([], "val_accuracy", epochs=15) is None


@pytest.mark.parametrize("hole", [None, math.nan, math.inf])
def test_a_score_has_no_holes(hole):
    rows = [{"epoch": epoch, "val_loss": 1.0} for epoch in range(1, 7)]
    rows[4]["val_loss"] = hole
    assert trial_score(rows, "val_loss", epochs=6) is None
    rows[3]["val_loss"], rows[4]["val_loss"] = hole, 1.0
    assert trial_score(rows, "val_loss", epochs=6) == 1.0, "the hole lies before the two epochs that count"


def test_the_twelve_by_hand(tmp_path):
    found = rank(read(twelve(tmp_path)))
    assert names(found) == ["sgd-lr0.1", "adam-lr0.001", "sgd-lr0.01", "adam-lr0.1"]
    assert [item.score for item in found] == pytest.approx([0.51, 0.50, 0.41, 0.45])
    assert found[0].scores == pytest.approx((0.49, 0.51, 0.53))
    assert [item.diverged for item in found] == [0, 0, 0, 1]
    assert [item.note for item in found] == ["", "", "", "1 of 3 diverged"]
    assert all(item.eligible for item in found)


def test_diverged_seeds_rank_below_all_without_by_their_share(tmp_path):
    def configuration(lr, score, diverged, n=3):
        curves = [{"curve": [score] * 3}] * (n - diverged)
        burst = {"curve": [score], "status": "diverged", "epochs": 3}
        return [trial(lr=lr, seed=seed, **how) for seed, how in enumerate([*curves, *([burst] * diverged)])]

    found = ranked(
        tmp_path,
        *configuration(0.4, 0.99, diverged=3),
        *configuration(0.3, 0.95, diverged=2),
        *configuration(0.2, 0.90, diverged=1),
        *configuration(0.1, 0.01, diverged=0),
        *configuration(0.5, 0.91, diverged=1),
    )
    assert [item.diverged for item in found] == [0, 1, 1, 2, 3]
    assert [item.score for item in found] == pytest.approx([0.01, 0.91, 0.90, 0.95, None])
    assert [item.eligible for item in found] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("status", "note"),
    [
        ("stopped", "1 of 2 stopped early"),
        ("failed", "1 of 2 failed"),
        ("out_of_memory", "1 of 2 failed"),
        ("running", "1 of 2 not finished"),
        (None, "1 of 2 not finished"),
    ],
)
def test_what_is_incomplete_cannot_win_and_says_why(tmp_path, status, note):
    found = ranked(
        tmp_path,
        trial(lr=0.1, seed=0, curve=[0.9, 0.9, 0.9]),
        trial(lr=0.1, seed=1, curve=[] if status is None else [0.9], status=status, epochs=3),
        trial(lr=0.2, seed=0, curve=[0.1, 0.1, 0.1]),
        trial(lr=0.3, seed=0, curve=[0.2], status="diverged", epochs=3),
    )
    assert names(found) == ["sgd-lr0.2", "sgd-lr0.3", "sgd-lr0.1"]
    assert (found[-1].eligible, found[-1].note) == (False, note)
    assert found[-1].score == pytest.approx(0.9)


def test_an_incomplete_configuration_is_last_even_beside_a_diverged_one(tmp_path):
    found = ranked(
        tmp_path,
        trial(lr=0.1, seed=0, curve=[0.9], status="diverged", epochs=3),
        trial(lr=0.1, seed=1, curve=[0.9] * 3),
        trial(lr=0.1, seed=2, status=None, epochs=3),
        trial(lr=0.2, seed=0, curve=[0.9], status="diverged", epochs=3),
    )
    assert names(found) == ["sgd-lr0.2", "sgd-lr0.1"]
    assert found[1].note == "1 of 3 diverged, 1 of 3 not finished"


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
def test_nan_never_wins(tmp_path, metric):
    found = ranked(
        tmp_path,
        trial(lr=0.1, seed=0, curve=[0.9, 0.9, None]),
        trial(lr=0.1, seed=1, curve=[0.9, 0.9, 0.9]),
        trial(lr=0.2, seed=0, curve=[None, None, None]),
        trial(lr=0.3, seed=0, curve=[None, 0.1, 0.1]),
        metric=Metric(metric),
    )
    assert names(found)[0] == "sgd-lr0.3"
    assert dict(zip(names(found), (item.eligible for item in found), strict=True)) == {
        "sgd-lr0.1": False,
        "sgd-lr0.2": False,
        "sgd-lr0.3": True,
    }
    notes = dict(zip(names(found), (item.note for item in found), strict=True))
    assert notes["sgd-lr0.1"] == f"1 of 2 without a finite {metric}"
    assert notes["sgd-lr0.2"] == f"1 of 1 without a finite {metric}"


def test_a_metric_no_trial_has_makes_none_eligible(tmp_path):
    found = rank(read(twelve(tmp_path)), Metric("val_f1"))
    assert not any(item.eligible for item in found)
    assert found[0].note == "3 of 3 without a finite val_f1"


def test_a_loss_is_minimized(tmp_path):
    trials = [trial(lr=lr, curve=[accuracy] * 3) for lr, accuracy in ((0.1, 0.5), (0.2, 0.7), (0.3, 0.6))]
    found = ranked(tmp_path, *trials, metric=Metric("val_loss", "minimize"))
    assert [item.score for item in found] == pytest.approx([-math.log(0.7), -math.log(0.6), -math.log(0.5)])


def test_ties_keep_one_order_whatever_the_order_of_the_ledger(tmp_path):
    trials = [trial(lr=lr, curve=[0.5] * 3) for lr in (0.1, 0.2, 0.3, 0.4)]
    forward = ranked(tmp_path / "a", *trials)
    backward = ranked(tmp_path / "b", *reversed(trials))
    assert names(forward) == names(backward)


def test_range_tests_are_not_ranked(tmp_path):
    found = ranked(tmp_path, range_trial(losses=[2.0, 1.0], lrs=[0.1, 0.2]), trial(curve=[0.5] * 3))
    assert len(found) == 1


def test_a_rerun_counts_with_its_newest_attempt_only(tmp_path):
    item = trial(lr=0.1, curve=[0.9] * 3)
    folder = write_ledger(tmp_path, [item])
    ids = {"trial": item.config.trial_id, "attempt": 2}
    with Writer(folder) as writer:
        writer.append([{"kind": "status", **ids, "status": "running"}])
        assert not rank(read(folder))[0].eligible
        writer.append([{"kind": "row", **ids, "epoch": e, "step": e, "val_accuracy": 0.2} for e in (1, 2, 3)])
        writer.append([{"kind": "status", **ids, "status": "finished"}])
    assert rank(read(folder))[0].score == pytest.approx(0.2)
