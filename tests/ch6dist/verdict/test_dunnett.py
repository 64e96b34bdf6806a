"""The quantile of the largest of several t statistics: against printed tables, scipy's own test and simulation."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import dunnett, t

from ch6dist.verdict.dunnett import dunnett_quantile, pairwise_quantiles


@pytest.mark.parametrize(
    ("df", "comparisons", "printed"),
    [
        (5, 1, 2.02),
        (5, 2, 2.44),
        (5, 9, 3.30),
        (10, 2, 2.15),
        (10, 9, 2.81),
        (20, 9, 2.60),
        (60, 5, 2.28),
        (1e9, 9, 2.42),
    ],
)
def test_it_is_the_printed_one(df, comparisons, printed):
    # Dunnett (1955), table 1a: one-sided, 95 %, equal numbers
    assert dunnett_quantile(df=df, control=1, others={1: comparisons}) == pytest.approx(printed, abs=0.006)


def test_a_single_comparison_is_students_t():
    assert dunnett_quantile(df=4, control=3, others={3: 1}) == pytest.approx(t.ppf(0.95, 4), abs=1e-5)


@pytest.mark.parametrize("seeds", [(3, 3, 3, 3), (5, 3, 4, 10), (2, 2, 2, 9, 9)])
def test_scipys_test_of_dunnett_agrees(seeds):
    generator = np.random.default_rng(0)
    samples = [generator.normal(size=n) for n in seeds]
    found = dunnett(*samples[1:], control=samples[0], alternative="greater", rng=generator)
    nearest = int(np.argmax(found.statistic))
    confidence = 1 - found.pvalue[nearest]
    ours = dunnett_quantile(
        df=sum(seeds) - len(seeds), control=seeds[0], others=Counter(seeds[1:]), confidence=confidence
    )
    assert ours == pytest.approx(found.statistic[nearest], abs=1e-3)


@pytest.mark.parametrize(("control", "others"), [(3, {3: 27}), (10, {3: 5, 5: 2}), (2, {20: 3})])
def test_the_largest_statistic_stays_below_it_in_95_of_100_simulations(control, others):
    generator, draws, df = np.random.default_rng(1), 200_000, 12
    seeds = np.repeat(list(others), list(others.values()))
    ours = generator.normal(size=draws) / np.sqrt(control)
    theirs = generator.normal(size=(draws, len(seeds))) / np.sqrt(seeds)
    spread = np.sqrt(generator.chisquare(df, size=draws) / df)
    largest = ((theirs - ours[:, None]) / np.sqrt(1 / seeds + 1 / control)).max(axis=1) / spread
    assert np.mean(largest <= dunnett_quantile(df=df, control=control, others=others)) == pytest.approx(0.95, abs=0.002)


def test_pairs_have_the_quantile_of_their_own_degrees_of_freedom():
    dfs = [1.0, 1.7, 2.0, 3.3, 8.0, 40.0, 1e7]
    exact = [dunnett_quantile(df=df, control=1, others={1: 9}) for df in dfs]
    assert pairwise_quantiles(dfs, comparisons=9) == pytest.approx(exact, rel=3e-3)
    assert pairwise_quantiles(dfs, comparisons=0).tolist() == [0.0] * 7


@pytest.mark.parametrize("comparisons", [1, 27, 9_999])
def test_it_rises_with_comparisons_and_falls_with_degrees_of_freedom(comparisons):
    by_df = [dunnett_quantile(df=df, control=3, others={3: comparisons}) for df in (2, 5, 56, 1e9)]
    assert by_df == sorted(by_df, reverse=True)
    assert by_df[0] < dunnett_quantile(df=2, control=3, others={3: comparisons + 1})
