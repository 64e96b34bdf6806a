"""Scores against the wobble of the last epochs; what diverged is counted per optimizer."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.plots import style
from analysis.plots.registry import draw
from analysis.plots.stability import PLOT, stability_data
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def figure_of(results):
    data = PLOT.data(results)
    with style.context():
        figure = draw(PLOT, data, study=results.study)
        figure.draw_without_rendering()
    return figure


def test_wobble_is_the_std_of_the_last_five_epochs_and_not_that_over_seeds(tmp_path):
    curves = [[0.1, 0.50, 0.52, 0.50, 0.52, 0.50], [0.1, 0.60, 0.62, 0.60, 0.62, 0.60]]
    results = results_of(tmp_path, [trial(seed=seed, curve=curve) for seed, curve in enumerate(curves)])
    row = stability_data(results).iloc[0]
    assert row["wobble"] == pytest.approx(np.std(curves[0][-5:], ddof=1))
    assert row["std"] == pytest.approx(0.1 / np.sqrt(2))


def test_the_share_that_diverged_is_over_all_of_an_optimizers_runs(tmp_path):
    data = stability_data(analyse(load_study([twelve(tmp_path)])))
    totals = data[data["kind"] == "optimizer"].set_index("optimizer")
    assert totals[["lost", "tried"]].to_numpy().tolist() == [[1, 6], [0, 6]]  # Adam, SGD
    lost = data[(data["kind"] == "configuration") & (data["lost"] > 0)]
    assert lost["label"].tolist() == ["Adam · lr 0.1"]


def test_better_is_up_for_accuracies_and_for_losses(tmp_path):
    trials = [trial(lr=lr, curve=[0.1, 0.2, top, top]) for lr, top in ((0.1, 0.5), (0.2, 0.4))]
    loss = {"spec": {"metric": {"name": "val_loss", "goal": "minimize"}}}
    for folder, sweep in (("accuracy", {}), ("loss", loss)):
        results = results_of(tmp_path / folder, trials, **sweep)
        ax = figure_of(results).axes[0]
        best, worst = stability_data(results)["score"][:2]
        assert ax.transData.transform((0, best))[1] > ax.transData.transform((0, worst))[1]
        assert "upper left is good" in ax.get_title(loc="left")


def test_the_first_sixty_are_shown_and_the_caption_says_of_how_many(tmp_path):
    results = results_of(tmp_path, [trial(lr=lr / 1000, curve=[0.1, 0.2, 0.3]) for lr in range(1, 71)])
    data = PLOT.data(results)
    assert (data["kind"] == "configuration").sum() == 60
    assert "Shown are the first 60 of 70 configurations; all are in leaderboard.csv." in PLOT.caption(data)


def test_two_epochs_have_no_wobble(tmp_path):
    assert PLOT.data(results_of(tmp_path, [trial(curve=[0.1, 0.2])])).empty


def test_the_share_that_diverged_is_a_bar_from_0(tmp_path):
    figure = figure_of(analyse(load_study([twelve(tmp_path)])))
    bars = figure.axes[1].patches
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, pytest.approx(1 / 6)), (0, 0)]  # Adam, SGD
    assert not [line for line in figure.axes[1].lines if line.get_marker() == "x"]
