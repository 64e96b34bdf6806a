"""What each setting of an optimizer does is what torch's optimizer does with it, on gradients of every kind."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
import torch
from rich.console import Console

from analysis.chapter.drawing import write_drawing
from analysis.chapter.formulas import FORMULAS, RAW, own_value, result
from analysis.chapter.influence import (
    INFLUENCE,
    influence_data,
    influence_statistics,
    sign_changes,
    values_to_try,
)
from analysis.chapter.inside import INSIDE, Inside, inside_data, inside_statistics, look_inside
from analysis.chapter.tables import influence_text, statistics_text
from ch6dist.averages import window_of
from ch6dist.config import parse_trial
from ch6dist.runs.ledger import read
from ch6dist.training.solo import run_trial

DATA = {"name": "synthetic_mnist", "train_size": 400, "val_size": 50, "batch_size": 25, "augment": "none"}
WIDE = {"gradients": {"names": ["fc1.weight"], "keep": "sample", "sample": 16}}
OPTIMIZERS = [
    {"name": "Adam"},
    {"name": "Adam", "betas": [0.9, 0.9]},
    {"name": "AdamW", "betas": [0.0, 0.95], "eps": 1e-3, "weight_decay": 0.0},
    {"name": "RMSprop"},
    {"name": "SGD", "momentum": 0.9},
    {"name": "SGD", "momentum": 0.8, "nesterov": True},
    {"name": "SGD", "momentum": 0.9, "dampening": 0.5},
    {"name": "SGD"},
]
each_optimizer = pytest.mark.parametrize("given", OPTIMIZERS, ids=str)
ATTACKS = {
    "one step": np.array([[0.5, -0.25]]),
    "constant": np.full((12, 3), 0.1),
    "zero": np.zeros((12, 3)),
    "one element": np.sin(np.arange(12.0))[:, None],
    "one of them zero": np.stack([np.zeros(12), np.cos(np.arange(12.0))], axis=1),
    "tiny and huge": np.stack([np.full(12, 1e-45), np.linspace(-3e38, 3e38, 12)], axis=1),
}


def resolved(given):
    return parse_trial({"data": DATA, "model": "simple_nn", "optimizer": {"lr": 0.01, **given}}).optimizer


def trained(folder, optimizer, *, capture=WIDE):
    content = {"data": DATA, "model": "simple_nn", "optimizer": optimizer, "epochs": 2, "capture": capture}
    trial = parse_trial(content)
    run_trial(trial, run=folder, console=Console(file=io.StringIO()))
    return look_inside(folder, read(folder), trial.trial_id)


@pytest.fixture(scope="module")
def gradients(tmp_path_factory):
    found = trained(tmp_path_factory.mktemp("trained") / "run", {"name": "Adam", "lr": 0.01}).stages[RAW]
    assert found.shape == (32, 16)
    assert (found != 0).any(axis=0).sum() > 3
    return found


def inside(values, given):
    optimizer = resolved(given)
    stages, averages = FORMULAS[optimizer["name"]].apply(values, optimizer)
    steps = np.arange(1, len(values) + 1)
    return Inside("label", "trial", "fc1.weight", optimizer, steps, {RAW: values, **stages}, {}, averages, 0)


def given_to_torch(optimizer, label, value):
    """The optimizer with another value of the setting of this label, by torch's names."""
    betas = optimizer.get("betas", (0, 0))
    changes = {
        "β1": {"betas": (value, betas[1])},
        "β2": {"betas": (betas[0], value)},
        "ε": {"eps": value},
        "α": {"alpha": value},
        "β": {"momentum": value},
    }
    return {**optimizer, **changes[label]}


def steps_of_torch(values, optimizer):
    """What torch's own optimizer subtracts from parameters of 0, step by step, at a learning rate of 1."""
    keys = {"betas", "eps", "alpha", "momentum", "dampening", "nesterov"} & optimizer.keys()
    arguments = {key: optimizer[key] for key in keys}
    if arguments.get("nesterov") and not arguments["momentum"]:
        arguments["nesterov"] = False  # torch refuses it; without momentum it is nothing
    weights = torch.zeros(values.shape[1], dtype=torch.float64, requires_grad=True)
    stepper = getattr(torch.optim, optimizer["name"])([weights], lr=1.0, weight_decay=0.0, **arguments)
    found = []
    for gradient in values:
        with torch.no_grad():
            weights.zero_()
        weights.grad = torch.tensor(gradient)
        stepper.step()
        found.append(-weights.detach().numpy().copy())
    return np.array(found)


@each_optimizer
def test_every_value_of_every_setting_gives_the_steps_of_torch(given, gradients):
    found, data = inside(gradients, given), influence_data(inside(gradients, given))
    element = int(np.argmax(gradients.var(axis=0)))
    for setting in FORMULAS[given["name"]].settings:
        panels = data[data["setting"] == setting.label].groupby("value")
        assert len(panels) == 4
        for value, panel in panels:
            expected = steps_of_torch(gradients, given_to_torch(found.optimizer, setting.label, value))
            np.testing.assert_allclose(panel["result"], expected[:, element], rtol=1e-12, atol=1e-12)


