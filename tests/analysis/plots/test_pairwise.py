"""The best in pairs: intervals as scipy's Tukey test has them, probabilities as its Mann–Whitney test."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis.plots import style
from analysis.plots.pairwise import PLOT, _studentized_range, pairwise_data, probability_of_improvement
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, write_ledger

SCORES = {0.1: [0.50, 0.52, 0.54], 0.2: [0.49, 0.50, 0.54], 0.3: [0.40, 0.43, 0.44]}


def results(folder, scores, **sweep):
    trials = [trial(lr=lr, seed=seed, curve=[s] * 3) for lr, seeds in scores.items() for seed, s in enumerate(seeds)]
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def by_pair(data):
    return data.set_index(["rank_a", "rank_b"])


def test_differences_and_intervals_are_those_of_tukeys_test(tmp_path):
    data = by_pair(pairwise_data(results(tmp_path, SCORES)))
    test = scipy.stats.tukey_hsd(*SCORES.values())
    interval = test.confidence_interval(0.95)
    for a in range(3):
        for b in range(3):
            if a != b:
                row = data.loc[(a + 1, b + 1)]
                expected = (test.statistic[a, b], interval.low[a, b], interval.high[a, b])
                assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected, rel=1e-4)
                assert row["told_apart"] == (test.pvalue[a, b] < 0.05)


def test_unequal_numbers_of_seeds_give_the_intervals_of_tukey_and_kramer(tmp_path):
    scores = {**SCORES, 0.2: [0.49, 0.50, 0.54, 0.51, 0.50]}
    row = by_pair(pairwise_data(results(tmp_path, scores))).loc[(1, 2)]
    interval = scipy.stats.tukey_hsd(*scores.values()).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((interval.low[0, 1], interval.high[0, 1]), rel=1e-4)


@pytest.mark.parametrize(("k", "df"), [(2, 2), (3, 29), (3, 30), (28, 56), (500, 1000), (2000, 4000)])
def test_the_studentized_range_is_scipys(k, df):
    assert _studentized_range(k, df) == pytest.approx(scipy.stats.studentized_range.ppf(0.95, k, df), rel=1e-4)


def test_the_probability_of_improvement_is_mann_whitneys_statistic():
    generator = np.random.default_rng(0)
    for _ in range(20):
        a, b = (generator.integers(0, 6, size=size).astype(float) for size in (4, 7))
        expected = scipy.stats.mannwhitneyu(a, b).statistic / 28
        assert probability_of_improvement(a, b) == pytest.approx(expected)
    assert probability_of_improvement([1.0, 2.0], [0.0, 1.0]) == 3.5 / 4


def test_both_directions_of_a_pair_agree(tmp_path):
    data = by_pair(pairwise_data(results(tmp_path, SCORES)))
    one, other = data.loc[(1, 3)], data.loc[(3, 1)]
    assert one["difference"] == -other["difference"]
    assert (one["low"], one["high"]) == (-other["high"], -other["low"])
    assert one["p_improvement"] + other["p_improvement"] == pytest.approx(1)


def test_of_a_loss_the_smaller_one_is_better(tmp_path):
    spec = {"name": "n", "metric": {"name": "val_loss"}}
    row = by_pair(pairwise_data(results(tmp_path, SCORES, spec=spec))).loc[(1, 3)]
    losses = {lr: np.mean([-math.log(score) for score in seeds]) for lr, seeds in SCORES.items()}
    assert row["difference"] == pytest.approx(losses[0.3] - losses[0.1])
    assert row["difference"] > 0
    assert row["p_improvement"] == 1


def test_one_seed_each_has_differences_without_intervals(tmp_path):
    found = results(tmp_path, {0.1: [0.5], 0.2: [0.4]})
    data = pairwise_data(found)
    assert data["low"].isna().all()
    assert not data["told_apart"].any()
    assert "No interval" in PLOT.caption(data)
    assert data["p_improvement"].isna().all()  # one seed against one: it would be 0 or 100 %
    with style.context():
        texts = [text.get_text() for text in draw(PLOT, data, study=found.study).axes[0].texts]
    assert texts == ["+10.0", "–"]


def test_where_spreads_differ_pairs_keep_their_own(tmp_path):
    scores = {0.1: [0.30, 0.50, 0.70, 0.1, 0.9], 0.2: [0.449, 0.45, 0.451] * 2, 0.3: [0.40, 0.401, 0.402] * 2}
    data = pairwise_data(results(tmp_path, scores))
    assert data["own"].all()
    assert "Welch, Bonferroni" in PLOT.caption(data)
    row = by_pair(data).loc[(2, 3)]
    welch = scipy.stats.ttest_ind(scores[0.2], scores[0.3], equal_var=False).confidence_interval(1 - 0.05 / 3)
    assert (row["low"], row["high"]) == pytest.approx((welch.low, welch.high))


def test_the_best_twelve_are_shown_and_judged_among_all(tmp_path):
    found = results(tmp_path, {0.01 * i: [0.3 + 0.01 * i, 0.305 + 0.01 * i] for i in range(1, 16)})
    data = pairwise_data(found)
    assert len(data) == 12 * 11
    assert (data["configurations"] == 15).all()
    assert "Shown are the best 12 of 15" in PLOT.caption(data)
    with style.context():
        texts = [text.get_text() for text in draw(PLOT, data, study=found.study).axes[0].texts]
    assert len(texts) == 12 * 11
    assert sum("±" in text for text in texts) == 66  # above the diagonal; probabilities below


def test_one_configuration_has_no_pair(tmp_path):
    assert pairwise_data(results(tmp_path, {0.1: [0.5, 0.6]})).empty


def with_one_that_keeps_its_own():
    near = {lr: [0.50 + lr, 0.51 + lr, 0.52 + lr, 0.505 + lr] for lr in (0.01, 0.02, 0.03, 0.04)}
    return {**near, 0.05: [0.40, 0.43, 0.46, 0.42]}


def test_a_pair_with_a_configuration_that_keeps_its_own_spread_is_judged_by_that(tmp_path):
    found = results(tmp_path, with_one_that_keeps_its_own())
    verdict, data = found.verdict, by_pair(pairwise_data(found))
    assert not verdict.why_not_pooled
    assert [member.own for member in verdict.compared] == [False] * 4 + [True]
    wide, narrow = data.loc[(1, 5)], data.loc[(1, 2)]
    assert (wide["own"], narrow["own"]) == (True, False)
    parts, dfs = (verdict.sd**2 / 4, verdict.compared[4].sd ** 2 / 4), (verdict.df, 3)
    df = sum(parts) ** 2 / sum(part**2 / n for part, n in zip(parts, dfs, strict=True))
    half = scipy.stats.t.ppf(1 - 0.05 / 20, df) * math.sqrt(sum(parts))
    assert wide["high"] - wide["difference"] == pytest.approx(half)
    assert data.loc[(5, 1)]["high"] - data.loc[(5, 1)]["difference"] == pytest.approx(half)
    tukey = scipy.stats.studentized_range.ppf(0.95, 5, verdict.df) * verdict.sd / 2
    assert narrow["high"] - narrow["difference"] == pytest.approx(tukey, rel=1e-4)
    caption = PLOT.caption(pairwise_data(found))
    assert "keeps its own larger one, by that (Welch" in caption
    assert "holds for all 10 pairs at once, so it is wider than in the verdict" in caption


def test_of_two_the_caption_speaks_of_the_pair_and_says_why_nothing_is_pooled(tmp_path):
    caption = PLOT.caption(pairwise_data(results(tmp_path, {0.1: [0.5, 0.52, 0.54], 0.2: [0.4, 0.41, 0.44]})))
    assert "interval of the pair (Welch), since there are only two" in caption
    assert "all 1 pair" not in caption
    assert "standard deviations differ" not in caption
