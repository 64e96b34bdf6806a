"""What momentum does on a quadratic is what its formulas predict, wherever a border is not too near."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ch6dist.lab.phase import (
    REGIMES,
    best_settings,
    borders,
    iteration_matrix,
    measured_errors,
    phase_diagram,
    predicted_errors,
    regime_of,
    spectral_radius,
)

CURVATURES = (0.6, 12.0)
ALPHAS = np.linspace(0, 4.2, 22)[1:] / CURVATURES[1]
BETAS = np.linspace(0, 0.95, 11)


@pytest.fixture(scope="module")
def diagram():
    return phase_diagram(CURVATURES, ALPHAS, BETAS)


def test_the_measured_regime_is_the_predicted_one(diagram):
    wrong = [
        (product, beta)
        for i, j, k in np.argwhere(diagram.regime != diagram.measured_regime)
        for product, beta in [(ALPHAS[j] * CURVATURES[k], BETAS[i])]
        if min(abs(product - float(border)) for border in borders(np.array(beta))) > 0.01
    ]
    assert wrong == []
    assert diagram.agreement() >= 0.99
    assert {REGIMES[place] for place in diagram.measured_regime.flat} == set(REGIMES), "every regime occurs"


def test_the_measured_factor_is_the_spectral_radius(diagram):
    assert np.abs(diagram.radius - diagram.measured_radius).max() < 0.03


def test_the_diagram_notices_a_wrong_prediction():
    shifted = phase_diagram((0.6, 12.0), 1.3 * ALPHAS, BETAS)
    right = phase_diagram((0.6, 12.0), ALPHAS, BETAS)
    assert (shifted.regime.max(axis=-1) == right.measured_regime.max(axis=-1)).mean() < 0.95


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_the_borders_are_where_the_eigenvalues_of_the_matrix_change(beta):
    oscillates, alternates, diverges = (float(border) for border in borders(np.array(beta)))
    assert 0 < oscillates <= alternates <= diverges
    for product in np.linspace(0.001, 4.2, 400):
        values = np.linalg.eigvals(iteration_matrix(product, beta, 1.0))
        if min(abs(product - border) for border in (oscillates, alternates, diverges)) < 1e-3:
            continue
        regime = regime_of(product, beta, 1.0)
        assert (regime == "diverging") == (np.abs(values).max() > 1)
        is_complex = np.abs(values.imag).max() > 1e-9
        assert is_complex == (oscillates < product < alternates)
        if is_complex:
            assert np.abs(values) == pytest.approx([math.sqrt(beta)] * 2)
        assert (regime == "monotone") == (not is_complex and values.real.min() > -1e-12)


def test_without_momentum_the_radius_is_that_of_gradient_descent():
    for product in (0.1, 0.9, 1.5, 2.5):
        assert spectral_radius(product, 0.0, 1.0) == pytest.approx(abs(1 - product))


@pytest.mark.parametrize("condition", [1.5, 20.0, 1000.0])
def test_no_other_setting_is_faster_than_polyaks(condition):
    best = best_settings(1.0, condition)
    root = math.sqrt(condition)
    assert best.radius == pytest.approx((root - 1) / (root + 1))

    def slower(alpha, beta):
        return max(spectral_radius(alpha, beta, value) for value in (1.0, condition))

    assert slower(best.alpha, best.beta) == pytest.approx(best.radius, abs=1e-5)  # a double root: √ε of fp64
    around = [
        slower(best.alpha * factor, beta)
        for factor in (0.5, 0.9, 0.99, 1.0, 1.01, 1.1)
        for beta in (0.0, 0.9 * best.beta, best.beta, min(0.999, 1.05 * best.beta))
    ]
    assert min(around) >= best.radius - 1e-5


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 0.0), (0.1, 0.9), (0.16, 0.0), (0.3, 0.9), (0.5, 0.5)])
def test_errors_along_each_eigenvector_are_powers_of_the_matrix(alpha, beta):
    measured = measured_errors(CURVATURES, [(alpha, beta), (0.01, 0.3)], steps=60)
    assert measured.shape == (61, 2, 2)
    for place, value in enumerate(CURVATURES):
        predicted = predicted_errors(alpha, beta, value, steps=60)
        assert measured[:, 0, place] == pytest.approx(predicted, rel=1e-9, abs=1e-12)
