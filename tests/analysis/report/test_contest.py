"""The page of a contest: what a person reads, the figures and their numbers, and what the command refuses."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from analysis.chapter.contest import PROFILE, TIMES, profile_data
from analysis.report.contest import contest_text, write_contest
from analysis.study.contest import contest_of
from analysis.study.load import load_study
from analysis.study.results import Results, analyse
from tests.analysis.test_main import command
from tests.support.contests import three
from tests.support.ledgers import NASTY, trial, write_ledger


def results_of(folder: Path, trials: list) -> Results:
    return analyse(load_study([write_ledger(folder, trials)]))


def cells(text: str, optimizer: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {optimizer} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_says_what_the_numbers_are(tmp_path):
    results = results_of(tmp_path, three())
    text = contest_text(contest_of(results), results.study)
    assert "Target: validation accuracy 50.00 %, the mean score of untuned Adam (lr 0.001) over 3 seeds." in text
    assert "3 optimizers × 2 tuning trials × 3 heats; 12 epochs per optimizer and heat" in text
    assert cells(text, "SGD") == [
        "SGD", "3 (2 to not reached)", "6 s (4 s to not reached)", "2/3", "2/6", "35.00 ± 25.98 %", "yes",
        "5.00 ± 0.00 %", "not reached", "30.00 ± 25.98 points", "1/6",
    ]  # fmt: skip
    assert cells(text, "RMSprop")[1:4] == ["not reached", "not reached", "0/3"]
    assert "Mind" not in text


def test_an_open_heat_is_counted_in_the_table_and_below_it(tmp_path):
    trials = [*three()[:-1], trial("RMSprop", lr=0.1, seed=2, curve=[0.25], status="running", epochs=6)]
    results = results_of(tmp_path, trials)
    text = contest_text(contest_of(results), results.study)
    assert cells(text, "RMSprop")[3:7] == ["0/2 of 3", "0/5", "25.00 ± 0.00 %", "–"]
    assert "- Mind: 1 of 9 heats" in text


def test_the_profile_is_the_share_of_heats_within_a_factor(tmp_path):
    """Heat 0: Adam 3, SGD ∞. Heat 1: 5 and 3. Heat 2: 6 and 2. So Adam's factors are 1, 5/3 and 3, SGD's ∞, 1 and 1."""
    profile = profile_data(contest_of(results_of(tmp_path, three())).heats)
    found = {name: list(zip(p["factor"], p["share"], strict=True)) for name, p in profile.groupby("optimizer")}
    third = pytest.approx(1 / 3)
    assert found["Adam"] == [(1, third), (pytest.approx(5 / 3), pytest.approx(2 / 3)), (3, 1)]
    assert found["SGD"] == [(1, third), (1, pytest.approx(2 / 3))]
    assert found["RMSprop"] == [(1, 0)]


def test_page_figures_and_numbers_lie_in_the_folder(tmp_path):
    results = results_of(tmp_path / "run", three())
    out = tmp_path / "out"
    said = write_contest(contest_of(results), results.study, out)
    page = (out / "contest.md").read_text()
    for drawing in (TIMES, PROFILE):
        assert f"figures/{drawing.name}.png" in page
        assert f"figures/{drawing.name}.png" in said
        assert Image.open(out / "figures" / f"{drawing.name}.png").size[0] > 1000
        assert (out / "figures" / f"{drawing.name}.svg").is_file()
    assert "html" not in page
    table = pd.read_csv(out / "data" / "contest.csv")
    assert list(table["epochs"]) == [3, 5, math.inf]
    assert len(pd.read_csv(out / "data" / "contest_times.csv")) == 9


TWO = (("SGD", 0.1), ("Adam", 1.0))


@pytest.mark.parametrize(
    "trials",
    [
        [trial(name, lr=lr, seed=0, curve=[0.1], epochs=6, status="running") for name, lr in TWO],
        [trial(name, lr=lr, seed=0, curve=[0.1] * 3) for name, lr in TWO],
    ],
    ids=["nothing has ended", "nobody in time"],
)
def test_a_contest_without_a_time_is_written_too(trials, tmp_path):
    results = results_of(tmp_path / "run", trials)
    text = write_contest(contest_of(results, target=0.9), results.study, tmp_path / "out")
    assert text.count("Mind") >= 2
    assert (tmp_path / "out" / "figures" / "contest_times.png").is_file()


def test_what_a_run_is_called_is_no_markup(tmp_path):
    name = NASTY[2]
    results = results_of(tmp_path / name.replace("/", " "), three())
    text = contest_text(contest_of(results), results.study)
    assert "<b>" not in text.replace(r"\<b\>", "")


def test_synthetic_images_are_marked(tmp_path):
    trials = [trial(n, lr=0.001, seed=0, curve=[0.5] * 3, data={"name": "synthetic_cifar100"}) for n in ("Adam", "SGD")]
    results = results_of(tmp_path, trials)
    assert "**SYNTHETIC DATA" in contest_text(contest_of(results), results.study)


def test_the_command_writes_a_contest_or_says_in_a_line_why_not(tmp_path):
    run = write_ledger(tmp_path / "run", three())
    found = command("contest", run, "-o", tmp_path / "out", "--target", "0.2")
    assert (found.returncode, found.stderr) == (0, "")
    assert "Target: validation accuracy 20.00 %, as stated." in found.stdout
    assert (tmp_path / "out" / "contest.md").is_file()
    for arguments, said in [
        ((), "-o is required"),
        (("-o", tmp_path / "no", "--target", "23"), "--target: 23.0 is not allowed"),
    ]:
        refused = command("contest", run, *arguments)
        assert refused.returncode == 2
        assert said in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "no").exists()
