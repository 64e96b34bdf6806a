"""Optimizer × schedule: each pair at its best learning rate; what has no outcome is not a zero."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t

from analysis.plots import style
from analysis.plots.optimizer_schedule import PLOT, optimizer_schedule_data
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, write_ledger

STEP = {"name": "StepLR", "step_size": 1}


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def pair(optimizer, schedule, scores, **more):
    return [
        trial(optimizer, schedule=schedule, seed=seed, curve=[0.05, 0.1, score], **more)
        for seed, score in enumerate(scores)
    ]


def pairs():
    """SGD with a schedule was not tried; Adam with one diverged everywhere."""
    return [
        *pair("SGD", {"name": "none"}, [0.40, 0.42, 0.44], lr=0.1),
        *pair("SGD", {"name": "none"}, [0.30, 0.32, 0.34], lr=0.01),
        *pair("Adam", {"name": "none"}, [0.50, 0.52, 0.54], lr=3e-3),
        trial("Adam", lr=1.0, schedule=STEP, curve=[0.1, None], status="diverged", epochs=3),
        *pair("NAdam", STEP, [0.2], lr=3e-3),
    ]


def cells_of(data):
    return data.set_index(["optimizer", "schedule"])


def test_a_cell_is_the_best_learning_rate_with_half_its_interval(tmp_path):
    cell = cells_of(optimizer_schedule_data(results_of(tmp_path, pairs()))).loc[("SGD", "none")]
    assert (cell["mean"], cell["n"], cell["lr"], cell["candidates"]) == (pytest.approx(0.42), 3, "0.1", 2)
    assert cell["half"] == pytest.approx(t.ppf(0.975, 2) * 0.02 / math.sqrt(3))


def test_a_pair_without_an_outcome_is_empty_and_one_that_diverged_says_so(tmp_path):
    cells = cells_of(optimizer_schedule_data(results_of(tmp_path, pairs())))
    assert len(cells) == 6
    untried, lost = cells.loc[("SGD", "StepLR 1 ×0.1")], cells.loc[("Adam", "StepLR 1 ×0.1")]
    assert (untried["candidates"], math.isnan(untried["mean"])) == (0, True)
    assert (lost["candidates"], lost["lost"], math.isnan(lost["mean"])) == (1, 1, True)


def test_cells_are_written_as_mean_half_n_and_learning_rate(tmp_path):
    results = results_of(tmp_path, pairs())
    data = PLOT.data(results)
    with style.context():
        ax = draw(PLOT, data, study=results.study).axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert {"52.0 ± 5.0", "n=3 @ 3e-3", "20.00 %", "n=1 @ 3e-3", "all 1 diverged"} <= set(texts)
    assert sum(patch.get_hatch() == "////" for patch in ax.patches) == 2
    assert "42.0\n(1 of 2)" in texts  # the mean of a row that lacks a pair says so
    assert "Hatched: no outcome" in PLOT.caption(data)


def test_one_schedule_is_no_interaction(tmp_path):
    assert PLOT.data(results_of(tmp_path, pair("SGD", STEP, [0.1]) + pair("Adam", STEP, [0.2]))).empty


def test_of_a_loss_the_pair_with_the_smallest_comes_first(tmp_path):
    trials = [
        *pair("SGD", {"name": "none"}, [0.2]), *pair("SGD", STEP, [0.3]),
        *pair("Adam", {"name": "none"}, [0.4]), *pair("Adam", STEP, [0.5]),
    ]  # fmt: skip
    data = PLOT.data(results_of(tmp_path, trials, spec={"metric": {"name": "val_loss", "goal": "minimize"}}))
    assert data.iloc[0][["optimizer", "schedule"]].tolist() == ["Adam", "StepLR 1 ×0.1"]
    assert data["mean"].iloc[0] == data["mean"].min()
