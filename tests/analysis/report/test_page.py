"""The report: the files it writes, and what the page says."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from analysis.plots import style
from analysis.plots.registry import PLOTS
from analysis.report import figures as figures_module
from analysis.report import page as report_module
from analysis.report.page import without_refresh, write_report
from analysis.report.tables import leaderboard_json, leaderboard_table, legend
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.catalog.text import one_line
from ch6dist.errors import UsageError
from tests.analysis.plots.test_plots import SWEEPS, crossed
from tests.support.ledgers import NASTY, range_trial, trial, twelve, write_ledger

LRS = [1e-4, 1e-3, 1e-2, 1e-1]


class Page(HTMLParser):
    """Links, pictures and text of a page, and whether its tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag in ("a", "link", "script"):
            self.links += [link for link in (found.get("href"), found.get("src")) if link]
        if tag == "img":
            self.images.append(found)
        if tag not in ("meta", "img", "br", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(folder: Path) -> Page:
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = twelve(tmp_path_factory.mktemp("runs") / "twelve")
    write_report(analyse(load_study([run])), run / "report")
    return run / "report"


def test_header_says_question_command_commit_versions_hardware_dates(made):
    text = page_of(made).text
    for fact in (
        "Which optimizer and learning rate are best?",
        "sweeps run twelve.yaml",
        "0123456789ab",
        "torch 2.11.0",
        "2 × a GPU",
        "2025-10-09",
    ):
        assert fact in text


def test_the_page_says_the_verdict_and_the_next_step(made):
    text = page_of(made).text
    assert "SGD · lr 0.1 leads with 51.00 % validation accuracy over 3 seeds" in text
    assert "It cannot be told from 1 of the 2 others (Adam · lr 1e-3)" in text
    assert "Its learning rate is at the edge" in text
    assert "sweeps confirm" in text


def test_the_answer_comes_first_then_whether_to_trust_it_then_the_sections_in_order(made):
    text = page_of(made).text
    heads = ["The answer", "Can this sweep be trusted?", "What won", "Leaderboard", "Explore", "The set of the best"]
    places = [text.index(head, text.index("The answer")) for head in [*heads, "Learning-rate sensitivity", "Command"]]
    assert places == sorted(places)
    assert "How it was searched" not in text, "a grid that trains everything was not searched"


def test_the_rule_stands_beside_the_ranking(made):
    assert "mean val_accuracy over the last 2 epochs, then over seeds; diverged seeds rank last" in page_of(made).text
    assert "mean val_accuracy over the last 2 epochs" in (made / "leaderboard.md").read_text()


def test_the_page_stands_alone_and_its_links_lead_somewhere(made):
    page = page_of(made)
    inside = [link for link in page.links if link.startswith("#")]
    assert inside
    assert all(f'id="{link[1:]}"' in (made / "index.html").read_text(encoding="utf-8") for link in inside)
    assert all((made / link).is_file() for link in page.links if link not in inside)
    drawn = [name for name in PLOTS if (made / "data" / f"{name}.csv").is_file()]
    assert len(page.images) == len(drawn) >= 4
    assert page.texts.count("numbers (CSV)") == len(drawn)
    assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in page.images)


def test_an_absent_figure_is_one_sentence(made):
    assert PLOTS["lr_range_test"].empty in page_of(made).text
    assert not (made / "figures" / "lr_range_test.png").exists()


def test_csv_holds_fractions_and_markdown_per_cent(made):
    table = pd.read_csv(made / "leaderboard.csv")
    assert table["score"].tolist() == pytest.approx([0.51, 0.50, 0.41, 0.45])
    assert "synthetic" not in table
    markdown = (made / "leaderboard.md").read_text()
    assert "51.00 ± 2.00 %" in markdown
    assert "1/3" in markdown
    assert "≈ best" in markdown


@pytest.mark.parametrize("sweep", ["empty", "all diverged", "still running", "failed"])
def test_a_sweep_that_went_wrong_gives_a_report_all_the_same(tmp_path, sweep):
    run = write_ledger(tmp_path, SWEEPS[sweep]())
    write_report(analyse(load_study([run])), run / "report")
    text = page_of(run / "report").text
    assert "nan" not in text.lower().split()
    assert "The answer" in text


