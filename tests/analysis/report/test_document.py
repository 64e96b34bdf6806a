"""report.json: what stands in it, and that every key of it is explained in docs/report-json.md."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from analysis.plots.registry import PLOTS
from analysis.report.page import write_report
from analysis.study.load import load_study
from analysis.study.results import analyse
from tests.support.ledgers import add_decision, halved, trial, twelve, write_ledger
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "report-json.md"
DOCUMENTED = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
MAPS = ("names", "numbered", "runs[].made", "search[].budget")  # whose keys are names


def keys(value, path=""):
    """Every key of a document, as the page of documentation writes it."""
    if path in MAPS:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from keys(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from keys(item, f"{path}[]")
    elif value != [] or not any(key.startswith(f"{path}[]") for key in DOCUMENTED):  # of an empty list, any item
        yield path


def document(folder, *runs):
    results = analyse(load_study(runs))
    text = (write_report(results, folder).parent / "report.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=pytest.fail), results


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept")
    return document(folder / "out", twelve(folder / "twelve"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    seed = trial(lr=0.4, seed=1, curve=[0.4] * 4)
    run = halved(folder / "halved", seed, seeds={"start": 1, "up_to": 2}, budget={"trials": 9})
    found, _ = document(folder / "out", add_decision(run, seed, "round of seed 1: one is left"))
    return found, (folder / "out" / "index.html").read_text(encoding="utf-8")


def test_every_key_is_documented_and_every_documented_key_is_there(swept, searched, tmp_path, draw_only):
    draw_only("lr_sensitivity")
    trials = [trial(seed=s, curve=[0.1] * 3, evaluate_test=True, extra={"test_accuracy": 0.4}) for s in range(2)]
    tested, _ = document(tmp_path / "out", write_ledger(tmp_path / "final", trials))
    begun, _ = document(tmp_path / "third", write_ledger(tmp_path / "begun", [trial(curve=[0.1] * 3, status=None)]))
    there = {*keys(swept[0]), *keys(tested), *keys(begun), *keys(searched[0])}
    assert there - DOCUMENTED == set(), "explain it in docs/report-json.md"
    assert DOCUMENTED - there == set(), "it is no longer there"


def test_it_says_what_the_search_did_and_so_does_the_page(swept, searched):
    [run] = searched[0]["search"]
    assert (run["asked"], run["trained"], run["stopped"], run["lost"]) == (24, 13, 8, 3)
    assert run["rounds"] == [{"seed": 1, "configurations": 1, "why": "one is left"}]
    assert "<h2>How it was searched</h2>" in searched[1]
    for sentence in run["sentences"]:
        assert f"<p>{sentence}</p>" in searched[1]
    assert swept[0]["search"] == []


def test_its_numbers_are_those_of_the_verdict_and_the_leaderboard(swept):
    found, results = swept
    assert found["format"] == 1
    assert found["verdict"]["state"] == results.verdict.state == "compared"
    best = found["verdict"]["compared"][0]
    assert (best["name"], best["mean"], best["n"]) == ("SGD · lr 0.1", pytest.approx(0.51), 3)
    assert found["verdict"]["members"] == [member.configuration for member in results.verdict.members]
    assert found["names"][found["verdict"]["leader"]] == "SGD · lr 0.1"
    assert [row["score"] for row in found["leaderboard"]] == pytest.approx([0.51, 0.50, 0.41, 0.45])
    assert found["runs"][0]["device_seconds"] == pytest.approx(6 * 6 * 2.1 + 3 * 6 * 3.1 + 2 * 6 * 2.1 + 3 * 2.1)


def test_each_figure_has_its_numbers_or_a_reason(swept, tmp_path):
    found, _ = swept
    assert [figure["name"] for figure in found["figures"]] == list(PLOTS)
    for figure in found["figures"]:
        assert (figure["csv"] is None) == (figure["caption"] is None) == (figure["empty"] is not None)


def test_rows_parquet_holds_every_row(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    run = twelve(tmp_path / "twelve")
    out = write_report(analyse(load_study([run])), tmp_path / "out").parent
    rows = pd.read_parquet(out / "rows.parquet")
    assert len(rows) == 11 * 6 + 3
    assert rows.groupby("trial")["val_accuracy"].max().max() == pytest.approx(0.54)


@pytest.mark.parametrize("trials", [[], [trial(status=None)], [trial(curve=[0.1], epochs=3, status="running")]])
def test_a_run_with_nothing_finished_says_so(tmp_path, trials):
    found, _ = document(tmp_path / "out", write_ledger(tmp_path / "run", trials))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert found["nothing_yet"].startswith("Nothing has finished yet")
    assert found["nothing_yet"] in page
    assert (tmp_path / "out" / "rows.parquet").is_file()


def test_once_a_trial_has_finished_it_does_not_say_so(swept):
    assert swept[0]["nothing_yet"] is None