@each_optimizer
def test_the_table_counts_over_all_elements_what_the_formula_gives(given, gradients):
    found = inside(gradients, given)
    table = influence_statistics(found)
    for setting in FORMULAS[given["name"]].settings:
        rows = table[table["setting"] == setting.label]
        assert rows["own"].sum() == 1
        assert rows.loc[rows["own"], "value"].item() == own_value(found.optimizer, setting.where)
        for row in rows.to_dict("records"):
            expected = steps_of_torch(gradients, given_to_torch(found.optimizer, setting.label, row["value"]))
            assert row["variance"] == pytest.approx(expected.var(axis=0).mean())
            assert row["peak"] == pytest.approx(np.abs(expected).max())
            changes = [np.sign(a) * np.sign(b) == -1 for a, b in itertools.pairwise(expected)]
            assert row["sign_changes"] == pytest.approx(np.mean(changes))
            window = 2 / (1 - row["value"]) - 1 if setting.is_beta else math.nan
            assert row["window"] == pytest.approx(window, nan_ok=True)
            assert (row["steps"], row["elements"]) == gradients.shape


@each_optimizer
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.filterwarnings("error")
def test_gradients_of_every_kind_give_numbers_and_text(given, attack):
    found = inside(ATTACKS[attack], given)
    data = influence_data(found)
    assert np.isfinite(data["result"]).all()
    assert INFLUENCE.caption(data)
    assert statistics_text(inside_statistics(found))
    table = influence_text(influence_statistics(found))
    assert "nan" not in table.lower()
    if attack == "zero":
        assert (data["result"] == 0).all()
        assert len(data[data["setting"] == "ε"]["value"].unique()) <= 1  # nothing to compare it with


@pytest.mark.parametrize(
    ("given", "attack"),
    [({"name": "Adam"}, "one step"), ({"name": "Adam"}, "zero"), ({"name": "SGD", "momentum": 0.9}, "constant")],
)
@pytest.mark.filterwarnings("error")
def test_figures_of_next_to_nothing_are_drawn(given, attack, tmp_path):
    found = inside(ATTACKS[attack], given)
    assert write_drawing(INFLUENCE, influence_data(found), tmp_path).stat().st_size > 10_000
    assert write_drawing(INSIDE, inside_data(found), tmp_path).stat().st_size > 10_000


def test_no_epsilon_at_all_gives_what_torch_gives(gradients):
    values = gradients[:, (gradients != 0).all(axis=0)]
    assert values.shape[1] > 0
    found = inside(values, {"name": "Adam", "eps": 0.0})
    expected = steps_of_torch(values, found.optimizer)
    np.testing.assert_allclose(result("Adam", values, found.optimizer), expected, rtol=1e-12)
    assert influence_data(found).query("setting == 'ε'")["value"].min() == 0


def test_own_values_are_tried_once_each_in_the_place_of_the_nearest():
    usual = (0.0, 0.5, 0.9, 0.99)
    for own in (0.0, 0.5, 0.9, 0.99, 0.1, 0.85, 0.95, 0.999999):
        tried = values_to_try(own, usual, is_beta=True)
        assert tried.count(own) == 1
        assert len(tried) == len(set(tried)) == 4
        assert tried == sorted(tried)
        (gone,) = set(usual) - set(tried) or {own}
        far = [abs(math.log(window_of(value) / window_of(own))) for value in usual]
        assert usual[int(np.argmin(far))] == gone
    assert values_to_try(0.3, (0.01, 0.3, 3.0), is_beta=False) == [0.01, 0.3, 3.0]
    assert values_to_try(1e-8, (), is_beta=False) == [1e-8]


def test_a_positive_scale_changes_no_sign(gradients):
    table = influence_statistics(inside(gradients, {"name": "Adam"})).set_index("setting")
    for setting in ("β2", "ε"):
        assert table.loc[setting, "sign_changes"].nunique() == 1
    assert table.loc["β1", "sign_changes"].nunique() == 4


def test_sign_changes_are_those_from_step_to_step():
    assert sign_changes(np.array([[1.0], [-1.0], [1.0]])) == 1
    assert sign_changes(np.array([[1.0, 1.0], [-1.0, 2.0], [0.0, 3.0]])) == pytest.approx(1 / 4)
    assert sign_changes(np.array([[1e-300], [-1e-300]])) == 1
    assert math.isnan(sign_changes(np.array([[1.0]])))


def test_the_caption_says_whose_gradients_they_are():
    caption = INFLUENCE.caption(influence_data(inside(ATTACKS["one element"], {"name": "Adam"})))
    assert "another value would have led it elsewhere" in caption
    assert "takes a sweep" in caption


def test_steps_from_the_first_gradient_on_that_is_not_finite_are_left_out(tmp_path):
    found = trained(tmp_path / "run", {"name": "SGD", "lr": 1e18, "momentum": 0.9})
    assert found.left_out > 0
    assert np.isfinite(found.stages[RAW]).all()
    assert "not finite" in INFLUENCE.caption(influence_data(found))
    assert str(found.left_out) in INSIDE.caption(inside_data(found))
    assert np.isfinite(inside_statistics(found)["peak"]).all()