def test_synthetic_data_is_marked_everywhere(tmp_path):
    trials = [trial(lr=lr, curve=[0.1, 0.2, 0.3], data={"name": "synthetic_cifar100"}) for lr in LRS]
    trials.append(range_trial(losses=[4.6, 4.5, 4.0, 9.0], lrs=LRS, steepest=5e-3))
    out = write_report(analyse(load_study([write_ledger(tmp_path / "run", trials)])), tmp_path / "out").parent
    drawn = [name for name in PLOTS if (out / "data" / f"{name}.csv").is_file()]
    assert len(drawn) >= 5
    for name in drawn:
        assert style.SYNTHETIC in (out / "figures" / f"{name}.svg").read_text()
        assert pd.read_csv(out / "data" / f"{name}.csv")["synthetic"].all()
    assert page_of(out).text.count("SYNTHETIC DATA") >= 2
    assert "SYNTHETIC" in (out / "leaderboard.md").read_text()
    assert pd.read_csv(out / "leaderboard.csv")["synthetic"].all()


def test_a_final_training_shows_each_seed_and_what_it_was_chosen_on(tmp_path, draw_only):
    draw_only("training_curves")
    data = {"train_size": 50_000, "val_size": 0}
    trials = [
        trial(seed=s, curve=[0.1, 0.2, 0.3], data=data, evaluate_test=True, extra={"test_accuracy": 0.4 + s / 50})
        for s in range(3)
    ]
    out = write_report(analyse(load_study([write_ledger(tmp_path / "run", trials)])), tmp_path / "out").parent
    text = page_of(out).text
    assert "42.00 ± 2.00 %" in text
    assert "40.00 %, 42.00 %, 44.00 %" in text
    assert "chosen before, by the validation accuracy" in text
    assert "no validation split" in (out / "figures" / "training_curves.svg").read_text()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"chosen_from": "best of a", "chosen_by_seeds": [0]}, "none of which took part in the choice (seed 0)"),
        (
            {"chosen_from": "best of a", "chosen_by_seeds": [0, 2]},
            "seed 2 took part in the choice, so its result is optimi",
        ),
        ({"chosen_from": "best of a"}, "by which seeds it was chosen is not recorded"),
    ],
)
def test_a_report_says_whether_the_seeds_of_a_final_training_were_chosen_by(tmp_path, spec, said, draw_only):
    draw_only("lr_sensitivity")
    trials = [trial(seed=s, curve=[0.1], evaluate_test=True, extra={"test_accuracy": 0.4}) for s in (1, 2)]
    out = write_report(
        analyse(load_study([write_ledger(tmp_path / "run", trials, spec=spec)])), tmp_path / "out"
    ).parent
    assert "run was trained with seeds 1, 2" in page_of(out).text
    assert said in page_of(out).text
    assert said.partition("(")[0] in (out / "leaderboard.md").read_text()


