"""The numbers behind each figure, and that each figure renders with its labels on sweeps of every shape."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest

from analysis.plots import style
from analysis.plots.lr_sensitivity import lr_sensitivity_data
from analysis.plots.registry import PLOTS, draw, write_figure
from analysis.report.health import health
from analysis.study.load import load_study
from analysis.study.lr_ranges import best_by_lr, point_summary, safe_ranges
from analysis.study.results import analyse
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.wording import short_number
from ch6dist.config import parse_trial
from tests.support.ledgers import NASTY, halved, range_trial, trial, twelve, write_ledger

LRS = [1e-4, 1e-3, 1e-2, 1e-1]
# figures of the sweep as a whole, which name no single configuration; and those that need not name an optimizer
OF_THE_WHOLE = {
    "tuning_curve",
    "stability",
    "optimizer_schedule",
    "sweep_health",
    "variance_explained",
    "edf",
    "schedule_preview",
    "stop_earlier",
    "timeline",
    "scaling",
    "generalization_gap",
}
WITHOUT_OPTIMIZERS = {"parallel_coordinates", "search_history", *OF_THE_WHOLE} - {
    *("sweep_health", "edf", "generalization_gap", "tuning_curve", "stability", "optimizer_schedule")
}


def twelve_optimizers():
    return [
        trial(name, lr=lr, seed=seed, curve=[0.1, 0.2, 0.3 - abs(math.log10(lr) + 2) / 20])
        for name in list(OPTIMIZERS)[:12]
        for lr in (0.1, 0.01, 0.001)
        for seed in range(2)
    ]


SWEEPS = {
    "one run": lambda: [trial(curve=[0.1, 0.2, 0.3])],
    "all diverged": lambda: [trial(lr=lr, curve=[0.1, None], status="diverged", epochs=6) for lr in (1.0, 10.0)],
    "unequal lengths": lambda: [trial(curve=[0.1] * 9), trial(lr=0.2, curve=[0.1, 0.2, 0.3])],
    "nan in the middle": lambda: [trial(curve=[0.1, None, 0.3]), trial(lr=0.2, curve=[0.1, 0.2, 0.3])],
    "missing seeds": lambda: [trial(seed=0, curve=[0.1] * 3), trial(seed=1, status=None), trial(lr=0.2, status=None)],
    "still running": lambda: [trial(curve=[0.1], epochs=3, status="running"), trial(seed=1, status=None)],
    "failed": lambda: [trial(status="failed", reason="CUDA error: <unspecified>"), trial(lr=0.2, curve=[0.1] * 3)],
    "one optimizer": lambda: [trial(lr=lr, curve=[0.1, 0.2, 0.3]) for lr in LRS],
    "twelve optimizers": twelve_optimizers,
    "range test alone": lambda: [range_trial(losses=[4.6, 4.5, 4.0, None], lrs=LRS, steepest=5e-3, diverged_at=4)],
    "accuracy of zero": lambda: [trial(lr=lr, curve=[0.0, 0.0, 0.0]) for lr in LRS],
    "no validation": lambda: [trial(curve=[0.1] * 3, data={"train_size": 50_000, "val_size": 0})],
    "a long final training without validation": lambda: [
        trial(
            seed=s,
            curve=[0.1 + e / 100 for e in range(20)],
            data={"train_size": 50_000, "val_size": 0},
            evaluate_test=True,
        )
        for s in (0, 1)
    ],
    "empty": lambda: [],
}


def enough_for_every_figure():
    """Two optimizers × two schedules × learning rates × two seeds, and a range test."""
    schedules = [{"name": "none"}, {"name": "StepLR", "step_size": 1}]
    curves = [0.1, 0.2, 0.3, 0.4]
    return [
        *(
            trial(name, lr=lr, seed=seed, schedule=schedule, curve=[0.05, 0.1, top + seed / 100])
            for name in ("SGD", "Adam")
            for schedule in schedules
            for lr, top in zip(LRS, curves, strict=True)
            for seed in (0, 1)
        ),
        *SWEEPS["range test alone"](),
    ]


# figures of optimizers, or of pairs of optimizer and schedule: the name of a run is no part of them
SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def written(folder, trials, **sweep):
    return analyse(load_study([write_ledger(folder, trials, **sweep)]))


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_figure_renders_or_says_why_not(tmp_path, sweep):
    results = written(tmp_path / "run", SWEEPS[sweep]())
    for plot in PLOTS.values():
        data = plot.data(results)
        if data.empty:
            assert plot.empty.endswith(".")
            continue
        with style.context():
            draw(plot, data, study=results.study).draw_without_rendering()


def for_every_figure():
    """A sweep over more axes, in packs of one and two lanes."""
    trials = [
        trial(
            lr=lr,
            seed=seed,
            curve=[0.1, 0.2, 0.3 + lr + decay + seed / 100],
            parameters={"weight_decay": decay},
            schedule=schedule,
            columns={"lanes": [lanes] * 3, "images_per_second": [100.0 * lanes] * 3},
        )
        for lr in LRS
        for decay in (0.0, 0.01, 0.1)
        for lanes, schedule in ((1, {"name": "none"}), (2, {"name": "CosineAnnealingLR"}))
        for seed in (0, 1)
    ]
    return [*trials, *SWEEPS["range test alone"]()]


@pytest.fixture(scope="module")
def of_every_kind(tmp_path_factory):
    """Results of three sweeps: every figure has numbers in one of them."""
    folder = tmp_path_factory.mktemp("plots")
    runs = (
        write_ledger(folder / "enough", enough_for_every_figure()),
        write_ledger(folder / "axes", for_every_figure()),  # with what the first has no axis for
        halved(folder / "halved", method="random"),
    )
    return [analyse(load_study([run])) for run in runs]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLOTS)
def test_a_figure_has_its_question_and_optimizers_and_is_the_same_file_each_time(tmp_path, of_every_kind, name):
    for results in of_every_kind:
        data = PLOTS[name].data(results)
        if len(data):
            break
    assert len(data)
    for folder in ("a", "b"):
        write_figure(PLOTS[name], data, tmp_path / folder, study=results.study)
    for kind in ("png", "svg"):
        a, b = (tmp_path / folder / "figures" / f"{name}.{kind}" for folder in ("a", "b"))
        assert a.read_bytes() == b.read_bytes()
    svg = (tmp_path / "a" / "figures" / f"{name}.svg").read_text()
    assert PLOTS[name].title[:30] in svg
    assert "SGD" in svg or name in WITHOUT_OPTIMIZERS
    assert style.SYNTHETIC not in svg
    assert len(pd.read_csv(tmp_path / "a" / "data" / f"{name}.csv")) == len(data)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", [NASTY[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NASTY[1:])])
def test_names_are_text_in_every_figure_and_no_number_is_markup(tmp_path, name):
    trials = enough_for_every_figure()
    study = load_study([write_ledger(tmp_path / folder, trials) for folder in (name, f"{name}-2")])
    results, shown = analyse(study), study.runs[0].name
    for plot in PLOTS.values():
        data = plot.data(results)
        if data.empty:
            continue
        write_figure(plot, data, tmp_path / "out", study=results.study)  # layout reads mathtext first
        figure = ElementTree.parse(tmp_path / "out" / "figures" / f"{plot.name}.svg")
        text = " ".join(" ".join(part for node in figure.iter(SVG_TEXT) for part in node.itertext()).split())
        assert "mathdefault" not in text
        assert plot.name in OF_THE_WHOLE or shown in text


def test_a_logarithmic_axis_has_numbers_whatever_it_spans(tmp_path):
    for lrs in ([1e-4, 1e-1], [0.010, 0.011], [0.2, 0.9], [1e-8, 1e2]):
        with style.context():
            figure = style.new_figure(5, 3)
            ax = figure.subplots()
            ax.plot(lrs, lrs)
            style.log_axis(ax, "x", style.lr_formatter())
            style.loss_axis(ax)
            figure.draw_without_rendering()
        ticks = [label.get_text() for axis in (ax.xaxis, ax.yaxis) for label in axis.get_ticklabels(which="both")]
        assert any(ticks)
        assert not any("$" in tick or "\\" in tick for tick in ticks)


def test_ticks_of_learning_rates_that_are_close_are_different(tmp_path):
    lrs = [1.231e-3, 1.234e-3, 0.1]
    with style.context():
        ax = style.new_figure(5, 3).subplots()
        style.lr_axis(ax, lrs)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1.231e-3", "1.234e-3", "0.1"]


def crossed():
    """Two batch sizes × three schedules, of which one has too long a name."""
    long = {"name": "CosineAnnealingWarmRestarts", "T_0": 2, "T_mult": 2, "eta_min": 1e-5, "warmup": {"epochs": 1}}
    steps = [{"name": "StepLR", "step_size": 1}, {"name": "StepLR", "step_size": 2, "gamma": 0.5}, long]
    return [
        trial(
            lr=lr, curve=[0.1, 0.2, 0.3], seed=seed, schedule=schedule, data={"batch_size": batch}, parameters=MOMENTUM
        )
        for seed in (0, 1)
        for batch in (50, 100)
        for schedule in steps
        for lr in (0.1, 0.01)
    ]


MOMENTUM = {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}


def test_whatever_differs_stands_in_every_row_line_and_panel(tmp_path):
    results = written(tmp_path, crossed())
    rows = PLOTS["leaderboard"].data(results)
    assert rows.groupby("label").size().tolist() == [2] * 12
    assert PLOTS["lr_sensitivity"].data(results)["panel"].nunique() == 6
    curves = PLOTS["training_curves"].data(results)
    assert curves["label"].nunique() == curves["order"].nunique() == 6
    for name in ("leaderboard", "lr_sensitivity"):
        with style.context():
            figure = draw(PLOTS[name], PLOTS[name].data(results), study=results.study)
        caption = figure.get_supxlabel()
        assert caption.splitlines()[-1].startswith("schedule 1: warm-up 1, CosineAnnealingWarmRestarts 2 T_mult 2")


def test_a_figure_explains_no_numbers_that_it_does_not_show(tmp_path):
    results = written(tmp_path, crossed())
    plot = PLOTS["sweep_health"]
    with style.context():
        assert "schedule 1" not in draw(plot, plot.data(results), study=results.study).get_supxlabel()


def test_points_of_a_search_are_not_averaged_over_what_it_drew(tmp_path):
    trials = [
        trial(lr=lr, curve=[0.1, 0.2, 0.3 + m / 100], parameters={"momentum": m / 20})
        for lr in (0.1, 0.01)
        for m in range(12)
    ]
    results = written(tmp_path, trials)
    points = point_summary(lr_sensitivity_data(results))
    assert len(points) == 24
    assert best_by_lr(points, goal="maximize")[["lr", "drawn", "mean"]].to_numpy().tolist() == [
        [0.01, "momentum 0.55", pytest.approx(0.41)],
        [0.1, "momentum 0.55", pytest.approx(0.41)],
    ]


def test_a_figure_that_shows_the_first_panels_says_of_how_many_and_where_the_rest_is(tmp_path):
    tests = [range_trial(losses=[4.6, 4.5, 4.0, None], lrs=LRS, seed=seed, steepest=5e-3) for seed in range(14)]
    results = written(tmp_path, tests)
    plot = PLOTS["lr_range_test"]
    caption = plot.caption(plot.data(results))
    assert "Shown are the first 12 of 14 range tests; all are in data/lr_range_test.csv." in caption
    data = plot.data(written(tmp_path / "few", tests[:12]))
    assert "Shown are" not in plot.caption(data)


def test_range_tests_over_two_batch_sizes_have_two_titles(tmp_path):
    base = {"losses": [4.6, 4.5, 4.0, None], "lrs": LRS}
    tests = [
        replace(test, config=parse_trial(test.config.model_dump() | {"data": {"batch_size": size}}))
        for size in (50, 100)
        for test in [range_trial(**base)]
    ]
    results = written(tmp_path, tests)
    panels = PLOTS["lr_range_test"].data(results)["panel"].unique()
    assert list(panels) == ["SGD · batch 50, seed 0", "SGD · batch 100, seed 0"]


def test_a_figure_without_data_removes_that_of_an_earlier_report(tmp_path):
    results = written(tmp_path / "run", SWEEPS["one optimizer"]())
    plot = PLOTS["lr_sensitivity"]
    data = plot.data(results)
    write_figure(plot, data, tmp_path, study=results.study)
    write_figure(plot, data.head(0), tmp_path, study=results.study)
    assert list((tmp_path / "figures").iterdir()) == []
    assert list((tmp_path / "data").iterdir()) == []


def test_a_single_epoch_is_drawn_as_points_and_without_fractions_of_an_epoch(tmp_path):
    results = written(tmp_path, [trial(curve=[0.1]), trial("Adam", curve=[0.2])])
    plot = PLOTS["training_curves"]
    with style.context():
        figure = draw(plot, plot.data(results), study=results.study)
        figure.draw_without_rendering()
    for ax in figure.axes[:5]:
        assert all(line.get_marker() in style.MARKERS for line in ax.lines)
        low, high = ax.get_xlim()
        assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize(("tried", "explained"), [(1, False), (6, True)])
def test_the_curves_explain_their_choice_if_there_was_one(tmp_path, tried, explained):
    results = written(tmp_path, [trial(lr=lr / 10, curve=[0.1]) for lr in range(1, tried + 1)])
    plot = PLOTS["training_curves"]
    assert ("grey: the worst" in plot.caption(plot.data(results))) == explained


def test_twelve_optimizers_look_twelve_ways(tmp_path):
    results = written(tmp_path, twelve_optimizers())
    assert len(set(style.palette(results.study.trials["optimizer"]).values())) == 12


def test_scores_by_learning_rate_of_the_twelve_trials(tmp_path):
    table = point_summary(lr_sensitivity_data(analyse(load_study([twelve(tmp_path)])))).set_index(["optimizer", "lr"])
    assert table["mean"].to_dict() == pytest.approx(
        {("SGD", 0.1): 0.51, ("SGD", 0.01): 0.41, ("Adam", 0.001): 0.50, ("Adam", 0.1): 0.45}
    )
    assert table["n"].to_dict() == {("SGD", 0.1): 3, ("SGD", 0.01): 3, ("Adam", 0.001): 3, ("Adam", 0.1): 2}
    assert table["diverged"].sum() == 1


def test_safe_range_is_what_lies_within_a_point_around_the_best(tmp_path):
    scores = {1e-4: 0.495, 1e-3: 0.40, 1e-2: 0.493, 1e-1: 0.50, 1.0: 0.495}
    results = written(tmp_path, [trial(lr=lr, curve=[0.1, 0.2, top]) for lr, top in scores.items()])
    row = safe_ranges(point_summary(lr_sensitivity_data(results)), metric="val_accuracy", goal="maximize").iloc[0]
    assert (row["best_lr"], row["safe_low"], row["safe_high"], row["edge"]) == (0.1, 0.01, 1.0, "")
    assert row["decades"] == pytest.approx(2)


def test_a_learning_rate_with_a_diverged_seed_is_neither_best_nor_safe(tmp_path):
    trials = [trial(lr=lr, seed=seed, curve=[0.1, 0.2, 0.5]) for lr in (0.01, 0.1) for seed in (0, 1)]
    trials.append(trial(lr=0.1, seed=2, curve=[None], epochs=3, status="diverged"))
    results = written(tmp_path, trials)
    row = safe_ranges(point_summary(lr_sensitivity_data(results)), metric="val_accuracy", goal="maximize").iloc[0]
    assert (row["best_lr"], row["safe_high"], row["edge"]) == (0.01, 0.01, "low")


def test_range_test_is_drawn_as_recorded_with_the_best_learning_rate_of_the_sweep(tmp_path):
    test = range_trial(losses=[4.6, 4.5, 4.0, 9.0], lrs=LRS, steepest=5e-3, interval=[1e-3, 1e-2], diverged_at=4)
    results = written(tmp_path, [test, trial("SGD", lr=0.03, curve=[0.1, 0.2, 0.3])])
    data = PLOTS["lr_range_test"].data(results)
    lrs = data.groupby("series")["lr"].agg(list).to_dict()
    assert lrs == {
        "raw": LRS,
        "smoothed": LRS,
        "steepest": [5e-3],
        "interval": [1e-3, 1e-2],
        "diverged": [0.1],
        "sweep_best": [0.03],
    }


def test_a_learning_rate_in_few_characters():
    assert [short_number(x) for x in (0.1, 0.03, 3e-3, 1.2e-5, 1.0, None)] == [
        "0.1",
        "0.03",
        "3e-3",
        "1.2e-5",
        "1",
        "–",
    ]


def facts_of(folder, trials):
    return {fact.name: fact for fact in health(written(folder, trials))}


def test_health_of_the_twelve_trials(tmp_path):
    facts = {fact.name: fact for fact in health(analyse(load_study([twelve(tmp_path)])))}
    assert facts["Trials"].value == "12 training runs (11 finished, 1 diverged)"
    assert facts["Epochs"].value == "69 of 72 planned (96%)"
    assert facts["Diverged"].value == "1 of 12 training runs (a result: they rank last)"
    assert facts["Seeds per configuration"].value == "3"
    assert "SGD · lr 0.1" in facts["Best learning rate at the edge"].value
    assert facts["Noise floor"].value.startswith("0.71 points")  # sqrt(0.51 × 0.49 / 5000)


def test_health_of_range_tests_alone_counts_no_training_runs(tmp_path):
    assert "Diverged" not in facts_of(tmp_path, SWEEPS["range test alone"]())


def test_health_counts_the_trials_inside_which_something_is_wrong(tmp_path):
    sound = {"exploding_steps": 0, "vanishing_gradients": 0}
    signs = [sound, {**sound, "exploding_steps": 3}, {**sound, "saturated_layers": 1}, {}]
    trials = [trial(lr=0.1 / 2**n, curve=[0.1] * 3, extra=extra) for n, extra in enumerate(signs)]
    fact = facts_of(tmp_path, trials)["Inside the training"]
    counted = "exploding steps in 1, vanishing gradients in 0, saturated layers in 1"
    assert fact.value == f"of 3 trials that captured, {counted}"
    assert "sweeps show" in fact.warning
    quiet = facts_of(tmp_path / "quiet", [trial(curve=[0.1] * 3, extra=sound)])["Inside the training"]
    assert (quiet.value, quiet.warning) == (
        "of 1 trial that captured, exploding steps in 0, vanishing gradients in 0",
        "",
    )
    assert "Inside the training" not in facts_of(tmp_path / "none", [trial(curve=[0.1] * 3)])


@pytest.mark.parametrize(
    ("trials", "fact", "warning"),
    [
        (lambda: [trial(curve=[0.1] * 3)], "Seeds per configuration", "one seed"),
        (lambda: [trial(status="failed", reason="no space")], "Failed", "rerun"),
        (lambda: [trial(status="stopped", curve=[0.1], epochs=9)], "Stopped early", "slow starters"),
        (lambda: [trial(status=None)], "Trials", "preliminary"),
        (
            lambda: [trial(curve=[0.1] * 3), trial(lr=1.0, curve=[0.1] * 3), trial("Adam", curve=[0.1] * 3)],
            "Configurations tried",
            "unequal",
        ),
    ],
)
def test_health_warns(tmp_path, trials, fact, warning):
    assert warning in facts_of(tmp_path, trials())[fact].warning


def test_a_range_test_without_a_signal_says_what_to_change(tmp_path):
    flat = {"losses": [4.6, 4.61, 4.6, 4.59], "lrs": LRS, "no_signal": True}
    advice = "the loss falls by 3.4 times its noise, 7 are needed: take a larger batch, or more steps"
    results = written(tmp_path, [range_trial(**flat, advice=advice), range_trial(**flat, seed=1)])
    plot = PLOTS["lr_range_test"]
    data = plot.data(results)
    said = data[data["series"] == "no_signal"]["advice"].tolist()
    assert said == [advice, "the loss falls by no more than its noise"], "a ledger of before has no advice"
    assert set(data[data["series"] == "raw"]["advice"]) == {""}
    with style.context():
        figure = draw(plot, data, study=results.study)
    texts = [" ".join(text.get_text().split()) for part in figure.subfigs for ax in part.axes for text in ax.texts]
    assert f"no signal: {advice}" in texts


def test_the_fall_of_a_range_test_is_seen_beside_its_explosion(tmp_path):
    losses = [4.6] * 20 + [4.5] * 5 + [18.0] * 5
    lrs = [1e-4 * 10 ** (i / 6) for i in range(30)]
    results = written(tmp_path, [range_trial(losses=losses, lrs=lrs, steepest=0.1)])
    plot = PLOTS["lr_range_test"]
    with style.context():
        figure = draw(plot, plot.data(results), study=results.study)
    low, high = figure.subfigs[0].axes[0].get_ylim()
    assert (low, high) == (pytest.approx(4.476), pytest.approx(4.748))


@pytest.mark.parametrize("lrs", [[1e-7], [1e-7, 1e-6], [2.0]])
@pytest.mark.parametrize("has_artifact", [True, False])
def test_a_range_test_without_a_finite_loss_says_so(tmp_path, lrs, has_artifact):
    item = range_trial(losses=[math.nan] * len(lrs), lrs=lrs)
    results = analyse(load_study([write_ledger(tmp_path, [item if has_artifact else replace(item, artifact=None)])]))
    with style.context():
        figure = draw(PLOTS["lr_range_test"], PLOTS["lr_range_test"].data(results), study=results.study)
        figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert 0 < low < lrs[0] <= lrs[-1] < high
    assert "no step has a finite loss" in [text.get_text() for text in figure.axes[0].texts]
