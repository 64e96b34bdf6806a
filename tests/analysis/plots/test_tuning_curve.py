"""The expected best of k configurations: against simulation, against all subsets, and by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from analysis.plots import style
from analysis.plots.registry import draw
from analysis.plots.tuning_curve import PLOT, tuning_curve_data
from analysis.study.best_of import best_of
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def tuned(scores, optimizer="SGD", *, seeds=1):
    return [
        trial(optimizer, lr=(place + 1) / 100, seed=seed, curve=[0.05, score])
        for place, score in enumerate(scores)
        for seed in range(seeds)
    ]


def curve_of(results, optimizer="SGD"):
    data = tuning_curve_data(results)
    return data[data["optimizer"] == optimizer].set_index("k")


@pytest.mark.parametrize(
    "values", [[0.1, 0.4, 0.2, 0.3, 0.35], [0.2, 0.2, 0.9], [0.5], list(np.linspace(0, 1, 9) ** 2)]
)
def test_the_best_of_k_is_that_over_all_subsets(values):
    table = best_of(values, range(1, len(values) + 1))
    for k in range(1, len(values) + 1):
        best = np.array([max(chosen) for chosen in combinations(values, k)])
        assert table["expected"][k - 1] == pytest.approx(best.mean())
        assert table["low"][k - 1] == pytest.approx(np.quantile(best, 0.25, method="inverted_cdf"))
        assert table["high"][k - 1] == pytest.approx(np.quantile(best, 0.75, method="inverted_cdf"))


def test_the_best_of_k_agrees_with_simulation():
    generator = np.random.default_rng(0)
    values = generator.normal(size=60)
    orders = generator.permuted(np.tile(values, (20_000, 1)), axis=1)
    running = np.maximum.accumulate(orders, axis=1)
    table = best_of(values, range(1, 61))
    error = running.std(axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(table["expected"] - running.mean(axis=0)) <= 4 * error + 1e-12)


def test_many_values_need_no_large_binomials():
    table = best_of(np.arange(5000.0), [1, 2500, 5000])
    assert table["expected"].tolist() == pytest.approx(
        [2499.5, 2500 * 5001 / 2501 - 1, 4999]
    )  # k (n + 1) / (k + 1) − 1


def test_of_accuracies_the_curve_rises_to_the_best(tmp_path):
    curve = curve_of(results_of(tmp_path, tuned([0.1, 0.4, 0.2])))
    assert curve["expected"].tolist() == pytest.approx([0.7 / 3, (0.4 + 0.4 + 0.2) / 3, 0.4])


def test_of_losses_the_curve_falls_to_the_smallest(tmp_path):
    loss = {"spec": {"metric": {"name": "val_loss", "goal": "minimize"}}}
    curve = curve_of(results_of(tmp_path, tuned([0.1, 0.4, 0.2]), **loss))
    losses = sorted(-np.log([0.1, 0.4, 0.2]))
    assert curve["expected"].tolist() == pytest.approx([sum(losses) / 3, (2 * losses[0] + losses[1]) / 3, losses[0]])
    assert (curve["low"] <= curve["high"]).all()


def test_needed_is_where_99_percent_of_the_last_value_is_reached(tmp_path):
    curve = curve_of(results_of(tmp_path, tuned([0.400, 0.399, 0.398, 0.1])))
    within = curve["expected"] >= 0.99 * 0.4
    assert curve["needed"].unique().tolist() == [within.idxmax()] == [2]


def test_a_diverged_configuration_was_tried_and_is_worth_chance(tmp_path):
    results = results_of(
        tmp_path, [*tuned([0.4]), trial(lr=9.0, curve=[None], epochs=2, status="diverged"), trial(lr=8.0, status=None)]
    )
    curve = curve_of(results)
    assert curve["expected"].tolist() == pytest.approx([(0.4 + 0.01) / 2, 0.4])
    assert curve[["tried", "lost"]].iloc[0].tolist() == [2, 1]
    assert "1 configuration with a diverged seed: counted as chance" in PLOT.caption(curve.reset_index())


def test_a_score_is_the_mean_over_seeds_in_the_twelve_trials(tmp_path):
    results = analyse(load_study([twelve(tmp_path)]))
    assert curve_of(results)["expected"].tolist() == pytest.approx([0.46, 0.51])
    assert curve_of(results, "Adam")["expected"].tolist() == pytest.approx([(0.50 + 0.01) / 2, 0.50])


def test_one_configuration_each_is_no_curve(tmp_path):
    assert tuning_curve_data(results_of(tmp_path, [*tuned([0.1]), *tuned([0.2], "Adam")])).empty


def test_the_number_needed_is_written_beside_its_tick(tmp_path):
    results = results_of(tmp_path, tuned([0.400, 0.399, 0.398, 0.1]))
    data = PLOT.data(results)
    with style.context():
        ax = draw(PLOT, data, study=results.study).axes[0]
    assert "2" in [text.get_text() for text in ax.texts]
