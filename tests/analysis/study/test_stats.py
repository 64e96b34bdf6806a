"""The statistics, against numbers from tables, from scipy's own routines, and from simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from analysis.study import stats

NUMBERS = st.lists(st.floats(0, 1).map(lambda x: round(x, 4)), min_size=2, max_size=8)


def test_mean_and_spread_by_hand():
    assert stats.mean_std([0.49, 0.51, 0.53]) == pytest.approx((0.51, 0.02))


def test_one_run_has_a_mean_but_no_spread_and_no_interval():
    mean, std = stats.mean_std([0.5])
    assert mean == 0.5
    assert math.isnan(std)
    assert stats.t_interval([0.5]) is None
    assert stats.welch([0.5], [0.4, 0.5]) is None


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


@given(NUMBERS, NUMBERS)
def test_welch_agrees_with_scipy(a, b):
    if np.std(a) < 1e-3 or np.std(b) < 1e-3:
        return
    ours, theirs = stats.welch(a, b), reference.ttest_ind(a, b, equal_var=False)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-6, abs=1e-9)


def test_two_samples_without_spread_are_equal_or_different_for_certain():
    assert stats.welch([0.5, 0.5], [0.5, 0.5]).p == 1
    assert stats.welch([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.25, 0.25, 0)
    assert stats.welch([0.01] * 3, [0.01] * 7) == (0, 0, 0, 1)  # although the means differ in their last bits


def test_one_sample_without_spread_is_compared_without_a_warning(recwarn):
    found = stats.welch([0.5, 0.5, 0.5], [0.49, 0.51, 0.53])
    assert found.mean == pytest.approx(-0.01)
    assert found.high - found.mean == pytest.approx(4.303 * 0.02 / math.sqrt(3), rel=1e-4)  # t(0.975, 2) = 4.303
    assert stats.t_interval([0.5, 0.5]) == (0.5, 0.5)
    assert not recwarn.list


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    assert stats.holm([0.6, 0.9]) == [1.0, 1.0]


def test_holm_keeps_the_share_of_false_positives():
    generator = np.random.default_rng(0)
    false_positives = sum(min(stats.holm(generator.uniform(size=10).tolist())) < 0.05 for _ in range(2000))
    assert false_positives / 2000 == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(
    ("accuracy", "images", "points"), [(0.7, 10_000, 0.46), (0.5, 10_000, 0.50), (0.7, 5000, 0.65)]
)
def test_binomial_noise_floor(accuracy, images, points):
    assert 100 * stats.binomial_std(accuracy, images=images) == pytest.approx(points, abs=0.005)


def test_chance_is_within_two_deviations_of_guessing():
    assert stats.at_chance(0.0127, classes=100, images=5000)  # 1 % + 2 × 0.14 points = 1.28 %
    assert not stats.at_chance(0.0130, classes=100, images=5000)
    assert stats.at_chance(0.0, classes=100, images=5000)


def test_slope_by_hand():
    assert stats.slope([0.1, 0.3, 0.5]) == pytest.approx(0.2)
    assert stats.slope([1.0, 0.0, 1.0]) == pytest.approx(0.0)
    assert math.isnan(stats.slope([0.1]))


@given(NUMBERS)
def test_slope_and_interval_agree_with_scipy(values):
    line = reference.linregress(range(len(values)), values)
    assert stats.slope(values) == pytest.approx(line.slope, rel=1e-9, abs=1e-12)
    theirs = reference.t.interval(0.95, len(values) - 1, np.mean(values), max(reference.sem(values), 1e-300))
    assert stats.t_interval(values) == pytest.approx(tuple(map(float, theirs)), rel=1e-9, abs=1e-12)


def test_samples_whose_spread_vanishes_in_rounding_are_compared(recwarn):
    found = stats.welch([1e-200, 2e-200], [1e-200, 1e-200])
    assert 0 <= found.p <= 1
    assert not recwarn.list


def test_first_reaching_skips_what_is_missing():
    assert stats.first_reaching([None, 0.2, 0.5, 0.4], target=0.4) == 2
    assert stats.first_reaching([0.1, None], target=0.4) is None
