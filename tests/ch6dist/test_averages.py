"""Moving averages have the book's numbers, the definitions of the literature, and stay exact on long series and NaN."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from ch6dist.averages import (
    Ewma,
    alpha_of,
    beta_of,
    describe,
    ewma,
    exponential_age,
    exponential_weights,
    simple,
    simple_age,
    simple_weights,
    white_noise_share,
    window_of,
)
from ch6dist.errors import InputError
from ch6dist.optim.range_test import smooth

# 30 temperatures from Godoy, "Deep Learning with PyTorch Step-by-Step", volume II, chapter 6
TEMPERATURES = [5, 11, 15, 6, 5, 3, 3, 0, 0, 3, 4, 2, 1, -1, -2, 2, 2, -2, -1, -1, 3, 4, -1, 2, 6, 4, 9, 11, 9, -2]
NOISE = np.random.default_rng(0).standard_normal(20_000)


def test_the_books_averages_of_its_temperatures():
    plain, corrected = (ewma(TEMPERATURES, period=19, corrected=corrected) for corrected in (False, True))
    places = [0, 1, 18, 29]
    assert plain[places] == pytest.approx([0.5, 1.55, 1.2101, 3.46558], abs=5e-6 * 10)
    assert corrected[places] == pytest.approx([5, 8.157895, 1.399098, 3.618993], abs=5e-7)


def test_the_books_weights_by_lag():
    printed = [0.3333, 0.2222, 0.1481, 0.0988, 0.0658, 0.0439, 0.0293, 0.0195, 0.0130, 0.0087]
    assert exponential_weights(range(10), alpha=1 / 3) == pytest.approx(printed, abs=5e-5)
    assert simple_weights(range(10), window=5).tolist() == [0.2] * 5 + [0.0] * 5


@pytest.mark.parametrize(("beta", "window"), [(0.9, 19), (0.99, 199), (0.999, 1999), (0.0, 1)])
def test_a_window_is_one_less_than_two_over_one_minus_beta(beta, window):
    assert window_of(beta) == pytest.approx(window, rel=1e-12)
    assert window_of(beta) == pytest.approx(2 / (1 - beta) - 1, rel=1e-12)
    assert beta_of(period=window) == pytest.approx(beta, abs=1e-15)
    assert beta_of(alpha=alpha_of(window)) == pytest.approx(beta, abs=1e-15)
    assert beta_of(beta=beta) == beta


def test_the_three_numbers_give_the_same_average():
    by = [{"beta": 0.5}, {"period": 3}, {"alpha": 0.5}]
    first, *others = (ewma(TEMPERATURES, corrected=True, **given).tolist() for given in by)
    assert others == [first, first]


@pytest.mark.parametrize("window", [1, 5, 19, 199])
def test_a_simple_and_an_exponential_average_of_one_window_are_equally_old_and_equally_smooth(window):
    beta, lags = beta_of(period=window), np.arange(40 * window)
    for weights, age in (
        (simple_weights(lags, window=window), simple_age(window)),
        (exponential_weights(lags, beta=beta), exponential_age(beta)),
    ):
        assert weights.sum() == pytest.approx(1)
        assert weights @ (lags + 1) == pytest.approx(age)
        assert (weights**2).sum() == pytest.approx(1 / window), "the variance that they leave of white noise"
    assert simple_age(window) == pytest.approx(exponential_age(beta))
    assert white_noise_share(beta) == pytest.approx(1 / window)


def test_the_book_s_age_of_a_third_is_three():
    weights = exponential_weights(range(93), alpha=1 / 3)
    assert weights @ np.arange(1, 94) == pytest.approx(3.0, abs=1e-9)


def test_white_noise_keeps_a_nineteenth_of_its_variance_and_a_series_of_neighbours_more():
    late = slice(200, None)
    kept = describe(ewma(NOISE, beta=0.9, corrected=True)[late]).variance / describe(NOISE[late]).variance
    assert white_noise_share(0.9) == pytest.approx(1 / 19)
    assert kept == pytest.approx(1 / 19, rel=0.1)
    alike = ewma(NOISE, beta=0.7, corrected=True)
    kept = describe(ewma(alike, beta=0.9, corrected=True)[late]).variance / describe(alike[late]).variance
    assert kept > 3 / 19
    assert describe(alike).autocorrelation == pytest.approx(0.7, abs=0.02)
    assert describe(NOISE).autocorrelation == pytest.approx(0, abs=0.02)


def test_the_corrected_average_begins_at_the_first_value_and_never_leaves_the_range():
    for beta in (0.0, 0.5, 0.9, 0.999, 0.999999):
        found = ewma(TEMPERATURES, beta=beta, corrected=True)
        assert found[0] == pytest.approx(5, rel=1e-15), "not ten times too large"
        assert min(TEMPERATURES) - 1e-9 <= found.min() <= found.max() <= max(TEMPERATURES) + 1e-9
        assert ewma([7.3] * 50, beta=beta, corrected=True) == pytest.approx([7.3] * 50, rel=1e-13)


def test_an_average_told_value_by_value_is_that_of_the_series_and_not_the_values_themselves():
    state, seen = Ewma(beta=0.9), []
    assert math.isnan(state.corrected)
    for value in TEMPERATURES:
        state.update(value)
        seen.append((state.average, state.corrected))
    plain, corrected = zip(*seen, strict=True)
    assert list(plain) == ewma(TEMPERATURES, beta=0.9, corrected=False).tolist()
    assert list(corrected) == ewma(TEMPERATURES, beta=0.9, corrected=True).tolist()
    assert all(abs(average - value) > 1e-3 for average, value in zip(corrected[1:], TEMPERATURES[1:], strict=True))


def test_the_average_of_a_range_test_is_this_one():
    assert smooth(TEMPERATURES, beta=0.9) == ewma(TEMPERATURES, beta=0.9, corrected=True).tolist()
    assert all(isinstance(value, float) for value in smooth(TEMPERATURES, beta=0.9))


@pytest.mark.parametrize("corrected", [False, True])
def test_averages_are_those_of_pandas(corrected):
    values = pd.Series(NOISE[:500])
    expected = values.ewm(alpha=0.1, adjust=True).mean()
    if not corrected:
        expected = expected * (1 - 0.9 ** np.arange(1, 501))
    assert ewma(NOISE[:500], beta=0.9, corrected=corrected) == pytest.approx(expected.to_numpy(), rel=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6, 10, 11, 103])
@pytest.mark.parametrize("window", [1, 2, 5, 103])
def test_a_simple_average_is_the_mean_of_its_window_and_nan_before_that_is_full(window, steps):
    found = simple(NOISE[:steps], window=window)
    assert len(found) == steps
    expected = pd.Series(NOISE[:steps], dtype=float).rolling(window, min_periods=window).mean().to_numpy()
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12, nan_ok=True)


def test_time_is_the_first_axis_and_elements_are_series_of_their_own():
    gradients = NOISE[:6000].reshape(100, 3, 5, 4)
    one = gradients[:, 1, 2, 3]
    assert ewma(gradients, beta=0.9, corrected=True)[:, 1, 2, 3].tolist() == pytest.approx(
        ewma(one, beta=0.9, corrected=True).tolist(), rel=1e-15
    )
    assert simple(gradients, window=7)[6:, 1, 2, 3].tolist() == pytest.approx(simple(one, window=7)[6:].tolist())
    whole, single = describe(gradients), describe(one)
    for name in ("variance", "peak", "low", "high", "autocorrelation"):
        assert getattr(whole, name).shape == (3, 5, 4)
        assert getattr(whole, name)[1, 2, 3] == pytest.approx(float(getattr(single, name)), rel=1e-12)


def test_averages_of_a_long_series_far_from_zero_lose_no_digits():
    values = 1e8 + NOISE  # the difference of running sums would lose half of the digits
    values[7] = 1e16  # and all of them behind a peak
    for window in (19, 1999):
        for end in (8 + window, 10_000, 20_000):
            exact = float(sum(map(Fraction, values[end - window : end].tolist())) / window)
            assert simple(values, window=window)[end - 1] == pytest.approx(exact, rel=1e-14)
    weights = exponential_weights(range(20_000), beta=0.99)[::-1]
    exact = math.fsum(weights[8:] * values[8:]) / math.fsum(weights[8:])
    assert ewma(values[8:], beta=0.99, corrected=True)[-1] == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_the_window_and_for_good_in_an_exponential_average(odd):
    values = [*TEMPERATURES[:10], odd, *TEMPERATURES[11:]]
    found = simple(values, window=4)
    assert np.flatnonzero(~np.isfinite(found)).tolist() == [0, 1, 2, 10, 11, 12, 13]
    assert found[14:] == pytest.approx(simple(TEMPERATURES, window=4)[14:])
    for corrected in (False, True):
        found = ewma(values, beta=0.5, corrected=corrected)
        assert found[:10].tolist() == ewma(TEMPERATURES, beta=0.5, corrected=corrected)[:10].tolist()
        assert not np.isfinite(found[10:]).any()


def test_a_peak_is_the_largest_absolute_value_wherever_the_range_ends():
    found = describe([-1.82, 0.5, 1.95, 0.0])
    assert (found.peak, found.low, found.high) == (1.95, -1.82, 1.95)
    assert describe([-3, 1]).peak == 3
    assert found.variance == pytest.approx(np.var([-1.82, 0.5, 1.95, 0.0]))


def test_neighbours_that_alternate_are_unlike_and_a_constant_series_has_no_autocorrelation():
    assert describe([1, -1] * 50).autocorrelation == pytest.approx(-0.99)
    constant = describe([0.1] * 10)
    assert constant.variance == 0
    assert math.isnan(constant.autocorrelation)
    assert all(math.isnan(value) for value in vars(describe([1, math.nan, 2])).values())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "is required: exactly one"),
        ({"beta": 0.9, "period": 19}, "beta, period"),
        ({"beta": 1.0}, "≥ 0 and < 1"),
        ({"beta": -0.1}, "≥ 0 and < 1"),
        ({"beta": math.nan}, "≥ 0 and < 1"),
        ({"period": 0.5}, "≥ 1"),
        ({"period": math.inf}, "≥ 1"),
        ({"period": 1e18}, "≥ 1"),
        ({"alpha": 1e-20}, "> 0 and ≤ 1"),
        ({"alpha": 0}, "> 0 and ≤ 1"),
        ({"alpha": 1.1}, "> 0 and ≤ 1"),
        ({"alpha": math.nan}, "> 0 and ≤ 1"),
    ],
)
def test_what_is_no_average_is_refused(given, said):
    with pytest.raises(InputError, match=r"beta|period|alpha") as error:
        ewma([1, 2], corrected=True, **given)
    assert said in str(error.value)


@pytest.mark.parametrize("window", [0, -1, 2.5, True, math.nan, math.inf])
def test_what_is_no_window_is_refused(window):
    for refused in (lambda: simple([1, 2], window=window), lambda: simple_weights(range(3), window=window)):
        with pytest.raises(InputError, match="window"):
            refused()


def test_a_number_is_no_series_and_nothing_has_no_statistics():
    with pytest.raises(InputError, match="a series"):
        ewma(3.0, beta=0.9, corrected=True)
    with pytest.raises(InputError, match="at least one"):
        describe([])
    assert ewma([], beta=0.9, corrected=True).tolist() == []
