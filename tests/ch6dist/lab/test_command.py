"""`ch6dist lab` writes what docs/lab.md says, whole, or refuses with one line and writes nothing."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ch6dist.__main__ import app
from ch6dist.catalog.lab import COMPARISONS, FORMAT, INDEX, TABLES, columns
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.cli import run
from ch6dist.errors import InputError
from ch6dist.lab.command import read_problem, split_settings
from tests.support.labs import visited
from tests.support.paths import ROOT
from tests.support.trials import files_in


@pytest.fixture(autouse=True)
def here(in_tmp_path, monkeypatch):
    folder = in_tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["regresion"], ["PROBLEM", "'regresion'", "did you mean 'regression'?"]),
        (["valley:condition=0.5"], ["PROBLEM valley:condition=0.5", "condition", "a number ≥ 1"]),
        (["valley:conditon=5"], ["conditon", "did you mean 'condition'?"]),
        (["regression:condition=5"], ["condition", "regression takes nothing"]),
        (["valley:condition"], ["'condition'", "key=value"]),
        (["--optimizer", "adam"], ["--optimizer adam", "optimizer.name", "did you mean 'Adam'?"]),
        (["--optimizer", "Lion:lr=1"], ["optimizer.name", "'Lion'", "SGD"]),
        (["--optimizer", ""], ["optimizer.name", "''"]),
        (["--optimizer", "SGD:momentun=0.9"], ["--optimizer SGD:momentun=0.9", "did you mean 'momentum'?"]),
        (["--optimizer", "SGD:lr=-0.1"], ["optimizer.lr", "-0.1", "a number > 0"]),
        (["--optimizer", "SGD:momentum=0.9,momentum=0.8"], ["momentum", "once"]),
        (["--optimizer", "SGD:nesterov=true"], ["optimizer.momentum", "nesterov is on"]),
        (["--optimizer", "Adam:betas=[0.9"], ["betas", "a value as in a YAML file"]),
        (["--optimizer", "SGD:schedule=StepLr"], ["schedule", "did you mean 'StepLR'?"]),
        (["--optimizer", "SGD:schedule={name: StepLR, gama: 1}"], ["schedule", "did you mean 'gamma'?"]),
        (["--optimizer", "SGD:schedule={name: ReduceLROnPlateau, monitor: val_accuracy}"], ["schedule.monitor"]),
        (["--lr", "-0.1"], ["--lr", "'-0.1'", "a number > 0"]),
        (["--lr", "0"], ["--lr", "a number > 0"]),
        (["--lr", "nan"], ["--lr", "'nan'"]),
        (["--lr", "fast"], ["--lr", "'fast'"]),
        (["--epochs", "0"], ["--epochs", "≥ 1"]),
        (["--epochs", "2.5"], ["--epochs", "a whole number"]),
        (["--epochs", "100000"], ["--epochs", "≤ 200"]),
        (["--epochs", "many"], ["--epochs", "'many'"]),
        (["regression", "valley"], ["valley"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_and_nothing_is_written(capsys, tmp_path, arguments, words):
    status = run(app, name="ch6dist", arguments=["lab", "-o", str(tmp_path / "out"), *arguments])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    assert files_in(Path.cwd()) == []


def test_a_folder_is_needed_and_one_that_cannot_be_written_is_named(capsys, tmp_path):
    assert run(app, name="ch6dist", arguments=["lab"]) == 2
    assert "--output" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run(app, name="ch6dist", arguments=["lab", "-o", str(tmp_path / "file"), "--epochs", "1"]) == 2
    assert "cannot write to" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("problem", ["regression", "valley"])
def test_every_table_has_its_documented_columns_and_every_path_its_rows(problem):
    folder = visited(problem)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert (index["format"], index["kind"], index["problem"]["name"]) == (FORMAT, "lab", problem)
    assert {path.name for path in folder.iterdir()} == {INDEX, *TABLES}
    for name in TABLES:
        rows = rows_of(folder / name)
        assert (
            list(rows[0]) == list(columns(name, tuple(index["problem"]["parameters"]))) == list(index["tables"][name])
        )
    paths = rows_of(folder / "paths.csv")
    for path in index["paths"]:
        own = [row for row in paths if row["path"] == path["name"]]
        assert [int(row["step"]) for row in own] == list(range(path["steps"] + 1))
        assert float(own[-1]["loss"]) == path["loss_at_end"]
    assert [one["name"] for one in index["comparisons"]] == list(COMPARISONS)
    assert {path["optimizer"]["name"] for path in index["paths"]} == set(OPTIMIZERS)
    assert index["phase"]["agreement"] > 0.99
    assert len(rows_of(folder / "contours.csv")) == 101 * 101


def test_numbers_are_written_with_all_their_digits():
    index = json.loads((visited() / INDEX).read_text(encoding="utf-8"))
    rows = [row for row in rows_of(visited() / "paths.csv") if row["path"] == "SGD"]
    for before, after in pairwise(rows):
        stepped = float(before["b"]) - float(before["lr"]) * float(before["gradient_b"])
        assert float(after["b"]) == pytest.approx(stepped, rel=1e-15)
    end = np.hypot(*(float(rows[-1][p]) - o for p, o in zip("bw", index["problem"]["optimum"], strict=True)))
    sgd = next(path for path in index["paths"] if path["name"] == "SGD")
    assert end == pytest.approx(sgd["distance_at_end"], rel=1e-14)


def test_chosen_optimizers_take_the_place_of_the_catalog_and_a_second_run_writes_the_same(capsys, tmp_path):
    chosen = ["SGD:momentum=0.5,schedule={name: StepLR, step_size: 1, gamma: 0.5}", "Adam:lr=0.3,betas=[0.8, 0.99]"]
    options = [part for text in chosen for part in ("--optimizer", text)]
    for name in ("a", "b"):
        command = ["lab", "valley:condition=7", "-o", str(tmp_path / name), "--epochs", "3", *options]
        assert run(app, name="ch6dist", arguments=command) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name / INDEX) for name in ("a", "b")]
    for name in TABLES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    index = json.loads((tmp_path / "a" / INDEX).read_text(encoding="utf-8"))
    names = index["comparisons"][0]["paths"]
    assert names == ["SGD momentum 0.5, StepLR 1 ×0.5", "Adam betas 0.8-0.99, lr 0.3"]
    about = {path["name"]: path for path in index["paths"]}
    assert about[names[1]]["optimizer"]["betas"] == [0.8, 0.99]
    assert all(path["epochs"] == 3 for path in index["paths"])
    assert index["problem"]["settings"] == {"condition": 7.0, "angle": 0.0}


def test_one_learning_rate_for_all_may_make_some_diverge(tmp_path):
    assert run(app, name="ch6dist", arguments=["lab", "-o", str(tmp_path / "out"), "--lr", "50", "--epochs", "2"]) == 0
    index = json.loads((tmp_path / "out" / INDEX).read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert {path["optimizer"]["lr"] for path in index["paths"]} == {50.0}
    assert {path["diverged"] for path in index["paths"]} == {True, False}


def test_settings_are_split_at_commas_outside_of_brackets():
    assert split_settings("SGD") == ("SGD", {})
    found = split_settings("Adam:betas=[0.9, 0.99],schedule={name: OneCycleLR, pct_start: 0.2},lr=1e-3")
    assert found == ("Adam", {"betas": [0.9, 0.99], "schedule": {"name": "OneCycleLR", "pct_start": 0.2}, "lr": 1e-3})
    with pytest.raises(InputError):
        split_settings("Adam:")
    assert read_problem("valley:angle=30").settings == {"condition": 20.0, "angle": 30.0}


def test_the_page_about_it_names_every_file_and_column():
    page = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")
    for name, meanings in TABLES.items():
        assert f"`{name}`" in page
        for column, meaning in meanings.items():
            assert f"| `{column.replace('{p}', 'P')}` | {meaning} |" in page, (name, column)


def test_the_distances_on_that_page_are_those_of_the_program():
    page = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8")
    visits = [
        json.loads((visited(problem) / INDEX).read_text(encoding="utf-8")) for problem in ("regression", "valley")
    ]
    ends = [{path["name"]: path["distance_at_end"] for path in visit["paths"]} for visit in visits]
    for name in visits[0]["comparisons"][0]["paths"]:
        row = " | ".join(f"{end[name]:.3f}" for end in ends)
        assert f"| {name} | {row} |" in page
