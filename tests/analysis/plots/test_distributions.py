"""What figures over all trials show: distribution per optimizer, shares of variance, parallel coordinates, two axes."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from analysis.plots import edf, parallel_coordinates, style, two_axes, variance_explained
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger

LOSS = {"name": "n", "metric": {"name": "val_loss"}}


def results(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def drawn(plot, found):
    with style.context():
        figure = draw(plot, plot.data(found), study=found.study)
        figure.draw_without_rendering()
    return figure


def test_a_distribution_starts_at_the_share_that_diverged_and_ends_at_one(tmp_path):
    data = edf.edf_data(analyse(load_study([twelve(tmp_path)])))
    adam = data[data["optimizer"] == "Adam"]
    assert adam["score"].isna().tolist() == [True] + [False] * 5
    # scores 0.45 0.45 0.49 0.50 0.51 after one that diverged
    assert adam["share"].tolist() == pytest.approx([1 / 6, 3 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    sgd = data[data["optimizer"] == "SGD"]
    assert sgd["share"].tolist() == pytest.approx([i / 6 for i in range(1, 7)])
    assert sgd["score"].is_monotonic_increasing


def test_the_distribution_of_a_loss_runs_from_the_largest_to_the_smallest(tmp_path):
    found = results(tmp_path, [trial(lr=lr, curve=[lr] * 3) for lr in (0.1, 0.2, 0.4)], spec=LOSS)
    data = edf.edf_data(found)
    assert data["score"].tolist() == pytest.approx([-math.log(lr) for lr in (0.1, 0.2, 0.4)])
    left, right = drawn(edf.PLOT, found).axes[0].get_xlim()
    assert left > right


def test_an_optimizer_has_one_line_for_all_its_weight_decays(tmp_path):
    trials = [
        trial(name, curve=[0.1 + decay] * 3, parameters={"weight_decay": decay})
        for name, decay in product(("SGD", "AdamW"), (0.0, 0.1, 0.2))
    ]
    found = results(tmp_path, trials)
    assert edf.edf_data(found).groupby("optimizer").size().to_dict() == {"SGD": 3, "AdamW": 3}
    assert len(drawn(edf.PLOT, found).axes[0].lines) == 2


def test_nothing_but_divergence_has_no_distribution(tmp_path):
    trials = [trial(lr=lr, curve=[None], epochs=3, status="diverged") for lr in (1.0, 2.0)]
    assert edf.edf_data(results(tmp_path, trials)).empty


def crossed(score, *, seeds=2, **more):
    return [
        trial(name, lr=lr, seed=seed, curve=[score(name, lr) + seed * 1e-9] * 3, **more)
        for name, lr, seed in product(("SGD", "Adam"), (0.1, 0.01), range(seeds))
    ]


def test_shares_of_variance_of_an_additive_sweep(tmp_path):
    found = results(tmp_path, crossed(lambda name, lr: 0.2 + 0.1 * (name == "Adam") + 0.2 * (lr == 0.1)))
    data = variance_explained.variance_explained_data(found).set_index("term")
    assert data["share"].to_dict() == pytest.approx(
        {"learning rate": 0.8, "optimizer": 0.2, "learning rate × optimizer": 0, "the seed alone": 0}, abs=1e-6
    )
    assert data["balanced"].all()


def test_shares_of_variance_of_a_sweep_in_which_each_optimizer_has_its_own_best(tmp_path):
    found = results(tmp_path, crossed(lambda name, lr: 0.2 + 0.1 * ((name == "Adam") == (lr == 0.1))))
    data = variance_explained.variance_explained_data(found).set_index("term")
    assert data["share"].filter(like="×").tolist() == pytest.approx([1])


def test_a_diverged_trial_weighs_as_the_worst_score_and_the_caption_says_so(tmp_path):
    finished = [trial("SGD", lr=lr, curve=[s] * 3) for lr, s in ((0.1, 0.4), (0.01, 0.2))]
    adam = [trial("Adam", lr=0.01, curve=[0.4] * 3), trial("Adam", lr=0.1, curve=[None], epochs=3, status="diverged")]
    found = results(tmp_path, [*finished, *adam])
    data = variance_explained.variance_explained_data(found).set_index("term")
    assert data["share"].filter(like="×").sum() == pytest.approx(1)
    assert "1 diverged one counts as the worst" in variance_explained.PLOT.caption(data.reset_index())


def test_parallel_lines_are_the_configurations_best_first_with_their_values(tmp_path):
    data = parallel_coordinates.parallel_coordinates_data(analyse(load_study([twelve(tmp_path)])))
    assert data[["place", "optimizer", "learning rate"]].to_numpy().tolist() == [
        [1, "SGD", 0.1],
        [2, "Adam", 0.001],
        [3, "Adam", 0.1],
        [4, "SGD", 0.01],
    ]
    # a diverged seed counts as the worst score of all, 0.39
    assert data["score"].tolist() == pytest.approx([0.51, 0.50, (0.45 + 0.45 + 0.39) / 3, 0.41])


def test_a_smaller_loss_is_a_higher_line(tmp_path):
    found = results(tmp_path, [trial(lr=lr, curve=[lr] * 3) for lr in (0.1, 0.2, 0.4)], spec=LOSS)
    data = parallel_coordinates.parallel_coordinates_data(found)
    assert data["learning rate"].tolist() == [0.4, 0.2, 0.1]
    ax = drawn(parallel_coordinates.PLOT, found).axes[0]
    best = max(ax.lines, key=lambda line: line.get_linewidth())
    assert best.get_ydata()[-1] == pytest.approx(1)


def test_an_axis_of_learning_rates_is_logarithmic_and_one_with_zero_is_evenly_spaced():
    scale = parallel_coordinates._numbers  # the place of each value on its axis
    series = pd.Series([1e-3, 1e-2, 1e-1], name="lr")
    assert scale(series).heights.tolist() == pytest.approx([0, 0.5, 1])
    with_zero = pd.Series([0.0, 1e-4, 1e-1], name="weight decay")
    assert scale(with_zero).heights.tolist() == pytest.approx([0, 0.5, 1])
    missing = scale(pd.Series([np.nan, 0.5, 0.9], name="momentum"))
    assert missing.heights[0] == 0 < missing.heights[1] < missing.heights[2]
    assert missing.texts == ["none", "0.5", "0.9"]
    assert scale(pd.Series([64.0, 1024.0])).texts == ["64", "1024"]


def test_a_thousand_configurations_are_drawn_in_part_and_the_caption_says_so(tmp_path):
    trials = [trial(lr=1e-3 * (1 + i / 100), curve=[0.1 + i * 1e-4] * 3) for i in range(1000)]
    found = results(tmp_path, trials)
    data = parallel_coordinates.parallel_coordinates_data(found)
    figure = drawn(parallel_coordinates.PLOT, found)
    lines = next(item for item in figure.axes[0].collections if isinstance(item, LineCollection))
    shown = len(lines.get_segments())
    assert shown < 620
    assert f"the best and {shown} of the others" in parallel_coordinates.PLOT.caption(data)


def test_forty_labels_have_looks_that_can_be_drawn(tmp_path):
    trials = [
        trial(name, curve=[0.1 + decay + index / 100] * 3, parameters={"weight_decay": decay})
        for index, name in enumerate(("Adam", "AdamW", "NAdam", "RMSprop", "SGD"))
        for decay in (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07)
    ]
    found = results(tmp_path, trials)
    assert found.study.trials["optimizer"].nunique() == 40
    for plot in (parallel_coordinates.PLOT, edf.PLOT):
        assert drawn(plot, found).axes[0].lines


def decays(**more):
    """AdamW: the best weight decay depends on the lr; SGD: one cell was not tried, one diverged."""
    trials = [
        trial("AdamW", lr=lr, curve=[score] * 3, parameters={"weight_decay": decay}, **more)
        for lr, decay, score in ((0.1, 0.0, 0.2), (0.1, 0.1, 0.5), (0.01, 0.0, 0.4), (0.01, 0.1, 0.3))
    ]
    trials += [
        trial("SGD", lr=lr, curve=[score] * 3, parameters={"weight_decay": decay}, **more)
        for lr, decay, score in ((0.1, 0.0, 0.6), (0.01, 0.1, 0.1))
    ]
    lost = {"curve": [None], "epochs": 3, "status": "diverged", "parameters": {"weight_decay": 0.1}}
    return [*trials, trial("SGD", lr=0.1, **lost, **more)]


def test_cells_of_two_axes_hold_the_best_of_everything_else(tmp_path):
    worse = decays(data={"batch_size": 64})
    better = trial("AdamW", lr=0.01, curve=[0.45] * 3, parameters={"weight_decay": 0.0}, data={"batch_size": 128})
    data = two_axes.two_axes_data(results(tmp_path, [*worse, better]))
    assert (data["x_axis"].iloc[0], data["y_axis"].iloc[0]) == ("learning rate", "weight decay")
    assert data["panel"].unique().tolist() == ["SGD", "AdamW"]  # the best of SGD is better
    cells = data[data["panel"] == "AdamW"].set_index(["x_text", "y_text"])["score"]
    assert cells.to_dict() == pytest.approx(
        {("0.01", "0"): 0.45, ("0.01", "0.1"): 0.3, ("0.1", "0"): 0.2, ("0.1", "0.1"): 0.5}
    )
    sgd = data[data["panel"] == "SGD"].set_index(["x_text", "y_text"])["score"]
    assert sgd.isna().to_dict() == {("0.01", "0.1"): False, ("0.1", "0"): False, ("0.1", "0.1"): True}


def test_the_best_cell_of_a_loss_is_the_smallest(tmp_path):
    data = two_axes.two_axes_data(results(tmp_path, decays(), spec=LOSS))
    best = data.loc[data.groupby("panel")["score"].idxmin()].set_index("panel")
    assert best["score"].to_dict() == pytest.approx({"AdamW": -math.log(0.5), "SGD": -math.log(0.6)})
    assert data["panel"].iloc[0] == "SGD"


def test_numbers_that_were_varied_one_at_a_time_were_not_crossed(tmp_path):
    trials = [trial(lr=lr, curve=[0.1] * 3) for lr in (0.1, 0.2)]
    trials += [trial(lr=0.1, curve=[0.1] * 3, parameters={"weight_decay": decay}) for decay in (0.1, 0.2, 0.3)]
    assert two_axes.two_axes_data(results(tmp_path / "crossed_once", trials)).empty is False
    alone = [trial(lr=lr, curve=[0.1] * 3, parameters={"weight_decay": lr / 2}) for lr in (0.1, 0.2, 0.4)]
    assert two_axes.two_axes_data(results(tmp_path / "together", alone)).empty


def test_values_that_a_search_drew_are_cut_into_groups(tmp_path):
    generator = np.random.default_rng(0)
    trials = [
        trial("AdamW", lr=float(lr), curve=[0.3] * 3, parameters={"weight_decay": float(decay)})
        for lr, decay in 10 ** generator.uniform(-4, -1, size=(60, 2))
    ]
    data = two_axes.two_axes_data(results(tmp_path, trials))
    assert data["configurations"].sum() == 60
    assert data["x"].nunique() == data["y"].nunique() == 6
    assert data["grouped"].iloc[0] == "learning rate, weight decay"
