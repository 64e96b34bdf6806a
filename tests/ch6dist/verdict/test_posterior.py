"""P(best), expected loss, the leader on fresh seeds, resolution: against random draws and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ch6dist.verdict.compare import Groups, compare, pool
from ch6dist.verdict.dunnett import dunnett_quantile
from ch6dist.verdict.posterior import believe, selection_bias
from ch6dist.verdict.resolution import seeds_to_tell, smallest_difference
from ch6dist.verdict.shrink import expected_on_fresh_seeds, james_stein

DRAWS = 200_000


def believed(scores):
    groups = Groups.of(scores)
    spread = pool(groups, scores)
    return groups, spread, believe(groups, spread)


@pytest.mark.parametrize("sizes", [(3, 3, 3, 3, 3), (2, 5, 9, 3, 4)])
def test_probabilities_and_losses_are_those_of_random_draws(sizes):
    generator = np.random.default_rng(3)
    scores = [(0.5 + i / 100 + 0.01 * generator.normal(size=n)).tolist() for i, n in enumerate(sizes)]
    groups = Groups.of(scores)
    spread = replace(pool(groups, scores), own=np.zeros(5, dtype=bool))
    belief = believe(groups, spread)
    u = np.sqrt(generator.chisquare(spread.df, size=(DRAWS, 1)) / spread.df)
    drawn = groups.means + spread.sd / np.sqrt(groups.counts) * generator.normal(size=(DRAWS, len(sizes))) / u
    assert belief.p_best == pytest.approx(np.bincount(drawn.argmax(axis=1), minlength=len(sizes)) / DRAWS, abs=0.005)
    assert belief.loss == pytest.approx(drawn.max(axis=1).mean() - groups.means, abs=1e-4)


def test_two_of_unequal_spread_have_heavy_tails_of_their_own():
    generator = np.random.default_rng(4)
    groups, spread, belief = believed([[0.5, 0.51, 0.52], [0.48, 0.49, 0.56, 0.44]])
    assert spread.own.all()
    errors = generator.standard_t(groups.counts - 1, size=(DRAWS, 2)) * groups.sds / np.sqrt(groups.counts)
    assert belief.p_best[0] == pytest.approx(np.mean(np.diff(groups.means + errors, axis=1) < 0), abs=0.005)


def test_equal_configurations_are_equally_probable_and_one_far_ahead_is_certain():
    assert believed([[0.1, 0.2]] * 4)[2].p_best == pytest.approx([0.25] * 4)
    certain = believed([[0.9, 0.91, 0.92], [0.1, 0.11, 0.12], [0.2, 0.21, 0.22]])[2]
    assert certain.p_best == pytest.approx([1, 0, 0], abs=1e-3)
    assert certain.loss == pytest.approx([0, 0.8, 0.7], abs=2e-3)


def test_without_a_second_seed_nothing_is_believed():
    groups, spread, belief = believed([[0.9], [0.1]])
    assert belief is None
    assert expected_on_fresh_seeds(groups, spread, np.array([True, True])) is None


def test_scores_without_spread_are_certain():
    belief = believed([[0.5] * 3, [0.4] * 3, [0.3] * 3])[2]
    assert belief.p_best == pytest.approx([1, 0, 0])
    assert belief.loss == pytest.approx([0, 0.1, 0.2], abs=1e-6)


def test_the_largest_of_equal_means_is_too_high_by_the_expected_maximum():
    # E(max of 5 standard normal) = 1.16296
    assert selection_bias(np.full(5, 0.3), np.full(5, 0.01)) == pytest.approx(0.0116296, rel=1e-3)
    assert selection_bias(np.array([0.9, 0.1]), np.full(2, 0.01)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("means", "limit"), [(np.full(28, 0.3), 0.1), (0.3 + np.linspace(0, 0.06, 28), 0.15)])
def test_the_expectation_on_fresh_seeds_has_little_of_the_excess_of_the_leaders_mean(means, limit):
    generator, excess, rest = np.random.default_rng(5), [], []
    for _ in range(300):
        scores = generator.normal(means[:, None], 0.01, size=(28, 3))
        groups = Groups.of(scores)
        spread = pool(groups, scores)
        expected = expected_on_fresh_seeds(groups, spread, compare(groups, spread).inside)
        excess.append(groups.means.max() - means[groups.leader])
        rest.append(expected - means[groups.leader])
    assert np.mean(excess) / 0.01 > 0.5
    assert abs(np.mean(rest)) / 0.01 < limit


def test_james_stein_by_hand():
    # mean 0.3, Σ(x − x̄)² = 0.0010, factor 1 − 2 · 0.0001 / 0.0010 = 0.8
    shrunken = james_stein(np.array([0.28, 0.29, 0.30, 0.31, 0.32]), 0.0001)
    assert shrunken == pytest.approx([0.284, 0.292, 0.3, 0.308, 0.316])
    assert james_stein(np.array([0.1, 0.2, 0.3]), 1.0) == pytest.approx([0.1, 0.2, 0.3])
    assert james_stein(np.full(9, 0.2), 1.0) == pytest.approx([0.2] * 9)


def test_the_smallest_difference_is_the_allowed_one_of_the_comparison():
    expected = dunnett_quantile(df=56, control=3, others={3: 27}) * 0.01 * np.sqrt(2 / 3)
    assert smallest_difference(sd=0.01, k=28, n=3) == pytest.approx(expected)
    assert smallest_difference(sd=0.01, k=28, n=1) == np.inf


@pytest.mark.parametrize(("difference", "k"), [(0.01, 6), (0.005, 28), (0.001, 2), (0.1, 4)])
def test_the_seeds_needed_are_the_fewest_that_tell_the_difference(difference, k):
    n = seeds_to_tell(difference, sd=0.01, k=k)
    assert n >= 2
    assert smallest_difference(sd=0.01, k=k, n=n) <= difference
    assert n == 2 or smallest_difference(sd=0.01, k=k, n=n - 1) > difference
    assert seeds_to_tell(1e-9, sd=0.01, k=k) is None
