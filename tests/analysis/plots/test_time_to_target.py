"""When training runs reach the target, by epoch and by second; those that never do, and seconds that do not compare."""

from __future__ import annotations

import math

import pytest

from analysis.plots import style
from analysis.plots.registry import draw
from analysis.plots.time_to_target import PLOT, time_to_target_data
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import SWEEP, trial, twelve, write_ledger


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def racers(**slow):
    """The leader's score is 0.50, the target 0.48: SGD needs 3, 2, 3 epochs of 2 s, Adam 4 and never, of 1 s."""
    return [
        *(trial("SGD", seed=seed, curve=curve) for seed, curve in enumerate([
            [0.1, 0.40, 0.48, 0.50], [0.1, 0.50, 0.40, 0.50], [0.1, 0.20, 0.49, 0.50],
        ])),
        trial("Adam", seed=0, curve=[0.1, 0.2, 0.3, 0.49], seconds=1.0, **slow),
        trial("Adam", seed=1, curve=[0.1, 0.2, 0.3, 0.40], seconds=1.0, **slow),
    ]  # fmt: skip


def test_the_first_epoch_at_the_target_and_the_seconds_until_then(tmp_path):
    data = time_to_target_data(results_of(tmp_path, racers())).set_index(["optimizer", "seed"])
    assert data["target"].unique() == pytest.approx([0.48])
    assert data["epochs"].to_dict() == {
        ("SGD", 0): 3, ("SGD", 1): 2, ("SGD", 2): 3, ("Adam", 0): 4, ("Adam", 1): math.inf,
    }  # fmt: skip
    assert data["seconds"].tolist() == [6, 4, 6, 4, math.inf]


def test_median_and_quartiles_count_never_as_infinite(tmp_path):
    data = time_to_target_data(results_of(tmp_path, racers())).drop_duplicates("optimizer").set_index("optimizer")
    assert data["share"].to_dict() == {"SGD": 1.0, "Adam": 0.5}
    assert data.loc["SGD", ["epochs_median", "epochs_low", "epochs_high"]].tolist() == [3, 2, 3]
    assert data.loc["Adam", ["seconds_median", "seconds_low", "seconds_high"]].tolist() == [math.inf, 4, math.inf]


def test_the_twelve_trials_agree_with_their_leaderboard(tmp_path):
    results = analyse(load_study([twelve(tmp_path)]))
    data = time_to_target_data(results).drop_duplicates("label").set_index("label")
    board = results.board.set_index("label")
    for label in data.index:
        assert data.loc[label, "epochs_median"] == board.loc[label, "epochs_to_target"]
        assert data.loc[label, "seconds_median"] == board.loc[label, "seconds_to_target"]


@pytest.mark.parametrize("slow", [{"extra": {"lanes": 4}}, {"extra": {"seconds": None}}])
def test_seconds_are_left_out_where_they_do_not_compare(tmp_path, slow):
    results = results_of(tmp_path, racers(**slow))
    data = time_to_target_data(results)
    assert data["seconds"].isna().all()
    assert data["epochs"].notna().all()
    with style.context():
        figure = draw(PLOT, data, study=results.study)
    assert "seconds are not comparable" in figure.axes[1].texts[0].get_text()


def test_seconds_of_a_run_that_went_on_with_other_hardware_are_left_out(tmp_path):
    write_ledger(tmp_path, racers())
    write_ledger(tmp_path, [], hardware={**SWEEP["hardware"], "gpus": ["another GPU"]})
    assert time_to_target_data(analyse(load_study([tmp_path])))["seconds"].isna().all()


def test_a_line_ends_at_the_share_that_reached_the_target(tmp_path):
    results = results_of(tmp_path, racers())
    data = PLOT.data(results)
    with style.context():
        figure = draw(PLOT, data, study=results.study)
        figure.draw_without_rendering()
    assert {text.get_text() for text in figure.axes[0].texts} == {"SGD 3/3", "Adam 1/2"}
    ends = {tuple(line.get_ydata())[-1] for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"}
    assert ends == {1.0, 0.5}
    assert "48.00 %" in PLOT.caption(data)


def test_a_loss_has_no_target_and_the_figure_says_so(tmp_path):
    loss = {"spec": {"metric": {"name": "val_loss", "goal": "minimize"}}}
    assert time_to_target_data(results_of(tmp_path, racers(), **loss)).empty
    assert "accuracy" in PLOT.empty