def test_names_from_the_run_are_escaped_on_the_page(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    name = "<script>alert(1)</script> & more"
    run = write_ledger(tmp_path / "run", [trial(curve=[0.1] * 3)], question=name)
    out = write_report(analyse(load_study([run])), tmp_path / "out").parent
    assert "alert(1)</" not in (out / "index.html").read_text()
    assert name in page_of(out).text


def cells_of(markdown):
    """The texts of the cells of all tables, as a reader of Markdown shows them; markup of any kind is refused."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    cells = [token for before, token in pairwise(tokens) if before.type in ("td_open", "th_open")]
    assert {child.type for cell in cells for child in cell.children} <= {"text", "text_special"}
    return ["".join(child.content for child in cell.children) for cell in cells]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", [NASTY[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NASTY[1:])])
def test_names_and_questions_are_text_in_pages_and_tables(tmp_path, name):
    failed = trial(lr=0.2, status="failed", reason=name)
    runs = [
        write_ledger(tmp_path / folder, [trial(curve=[0.1] * 3), failed], question=name, command=f"sweeps run {name}")
        for folder in (name, f"{name}-2")
    ]
    out = write_report(analyse(load_study(runs)), tmp_path / "out").parent
    shown = one_line(name)
    text = page_of(out).text
    assert text.count(shown) > 5
    assert f"sweeps run {shown}" in text
    assert "\x1b" not in (out / "index.html").read_text(encoding="utf-8")
    table = (out / "leaderboard.md").read_text(encoding="utf-8")
    assert shown in cells_of(table)
    assert f"{shown}-2" in pd.read_csv(out / "leaderboard.csv")["run"].tolist()


def test_a_folder_that_is_no_text_has_a_report(tmp_path):
    runs = [
        write_ledger(Path(os.fsdecode(os.fsencode(tmp_path) + end)), [trial(curve=[0.1] * 3)])
        for end in (b"/\xff", b"/\xfe")
    ]
    study = load_study(runs)
    write_report(analyse(study), tmp_path / "out")
    assert len({run.name for run in study.runs}) == 2
    assert "�" in page_of(tmp_path / "out").text


@pytest.mark.slow
def test_what_is_numbered_is_explained_once(tmp_path):
    study = load_study([write_ledger(tmp_path / "run", crossed())])
    out = write_report(analyse(study), tmp_path / "out").parent
    whole = study.numbered["schedule 1"]
    assert page_of(out).texts.count(whole) == 1
    markdown, table = (out / "leaderboard.md").read_text(), pd.read_csv(out / "leaderboard.csv")
    assert markdown.count(whole) == 1
    assert cells_of(markdown).count("schedule 1") == 5
    assert set(table["scheduler"]) == {"StepLR 1 ×0.1", "StepLR 2 ×0.5", whole}
    assert table["label"].nunique() == 12
    assert json.loads(leaderboard_json(analyse(study)))["numbered"] == study.numbered


def test_runs_that_differ_only_in_epochs_or_images_are_told_apart(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    data = {"train_size": 1000}
    runs = [
        write_ledger(tmp_path / "a", [trial(curve=[0.1] * 3)]),
        write_ledger(tmp_path / "b", [trial(curve=[0.1] * 4, data=data)]),
    ]
    table = pd.read_csv(write_report(analyse(load_study(runs)), tmp_path / "out").parent / "leaderboard.csv")
    assert sorted(table["setting"]) == ["images 1000, epochs 4", "images 45000, epochs 3"]
    assert sorted(label.split(" · ")[0] for label in table["label"]) == ["a", "b"]


def test_several_runs_share_one_report(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    runs = [twelve(tmp_path / "a"), twelve(tmp_path / "b")]
    out = write_report(analyse(load_study(runs)), tmp_path / "out").parent
    assert pd.read_csv(out / "leaderboard.csv")["run"].tolist() == ["a", "b"] * 4
    assert {panel[0] for panel in pd.read_csv(out / "data" / "lr_sensitivity.csv")["panel"]} == {"a", "b"}


def test_a_report_that_fails_leaves_the_earlier_page_whole(tmp_path, monkeypatch, draw_only):
    draw_only("lr_sensitivity")
    run = twelve(tmp_path / "run")
    before = write_report(analyse(load_study([run])), tmp_path / "out").read_text()

    def fail(*_, **__):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(report_module, "conclusion", fail)
    with pytest.raises(RuntimeError):
        write_report(analyse(load_study([run])), tmp_path / "out")
    assert (tmp_path / "out" / "index.html").read_text() == before
    assert not list((tmp_path / "out").glob(".index*"))


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*file/out: Not a directory; choose another folder with -o"):
        write_report(analyse(load_study([twelve(tmp_path / "run")])), tmp_path / "file" / "out")


def test_several_runs_stand_beside_each_other_with_question_best_and_device_time(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    runs = [twelve(tmp_path / "a", question="First?"), twelve(tmp_path / "b", question="Second?")]
    out = write_report(analyse(load_study(runs)), tmp_path / "out").parent
    text = page_of(out).text
    assert "The runs beside each other" in text
    assert '<td class="text long">First?</td>' in (out / "index.html").read_text(encoding="utf-8")
    for fact in (
        "First?",
        "Second?",
        "SGD, Adam · 3 learning rates from 1e-3 to 0.1 · seeds 0, 1, 2",
        "51.00 ± 2.00 %",
    ):
        assert fact in text
    assert text.count("a · SGD · lr 0.1") > 1


def test_one_run_stands_beside_nothing(made):
    assert "beside each other" not in page_of(made).text


def test_figures_without_data_are_one_collapsed_block_of_their_section(made):
    text = (made / "index.html").read_text(encoding="utf-8")
    blocks = text.count('<details class="absent">')
    lacking = [plot for name, plot in PLOTS.items() if not (made / "data" / f"{name}.csv").is_file()]
    absent = [plot for plot in lacking if plot.section != "How it was searched"]  # no section where nothing searched
    assert "How it was searched" not in text
    assert blocks == len({plot.section for plot in absent})
    assert all(one_line(plot.empty) in page_of(made).text for plot in absent)


def test_cells_of_numbers_carry_the_number_that_they_are_sorted_by(made):
    text = (made / "index.html").read_text(encoding="utf-8")
    row = text[text.index("51.00 ± 2.00 %</td>") - 60 :][:60]
    assert 'data-key="0.51' in row


def test_a_figure_of_shades_keeps_its_colours_in_the_dark_scheme(tmp_path, monkeypatch):
    two = {name: PLOTS[name] for name in ("lr_sensitivity", "leaderboard")}
    results = analyse(load_study([twelve(tmp_path / "run")]))
    dark = []
    for plots in (two, {**two, "lr_sensitivity": replace(two["lr_sensitivity"], has_shades=True)}):
        monkeypatch.setattr(figures_module, "PLOTS", plots)
        dark.append(write_report(results, tmp_path / "out").read_text(encoding="utf-8").count("<source "))
    assert dark == [2, 1]


def test_the_leader_of_the_verdict_is_called_best_wherever_it_stands(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    found = analyse(load_study([twelve(tmp_path / "run")]))
    second = found.verdict.compared[1].configuration
    led = replace(found, verdict=replace(found.verdict, leader=second))
    text = write_report(led, tmp_path / "out").read_text(encoding="utf-8")
    rows = text[text.index('id="leaderboard"') :].partition("</table>")[0].split("<tr")[2:]
    assert [row.partition(">")[0].partition(" data-row")[0].strip() for row in rows[:2]] == [
        'class="close"',
        'class="leader"',
    ]
    assert ["≈ best" in row for row in rows[:2]] == [True, False]


def test_a_tie_with_the_leader_is_near_the_best(tmp_path):
    trials = [
        trial(lr=lr, seed=seed, curve=[0.1, score, score]) for lr in (0.1, 0.2) for seed, score in enumerate((0.4, 0.5))
    ]
    table = leaderboard_table(analyse(load_study([write_ledger(tmp_path, trials)])))
    assert ["≈ best" in row[-1] for row in table.rows] == [False, True]


def test_weight_decay_has_a_column_only_where_it_was_varied_within_an_optimizer(tmp_path):
    defaults = [trial("SGD", curve=[0.1] * 3), trial("AdamW", lr=1e-3, curve=[0.1] * 3)]
    table = leaderboard_table(analyse(load_study([write_ledger(tmp_path / "a", defaults)])))
    assert table.heads[:4] == ["rank", "optimizer", "lr", "validation accuracy, mean ± std"]
    assert "wd" not in table.heads


def test_a_page_that_is_no_longer_written_again_does_not_say_so(tmp_path, draw_only):
    draw_only("lr_sensitivity")
    results = analyse(load_study([twelve(tmp_path / "run")]))
    live = write_report(results, tmp_path / "out", refresh_seconds=5).read_text(encoding="utf-8")
    assert "This page loads itself again" in live
    assert without_refresh(live) == write_report(results, tmp_path / "out").read_text(encoding="utf-8")


def test_cases_of_other_lengths_are_ranked_and_drawn_with_their_names(tmp_path):
    curves = {"baseline": [0.1, 0.2, 0.3], "low <b>": [0.1] * 6, "SGD": [0.2, 0.3, 0.4, 0.5, 0.5, 0.5]}
    trials = [
        trial(name, lr=lr, seed=seed, curve=[value + seed / 100 for value in curves[case]], case={"change": case})
        for case, name, lr in (("baseline", "Adam", 1e-3), ("low <b>", "Adam", 1e-5), ("SGD", "SGD", 0.1))
        for seed in range(3)
    ]
    run = write_ledger(tmp_path / "run", trials)
    results = analyse(load_study([run]))
    table = leaderboard_table(results)
    assert [row[table.heads.index("case")] for row in table.rows] == ["SGD", "baseline", "low <b>"]
    assert list(results.axes.table.columns) == ["change"]
    assert "| low \\<b\\>" in table.markdown()
    assert [len(plot.data(results)) for plot in PLOTS.values() if plot.name in ("isolation", "leaderboard")] == [9, 9]
    assert {"SGD", "baseline", "low <b>"} == set(PLOTS["isolation"].data(results)["level"])
    for plot in PLOTS.values():
        plot.data(results)
    rules = legend(results.study, results.board)
    assert "over the last epoch, then over seeds" in rules, "of the three epochs of the baseline"
    assert "over the last 2 epochs, then over seeds" in rules, "of the six of the others"


def test_without_cases_no_table_has_a_column_for_them(tmp_path):
    run = write_ledger(tmp_path, [trial(lr=lr, curve=[0.1] * 3) for lr in (0.1, 0.2)])
    assert "case" not in leaderboard_table(analyse(load_study([run]))).heads
