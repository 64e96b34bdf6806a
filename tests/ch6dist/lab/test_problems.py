"""The problems are the book's, and their formulas are the derivatives of their losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ch6dist.catalog.lab import GRID, PROBLEMS
from ch6dist.lab.problems import BOOK_START, build_problem

ALL = [build_problem(name, entry.resolve({})) for name, entry in PROBLEMS.items()]
ALL.append(build_problem("valley", {"condition": 300.0, "angle": -35.0}))
each_problem = pytest.mark.parametrize("problem", ALL, ids=lambda problem: f"{problem.name}{problem.settings}")


def test_the_regression_has_the_optimum_that_the_book_prints():
    problem = build_problem("regression", {})
    assert problem.train.optimum() == pytest.approx([1.02354075, 1.96896447], abs=5e-9)  # chapter 1, LinearRegression
    assert (len(problem.train.targets), len(problem.validation.targets), problem.batch_size) == (80, 20, 16)


def test_the_regression_starts_at_torchs_linear_layer_of_seed_42():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(42)
        layer = torch.nn.Linear(1, 1)
    assert (layer.bias.item(), layer.weight.item()) == BOOK_START


def test_every_problem_of_the_catalog_can_be_built():
    assert {problem.name for problem in ALL} == set(PROBLEMS)


@each_problem
def test_gradient_and_hessian_are_the_derivatives_of_the_loss(problem):
    inputs, targets = torch.from_numpy(problem.train.inputs), torch.from_numpy(problem.train.targets)

    def loss(place):
        return ((inputs @ place - targets) ** 2).mean()

    for place in np.random.RandomState(0).randn(5, 2):
        at = torch.tensor(place, requires_grad=True)
        (gradient,) = torch.autograd.grad(loss(at), at)
        assert problem.train.loss(place) == pytest.approx(float(loss(at).detach()), rel=1e-12)
        assert problem.train.gradient(place) == pytest.approx(gradient.numpy(), rel=1e-11, abs=1e-12)
        hessian = torch.autograd.functional.hessian(loss, at.detach())
        assert problem.train.hessian() == pytest.approx(hessian.numpy(), rel=1e-11, abs=1e-12)
    assert problem.train.gradient(problem.train.optimum()) == pytest.approx([0, 0], abs=1e-12)


@each_problem
def test_contours_are_loss_and_gradient_on_101_points_a_side(problem):
    found = problem.contours()
    assert found.loss.shape == (GRID, GRID) == (101, 101)
    assert (found.xs[0], found.xs[-1]) == problem.window
    i, j = 17, 80
    place = np.array([found.xs[j], found.ys[i]])
    assert found.loss[i, j] == pytest.approx(float(problem.train.loss(place)), rel=1e-12)
    assert found.gradient[i, j] == pytest.approx(problem.train.gradient(place), rel=1e-12)
    assert problem.window[0] <= min(problem.start) < max(problem.start) <= problem.window[1]


@each_problem
def test_batches_are_a_function_of_the_epoch_and_hold_every_point(problem):
    for epoch in range(3):
        batches = problem.batches(epoch)
        assert len(batches) == problem.steps_per_epoch == 5
        again = problem.batches(epoch)
        assert all((one == other).all() for one, other in zip(batches, again, strict=True))
        if problem.name == "regression":
            assert sorted(np.concatenate(batches)) == list(range(80))
        else:
            assert all(sorted(batch) == [0, 1] for batch in batches)
    if problem.name == "regression":
        assert any((a != b).any() for a, b in zip(problem.batches(0), problem.batches(1), strict=True))


@pytest.mark.parametrize(("condition", "angle"), [(1.0, 0.0), (20.0, 0.0), (1000.0, 40.0)])
def test_the_valley_has_its_condition_however_it_is_turned(condition, angle):
    problem = build_problem("valley", {"condition": condition, "angle": angle})
    small, large = problem.eigenvalues()
    assert large / small == pytest.approx(condition, rel=1e-9)
    assert problem.train.optimum() == pytest.approx([0, 0], abs=1e-12)
    straight = build_problem("valley", {"condition": condition, "angle": 0.0})
    starts = [float(one.train.loss(np.array(one.start))) for one in (problem, straight)]
    assert starts[0] == pytest.approx(starts[1], rel=1e-12)
