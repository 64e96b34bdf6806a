"""What the block "Explore" is given: axes, places on them, curves, and no more than a page can carry."""

from __future__ import annotations

import json
import math

import pytest

from analysis.plots.isolation import isolation_data
from analysis.plots.parallel_coordinates import parallel_coordinates_data
from analysis.report import explore
from analysis.report.explore import explore_data, page_json
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger


def data_of(folder, trials, **sweep):
    return explore_data(analyse(load_study([write_ledger(folder, trials, **sweep)])))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return explore_data(analyse(load_study([twelve(tmp_path_factory.mktemp("runs") / "twelve")])))


def test_what_differs_has_an_axis_and_what_does_not_has_none(found):
    assert [axis["label"] for axis in found["axes"]] == ["optimizer", "learning rate", "validation accuracy"]
    assert found["axes"][1]["log"]
    assert (found["groups"], found["colour_by"]) == (["optimizer", "learning rate", "seed"], "optimizer")


def test_schedules_of_one_optimizer_have_the_colours(tmp_path):
    assert data_of(tmp_path, [trial(schedule={"name": s}, curve=[0.1]) for s in ("none", "LinearLR")])["colour_by"] == (
        "schedule"
    )


def test_a_configuration_stands_where_the_leaderboard_has_it(found):
    first = found["configurations"][0]
    assert first["row"] == 0
    assert first["label"] == "SGD · lr 0.1"
    assert found["axes"][0]["names"][first["values"][0]] == "SGD"
    assert first["values"][1:] == [0.1, pytest.approx(0.51)]


def test_a_curve_is_the_mean_of_its_seeds_as_far_as_all_have_come(found):
    sgd, diverged = found["configurations"][0], found["configurations"][3]
    assert sgd["mean"][0] == [1, 2, 3, 4, 5, 6]
    assert sgd["mean"][1][-2:] == pytest.approx([0.50, 0.52])
    assert diverged["diverged"] == 1
    assert diverged["mean"][0] == [1, 2]
    assert [seed["score"] for seed in diverged["seeds"]] == [0.45, 0.45, None]


def test_settings_that_vary_have_axes_of_numbers_or_names(tmp_path):
    trials = [
        trial(curve=[0.1], parameters={"momentum": momentum}, data={"batch_size": size, "augment": augment})
        for momentum, augment, size in ((0.9, "none", 64), (0.7, "crop_flip", 128), (0.5, "none", 2048))
    ]
    axes = {axis["label"]: axis for axis in data_of(tmp_path, trials)["axes"]}
    assert axes["momentum"]["log"] is False
    assert axes["batch size"]["log"] is True
    assert sorted(axes["augment"]["names"]) == ["crop_flip", "none"]


def test_the_page_and_the_figures_show_the_same_axes(tmp_path):
    trials = [
        trial(name, lr=lr, curve=[lr], parameters={"weight_decay": decay}, schedule={"name": schedule})
        for name in ("SGD", "AdamW") for lr in (0.1, 0.2) for decay in (0, 0.01)
        for schedule in ("none", "CosineAnnealingLR")
    ]  # fmt: skip
    results = analyse(load_study([write_ledger(tmp_path, trials)]))
    found = explore_data(results)
    assert [axis["label"] for axis in found["axes"][:-1]] == results.axes.names
    assert set(found["axes"][0]["names"]) == {"SGD", "AdamW"}  # a weight decay is a place on its own axis
    assert {one["optimizer"] for one in found["configurations"]} == set(found["optimizers"])  # whose colours lines have
    assert set(parallel_coordinates_data(results)) >= set(results.axes.names)
    assert set(isolation_data(results)["axis"]) == set(results.axes.names) - {"learning rate"}


def test_a_setting_that_only_another_optimizer_has_is_no_axis(tmp_path):
    trials = [trial("SGD", curve=[0.1], parameters={"momentum": 0.9}), trial("Adam", curve=[0.2])]
    assert not {"momentum", "betas"} & {axis["label"] for axis in data_of(tmp_path, trials)["axes"]}


def test_many_configurations_and_long_curves_are_capped(tmp_path, monkeypatch):
    monkeypatch.setattr(explore, "MAX_CURVES", 8)
    trials = [trial(lr=0.01 * (i + 1), seed=s, curve=[0.001 * i] * 200) for i in range(6) for s in range(2)]
    found = data_of(tmp_path, trials)
    assert (found["total"], len(found["configurations"])) == (6, 4)
    epochs = found["configurations"][0]["seeds"][0]["curve"][0]
    assert (epochs[0], epochs[-1], len(epochs)) == (1, 200, explore.MAX_POINTS)


def test_nothing_is_shown_before_there_is_a_row(tmp_path):
    assert data_of(tmp_path / "a", [trial(status=None)]) is None
    assert data_of(tmp_path / "b", []) is None


def test_a_value_that_is_missing_is_null_and_json_has_no_nan(tmp_path):
    found = data_of(tmp_path, [trial(curve=[None, 0.1, 0.2]), trial(lr=0.2, curve=[math.nan] * 3, status="diverged")])
    text = page_json(found)
    assert json.loads(text, parse_constant=pytest.fail)["configurations"][-1]["values"][-1] is None


def test_a_name_cannot_end_the_script(tmp_path):
    text = page_json({"name": "</script><!--<script> & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["name"] == "</script><!--<script> & \u2028"
