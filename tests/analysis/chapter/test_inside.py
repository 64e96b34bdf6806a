"""What is drawn of the inside of a real training is what its optimizer did, and what was not captured is refused."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from analysis.__main__ import app
from analysis.chapter.inside import INSIDE, RAW, inside_data, inside_statistics, kept_by_the_optimizer, look_inside
from ch6dist.cli import run
from ch6dist.config import parse_trial
from ch6dist.runs.captures import read_captures
from ch6dist.runs.ledger import read
from ch6dist.training.solo import run_trial

DATA = {"name": "synthetic_mnist", "train_size": 400, "val_size": 50, "batch_size": 50, "augment": "none"}
WIDE = {"gradients": {"keep": "sample", "sample": 16}, "optimizer_state": {"keep": "sample", "sample": 16}}
ADAM = {"name": "Adam", "lr": 0.01}


def trained(folder, optimizer, *, capture=WIDE, **more):
    content = {"data": DATA, "model": "simple_nn", "optimizer": optimizer, "epochs": 2, "capture": capture, **more}
    trial = parse_trial(content)
    run_trial(trial, run=folder / "run", console=Console(file=io.StringIO()))
    return folder / "run", trial.trial_id


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (ADAM, {"exp_avg", "exp_avg_sq"}),
        ({"name": "AdamW", "lr": 0.01, "betas": [0.8, 0.99]}, {"exp_avg", "exp_avg_sq"}),
        ({"name": "RMSprop", "lr": 0.001}, {"square_avg"}),
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9}, {"momentum_buffer"}),
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True}, {"momentum_buffer"}),
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9, "dampening": 0.5}, {"momentum_buffer"}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_the_formula_gives_what_the_optimizer_kept(optimizer, slots, tmp_path):
    folder, trial = trained(tmp_path, optimizer, capture=WIDE)
    inside = look_inside(folder, read(folder), trial)
    assert set(inside.state) == slots
    for slot, values in inside.state.items():
        assert np.abs(values).max() > 0
        np.testing.assert_allclose(inside.averages[slot], values, rtol=2e-5, atol=2e-6 * np.abs(values).max())
    assert len(kept_by_the_optimizer(inside)) == len(slots)


def test_a_step_is_the_adapted_gradient_times_the_learning_rate(tmp_path):
    capture = {**WIDE, "parameters": {"keep": "sample", "sample": 16}}
    folder, trial = trained(tmp_path, ADAM, capture=capture)
    inside = look_inside(folder, read(folder), trial)
    weights = read_captures(folder, read(folder), trial)["parameters"].of(inside.name, "sample").astype(float)
    np.testing.assert_allclose(-np.diff(weights, axis=0) / 0.01, inside.stages["adapted"][1:], atol=2e-4)


def test_time_is_the_axis_of_the_statistics_and_of_the_figure(tmp_path):
    folder, trial = trained(tmp_path, ADAM, capture=WIDE)
    inside = look_inside(folder, read(folder), trial)
    gradients = inside.stages[RAW]
    assert gradients.shape == (16, 16)
    assert inside.steps.tolist() == list(range(1, 17))
    found = inside_statistics(inside).set_index("series")
    assert found.loc[RAW, "variance"] == pytest.approx(gradients.var(axis=0).mean())
    assert found.loc[RAW, "peak"] == pytest.approx(np.abs(gradients).max())
    assert found.loc["smoothed", "kept"] < 1
    assert np.isnan(found.loc["adapted", "kept"])  # of another unit
    assert found.loc["smoothed", "white_noise"] == pytest.approx(1 / 19)
    assert (found.loc["adapted", "low"], found.loc["adapted", "high"]) == (
        inside.stages["adapted"].min(),
        inside.stages["adapted"].max(),
    )
    assert found["elements"].unique().tolist() == [16]
    data = inside_data(inside)
    assert data["step"].nunique() == 16
    assert data["element"].nunique() == 3
    assert "16 steps" in INSIDE.caption(data)


def command(*arguments):
    return run(app, name="analysis", arguments=["inside", *map(str, arguments)])


def test_the_command_writes_figure_and_numbers(tmp_path, capsys):
    folder, trial = trained(tmp_path, ADAM, capture=WIDE)
    assert command(folder, trial[:6], "-o", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "exp_avg_sq, as the optimizer kept it: the formula's, to" in out
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert "over 16 steps of 16 elements" in out
    assert re.search(r"β1 +0\.9  the trial's", out)
    assert written == {
        *(f"data/{name}.csv" for name in ("inside", "inside_statistics", "influence", "influence_statistics")),
        *(f"figures/{name}.{kind}" for name in ("inside", "influence") for kind in ("png", "svg")),
    }


@pytest.mark.parametrize(
    ("optimizer", "changes", "said"),
    [
        (ADAM, {"capture": {}}, "did not capture elements of its gradients"),
        (ADAM, {"capture": {"gradients": {"keep": "sample", "every": 2}}}, "did not capture .* of every step"),
        (ADAM, {"capture": None}, "did not capture elements of its gradients"),
        ({"name": "Adagrad"}, {}, "trains by Adagrad"),
        ({**ADAM, "amsgrad": True}, {}, "trains with amsgrad"),
        ({"name": "RMSprop", "centered": True}, {}, "trains with centered"),
        ({"name": "RMSprop", "momentum": 0.9}, {}, "trains with momentum"),
        ({"name": "SGD", "lr": 0.1, "momentum": 0.9}, {"schedule": "OneCycleLR"}, "moves its momentum"),
    ],
)  # fmt: skip
def test_what_was_not_captured_or_has_another_formula_is_one_line(optimizer, changes, said, tmp_path, capsys):
    folder, trial = trained(tmp_path, optimizer, **{"capture": WIDE, **changes})
    assert command(folder, trial, "-o", tmp_path / "out") == 2
    errors = capsys.readouterr().err
    assert re.search(said, errors)
    assert len(errors.strip().splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_a_parameter_that_was_not_captured_is_refused_with_the_names_there_are(tmp_path, capsys):
    folder, trial = trained(tmp_path, ADAM, capture=WIDE)
    assert command(folder, trial, "--name", "conv9.weight", "-o", tmp_path / "out") == 2
    assert look_inside(folder, read(folder), trial).name in capsys.readouterr().err


def test_with_decay_in_the_gradient_nothing_is_held_against_the_state(tmp_path):
    folder, trial = trained(tmp_path, {**ADAM, "weight_decay": 0.1}, capture=WIDE)
    inside = look_inside(folder, read(folder), trial)
    assert inside.state == {}
    assert "weight decay is left out" in INSIDE.caption(inside_data(inside))
