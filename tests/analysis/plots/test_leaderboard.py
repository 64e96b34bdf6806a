"""The leaderboard as a figure says what the verdict says: what may be the best, how probably, what seeds tell apart."""

from __future__ import annotations

import math

import pytest

from analysis.plots import style
from analysis.plots.leaderboard import PLOT, leaderboard_data
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def texts_of(results):
    data = PLOT.data(results)
    with style.context():
        figure = draw(PLOT, data, study=results.study)
        figure.draw_without_rendering()
    return [text.get_text() for text in figure.axes[0].texts]


def seeds_of(scores, **more):
    return [trial(seed=seed, curve=[0.05, score, score], **more) for seed, score in enumerate(scores)]


def test_shaded_are_the_members_of_the_set_of_the_best(tmp_path):
    results = analyse(load_study([twelve(tmp_path)]))
    data = leaderboard_data(results)
    inside = data[data["inside"]]["label"].unique().tolist()
    members = {member.configuration for member in results.verdict.members}
    assert set(inside) == set(results.board.set_index("configuration").loc[list(members), "label"])
    assert inside == ["SGD · lr 0.1", "Adam · lr 1e-3"]


def test_each_compared_row_says_how_probably_it_is_the_best(tmp_path):
    results = analyse(load_study([twelve(tmp_path)]))
    p = leaderboard_data(results).groupby("label", sort=False)["p_best"].first()
    assert p.dropna().sum() == pytest.approx(1, abs=1e-3)
    assert math.isnan(p["Adam · lr 0.1"])  # a seed diverged: not compared
    assert sum(text.startswith("P(best)") for text in texts_of(results)) == 3


def test_the_yardstick_is_as_long_as_what_the_verdict_says_the_seeds_tell_apart(tmp_path):
    results = analyse(load_study([twelve(tmp_path)]))
    data = leaderboard_data(results)
    assert data["resolution"].unique() == pytest.approx([results.verdict.resolution])
    assert f"{100 * results.verdict.resolution:.2f} points told apart" in texts_of(results)
    assert "Bar with ends" in PLOT.caption(data)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (lambda: [trial(curve=[0.1, 0.4]), trial(lr=0.2, curve=[0.1, 0.5])], "with one seed each"),
        (lambda: [trial(curve=[0.1, 0.4])], "with one seed each"),
        (lambda: seeds_of([0.4, 0.5, 0.6]), "Nothing to compare it with"),
        (lambda: [*seeds_of([0.4, 0.5]), trial(seed=2, status=None)], "none has finished with all its seeds"),
        (lambda: [trial(lr=lr, seed=s, curve=[0.01] * 3) for lr in (0.1, 0.2) for s in (0, 1)], "all are at chance"),
        (lambda: [*seeds_of([0.4, 0.41]), *seeds_of([0.40, 0.5], lr=0.2)], "there are only two"),
    ],
)
def test_the_caption_says_why_nothing_is_shaded_or_pooled(tmp_path, trials, said):
    data = leaderboard_data(results_of(tmp_path, trials()))
    assert said in PLOT.caption(data)
    assert data["inside"].any() == (said in ("Nothing to compare it with", "there are only two"))


def test_of_a_loss_the_yardstick_lies_on_the_larger_side(tmp_path):
    trials = [
        *seeds_of([0.50, 0.51, 0.53]),
        *seeds_of([0.48, 0.52, 0.50], lr=0.2),
        *seeds_of([0.2, 0.21, 0.22], lr=0.3),
    ]
    results = results_of(tmp_path, trials, spec={"metric": {"name": "val_loss", "goal": "minimize"}})
    data = leaderboard_data(results)
    assert data["mean"].iloc[0] == results.board["score"].min()
    with style.context():
        figure = draw(PLOT, data, study=results.study)
    bars = [line for line in figure.axes[0].lines if list(line.get_ydata()) == [-1, -1]]
    start, end = bars[0].get_xdata()
    assert start == pytest.approx(data["mean"].iloc[0])
    assert end > start
