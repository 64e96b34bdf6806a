"""The set of the best: an example by hand, the pooled spread and its exceptions, coverage in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import levene

from ch6dist.verdict.compare import Groups, brown_forsythe, compare, pool
from ch6dist.verdict.dunnett import dunnett_quantile


def compared(scores):
    groups = Groups.of(scores)
    return compare(groups, pool(groups, scores))


def test_an_example_by_hand():
    # standard deviations 0.01, 0.02, 0.02: pooled √0.0003; d for two comparisons and 6 degrees of freedom is 2.337
    scores = [[0.49, 0.50, 0.51], [0.50, 0.52, 0.54], [0.40, 0.42, 0.44]]
    found = compared(scores)
    assert found.behind == pytest.approx([0.02, 0.0, 0.10])
    assert found.allowed[[0, 2]] == pytest.approx([2.337 * np.sqrt(0.0003 * 2 / 3)] * 2, rel=1e-3)
    assert found.inside.tolist() == [True, True, False]


def test_unequal_numbers_of_seeds_use_the_pairs_own():
    scores = [[0.5, 0.52, 0.54, 0.50, 0.53], [0.49, 0.52], [0.51, 0.47, 0.50], [0.4, 0.43, 0.41]]
    groups = Groups.of(scores)
    spread = pool(groups, scores)
    assert not spread.own.any()
    found = compare(groups, spread)
    d = dunnett_quantile(df=9, control=2, others={5: 1, 3: 2})
    assert found.allowed[1] == pytest.approx(d * spread.sd * np.sqrt(1 / 2 + 1 / 5))


def test_groups_are_means_and_standard_deviations_of_numpy():
    scores = [[0.1, 0.2, 0.4], [0.5], [0.3, 0.35]]
    groups = Groups.of(scores)
    assert groups.means == pytest.approx([np.mean(values) for values in scores])
    assert groups.sds[[0, 2]] == pytest.approx([np.std(scores[0], ddof=1), np.std(scores[2], ddof=1)])
    assert np.isnan(groups.sds[1])


def test_one_seed_everywhere_tells_nothing_apart():
    found = compared([[0.9], [0.1], [0.5]])
    assert found.inside.all()
    assert np.isinf(found.allowed[1:]).all()


def test_a_single_seed_is_judged_by_the_spread_of_the_others():
    scores = [[0.50, 0.51, 0.52], [0.505], [0.2], [0.40, 0.41, 0.42]]
    assert compared(scores).inside.tolist() == [True, True, False, False]


@pytest.mark.parametrize("sizes", [(3, 3, 3), (5, 3, 10, 2), (4, 4)])
def test_brown_forsythe_is_that_of_scipy(sizes):
    generator = np.random.default_rng(0)
    samples = [generator.normal(size=n) * (i + 1) for i, n in enumerate(sizes)]
    assert brown_forsythe(samples) == pytest.approx(levene(*samples, center="median").pvalue)


def test_spreads_that_differ_are_not_pooled_and_the_reason_is_said():
    generator = np.random.default_rng(0)
    scores = [(0.5 + sd * generator.normal(size=10)).tolist() for sd in (0.001, 0.05, 0.002, 0.03)]
    spread = pool(Groups.of(scores), scores)
    assert spread.own.all()
    assert "Brown–Forsythe" in spread.why


def test_a_leader_that_varies_much_more_than_the_others_keeps_its_own_spread():
    scores = [[0.50, 0.54, 0.46], *[[0.46 + i / 1000, 0.466 + i / 1000, 0.472 + i / 1000] for i in range(5)]]
    groups = Groups.of(scores)
    spread = pool(groups, scores)
    assert spread.own.tolist() == [True] + [False] * 5
    assert compare(groups, spread).inside.all()  # by the pooled one the five would be out


def test_scores_without_any_spread_are_told_apart_by_any_difference():
    found = compared([[0.5] * 3, [0.5] * 3, [0.4999] * 3, [0.3] * 3])
    assert found.inside.tolist() == [True, True, False, False]


@pytest.mark.parametrize("spreads", [(1, 1), (4, 1)])
@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("k", [2, 4, 28])
def test_the_best_is_in_the_set_of_95_of_100_sweeps(k, n, spreads):
    # all means are equal, and the one that is watched has the largest spread: it is the first to be thrown out
    generator, repeats = np.random.default_rng(k * n), 1000
    sds = np.array([spreads[0], *[spreads[1]] * (k - 1)])[:, None]
    found = sum(compared(generator.normal(size=(k, n)) * sds).inside[0] for _ in range(repeats))
    assert found / repeats > 0.95 - 3 * np.sqrt(0.95 * 0.05 / repeats)


def test_ten_thousand_configurations_are_compared():
    scores = np.random.default_rng(0).normal(size=(10_000, 3)) + np.linspace(0, 9, 10_000)[:, None]
    assert 1 <= compared(scores.tolist()).inside.sum() < 5000
