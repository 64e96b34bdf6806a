"""Shares of variance, where the answer is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from analysis.study.variance import BOTH, REST, SEEDS, variance_shares

SEEDS_OF_A_CELL = (-1.0, 0.0, 1.0)


def grid(score, *, seeds=SEEDS_OF_A_CELL, levels=(2, 3)):
    """A table of a × b (× c) with `score(a, b, …)`, and the seeds' noise added."""
    cells = [cell for cell in product(*map(range, levels)) for _ in seeds]
    noise = np.tile(seeds, len(cells) // len(seeds))
    table = pd.DataFrame(cells, columns=list("abc")[: len(levels)]).astype(str)
    return table, pd.Series([float(score(*cell)) for cell in cells]) + noise


def shares(table, scores):
    found, balanced = variance_shares(table, scores)
    return found.set_index("term")["share"].to_dict(), balanced


def test_additive_effects_have_their_own_shares_and_their_pair_none():
    found, balanced = shares(*grid(lambda a, b: 3 * a + b, seeds=(0.0, 0.0)))
    # variance of 3a over {0, 1}: 9/4; of b over {0, 1, 2}: 2/3
    assert balanced
    assert found == pytest.approx(
        {"a": 2.25 / (2.25 + 2 / 3), "b": (2 / 3) / (2.25 + 2 / 3), "a × b": 0, SEEDS: 0}, abs=1e-12
    )


def test_an_interaction_alone_is_a_share_of_the_pair_alone():
    found, balanced = shares(*grid(lambda a, b: (-1) ** (a + b), seeds=(0.0, 0.0), levels=(2, 2)))
    assert balanced
    assert found == pytest.approx({"a": 0, "b": 0, "a × b": 1, SEEDS: 0}, abs=1e-12)


def test_seeds_have_the_share_within_cells():
    found, _ = shares(*grid(lambda a, b: 3 * a))
    assert found[SEEDS] == pytest.approx((2 / 3) / (2 / 3 + 2.25))  # of (−1, 0, 1): 2/3
    assert sum(found.values()) == pytest.approx(1)


def test_three_axes_together_are_the_rest():
    found, _ = shares(*grid(lambda a, b, c: (-1) ** (a + b + c), seeds=(0.0, 0.0), levels=(2, 2, 2)))
    assert found[REST] == pytest.approx(1)
    assert sum(found.values()) == pytest.approx(1)


def test_without_repeats_the_rest_is_not_called_seeds():
    found, _ = shares(*grid(lambda a, b, c: (-1) ** (a + b + c), seeds=(0.0,), levels=(2, 2, 2)))
    assert found[BOTH] == pytest.approx(1)
    assert SEEDS not in found


def test_what_does_nothing_shows_about_what_chance_would():
    generator = np.random.default_rng(0)
    table = pd.DataFrame(list(product("xyz", "uv", range(400))), columns=["a", "b", "seed"])[["a", "b"]]
    found, _ = variance_shares(table, pd.Series(generator.normal(size=len(table))))
    found = found.set_index("term")
    # 2 of 2399 degrees of freedom for a; the variance between seeds is nearly all there is
    assert found.loc["a", "by_chance"] == pytest.approx(2 / 2399, rel=0.01)
    assert found.loc["a", "share"] < 10 * found.loc["a", "by_chance"]


def test_a_grid_with_holes_is_not_balanced_but_additive_effects_still_explain_all():
    table, scores = grid(lambda a, b: 3 * a + b, seeds=(0.0, 0.0, 0.0))
    found, balanced = shares(table.iloc[1:].reset_index(drop=True), scores.iloc[1:].reset_index(drop=True))
    assert not balanced
    assert found["a"] + found["b"] == pytest.approx(1)
    assert found["a × b"] == pytest.approx(0, abs=1e-9)


def test_a_pair_for_which_too_few_trials_remain_is_left_to_the_rest():
    table, scores = grid(lambda a, b: 3 * a + b, seeds=(0.0,), levels=(3, 4))
    found, balanced = shares(table.iloc[1:].reset_index(drop=True), scores.iloc[1:].reset_index(drop=True))
    assert not balanced
    assert list(found) == ["a", "b", BOTH]  # the pair would take all 11 trials


def test_the_sequential_fit_of_a_nearly_balanced_grid_is_nearly_the_balanced_one():
    table, scores = grid(lambda a, b: 3 * a + b + 0.5 * a * b, seeds=tuple(np.linspace(-1, 1, 40)))
    whole, _ = shares(table, scores)
    less, balanced = shares(table.iloc[1:].reset_index(drop=True), scores.iloc[1:].reset_index(drop=True))
    assert not balanced
    assert less == pytest.approx(whole, abs=0.01)


def test_the_sequential_fit_adds_what_a_least_squares_fit_with_the_term_explains_more():
    generator = np.random.default_rng(1)
    table = pd.DataFrame({"a": generator.choice(list("xyz"), 60), "b": generator.choice(list("uv"), 60)})
    scores = pd.Series(generator.normal(size=60) + (table["a"] == "x") + 0.5 * (table["b"] == "u"))
    found, _ = shares(table, scores)

    def explained(columns):
        design = np.column_stack([np.ones(60), *(pd.get_dummies(table[c]).to_numpy(dtype=float) for c in columns)])
        fitted = design @ np.linalg.lstsq(design, scores.to_numpy(), rcond=None)[0]
        return ((fitted - scores.mean()) ** 2).sum() / ((scores - scores.mean()) ** 2).sum()

    assert found["a"] == pytest.approx(explained(["a"]))
    assert found["b"] == pytest.approx(explained(["a", "b"]) - explained(["a"]))


def test_numbers_of_a_search_are_cut_into_groups():
    generator = np.random.default_rng(2)
    table = pd.DataFrame({"lr": generator.uniform(size=400), "other": generator.choice(list("uv"), 400)})
    found, balanced = shares(table, (table["lr"] > 0.5).astype(float))
    assert not balanced
    assert found["lr"] > 0.9
    assert sum(found.values()) == pytest.approx(1)


def test_scores_that_do_not_vary_have_no_variance_to_explain():
    table, _ = grid(lambda a, b: 0)
    assert variance_shares(table, pd.Series([0.5] * len(table)))[0].empty
    assert variance_shares(table[[]], pd.Series(np.arange(len(table), dtype=float)))[0].empty
    assert variance_shares(table.head(0), pd.Series([], dtype=float))[0].empty
