"""Scores and curves as arrays are what the ranking makes of the same rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.study.load import load_study
from analysis.study.scores import as_worst, curves, trial_scores
from ch6dist.runs.ranking import rank, trial_score
from ch6dist.runs.schema import Status
from tests.support.ledgers import trial, twelve, write_ledger

ODD = [
    trial(seed=0, curve=[0.1, None, 0.3, 0.4, 0.5, 0.6]),
    trial(seed=1, curve=[0.1, 0.2, 0.3, 0.4, None, 0.6]),
    trial(seed=2, curve=[0.1, 0.2], epochs=6, status="running"),
    trial(seed=3, curve=[0.1], epochs=6, status="stopped"),
    trial("Adam", seed=0, curve=[0.3] * 20),
    trial("Adam", seed=1, status=None),
]


def test_the_score_of_every_trial_is_that_of_the_ranking(tmp_path):
    for folder in (twelve(tmp_path / "twelve"), write_ledger(tmp_path / "odd", ODD)):
        study = load_study([folder])
        for row in trial_scores(study).itertuples():
            known = trial_score(study.rows[row.trial], study.metric, epochs=row.epochs)
            expected = known if row.status == Status.FINISHED and known is not None else math.nan
            assert row.score == pytest.approx(expected, nan_ok=True)


def test_scores_of_a_configuration_are_those_ranked(tmp_path):
    study = load_study([twelve(tmp_path)])
    scores = trial_scores(study).set_index("configuration")["score"]
    for item in rank(study.ledger):
        assert scores[item.configuration].dropna().tolist() == pytest.approx(item.scores)


def test_scores_of_pooled_runs_are_found_by_their_longer_names(tmp_path):
    study = load_study([twelve(tmp_path / "a"), twelve(tmp_path / "b")])
    scores = trial_scores(study)
    assert len(scores) == 24
    assert scores["score"].notna().sum() == 22


def test_final_training_runs_and_range_tests_have_no_score(tmp_path):
    trials = [trial(curve=[0.1] * 3), trial("Adam", curve=[0.1] * 3, evaluate_test=True)]
    assert trial_scores(load_study([write_ledger(tmp_path, trials)]))["optimizer"].tolist() == ["SGD"]


def test_curves_are_in_the_order_asked_for_with_nothing_where_there_is_nothing(tmp_path):
    study = load_study(
        [write_ledger(tmp_path, [trial(lr=0.1, curve=[0.1, 0.2]), trial(lr=0.2, curve=[0.3, None, 0.5])])]
    )
    names = study.trials["trial"].tolist()[::-1]
    expected = [[0.3, np.nan, 0.5], [0.1, 0.2, np.nan]]
    np.testing.assert_allclose(curves(study, "val_accuracy", names, epochs=3), expected)


@pytest.mark.parametrize(("metric", "worst"), [("val_accuracy", 0.2), ("val_loss", -math.log(0.2))])
def test_a_diverged_trial_counts_as_the_worst_that_finished(tmp_path, metric, worst):
    trials = [
        trial(lr=0.1, curve=[0.4] * 3),
        trial(lr=0.2, curve=[0.2] * 3),
        trial(lr=0.3, curve=[None], epochs=3, status="diverged"),
        trial(lr=0.4, status="failed"),
    ]
    spec = {"name": "n", "metric": {"name": metric}}
    study = load_study([write_ledger(tmp_path, trials, spec=spec)])
    values = as_worst(trial_scores(study), sign=study.sign)
    assert values.tolist()[1:] == pytest.approx([worst, worst, math.nan], nan_ok=True)
