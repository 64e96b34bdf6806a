"""Curves over seconds: only of training runs whose seconds mean the same, and without those of evaluation."""

from __future__ import annotations

import pytest

from analysis.plots import style
from analysis.plots.registry import draw
from analysis.plots.training_curves import PLOT as BY_EPOCH
from analysis.plots.training_time import PLOT, training_time_data
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import SWEEP, trial, write_ledger


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def two(**other):
    return [
        *(trial("SGD", seed=seed, curve=[0.1, 0.2, 0.3], seconds=2.0) for seed in (0, 1)),
        *(trial("Adam", seed=seed, curve=[0.1, 0.2, 0.4], seconds=3.0, **other) for seed in (0, 1)),
        trial("NAdam", curve=[0.1, 0.2, 0.35], seconds=1.0),
    ]


def test_elapsed_is_the_sum_of_the_training_seconds(tmp_path):
    data = training_time_data(results_of(tmp_path, two()))
    elapsed = data.groupby(["optimizer", "seed"])["elapsed"].agg(list).to_dict()
    assert elapsed[("SGD", 0)] == [2, 4, 6]  # evaluation took 0.1 s of each epoch besides
    assert elapsed[("Adam", 1)] == [3, 6, 9]


def test_what_had_other_lanes_is_left_out_and_counted(tmp_path):
    data = training_time_data(results_of(tmp_path, two(extra={"lanes": 8})))
    assert set(data["optimizer"]) == {"SGD", "NAdam"}
    assert "Without 1 configuration trained with other lanes" in PLOT.caption(data)
    assert "Without" not in PLOT.caption(training_time_data(results_of(tmp_path / "equal", two())))


def test_runs_on_two_devices_are_not_compared(tmp_path):
    other = {"hardware": {**SWEEP["hardware"], "gpus": ["another GPU"]}}
    folders = [
        write_ledger(tmp_path / "a", [trial("SGD", curve=[0.1, 0.3]), trial("SGD", seed=1, curve=[0.1, 0.3])]),
        write_ledger(tmp_path / "b", [trial("Adam", curve=[0.1, 0.3])], **other),
    ]
    results = analyse(load_study(folders))
    assert training_time_data(results).empty
    assert "devices" in PLOT.empty


@pytest.mark.parametrize(("plot", "x"), [(PLOT, 4.0), (BY_EPOCH, 2)])
def test_the_line_of_a_diverged_seed_ends_in_an_x(tmp_path, plot, x):
    burst = trial("SGD", seed=1, curve=[0.1, 0.2, None], status="diverged")
    results = results_of(tmp_path, [trial("SGD", curve=[0.1, 0.2, 0.3]), burst])
    data = plot.data(results)
    with style.context():
        figure = draw(plot, data, study=results.study)
        figure.draw_without_rendering()
    marks = [line for ax in figure.axes for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert marks
    assert {float(line.get_xdata()[0]) for line in marks} == {x}
    assert "Red X: diverged." in plot.caption(data)


def test_rows_without_lanes_had_a_device_for_themselves(tmp_path):
    trials = [trial(name, curve=[0.1, 0.2, 0.3], columns={"lanes": [None] * 3}) for name in ("SGD", "Adam")]
    data = training_time_data(results_of(tmp_path, trials))
    assert "a device for itself" in PLOT.caption(data)


def test_a_metric_that_trials_have_asked_for_is_drawn(tmp_path):
    asked = {"val_top5_accuracy": [0.3, 0.4, 0.6]}
    trials = [trial(name, curve=[0.1, 0.2, 0.3], columns=asked) for name in ("SGD", "Adam")]
    results = results_of(tmp_path, trials, spec={"metric": {"name": "val_top5_accuracy"}})
    data = training_time_data(results)
    assert results.study.metric == "val_top5_accuracy"
    assert data["val_top5_accuracy"].tolist() == [0.3, 0.4, 0.6] * 2
    figure = draw(PLOT, data, study=results.study)
    assert any("top5" in ax.get_title() for ax in figure.axes)
