"""Range tests over the sweep that they speak about: which belong together, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from analysis.plots import style
from analysis.plots.registry import PLOTS, draw, explanation
from analysis.study.load import load_study
from analysis.study.range_matches import matches, sentence
from analysis.study.results import analyse
from ch6dist.config import parse_trial
from tests.support.ledgers import range_trial, trial, write_ledger

PLOT = PLOTS["range_tests_and_sweep"]
LRS = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
LOSSES = [4.6, 4.5, 4.0, 3.0, 9.0]


def range_tests(optimizer="SGD", *, low=0.01, high=0.1, seeds=3, **marks):
    marks = {"interval": [low, high], "valley": high, **marks}
    return [range_trial(optimizer, losses=LOSSES, lrs=LRS, seed=seed, **marks) for seed in range(seeds)]


def trained(optimizer="SGD", *, best=0.03, lrs=(0.001, 0.01, 0.03, 0.1), **changes):
    return [
        trial(optimizer, lr=lr, seed=seed, curve=[0.1, 0.2, (0.5 if lr == best else 0.3) + seed / 100], **changes)
        for lr in lrs
        for seed in (0, 1)
    ]


def results_of(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


def words(folder, trials):
    return [sentence(match) for match in matches(results_of(folder, trials))]


def test_the_best_learning_rate_lies_inside_the_span_below_it_or_above_it(tmp_path):
    for best, said in [
        (0.03, "SGD, 0.03, lies inside the span of its range tests, 0.02 to 0.05"),
        (0.01, "SGD, 0.01, lies below the span of its range tests, 0.02 to 0.05, by a factor of 2"),
        (0.1, "SGD, 0.1 (the highest tried), lies above the span of its range tests, 0.02 to 0.05, by a factor of 2"),
    ]:
        trials = range_tests(low=0.02, high=0.05) + trained(best=best)
        assert words(tmp_path / str(best), trials) == [f"the best learning rate of {said}"]


def test_range_tests_that_found_nothing_say_so(tmp_path):
    nothing = {"interval": None, "valley": None, "no_signal": True, "advice": "take more steps"}
    trials = [*range_tests(**nothing), *trained()]
    assert words(tmp_path, trials) == ["the range tests of SGD found nothing; its best learning rate is 0.03"]
    data = PLOT.data(results_of(tmp_path / "again", trials))
    assert not (data["series"] == "span").any()


def test_schedule_epochs_and_number_of_images_may_differ_and_nothing_else(tmp_path):
    other = [
        *trained("Adam", best=0.01),
        *trained(best=0.1, model={"name": "cnn2"}),
        *trained(best=0.1, data={"batch_size": 32}),
        *trained(best=0.1, parameters={"momentum": 0.9}),
    ]
    mine = trained(best=0.03, schedule={"name": "CosineAnnealingLR"}, data={"train_size": 2000})
    (match,) = matches(results_of(tmp_path, [*range_tests(), *other, *mine]))
    assert match.best is not None
    assert match.best[["schedule", "lr", "n"]].tolist() == ["CosineAnnealingLR", 0.03, 2]
    assert match.scores["lr"].tolist() == [0.001, 0.01, 0.03, 0.1]


def test_a_learning_rate_with_a_diverged_seed_is_not_the_best(tmp_path):
    burst = trial(lr=0.03, seed=2, curve=[None], epochs=3, status="diverged")
    (match,) = matches(results_of(tmp_path, [*range_tests(), *trained(best=0.03), burst]))
    assert match.best is not None
    assert match.best["lr"] != 0.03
    assert match.scores.set_index("lr")["diverged"].to_dict() == {0.001: 0, 0.01: 0, 0.03: 1, 0.1: 0}


@pytest.mark.parametrize(
    "trials",
    [
        lambda: range_tests(),
        lambda: trained(),
        lambda: range_tests() + trained(lrs=[0.1]),
        lambda: range_tests() + trained("Adam"),
        lambda: range_tests() + [trial(lr=lr, status=None) for lr in (0.1, 0.2)],
    ],
    ids=["range tests alone", "a sweep alone", "one learning rate", "another optimizer", "nothing trained yet"],
)
def test_without_both_there_is_nothing_to_compare(tmp_path, trials):
    assert PLOT.data(results_of(tmp_path, trials())).empty


def test_a_loss_is_best_where_it_is_smallest(tmp_path):
    metric = {"name": "val_loss", "goal": "minimize"}
    spec = {"name": "x", "metric": metric, "seeds": 2}
    (match,) = matches(results_of(tmp_path, range_tests() + trained(best=0.03), spec=spec))
    assert match.best is not None
    assert match.best["lr"] == 0.03  # the loss falls as the accuracy rises


def test_two_runs_are_compared_and_the_panels_are_named_by_what_differs(tmp_path):
    one = write_ledger(tmp_path / "tests", [*range_tests(), *range_tests("Adam", low=1e-3, high=3e-3)])
    other = write_ledger(tmp_path / "sweep", [*trained(), *trained("Adam", best=1e-3, lrs=(1e-3, 1e-2, 0.1))])
    results = analyse(load_study([one, other]))
    assert [match.label for match in matches(results)] == ["SGD", "Adam"]


def test_the_figure_has_a_panel_per_optimizer_a_tint_and_a_caption_that_answers(tmp_path):
    schedules = [{"name": "none"}, {"name": "CosineAnnealingLR"}]
    trials = [*range_tests(), *range_tests("Adam", seeds=1, interval=None, valley=None, no_signal=True)]
    trials += [one for name in ("SGD", "Adam") for s in schedules for one in trained(name, schedule=s)]
    results = results_of(tmp_path, trials)
    data = PLOT.data(results)
    with style.context():
        figure = draw(PLOT, data, study=results.study)
        figure.draw_without_rendering()
    panels = [part.axes for part in figure.subfigs]
    assert [upper.get_title(loc="left") for upper, _ in panels] == ["SGD", "Adam"]
    assert [lower.get_xscale() for _, lower in panels] == ["log", "log"]
    assert all(upper.get_xlim() == lower.get_xlim() for upper, lower in panels)
    caption = PLOT.caption(data)
    assert caption.startswith("The best learning rate of SGD, 0.03, lies inside the span of its range tests")
    assert "The range test of Adam found nothing" in caption
    assert "n = 2" in caption
    assert explanation(data, results.study) == ""


def test_more_panels_than_fit_are_counted(tmp_path):
    batches = range(10, 90, 10)
    trials = [one for size in batches for one in _with_batch(range_tests(seeds=1), size)]
    trials += [one for size in batches for one in trained(data={"batch_size": size})]
    data = PLOT.data(results_of(tmp_path, trials))
    assert data["panel"].nunique() == 8
    assert "Shown are the first 6 of 8 panels" in PLOT.caption(data)
    assert pd.notna(data.loc[data["series"] == "best", "value"]).all()


def _with_batch(tests, size):
    return [
        replace(one, config=parse_trial({**one.config.model_dump(), "data": {"batch_size": size}})) for one in tests
    ]
