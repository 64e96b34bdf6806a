"""The learning-rate figure as drawn: widths in decades, arrows at edges, an X for what diverged, the yardstick."""

from __future__ import annotations

import itertools

import pytest

from analysis.plots import style
from analysis.plots.lr_sensitivity import PLOT
from analysis.plots.registry import draw
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import trial, twelve, write_ledger


def axes_of(results):
    data = PLOT.data(results)
    with style.context():
        figure = draw(PLOT, data, study=results.study)
        figure.draw_without_rendering()
    return figure.axes[:2]


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(("scores", "width"), [([0.50, 0.495, 0.40], "1.0"), ([0.50, 0.40, 0.40], "0")])
def test_the_width_of_the_safe_range_is_written_in_decades(tmp_path, scores, width):
    trials = [trial(lr=lr, curve=[0.1, 0.2, top]) for lr, top in zip((1e-3, 1e-2, 1e-1), scores, strict=True)]
    lower = axes_of(results_of(tmp_path, trials))[1]
    assert {width, "decades", "←"} <= set(texts_of(lower))


def test_an_x_is_bold_where_all_seeds_diverged_and_thin_where_some_did(tmp_path):
    burst = {"curve": [0.1, 0.1, None], "status": "diverged"}
    trials = [
        *(trial(lr=0.01, seed=seed, curve=[0.1, 0.2, 0.5]) for seed in (0, 1)),
        *(trial(lr=1.0, seed=seed, **burst) for seed in (0, 1)),
        trial(lr=0.1, seed=0, curve=[0.1, 0.2, 0.4]),
        trial(lr=0.1, seed=1, **burst),
    ]
    lower = axes_of(results_of(tmp_path, trials))[1]
    marks = {line.get_markeredgewidth(): list(line.get_xdata()) for line in lower.lines if line.get_marker() == "x"}
    assert marks == {2.0: [1.0], 0.9: [0.1]}
    assert "1/2" in texts_of(lower)


def test_the_yardstick_reaches_from_the_best_seed_down_by_what_the_seeds_tell_apart(tmp_path):
    results = analyse(load_study([twelve(tmp_path)]))
    upper = axes_of(results)[0]
    assert f"{100 * results.verdict.resolution:.2f} points told apart" in texts_of(upper)
    bar = next(line for line in upper.lines if line.get_marker() == "_")
    assert max(bar.get_ydata()) - min(bar.get_ydata()) == pytest.approx(results.verdict.resolution)


def test_one_seed_each_has_no_yardstick(tmp_path):
    results = results_of(tmp_path, [trial(lr=lr, curve=[0.1, 0.2, lr]) for lr in (0.1, 0.2, 0.3)])
    assert not any("told apart" in text for text in texts_of(axes_of(results)[0]))
    assert "Bar with ends" not in PLOT.caption(PLOT.data(results))


def test_labels_of_learning_rates_do_not_overlap_in_narrow_panels(tmp_path):
    lrs = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.1, 1.0]
    schedules = [{"name": "StepLR", "step_size": step} for step in (1, 2, 3)]
    trials = [trial(lr=lr, schedule=schedule, curve=[0.1, 0.2, 0.3]) for lr in lrs for schedule in schedules]
    results = results_of(tmp_path, trials)
    with style.context():
        figure = draw(PLOT, PLOT.data(results), study=results.study)
        figure.draw_without_rendering()
    for ax in figure.axes[1::2]:
        boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
        assert len(boxes) >= 4
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
