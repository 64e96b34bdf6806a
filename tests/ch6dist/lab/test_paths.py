"""Paths are what torch's optimizers do: checked against replicas in numpy, over the catalog, and step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset, random_split

from ch6dist.averages import ewma
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.lab.comparisons import name_of, plan_runs, trial_of
from ch6dist.lab.paths import run_paths
from ch6dist.lab.problems import LeastSquares, Problem, build_problem
from ch6dist.lab.series import adam_series, velocity_series
from ch6dist.optim.schedules import preview

REGRESSION = build_problem("regression", {})
VALLEY = build_problem("valley", {"condition": 20.0, "angle": 0.0})
SGD = {"name": "SGD"}
MOMENTUM = {**SGD, "momentum": 0.9}
NESTEROV = {**MOMENTUM, "nesterov": True}
ADAM = {"name": "Adam"}
CATALOG = plan_runs(chosen=[], epochs=10, lr=None)


def path_of(optimizer, *, problem=REGRESSION, epochs=10, lr=0.1, schedule="none"):
    return run_paths(problem, {"path": trial_of(optimizer, epochs=epochs, lr=lr, schedule=schedule)})["path"]


@pytest.fixture(scope="module", params=[REGRESSION, VALLEY], ids=lambda problem: problem.name)
def visit(request):
    return request.param, run_paths(request.param, CATALOG.runs)


# replicas: a step from (θ, g, state, t), with t from 1
def replica_sgd(theta, g, state, t):
    return theta - 0.1 * g, state


def replica_momentum(theta, g, state, t):
    buffer = g if t == 1 else 0.9 * state + g
    return theta - 0.1 * buffer, buffer


def replica_nesterov(theta, g, state, t):
    buffer = g if t == 1 else 0.9 * state + g
    return theta - 0.1 * (g + 0.9 * buffer), buffer


def replica_adam(theta, g, state, t):
    m, v = (np.zeros(2), np.zeros(2)) if t == 1 else state
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return theta - 0.1 * step, (m, v)


@pytest.mark.parametrize("problem", [REGRESSION, VALLEY], ids=lambda problem: problem.name)
@pytest.mark.parametrize(
    ("optimizer", "step"),
    [(SGD, replica_sgd), (MOMENTUM, replica_momentum), (NESTEROV, replica_nesterov), (ADAM, replica_adam)],
    ids=["sgd", "momentum", "nesterov", "adam"],
)
def test_a_replica_in_numpy_takes_the_same_50_steps(problem, optimizer, step):
    path = path_of(optimizer, problem=problem)
    theta, state, t = np.array(problem.start), None, 0
    for epoch in range(10):
        for rows in problem.batches(epoch):
            t += 1
            inputs, targets = problem.train.inputs[rows], problem.train.targets[rows]
            gradient = 2 * inputs.T @ (inputs @ theta - targets) / len(rows)
            assert path.gradients[t - 1] == pytest.approx(gradient, abs=1e-9)
            theta, state = step(theta, gradient, state, t)
            assert path.parameters[t] == pytest.approx(theta, abs=1e-9)
    assert t == 50


def test_the_first_momentum_buffer_is_the_gradient_even_with_dampening():
    for optimizer in (MOMENTUM, NESTEROV, {**MOMENTUM, "dampening": 0.5}):
        path = path_of(optimizer)
        assert path.states["momentum_buffer"][0] == pytest.approx(path.gradients[0], rel=1e-15)
    damped = path_of({**MOMENTUM, "dampening": 0.5})
    second = 0.9 * damped.gradients[0] + 0.5 * damped.gradients[1]
    assert damped.states["momentum_buffer"][1] == pytest.approx(second, rel=1e-13)


def test_adams_state_is_the_uncorrected_averages_of_the_gradients(visit):
    _, paths = visit
    path = paths["Adam"]
    for name, values, beta in (("exp_avg", path.gradients, 0.9), ("exp_avg_sq", path.gradients**2, 0.999)):
        expected = np.zeros(2)
        for t, value in enumerate(values):
            expected = beta * expected + (1 - beta) * value
            assert path.states[name][t] == pytest.approx(expected, rel=1e-12)
        assert ewma(values, beta=beta, corrected=False) == pytest.approx(path.states[name], rel=1e-12)


def test_adams_step_is_the_product_of_the_series_that_are_drawn(visit):
    _, paths = visit
    series = adam_series(paths["Adam"])
    assert series.adapted == pytest.approx(paths["Adam"].adapted, rel=1e-6, abs=1e-9)
    assert (series.scale > 0).all()


def test_momentums_step_is_the_series_that_is_drawn(visit):
    _, paths = visit
    for name, field in (("SGD momentum 0.9", "momentum"), ("SGD nesterov 0.9", "nesterov")):
        series = velocity_series(paths[name].gradients, beta=0.9)
        assert getattr(series, field) == pytest.approx(paths[name].adapted, rel=1e-6, abs=1e-9)
        assert series.momentum == pytest.approx(paths[name].states["momentum_buffer"], rel=1e-9, abs=1e-12)


def test_adams_adapted_gradient_is_bounded_however_large_a_gradient():
    bound = (1 - 0.9) / np.sqrt(1 - 0.999)
    assert bound == pytest.approx(3.162, abs=5e-4)
    for problem in (REGRESSION, VALLEY, build_problem("valley", {"condition": 1e4, "angle": 45.0})):
        for lr in (0.001, 0.1, 5.0):
            assert np.abs(path_of(ADAM, problem=problem, lr=lr, epochs=20).adapted).max() <= bound * (1 + 1e-9)
    inputs = np.zeros((3000, 2))  # no gradient for long, then a leap: the worst that can happen
    sudden = replace(REGRESSION, train=replace(REGRESSION.train, inputs=inputs, targets=np.ones(3000)), batch_size=1)
    inputs[sudden.batches(0)[-1]] = 1e6
    largest = np.abs(path_of(ADAM, problem=sudden, lr=1e-9, epochs=1).adapted).max()
    assert 3 < largest <= bound * (1 + 1e-9)


def test_with_the_books_own_batches_adam_ends_in_the_state_that_the_book_prints():
    random = np.random.RandomState(42)
    x = random.rand(100, 1)
    points = LeastSquares(np.hstack([np.ones_like(x), x]), (1 + 2 * x + 0.1 * random.randn(100, 1))[:, 0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(13)
        split = random_split(TensorDataset(torch.arange(100)), [80, 20])
        train, validation = (DataLoader(part, batch_size=16, shuffle=i == 0) for i, part in enumerate(split))
        torch.manual_seed(42)
        order = []
        for _ in range(10):
            order.append([rows.numpy() for (rows,) in train])
            list(validation)  # it draws a number too

    class Book(Problem):
        def batches(self, epoch):
            return order[epoch]

    problem = Book(**{**vars(REGRESSION), "train": points})
    states = path_of(ADAM, problem=problem).states
    assert states["exp_avg"][-1] == pytest.approx([0.0405, -0.006161476466002255], abs=5e-5)  # chapter 6, in fp32
    assert states["exp_avg_sq"][-1] == pytest.approx([0.0097, 0.003308466907084168], abs=5e-5)
    assert states["exp_avg"][-1, 1] == pytest.approx(-0.006161476466002255, abs=1e-7)
    assert states["exp_avg_sq"][-1, 1] == pytest.approx(0.003308466907084168, abs=1e-8)


def test_the_adapted_gradient_of_plain_sgd_is_the_gradient(visit):
    _, paths = visit
    assert paths["SGD"].adapted == pytest.approx(paths["SGD"].gradients, rel=1e-9, abs=1e-12)


def test_all_start_at_one_place_and_see_the_same_first_batch(visit):
    problem, paths = visit
    first = paths["SGD"]
    for path in paths.values():
        assert tuple(path.parameters[0]) == problem.start
        assert (path.gradients[0] == first.gradients[0]).all()
        assert path.batch_losses[0] == first.batch_losses[0]


def test_every_gradient_is_that_of_the_common_batch_at_the_paths_own_place(visit):
    problem, paths = visit
    batches = [rows for epoch in range(10) for rows in problem.batches(epoch)]
    for path in paths.values():
        for t, rows in enumerate(batches):
            part = replace(problem.train, inputs=problem.train.inputs[rows], targets=problem.train.targets[rows])
            assert path.gradients[t] == pytest.approx(part.gradient(path.parameters[t]), rel=1e-9, abs=1e-12)
            assert path.batch_losses[t] == pytest.approx(float(part.loss(path.parameters[t])), rel=1e-9, abs=1e-18)


def test_every_optimizer_of_the_catalog_has_a_path_and_ends_nearer_to_the_optimum(visit):
    problem, paths = visit
    seen = {path.config.optimizer["name"] for path in paths.values()}
    assert seen == set(OPTIMIZERS)
    for name, path in paths.items():
        distances = np.hypot(*(path.parameters - problem.train.optimum()).T)
        assert len(path.lrs) == 50
        assert distances[-1] < distances[0], name
        assert not path.diverged


def test_states_carry_torchs_names_and_one_value_per_step(visit):
    _, paths = visit
    assert {"exp_avg", "exp_avg_sq"} <= set(paths["Adam"].states)
    assert {"square_avg", "acc_delta"} <= set(paths["Adadelta"].states)
    assert dict(paths["SGD"].states) == {}
    for path in paths.values():
        assert all(values.shape == (50, 2) for values in path.states.values())


@pytest.mark.parametrize(
    "schedule",
    [{"name": "StepLR", "step_size": 4, "gamma": 0.5}, "OneCycleLR", "CosineAnnealingWarmRestarts",
     {"name": "CyclicLR", "base_lr": 0.025, "max_lr": 0.1, "step_size_up": 10, "mode": "triangular2"},
     {"name": "CosineAnnealingLR", "warmup": {"epochs": 2}}],
    ids=str,
)  # fmt: skip
def test_learning_rates_are_those_of_the_preview(schedule):
    path = path_of(
        MOMENTUM, schedule={"T_0": 3, "name": schedule} if schedule == "CosineAnnealingWarmRestarts" else schedule
    )
    expected = [lr for lr, _ in preview(path.config, steps_per_epoch=5)]
    assert path.lrs == pytest.approx(expected, rel=1e-12)


def test_the_books_cycle_peaks_at_half_the_amplitude_each_time():
    trial = next(trial for name, trial in CATALOG.runs.items() if "CyclicLR" in name)
    lrs = run_paths(REGRESSION, {"cycle": trial})["cycle"].lrs
    assert [lrs[i] for i in (0, 10, 20, 30, 40)] == pytest.approx([0.025, 0.1, 0.025, 0.0625, 0.025])


def test_a_plateau_watches_the_validation_loss():
    path = path_of(
        {**SGD, "lr": 0.7}, problem=REGRESSION, epochs=30, schedule={"name": "ReduceLROnPlateau", "patience": 1}
    )
    assert path.lrs[-1] < path.lrs[0] == 0.7


def test_epoch_means_weigh_a_small_last_batch_by_its_size():
    uneven = replace(REGRESSION, batch_size=30, steps_per_epoch=3)
    assert [len(rows) for rows in uneven.batches(0)] == [30, 30, 20]
    path = path_of(SGD, problem=uneven, epochs=4)
    for epoch, losses in enumerate(path.batch_losses.reshape(4, 3)):
        assert path.epoch_losses[epoch] == pytest.approx(losses @ [30, 30, 20] / 80, rel=1e-14)
        after = path.parameters[3 * (epoch + 1)]
        assert path.val_losses[epoch] == pytest.approx(float(uneven.validation.loss(after)), rel=1e-14)


@pytest.mark.parametrize("lr", [5.0, 1e30, 1e200])
def test_a_path_that_diverges_ends_there_and_says_so(lr):
    path = path_of(SGD, lr=lr, epochs=200)
    assert path.diverged
    assert 1 <= len(path.lrs) < 1000
    assert len(path.parameters) == len(path.lrs) + 1
    assert np.isfinite(path.losses[:-1]).all()


def test_where_the_learning_rate_is_0_nothing_is_divided_by_it():
    path = path_of(SGD, schedule={"name": "PolynomialLR", "total_iters": 2})
    assert path.lrs[-1] == 0
    assert np.isnan(path.adapted[-1]).all()
    assert (path.parameters[-1] == path.parameters[-2]).all()


def test_a_schedule_that_watches_an_accuracy_is_refused():
    with pytest.raises(InputError, match="train_loss or val_loss"):
        path_of(SGD, schedule={"name": "ReduceLROnPlateau", "monitor": "val_accuracy"})


def test_names_of_paths_tell_different_configurations_apart():
    assert len(CATALOG.runs) == len({trial.model_dump_json() for trial in CATALOG.runs.values()})
    one, other = (parse_trial({"optimizer": {"name": "SGD", "lr": lr}, "epochs": 1}) for lr in (0.1, 0.1000001))
    assert name_of(one) != name_of(other)


def test_the_comparisons_are_the_books():
    sizes = {name: len(paths) for name, paths in CATALOG.comparisons.items()}
    assert sizes == {
        "optimizers": len(OPTIMIZERS) + 2, "adam": 2, "flavours": 3, "schedules": 6, "beta1": 4, "beta2": 4, "eps": 4,
    }  # fmt: skip
    assert CATALOG.comparisons["flavours"] == ["SGD", "SGD momentum 0.9", "SGD nesterov 0.9"]
    for comparison, paths in CATALOG.comparisons.items():
        assert set(paths) <= set(CATALOG.runs), comparison
