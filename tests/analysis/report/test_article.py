"""What an article is given: figures in print quality, captions, and tables that LaTeX can set."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from analysis.plots.registry import PLOTS
from analysis.report.article import KINDS, latex_text, leaderboard_latex, write_article
from analysis.report.tables import MAX_ROWS
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.catalog.text import one_line
from tests.support.ledgers import NASTY, trial, twelve, write_ledger

pytestmark = pytest.mark.slow

COMMANDS = {
    r"\textbackslash{}": "\\",
    r"\textasciicircum{}": "^",
    r"\textasciitilde{}": "~",
    r"\textasciigrave{}": "`",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textquotedbl{}": '"',
    r"$\pm$": "±",
    r"$\times$": "×",
    r"$\approx$": "≈",
    r"$\rightarrow$": "→",
    r"$\cdot$": "·",
}


def shown(latex):
    """The text that LaTeX sets, read by other rules than those that wrote it; markup that is left over is refused."""
    pattern = "|".join(map(re.escape, COMMANDS)) + r"|\\[{}$&#%_]|\{[^\\{}]\}|-\{\}|--|."
    parts = [found[0] for found in re.finditer(pattern, latex, re.DOTALL)]
    read = {"--": "–", "-{}": "-"}
    texts = [COMMANDS.get(p) or read.get(p) or (p[1] if len(p) > 1 else p) for p in parts]
    assert not [p for p in parts if len(p) == 1 and p in "\\{}$&#%_^~"]
    return "".join(texts)


@pytest.mark.parametrize("name", [*NASTY, "a_b & 50 % #1 {x} \\cmd ^2 ~ -- --- \"q\" 'r' [2pt] ± × · ≈ →"])
def test_text_is_text_in_latex(name):
    assert shown(latex_text(name)) == one_line(name)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = twelve(tmp_path_factory.mktemp("runs") / "twelve")
    return write_article(analyse(load_study([run])), run / "report" / "article")


def test_figures_are_in_print_quality_and_without_the_title_that_the_article_writes(made):
    drawn = {path.stem for path in made.glob("*.svg")}
    assert drawn == set(PLOTS) - {"lr_range_test"} or drawn >= {"leaderboard", "lr_sensitivity", "training_curves"}
    for name in drawn:
        assert all((made / f"{name}.{kind}").is_file() for kind in KINDS)
        with Image.open(made / f"{name}.png") as picture:
            assert picture.info["dpi"][0] == pytest.approx(300, abs=0.1)
        assert PLOTS[name].title not in (made / f"{name}.svg").read_text(encoding="utf-8")
        assert PLOTS[name].title in (made / "captions.md").read_text(encoding="utf-8")


def test_captions_say_n(made):
    assert "n = 3" in (made / "captions.md").read_text(encoding="utf-8")


def test_the_latex_table_has_a_row_per_configuration_and_a_cell_per_column(made):
    text = (made / "leaderboard.tex").read_text(encoding="utf-8")
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])
    rows = re.findall(r"^(.*) \\\\$", text, re.MULTILINE)
    assert len(rows) == 1 + 4
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {columns}
    assert r"51.00 $\pm$ 2.00 \%" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


@pytest.mark.filterwarnings("ignore:Glyph")
def test_final_runs_and_synthetic_data_are_said(tmp_path):
    data = {"name": "synthetic_cifar100"}
    trials = [trial(seed=s, curve=[0.1], data=data, evaluate_test=True, extra={"test_accuracy": 0.4}) for s in (0, 1)]
    out = write_article(analyse(load_study([write_ledger(tmp_path / "run", trials)])), tmp_path / "out")
    for name in ("captions.md", "leaderboard.md", "leaderboard.tex"):
        assert "SYNTHETIC" in (out / name).read_text(encoding="utf-8")
    assert "tab:final" in (out / "leaderboard.tex").read_text(encoding="utf-8")


def test_a_long_leaderboard_is_cut_and_says_how_many_are_left_out(tmp_path):
    def text_of(count):
        trials = [trial(lr=0.001 * i, curve=[0.1]) for i in range(1, count + 1)]
        return leaderboard_latex(analyse(load_study([write_ledger(tmp_path / str(count), trials)])))

    text = text_of(MAX_ROWS + 3)
    assert len(re.findall(r"^.* \\\\$", text, re.MULTILINE)) == 1 + MAX_ROWS
    assert f"the first {MAX_ROWS} of {MAX_ROWS + 3} configurations; 3 are left out" in text
    assert "left out" not in text_of(MAX_ROWS)
