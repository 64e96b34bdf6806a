"""The article shows what trainings measured, in the documents' order, and says of the rest what it needs."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from rich.console import Console

from analysis.__main__ import app
from analysis.article.choose import all_of, anything, choose, has_schedule, is_adam, is_nesterov, is_plain_sgd
from analysis.article.learning_rates import loss_by_lr
from analysis.article.outcomes import best_epoch, converged, fallen, wobble
from analysis.article.reported import (
    ADAM_BY_EPOCH,
    EXERCISE,
    GRADIENTS,
    NEVER,
    OPTIMIZERS,
    SCHEDULES,
    SIMPLE_NN,
    THEIRS,
    cells_of,
)
from analysis.article.slot import See, Slot, TableSlot
from analysis.article.sources import read_sources
from analysis.article.write import PARTS, write_chapter
from ch6dist.cli import run as run_app
from ch6dist.config import parse_trial
from ch6dist.training.solo import run_trial
from tests.support.labs import visited
from tests.support.ledgers import NASTY, range_trial, trial, twelve, write_ledger
from tests.support.looks import looked
from tests.support.paths import ROOT

MOMENTUM = {"momentum": 0.9}
NESTEROV = {"momentum": 0.9, "nesterov": True}
CURVE = [0.05, 0.10, 0.20, 0.25, 0.24]


def four(folder, *, epochs=5, **sweep):
    trials = []
    for seed in range(2):
        curve = [x + 0.01 * seed for x in (CURVE * epochs)[:epochs]]
        trials += [trial("SGD", lr=0.01, seed=seed, curve=curve)]
        trials += [
            trial("SGD", lr=0.01, seed=seed, curve=[x + 0.1 for x in curve], parameters=p) for p in (MOMENTUM, NESTEROV)
        ]
        trials += [trial("Adam", lr=1e-3, seed=seed, curve=[x + 0.2 for x in curve])]
    return write_ledger(folder, trials, name="four", **sweep)


SCHEDULES_BY_NAME = {
    "none": {"name": "none"},
    "StepLR": {"name": "StepLR", "step_size": 2},
    "MultiStepLR": {"name": "MultiStepLR", "milestones": [2]},
    "ReduceLROnPlateau": {"name": "ReduceLROnPlateau"},
    "CyclicLR": {"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.1},
    "OneCycleLR": {"name": "OneCycleLR", "max_lr": 0.1},
}


def schedules(folder):
    """Six schedules with Nesterov momentum, three of them with momentum too; seeds 0 and 1."""
    trials = [
        trial("SGD", lr=0.1, seed=s, curve=CURVE, parameters=p, schedule=SCHEDULES_BY_NAME[name])
        for s in range(2)
        for p, names in ((NESTEROV, list(SCHEDULES_BY_NAME)), (MOMENTUM, ["none", "StepLR", "CyclicLR"]))
        for name in names
    ]
    return write_ledger(folder, trials, name="schedules")


def exercise(folder):
    """The baseline and the four modifications, all on MNIST; one seed of the low learning rate diverged."""
    few = {"name": "mnist", "train_size": 10_200, "val_size": 10_200}
    cosine, sgd = {"name": "CosineAnnealingLR"}, {"optimizer": "SGD", "lr": 0.01, "parameters": NESTEROV}
    kinds = [
        {"optimizer": "Adam", "lr": 1e-3},
        {"optimizer": "Adam", "lr": 1e-3, "schedule": cosine},
        {**sgd, "schedule": cosine},
        {**sgd, "schedule": cosine, "data": {"name": "mnist", "train_size": 49_800, "val_size": 10_200}},
    ]
    trials = [trial(**{"data": few, **kind}, seed=s, curve=CURVE, model="convnet") for s in range(2) for kind in kinds]
    slow = {"optimizer": "Adam", "lr": 1e-5, "data": few, "model": "convnet"}
    trials += [
        trial(**slow, seed=0, curve=CURVE),
        trial(**slow, seed=1, curve=[0.1, None], status="diverged", epochs=5),
    ]
    return write_ledger(folder, trials, name="exercise")


def small_network(folder):
    step = {"name": "StepLR", "step_size": 5, "gamma": 0.5}
    kinds = [{}, {"schedule": step}]
    trials = [
        trial("Adam", lr=1e-3, seed=s, curve=CURVE, data={"name": "mnist"}, model="simple_nn", **kind)
        for s in range(2)
        for kind in kinds
    ]
    return write_ledger(folder, trials, name="small")


def final(folder):
    trials = [
        trial("Adam", lr=1e-3, seed=s, curve=CURVE, evaluate_test=True, extra={"test_accuracy": 0.25 + s / 100})
        for s in range(2)
    ]
    return write_ledger(folder, trials, name="final")


def captured(folder):
    data = {"name": "synthetic_cifar100", "train_size": 256, "val_size": 50, "batch_size": 32, "augment": "none"}
    capture = {"gradients": {"names": ["conv1.weight"], "keep": "sample", "sample": 8}}
    content = {"data": data, "optimizer": {"name": "Adam"}, "epochs": 2, "capture": capture}
    run_trial(parse_trial(content), run=folder, console=Console(file=io.StringIO()))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("article")
    ranges = [range_trial(losses=[4.6, 4.0, 3.0, 5.0], lrs=[1e-3, 1e-2, 1e-1, 1.0], seed=s) for s in range(2)]
    given = [
        four(folder / "four"),
        write_ledger(folder / "ranges", ranges, name="ranges"),
        captured(folder / "captured"),
    ]
    given += [make(folder / make.__name__) for make in (schedules, exercise, small_network, final, twelve)]
    write_chapter(read_sources([*map(str, given), str(visited()), str(looked())]), folder / "out")
    return folder / "out"


def test_every_figure_and_table_is_in_the_text_in_its_order_or_said_to_be_missing(written):
    text = (written / "article.md").read_text()
    numbers = [place.number for part in PARTS for place in part.places]
    places = [text.find(f"**{number}") if f"**{number}" in text else text.find(f"\n{number}, ") for number in numbers]
    assert -1 not in places, [n for n, p in zip(numbers, places, strict=True) if p < 0]
    assert places == sorted(places)


def test_what_is_shown_has_its_picture_and_its_numbers(written):
    text, page = (written / "article.md").read_text(), (written / "index.html").read_text()
    files = re.findall(r"\]\(((?:figures|data)/[^)]+)\)", text)
    assert len(files) > 30
    for name in files:
        assert (written / name).stat().st_size > 0, name
        assert name in page
    assert {path.stem for path in (written / "figures").glob("*.png")} == {
        name.removeprefix("figures/").removesuffix(".png") for name in files if name.startswith("figures/")
    }


def test_the_six_figures_of_the_note_come_first(written):
    text = (written / "article.md").read_text()
    firsts = [text.index(f"**Figure {number}. ") for number in range(1, 7)]
    assert firsts == sorted(firsts)
    assert firsts[-1] < text.index("**Graph 1.")


def test_numbers_come_from_the_ledger(written):
    with (written / "data" / "optimizer_table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["validation accuracy"] for row in rows] == [
        "24.50 ± 0.71 %", "34.50 ± 0.71 %", "34.50 ± 0.71 %", "44.50 ± 0.71 %",
    ]  # fmt: skip
    assert {row["seeds"] for row in rows} == {"2"}


def test_reported_numbers_stand_only_in_columns_that_say_so(written):
    quoted = {cell for rows in (OPTIMIZERS, SCHEDULES, EXERCISE) for row in rows for cell in row.cells if "%" in cell}
    quoted |= {", ".join(pair) for loss in ADAM_BY_EPOCH.values() for pair in (loss[:2], loss[2:])}
    quoted |= {cell for row in GRADIENTS for cell in row if cell} | {SIMPLE_NN}
    seen = set()
    for path in (written / "data").glob("*.csv"):
        with path.open() as file:
            for row in csv.DictReader(file):
                for head, cell in row.items():
                    is_quoted = NEVER in head or THEIRS in head
                    assert cell not in quoted or is_quoted, (path.name, head, cell)
                    seen |= {cell} if is_quoted else set()
    assert len(quoted & seen) >= 25, "the tables of the fixture quote nearly all"


def test_every_table_is_made_and_says_what_became_of_each_seed(written):
    def rows(name):
        with (written / "data" / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))

    by_name = {row["configuration"]: row for row in rows("exercise_table")}
    assert len(by_name) == 5
    assert sorted(row["seeds"] for row in by_name.values()) == ["1 of 2, 1 diverged", "2", "2", "2", "2"]
    assert {row["test accuracy (measured by its authors)"] for row in by_name.values()} == {
        "97.74 %", "94.84 %", "98.81 %", "98.71 %", "99.39 %",
    }  # fmt: skip
    assert [row["schedule"].split(" ")[0] for row in rows("schedule_table")].count("no") == 1
    assert {row["schedule"] for row in rows("simple_nn_table")} == {"no schedule", "StepLR 5 ×0.5"}
    (tested,) = rows("final_trainings")
    assert (tested["test accuracy"], tested["seeds"]) == ("25.50 ± 0.71 %", "2")
    assert "evaluate" not in (written / "article.md").read_text()


def test_learning_rates_that_diverged_stay_on_the_axis(tmp_path):
    trials = [trial("SGD", lr=lr, seed=s, curve=[0.1, 0.2]) for lr in (1e-3, 1e-2, 1e-1) for s in range(2)]
    trials += [trial("SGD", lr=10.0, seed=s, curve=[0.1, None], status="diverged", epochs=2) for s in range(2)]
    trials += [trial("SGD", lr=1e-2, seed=0, curve=[0.3, 0.4], model="cnn2")]  # another network is another line
    sources = read_sources([str(write_ledger(tmp_path / "run", trials))])
    picture = loss_by_lr(sources)
    assert sorted(set(picture.data["lr"])) == [1e-3, 1e-2, 1e-1, 10.0]
    assert picture.data["diverged"].sum() == 2
    assert "2 seeds that diverged" in picture.caption
    assert len(picture.data) == 8


def lost(curve):
    """Trainings that all diverged, of two optimizers at three learning rates."""
    return [
        trial(name, lr=lr, curve=curve, status="diverged", epochs=5) for name in ("SGD", "Adam") for lr in (1, 2, 3)
    ]


def bad(kind, folder):
    both, sample = ("SGD", "Adam"), {"gradients": {"keep": "sample"}}
    runs = {
        "no trial yet": [],
        "without validation": [trial("SGD", lr=lr, curve=CURVE, data={"val_size": 0}) for lr in (0.1, 0.2, 0.3)],
        "all diverged at once": lost([None]),
        "all diverged later": lost([0.1, None]),
        "still running": [trial(name, lr=lr, curve=[0.1], status=None, epochs=5) for name in both for lr in (1, 2, 3)],
        "captures not kept": [
            trial("Adam", curve=CURVE, seed=seed, capture=capture) for seed, capture in enumerate(({}, sample))
        ],
        "synthetic": [trial(name, curve=CURVE, data={"name": "synthetic_cifar100"}) for name in both],
    }
    return write_ledger(folder, runs[kind])


@pytest.mark.parametrize(
    "kind",
    ["no trial yet", "without validation", "all diverged at once", "all diverged later", "still running",
     "captures not kept", "synthetic"],
)  # fmt: skip
def test_any_run_makes_an_article(kind, tmp_path):
    write_chapter(read_sources([str(bad(kind, tmp_path / "run"))]), tmp_path / "out")
    text = (tmp_path / "out/article.md").read_text()
    assert "nan" not in text.lower().replace("nano", "")
    if "diverged" in kind:
        assert "diverged" in text.lower()


def test_a_sweep_that_has_ended_goes_before_a_longer_one_that_has_not(tmp_path):
    ended = four(tmp_path / "ended")
    trials = [trial(n, lr=0.01, seed=0, curve=[0.1], status=None, epochs=50) for n in ("SGD", "Adam")]
    begun = write_ledger(tmp_path / "begun", trials, name="begun")
    found = choose(read_sources([str(begun), str(ended)]).runs, (is_adam, is_plain_sgd))
    assert {group.run.folder.name for group in found} == {"ended"}


def test_a_run_of_longer_training_is_taken_before_a_short_one(tmp_path):
    short, long = four(tmp_path / "short", epochs=2), four(tmp_path / "long", epochs=5)
    for order in ([short, long], [long, short]):
        found = choose(read_sources([*map(str, order)]).runs, (is_adam, is_plain_sgd), where=anything)
        assert [group.run.folder.name for group in found] == ["long", "long"]


def test_what_is_compared_is_alike_in_data_network_and_epochs(tmp_path):
    one = [trial("Adam", lr=1e-3, seed=0, curve=CURVE), trial("SGD", lr=0.1, seed=0, curve=CURVE, model="cnn2")]
    run = write_ledger(tmp_path / "run", one)
    assert choose(read_sources([str(run)]).runs, (is_adam, is_plain_sgd)) is None


def test_schedules_are_compared_at_one_optimizer_and_learning_rate(tmp_path):
    step = {"name": "StepLR", "step_size": 2}
    trials = [
        trial("SGD", lr=0.1, seed=0, curve=CURVE),
        trial("SGD", lr=0.1, seed=0, curve=CURVE, schedule=step),
        trial("SGD", lr=0.3, seed=0, curve=CURVE, schedule={"name": "ExponentialLR", "gamma": 0.9}),
    ]
    run = write_ledger(tmp_path / "run", trials)
    found = all_of(read_sources([str(run)]).runs, "schedule", needs=[has_schedule("StepLR")])
    assert sorted(group.config["schedule"]["name"] for group in found) == ["StepLR", "none"]
    assert all_of(read_sources([str(run)]).runs, "schedule", needs=[has_schedule("OneCycleLR")]) is None


def test_outcomes_by_hand(tmp_path):
    curve = [0.10, 0.40, 0.39, 0.50, 0.49, 0.48]  # 95 % of the best, 0.475, first at epoch 4; fell in three epochs
    run = write_ledger(tmp_path / "run", [trial("Adam", lr=1e-3, seed=s, curve=curve) for s in range(2)])
    (group,) = read_sources([str(run)]).runs[0].groups
    assert (converged(group), best_epoch(group), fallen(group)) == ("4, still improving", "4", "3.0 of 6")
    assert wobble(group) == "5.26 points"  # of 0.40 0.39 0.50 0.49 0.48


def test_a_training_at_chance_has_not_converged(tmp_path):
    run = write_ledger(tmp_path / "run", [trial("SGD", lr=1e-5, seed=0, curve=[0.010, 0.011, 0.012])])
    (group,) = read_sources([str(run)]).runs[0].groups
    assert converged(group) == "–"


def test_each_row_of_the_documents_is_told_by_its_configuration():
    def config(**content):
        return parse_trial({"data": {"name": "mnist"}, "model": "convnet", **content}).model_dump()

    sgd = {"name": "SGD", "lr": 0.01, **NESTEROV}
    right = {"name": "mnist", "train_size": 49_800, "val_size": 10_200}
    cosine = {"schedule": "CosineAnnealingLR", "epochs": 10}
    rows = [
        config(optimizer={"name": "Adam", "lr": 1e-3}),
        config(optimizer={"name": "Adam", "lr": 1e-5}),
        config(optimizer={"name": "Adam", "lr": 1e-3}, **cosine),
        config(optimizer=sgd, **cosine),
        config(optimizer=sgd, data=right, **cosine),
    ]
    assert [cells_of(EXERCISE, row)[1] for row in rows] == ["97.74 %", "94.84 %", "98.81 %", "98.71 %", "99.39 %"]
    assert cells_of(OPTIMIZERS, {"optimizer": {"name": "RMSprop"}}) is None
    assert is_nesterov(rows[-1])


def test_a_previews_file_fills_its_graph(tmp_path):
    steps = [{"step": n, "lr": 0.1, "momentum": None} for n in (1, 2)]
    preview = {
        "schedule": "StepLR 1 ×0.1", "setting": "SGD · lr 0.1", "file": None, "steps_per_epoch": 1,
        "configured_lr": 0.1, "budget": 1.0, "momentum_name": None, "notes": [], "lrs": steps,
    }  # fmt: skip
    (tmp_path / "step.json").write_text(json.dumps({"trials": [preview]}))
    write_chapter(read_sources([str(tmp_path / "step.json")]), tmp_path / "out")
    assert (tmp_path / "out/figures/step_lr.png").exists()
    assert "**Graph 14** is not here" in (tmp_path / "out/article.md").read_text()


def test_figures_of_an_earlier_article_are_gone_when_nothing_has_data_for_them(tmp_path):
    run, out = four(tmp_path / "four"), tmp_path / "out"
    write_chapter(read_sources([str(run)]), out)
    assert (out / "figures/adam_vs_sgd.png").exists()
    alone = write_ledger(tmp_path / "alone", [trial("Adam", lr=1e-3, curve=CURVE)])
    write_chapter(read_sources([str(alone)]), out)
    assert not (out / "figures/adam_vs_sgd.png").exists()
    assert not (out / "data/adam_vs_sgd.csv").exists()


def test_questions_may_be_markup(tmp_path):
    runs = [
        write_ledger(tmp_path / str(n), [trial("Adam", curve=CURVE)], question=text) for n, text in enumerate(NASTY)
    ]
    write_chapter(read_sources([*map(str, runs)]), tmp_path / "out")
    page = (tmp_path / "out/index.html").read_text()
    assert "<b>bold" not in page
    assert "\x1b" not in page


def test_slots_are_named_once():
    names = [place.name for part in PARTS for place in part.places if isinstance(place, (Slot, TableSlot))]
    assert len(names) == len(set(names))
    figures = {place.name for part in PARTS for place in part.places if isinstance(place, Slot)}
    assert {place.name for part in PARTS for place in part.places if isinstance(place, See)} <= figures


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nothing-here", "-o", "out"], "ch6dist look"),
        (["four"], "-o"),
        (["four", "four", "-o", "out"], "each source once"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(given, said, tmp_path, capsys, monkeypatch):
    four(tmp_path / "runs" / "four")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["analysis", "article", *given])
    assert run_app(app, name="analysis") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_missing_names_a_sweep_file_that_is_there():
    said = " ".join(place.needs for part in PARTS for place in part.places if not isinstance(place, See))
    files = re.findall(r"sweeps run (\S+)`", said)
    assert len(set(files)) >= 9
    assert all((ROOT / name).is_file() for name in files)


def test_paths_with_schedules_are_of_momentum_and_nesterov_and_of_nothing_else(tmp_path):
    paths = next(place for part in PARTS for place in part.places if place.name == "schedule_paths")
    names = ("none", "StepLR", "CyclicLR")
    kinds = [("SGD", NESTEROV), ("Adam", {})]  # Adam has no `nesterov`, and is no momentum
    trials = [
        trial(optimizer, lr=0.1, curve=CURVE, parameters=parameters, schedule=SCHEDULES_BY_NAME[name])
        for optimizer, parameters in kinds
        for name in names
    ]
    assert paths.find(read_sources([str(write_ledger(tmp_path / "adam", trials, name="adam"))])) is None
    assert paths.find(read_sources([str(schedules(tmp_path / "both"))])) is not None
