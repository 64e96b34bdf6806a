"""What is best at each level of each axis of a sweep, of how many candidates, with which values of everything else."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.plots import style
from analysis.plots.isolation import PLOT, isolation_data
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger


def data_of(folder, trials, **sweep):
    return isolation_data(analyse(load_study([write_ledger(folder, trials, **sweep)])))


def levels_of(data, axis):
    """By level: mean and candidates, in the order in which they are drawn."""
    first = data[data["axis"] == axis].drop_duplicates("level").set_index("level")
    return first[["mean", "candidates", "rest"]].to_dict("index")


def crossed(**config):
    """Two optimizers × two batch sizes × two weight decays × two learning rates; a score says where it comes from."""
    return [
        trial(
            name, lr=lr, seed=seed, curve=[0.05, 0.1, score + lr + batch / 1000 + 10 * decay + seed / 100],
            data={"batch_size": batch}, parameters={"weight_decay": decay}, **config,
        )
        for seed in (0, 1)
        for name, score in (("SGD", 0.30), ("Adam", 0.40))
        for batch in (50, 100)
        for decay in (0.0, 0.001)
        for lr in (0.01, 0.02)
    ]  # fmt: skip


def test_the_best_of_each_optimizer_of_the_twelve_trials(tmp_path):
    data = isolation_data(analyse(load_study([twelve(tmp_path)])))
    assert levels_of(data, "optimizer") == {
        "SGD": {"mean": pytest.approx(0.51), "candidates": 2, "rest": "lr 0.1"},
        "Adam": {"mean": pytest.approx(0.50), "candidates": 2, "rest": "lr 1e-3"},
    }
    assert data.groupby("level")["score"].agg(list)["SGD"] == pytest.approx([0.49, 0.51, 0.53])
    assert data.drop_duplicates("level").set_index("level")["lost"].to_dict() == {"SGD": 0, "Adam": 1}


def test_every_axis_that_varies_has_levels_but_the_learning_rate(tmp_path):
    data = data_of(tmp_path, crossed())
    assert list(data["axis"].unique()) == ["optimizer", "weight decay", "batch size"]
    assert levels_of(data, "batch size") == {
        "50": {"mean": pytest.approx(0.485), "candidates": 8, "rest": "Adam wd 1e-3 · batch 50 · lr 0.02"},
        "100": {"mean": pytest.approx(0.535), "candidates": 8, "rest": "Adam wd 1e-3 · batch 100 · lr 0.02"},
    }
    assert levels_of(data, "optimizer")["SGD"]["rest"] == "SGD wd 1e-3 · batch 100 · lr 0.02"
    assert data.groupby("look")["axis"].nunique().to_dict() == {"Adam": 3, "SGD": 1}  # one look, whatever its decay
    assert levels_of(data, "weight decay")["0"]["mean"] == pytest.approx(0.525)


def test_a_parameter_that_differs_only_between_optimizers_is_no_axis(tmp_path):
    assert list(data_of(tmp_path, [trial("SGD", curve=[0.1]), trial("AdamW", curve=[0.2])])["axis"].unique()) == [
        "optimizer"
    ]


def test_of_a_loss_the_smallest_is_best(tmp_path):
    trials = [trial(name, lr=lr, curve=[a]) for name in ("SGD", "Adam") for lr, a in ((0.1, 0.2), (0.2, 0.3))]
    data = data_of(tmp_path, trials, spec={"metric": {"name": "val_loss", "goal": "minimize"}})
    assert {level["rest"] for level in levels_of(data, "optimizer").values()} == {"lr 0.2"}


def test_unequal_numbers_of_candidates_are_said(tmp_path):
    trials = [*(trial("SGD", lr=lr, curve=[0.2]) for lr in (0.1, 0.2, 0.3)), trial("Adam", curve=[0.3])]
    data = data_of(tmp_path, trials)
    assert {name: level["candidates"] for name, level in levels_of(data, "optimizer").items()} == {"Adam": 1, "SGD": 3}
    assert "unequal" in PLOT.caption(data)
    assert "unequal" not in PLOT.caption(data_of(tmp_path / "equal", trials[2:]))


def test_a_level_where_everything_diverged_is_a_row_on_the_strip(tmp_path):
    burst = [trial("Adam", lr=lr, curve=[None], epochs=3, status="diverged") for lr in (1.0, 10.0)]
    results = analyse(load_study([write_ledger(tmp_path, [trial("SGD", curve=[0.1, 0.2, 0.3]), *burst])]))
    data = isolation_data(results)
    row = data[data["level"] == "Adam"].iloc[0]
    assert pd.isna(row["score"])
    assert (row["candidates"], row["lost"], row["tried"]) == (2, 2, 2)
    with style.context():
        ax = draw(PLOT, data, study=results.study).axes[0]
    assert [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "x"] == [1]
    assert "all diverged" in [text.get_text() for text in ax.texts]


def test_what_has_no_outcome_is_no_candidate(tmp_path):
    trials = [trial("SGD", curve=[0.2]), trial("SGD", lr=0.2, status=None), trial("Adam", curve=[0.3])]
    assert levels_of(data_of(tmp_path, trials), "optimizer")["SGD"]["candidates"] == 1


def test_what_is_not_complete_or_has_a_diverged_seed_wins_no_level(tmp_path):
    def seeds(optimizer, scores, lr, **last):
        found = [trial(optimizer, lr=lr, seed=s, curve=[0.05, 0.1, score]) for s, score in enumerate(scores)]
        return [*found, trial(optimizer, lr=lr, seed=9, **last)]

    burst = {"curve": [0.1, None], "status": "diverged", "epochs": 3}
    trials = [
        *seeds("SGD", [0.3], 0.1, curve=[0.05, 0.1, 0.3]),
        *seeds("SGD", [0.9], 0.2, status="failed", epochs=3),
        *seeds("SGD", [0.8], 0.3, **burst),
        *seeds("Adam", [0.8], 0.3, **burst),
        *seeds("NAdam", [0.9], 0.3, status=None, epochs=3),
    ]
    results = analyse(load_study([write_ledger(tmp_path, trials)]))
    data = PLOT.data(results)
    means = data[data["axis"] == "optimizer"].drop_duplicates("level").set_index("level")
    assert list(means.index) == ["SGD", "Adam"]
    assert means["mean"]["SGD"] == pytest.approx(0.3)
    assert math.isnan(means["mean"]["Adam"])
    assert means["candidates"].tolist() == [2, 1]
    with style.context():
        texts = [text.get_text() for ax in draw(PLOT, data, study=results.study).axes for text in ax.texts]
    assert "none without a diverged seed" in texts
