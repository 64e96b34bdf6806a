"""Norms of layers are those of their tensors together, marks are the ledger's signs, and nothing is made up."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.__main__ import app
from analysis.chapter.drawing import write_drawing
from analysis.chapter.norm_drawings import MAGNITUDE, MOST_LAYERS, NORMS, shown_layers
from analysis.chapter.norms import (
    GRADIENTS,
    MEAN_ABSOLUTE,
    PARAMETERS,
    TOGETHER,
    UPDATES,
    Norms,
    magnitude_data,
    magnitude_statistics,
    norms_data,
    read_norms,
)
from analysis.chapter.tables import statistics_text
from ch6dist.averages import ewma
from ch6dist.cli import run
from ch6dist.config import parse_trial
from ch6dist.runs.captures import Series, read_captures
from ch6dist.runs.ledger import read
from ch6dist.training.solo import run_trial

DATA = {"name": "synthetic_mnist", "train_size": 400, "val_size": 50, "batch_size": 50, "augment": "none"}
SGD = {"name": "SGD", "lr": 0.1}
ALL = 10**6  # elements: of every tensor all
NAMES, SIZES = ("conv1.weight", "conv1.bias", "fc1.weight"), (100, 10, 400)


def trained(folder, *, capture, optimizer=SGD):
    content = {"data": DATA, "model": "simple_nn", "optimizer": optimizer, "epochs": 2, "capture": capture}
    trial = parse_trial(content)
    run_trial(trial, run=folder / "run", console=Console(file=io.StringIO()))
    return folder / "run", trial.trial_id


def norms_of(folder, trial):
    return read_norms(folder, read(folder), trial)


def hand_made(norm, *, names=NAMES, sizes=SIZES, every=1):
    values = np.array(norm, dtype=np.float32)
    return Series(1 + every * np.arange(len(values)), names, sizes, {"norm": values})


def of_gradients(norm, **more):
    return Norms(label="label", trial="trial", gradients=hand_made(norm, **more), parameters=None)


def command(*arguments):
    return run(app, name="analysis", arguments=["norms", *map(str, arguments)])


def test_the_norm_of_a_layer_is_that_of_its_weights_and_biases_together():
    data = norms_data(of_gradients([[3, 4, 7], [6, 8, 9]]), beta=0.9)
    assert data.groupby("layer", sort=False)["value"].apply(list).to_dict() == {"conv1": [5, 10], "fc1": [7, 9]}
    of_layer = data[data["layer"] == "conv1"]
    np.testing.assert_allclose(of_layer["smoothed"], ewma([5, 10], beta=0.9, corrected=True))
    assert magnitude_data(of_gradients([[3, 4, 12]]), beta=0.9)["value"].tolist() == [13]


def test_marked_steps_are_those_that_the_rows_of_the_ledger_count(tmp_path):
    folder, trial = trained(tmp_path, capture={}, optimizer={**SGD, "lr": 300.0, "weight_decay": 0.1})
    rows = read(folder).rows
    data = norms_data(norms_of(folder, trial), beta=0.9)
    exploding = data.loc[data["exploding"], "step"].nunique()
    assert exploding == sum(row["exploding_steps"] for row in rows) > 0
    assert set(data["panel"]) == {GRADIENTS, PARAMETERS}
    assert not data.loc[data["panel"] == PARAMETERS, ["exploding", "vanishing"]].any(axis=None)
    assert f"{exploding} steps, red above, exploded" in NORMS.caption(data)


def test_a_layer_vanishes_where_one_of_its_gradients_does():
    data = norms_data(of_gradients([[1, 1, 1], [1, 1e-30, 1], [np.nan, 1, 0]]), beta=0.9)
    marked = data[data["vanishing"]]
    assert list(zip(marked["layer"], marked["step"], strict=True)) == [("conv1", 2), ("fc1", 3)]
    assert data.loc[data["exploding"], "step"].unique().tolist() == [3]
    assert "vanished (▼) in conv1, fc1" in NORMS.caption(data)
    healthy = NORMS.caption(norms_data(of_gradients([[1, 1, 1]]), beta=0.9))
    assert "No step exploded" in healthy
    assert "no gradient vanished" in healthy


def test_an_update_is_the_learning_rate_times_the_gradient_over_the_parameter(tmp_path):
    capture = {"gradients": {}, "parameters": {"keep": "sample", "sample": ALL}}
    folder, trial = trained(tmp_path, capture=capture)
    data = norms_data(norms_of(folder, trial), beta=0.9)
    assert set(data["panel"]) == {GRADIENTS, UPDATES}
    assert data.loc[data["panel"] == UPDATES, "step"].min() == 2  # the parameters before the first are not captured
    found = read_captures(folder, read(folder), trial)
    for layer in data["layer"].unique():
        names = [name for name in found["parameters"].names if name.rpartition(".")[0] == layer]
        weights = np.concatenate([found["parameters"].of(name, "sample") for name in names], axis=1)
        before = np.linalg.norm(weights[:-1].astype(float), axis=1)
        gradient = np.sqrt(sum(found["gradients"].of(name).astype(float) ** 2 for name in names))[1:]
        chosen = data[(data["panel"] == UPDATES) & (data["layer"] == layer)]
        np.testing.assert_allclose(chosen["value"], 0.1 * gradient / before, rtol=1e-3)


def test_a_sample_stands_for_all_elements_of_its_tensor():
    rng = np.random.default_rng(0)
    changes = 0.01 * rng.standard_normal((3, 5000))
    weights = np.concatenate([np.cumsum(changes, axis=0) + rng.standard_normal(5000), 100 * np.ones((3, 4))], axis=1)
    names, sizes = ("a.weight", "a.bias"), (5000, 4)
    ratios = []
    for count in (5000, 1000):
        elements = (np.arange(count), np.arange(4))
        values = np.concatenate([weights[:, :count], weights[:, 5000:]], axis=1)
        series = Series(np.array([1, 2, 3]), names, sizes, {"sample": values}, elements)
        ratios.append(norms_data(Norms("label", "trial", None, series), beta=0.9)["value"].to_numpy())
    np.testing.assert_allclose(ratios[0], np.linalg.norm(changes[1:], axis=1) / np.linalg.norm(weights[:-1], axis=1))
    np.testing.assert_allclose(ratios[1], ratios[0], rtol=0.1)  # 1 weight of 5, but every bias


@pytest.mark.parametrize(
    "parameters",
    [{}, {"keep": "sample", "every": 2}, {"keep": "summary"}],
    ids=["norms", "every second step", "summaries"],
)
def test_without_the_parameters_of_every_step_there_is_no_update(parameters, tmp_path):
    folder, trial = trained(tmp_path, capture={"gradients": {"every": 3}, "parameters": parameters})
    data = norms_data(norms_of(folder, trial), beta=0.5)
    assert UPDATES not in set(data["panel"])
    assert data.loc[data["panel"] == GRADIENTS, "step"].unique().tolist() == [1, 4, 7, 10, 13, 16]
    assert "6 steps from 1 to 16" in MAGNITUDE.caption(magnitude_data(norms_of(folder, trial), beta=0.5))


def test_of_single_elements_the_magnitude_is_the_sum_of_their_mean_absolute_values(tmp_path):
    folder, trial = trained(tmp_path, capture={"gradients": {"keep": "sample", "sample": 8}})
    data = magnitude_data(norms_of(folder, trial), beta=0.9)
    series = read_captures(folder, read(folder), trial)["gradients"]
    parts = [np.abs(series.of(name, "sample").astype(float)).mean(axis=1) for name in series.names]
    np.testing.assert_allclose(data["value"], sum(parts))
    np.testing.assert_allclose(data["smoothed"], ewma(sum(parts), beta=0.9, corrected=True))
    assert data["what"].unique().tolist() == [MEAN_ABSOLUTE]
    assert magnitude_data(of_gradients([[1, 2, 3]]), beta=0.9)["what"].unique().tolist() == [TOGETHER]
    statistics = magnitude_statistics(data).set_index("series")
    assert statistics.loc["raw", "variance"] == pytest.approx(sum(parts).var())
    assert statistics.loc["smoothed", "white_noise"] == pytest.approx(1 / 19)


@pytest.mark.parametrize(
    "norm",
    [
        [[1, 2, 3]],
        np.zeros((9, 3)),
        np.full((9, 3), 0.5),
        [[1, 1, 1], [1e30, 1, 0], [np.inf, np.nan, 1], [np.nan] * 3],
        [[np.nan] * 3] * 4,
    ],
    ids=["one step", "all zero", "constant", "diverged", "never finite"],
)
@pytest.mark.filterwarnings("error")
def test_norms_of_every_kind_are_drawn(norm, tmp_path):
    norms = of_gradients(norm)
    data, magnitude = norms_data(norms, beta=0.9), magnitude_data(norms, beta=0.9)
    assert write_drawing(NORMS, data, tmp_path).stat().st_size > 10_000
    assert write_drawing(MAGNITUDE, magnitude, tmp_path).stat().st_size > 10_000
    assert len(pd.read_csv(tmp_path / "data/norms.csv")) == len(data)
    finite = np.isfinite(np.array(norm)).all(axis=1).sum()
    statistics = magnitude_statistics(magnitude)
    assert statistics["steps"].tolist() == ([finite, finite] if finite else [])
    assert "nan" not in statistics_text(statistics)


def test_of_many_layers_some_are_drawn_from_first_to_last_and_the_caption_says_so():
    names = tuple(f"layer{number}.weight" for number in range(40))
    data = norms_data(of_gradients(np.ones((3, 40)), names=names, sizes=(10,) * 40), beta=0.9)
    shown = shown_layers(data)
    assert (len(shown), shown[0], shown[-1]) == (MOST_LAYERS, "layer0", "layer39")
    assert "12 of 40 layers" in NORMS.caption(data)
    assert data["layer"].nunique() == 40


def test_the_command_writes_figures_and_numbers(tmp_path, capsys):
    folder, trial = trained(tmp_path, capture={})
    assert command(folder, trial[:6], "-o", tmp_path / "out", "--beta", "0.5") == 0
    assert "over the 16 steps" in capsys.readouterr().out
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == {
        *(f"data/{name}.csv" for name in ("norms", "magnitude")),
        *(f"figures/{name}.{kind}" for name in ("norms", "magnitude") for kind in ("png", "svg")),
    }
    assert pd.read_csv(tmp_path / "out/data/norms.csv")["beta"].unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("capture", "more", "said"),
    [
        (None, (), "captured no norms"),
        ({"activations": {}}, (), "captured no norms"),
        ({"parameters": {"keep": "sample", "every": 5}}, (), "captured no norms"),
        ({}, ("--beta", "1"), "beta"),
        ({}, ("--beta", "nan"), "beta"),
    ],
)
def test_what_was_not_captured_is_one_line(capture, more, said, tmp_path, capsys):
    folder, trial = trained(tmp_path, capture=capture)
    assert command(folder, trial, "-o", tmp_path / "out", *more) == 2
    errors = capsys.readouterr().err
    assert re.search(said, errors)
    assert len(errors.strip().splitlines()) <= 2
    assert not (tmp_path / "out").exists()
    assert command(folder, trial) == 2
