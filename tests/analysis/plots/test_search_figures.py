"""What a search did, drawn: rungs, curves to where they ended, the best so far; no figure takes a stop for an end."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.plots import style
from analysis.plots.early_stopping import DIVERGED, FINISHED, OPEN, STOPPED, early_stopping_data
from analysis.plots.edf import edf_data
from analysis.plots.lr_sensitivity import lr_sensitivity_data
from analysis.plots.registry import PLOTS, caption_of, draw
from analysis.plots.search_history import search_history_data
from analysis.plots.stability import stability_data
from analysis.study.load import load_study
from analysis.study.lr_ranges import best_by_lr, point_summary, safe_ranges
from analysis.study.results import analyse
from tests.support.ledgers import halved, halved_trials, range_trial, trial, write_ledger

PAUSED = {"curve": [0.3], "epochs": 4, "status": "paused", "reason": "rung of 1 epoch: waits for 1 of 6"}


def results_of(folder):
    return analyse(load_study([folder]))


def test_curves_end_where_the_rule_ended_them_and_rungs_say_who_came_and_who_went_on(tmp_path):
    data = early_stopping_data(results_of(halved(tmp_path, trial(lr=0.6, **PAUSED))))
    curves, rungs = data[data["kind"] == "curve"], data[data["kind"] == "rung"]
    ends = curves.groupby("configuration", sort=False).agg(state=("state", "first"), epoch=("epoch", "max"))
    assert ends.to_numpy().tolist() == [
        [FINISHED, 4],
        [STOPPED, 2],
        [STOPPED, 1],
        [STOPPED, 1],
        [DIVERGED, 1],
        [OPEN, 1],
    ]
    assert rungs[["epoch", "came", "went_on"]].to_numpy().tolist() == [[1, 6, 2], [2, 2, 1]]


def test_trials_that_a_rule_does_not_compare_have_a_panel_each(tmp_path):
    other = [trial(lr=0.4, curve=[0.1] * 4, schedule={"name": "StepLR", "step_size": 2})]
    data = early_stopping_data(results_of(halved(tmp_path, *other)))
    assert list(data["panel"].unique()) == ["no schedule", "StepLR 2 ×0.1"]
    assert data[data["kind"] == "rung"].groupby("panel")["came"].max().tolist() == [1, 5]


def test_a_configuration_ends_where_its_shortest_seed_does(tmp_path):
    seeds = [
        trial(lr=0.6, seed=s, curve=c, epochs=4, status="stopped", rule=True) for s, c in ((0, [0.2]), (1, [0.4, 0.6]))
    ]
    data = early_stopping_data(results_of(halved(tmp_path, *seeds)))
    found = data[data["configuration"] == seeds[0].config.configuration_id]
    assert found[["epoch", "value"]].to_numpy().tolist() == [[1, pytest.approx(0.3)]]


def test_the_best_so_far_is_of_trials_that_finished_alone(tmp_path):
    early = trial(lr=0.05, curve=[0.99], epochs=4, status="stopped", rule=True)
    data = search_history_data(results_of(halved(tmp_path, early, method="random")))
    assert data["spent"].tolist() == [4, 6, 7, 8, 9, 10]
    assert data["state"].tolist() == [FINISHED, STOPPED, STOPPED, STOPPED, DIVERGED, STOPPED]
    assert data["best"].tolist() == pytest.approx([0.7] * 6), "a last value of 0.99 is no score"
    assert math.isnan(data["value"].iloc[4])


def test_of_a_loss_the_best_so_far_falls(tmp_path):
    trials = [
        trial(lr=lr, curve=[0.1] * 3, columns={"val_loss": [loss] * 3})
        for lr, loss in ((0.1, 2.0), (0.2, 1.0), (0.3, 3.0))
    ]
    spec = {"method": "quasi", "metric": {"name": "val_loss"}}
    assert search_history_data(results_of(write_ledger(tmp_path, trials, spec=spec)))["best"].tolist() == [
        2.0,
        1.0,
        1.0,
    ]


def test_the_best_learning_rate_is_at_no_edge_where_its_neighbour_was_stopped(tmp_path):
    results = results_of(halved(tmp_path, trial(lr=0.8, curve=[0.1], epochs=4, status="stopped", rule=True)))
    points = point_summary(lr_sensitivity_data(results))
    [row] = safe_ranges(best_by_lr(points, goal="maximize"), metric="val_accuracy", goal="maximize").to_dict("records")
    assert (row["best_lr"], row["safe_low"], row["safe_high"], row["edge"]) == (0.4, 0.4, 0.4, "")
    assert points.set_index("lr")["stopped"].to_dict() == {0.1: 1, 0.2: 1, 0.3: 1, 0.4: 0, 0.5: 0, 0.8: 1}
    assert points["n"].sum() == 1


def test_shares_are_of_all_that_was_tried(tmp_path):
    results = results_of(halved(tmp_path))
    data = edf_data(results)
    assert data[["trials", "diverged", "stopped"]].drop_duplicates().to_numpy().tolist() == [[5, 1, 3]]
    assert sorted(data["share"]) == pytest.approx([0.8] * 4 + [1.0])
    totals = stability_data(results_of(halved(tmp_path / "more", trial(lr=0.4, seed=1, curve=[0.5] * 4))))
    totals = totals[totals["kind"] == "optimizer"]
    assert totals[["lost", "tried"]].to_numpy().tolist() in ([], [[1, 6]])


def test_no_figure_takes_the_last_value_of_what_was_stopped_for_a_score_and_each_says_what_it_leaves_out(tmp_path):
    """Values that only stopped trials have: a figure of scores that holds one has taken it for an end."""
    early = [
        trial(name, lr=lr, curve=[0.1231, 0.1237], epochs=6, status="stopped", rule=True, schedule=schedule)
        for name in ("SGD", "Adam")
        for lr in (0.001, 0.8)
        for schedule in ({"name": "none"}, {"name": "StepLR", "step_size": 2})
    ]
    finished = [
        trial(name, lr=lr, seed=seed, curve=[0.1, 0.2, 0.3, 0.35, top, top], schedule=schedule)
        for name, lr, top in (("SGD", 0.1, 0.5), ("SGD", 0.01, 0.4), ("Adam", 0.01, 0.45), ("Adam", 0.1, 0.3))
        for seed in (0, 1)
        for schedule in ({"name": "none"}, {"name": "StepLR", "step_size": 2})
    ]
    tests = [range_trial(losses=[4.6, 4.5, 4.0], lrs=[1e-3, 1e-2, 1e-1], steepest=1e-2)]
    results = results_of(halved(tmp_path / "run", *finished, *early, *tests))
    checked = 0
    for plot in PLOTS.values():
        data = plot.data(results)
        if data.empty or not plot.of_scores:
            continue
        checked += 1
        numbers = data.select_dtypes("number")
        stopped_values = numbers.map(lambda value: any(abs(value - v) < 1e-9 for v in (0.1231, 0.1237, 0.1234)))
        assert not stopped_values.to_numpy().any(), plot.name
        assert "Left out: of 21 configurations, 11 stopped early by halving." in caption_of(plot, data, results.study)
    assert checked >= 12


@pytest.mark.parametrize("spec", [{}, {"method": "random"}, {"early_stop": {"name": "median", "after": 1}}])
def test_the_figures_of_a_search_draw(spec, tmp_path):
    results = results_of(halved(tmp_path, trial(lr=0.6, **PAUSED), **spec))
    drawn = 0
    for name in ("early_stopping", "search_history"):
        data = PLOTS[name].data(results)
        if not data.empty:
            drawn += 1
            with style.context():
                draw(PLOTS[name], data, study=results.study).draw_without_rendering()
    assert drawn == (2 if "method" in spec else 1)


def test_no_data_where_nothing_was_stopped_or_drawn(tmp_path):
    results = results_of(write_ledger(tmp_path, halved_trials()[:1]))
    assert early_stopping_data(results).empty
    assert search_history_data(results).empty
    assert isinstance(search_history_data(results), pd.DataFrame)
