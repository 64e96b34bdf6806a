"""The statistics, against numbers from tables, from scipy's own routines, and from simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as reference

from analysis.study import stats


def test_mean_and_spread_by_hand():
    assert stats.mean_std([0.49, 0.51, 0.53]) == pytest.approx((0.51, 0.02))


def test_one_run_has_a_mean_but_no_spread_and_no_interval():
    mean, std = stats.mean_std([0.5])
    assert mean == 0.5
    assert math.isnan(std)
    assert stats.t_interval([0.5]) is None


def test_no_run_has_neither():
    assert all(math.isnan(number) for number in stats.mean_std([]))


def test_t_interval_of_three_uses_the_quantile_of_the_printed_table():
    low, high = stats.t_interval([0.49, 0.51, 0.53])
    assert (high - low) / 2 == pytest.approx(4.303 * 0.02 / math.sqrt(3), rel=1e-4)  # t(0.975, 2) = 4.303


def test_t_interval_covers_what_it_says_with_three_seeds():
    generator = np.random.default_rng(0)
    samples = generator.normal(0.5, 0.01, size=(2000, 3))
    hits = sum(low <= 0.5 <= high for low, high in map(stats.t_interval, samples))
    assert hits / 2000 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("accuracy", "images", "points"), [(0.7, 10_000, 0.46), (0.5, 10_000, 0.50), (0.7, 5000, 0.65)]
)
def test_binomial_noise_floor(accuracy, images, points):
    assert 100 * stats.binomial_std(accuracy, images=images) == pytest.approx(points, abs=0.005)


def test_the_common_slope_is_that_of_parallel_lines_and_its_p_that_of_a_regression_for_one():
    assert stats.common_slope([[0.1, 0.3, 0.5], [1.1, 1.3, 1.5]]) == (pytest.approx(0.2), pytest.approx(0.0, abs=1e-9))
    curve = [0.1, 0.25, 0.2, 0.4, 0.35]
    theirs = reference.linregress(range(5), curve, alternative="greater")
    assert stats.common_slope([curve]) == pytest.approx((theirs.slope, theirs.pvalue))
    assert math.isnan(stats.common_slope([[0.1], []])[0])
    assert math.isnan(stats.common_slope([[0.1, 0.2]])[1])


@pytest.mark.parametrize("values", [[0.1, 0.7], [0.49, 0.51, 0.53], [0.2, 0.2, 0.9, 0.4], [3e-9, 1e9, -1.5] * 4])
def test_t_interval_agrees_with_scipy(values):
    theirs = reference.t.interval(0.95, len(values) - 1, np.mean(values), reference.sem(values))
    assert stats.t_interval(values) == pytest.approx(tuple(map(float, theirs)), rel=1e-9)


def test_first_reaching_skips_what_is_missing():
    assert stats.first_reaching([None, 0.2, 0.5, 0.4], target=0.4) == 2
    assert stats.first_reaching([0.1, None], target=0.4) is None
