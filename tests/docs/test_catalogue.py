"""The catalogue is whole and true: every row is there once, and what it names is there, under that name."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml

from analysis.__main__ import app as analysis_app
from analysis.article.write import ALL, PARTS
from analysis.lab.figures import FIGURES
from analysis.plots.registry import PLOTS
from ch6dist.__main__ import app as ch6dist_app
from sweeps.__main__ import app as sweeps_app
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "catalogue.md"
TEXT = PAGE.read_text(encoding="utf-8")
COUNTS = {
    "S0-": 22,
    "S1-": 32,
    "S2-": 40,
    "S3-": 17,
    "S4-": 44,
    "B": 41,
    "E": 35,
    "G": 14,
}  # rows by the ids' beginning
IDS = [f"{kind}{number}" for kind, count in COUNTS.items() for number in range(1, count + 1)]
ROW = re.compile(r"^\| ((?:S\d-|[BEG])\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
ROWS = {found[1]: (found[2], found[3]) for found in ROW.finditer(TEXT)}
LINES = [line for line in TEXT.splitlines() if line.startswith("| ") and "](" in line]

LINK = re.compile(r"\[(`?)([^\]`]+)\1\]\(([^)]+)\)")
SPAN = re.compile(r"`([^`]+)`")
PROGRAMS = {"analysis": analysis_app, "ch6dist": ch6dist_app, "sweeps": sweeps_app}
COMMAND = re.compile(rf"^({'|'.join(PROGRAMS)}) ([a-z-]+)")
ELSEWHERE = re.compile(r"\b([EG]\d+|S\d-\d+)\b")
UNBUILT = re.compile(r"(not built|missing|in work): (\S+ ){1,}\S+")
LABORATORY, ARTICLE, REPORT = "analysis/lab/figures.py", "analysis/article/", "analysis/plots/"
IN_ARTICLE = {place.name for part in (*PARTS, ALL) for place in part.places}  # figures and tables

# accuracies of the documents' tables, in per cent: as text, so that this file holds none of them as a number
REPORTED = re.findall(r"\S+", "58.73 52.18 54.76 34.22 42.18 39.44 18.56 17.32 97.42 97.74 94.84 98.81 98.71 99.39")
JUDGES = ("ch6dist", "sweeps", "benchmarks", "analysis/study", "analysis/plots", "tests")


@cache
def names_in(path: Path) -> frozenset[str]:
    """What a Python file defines at its top level: functions, classes, constants."""
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                found.append(target.id)
    return frozenset(found)


@cache
def commands_of(program: str) -> dict[str, frozenset[str]]:
    """The commands of a program, with their options."""
    group = typer.main.get_command(PROGRAMS[program])
    return {
        name: frozenset(option for parameter in command.params for option in parameter.opts)
        for name, command in group.commands.items()
    }


def wrong_links(line: str) -> list[str]:
    """What is wrong with the links of a line: a file that is not there, a name that the file does not define."""
    wrong = []
    for code, name, target in LINK.findall(line):
        path = (PAGE.parent / target.partition("#")[0]).resolve()
        if not path.exists():
            wrong.append(f"{target} is not there")
        elif code and name not in _named_by(path):
            wrong.append(f"{target} has no {name}")
        elif not code and name != str(path.relative_to(ROOT)):
            wrong.append(f"{name} leads to {target}")
    return wrong


def _named_by(path: Path) -> set[str] | frozenset[str]:
    """The names that a link to a file may have: of figures and tables, or of what a Python file defines."""
    inside = str(path.relative_to(ROOT))
    if inside == LABORATORY:
        return set(FIGURES)
    if inside.startswith(ARTICLE):
        source = path.read_text(encoding="utf-8")
        return {name for name in IN_ARTICLE if f'"{name}"' in source}
    return {path.stem} & set(PLOTS) if inside.startswith(REPORT) else names_in(path)


def wrong_commands(line: str) -> list[str]:
    """Commands of a line that no program has, and options that none of the commands of the line has."""
    spans = SPAN.findall(LINK.sub("", line))
    wrong = []
    options: set[str] = set()
    for span in spans:
        found = COMMAND.match(span)
        if found and found[2] in commands_of(found[1]):
            options |= commands_of(found[1])[found[2]]
        elif span.split()[0] in PROGRAMS:
            wrong.append(f"{span} is no command")
    asked = re.findall(r"(?<!\S)--?[a-z][\w-]*", " ".join(spans))
    return wrong + [f"no command here has {option}" for option in asked if option not in options]


def test_every_row_is_there_once_and_in_order() -> None:
    assert re.findall(r"^\| ((?:S\d-|[BEG])\d+) \|", TEXT, re.MULTILINE) == IDS
    assert list(ROWS) == IDS, "each has what it is and where it is shown"


@pytest.mark.parametrize("row", IDS)
def test_a_row_names_what_shows_it_or_says_why_nothing_does(row: str) -> None:
    _, where = ROWS[row]
    shown = LINK.search(where) or any(COMMAND.match(span) for span in SPAN.findall(where))
    assert shown or ELSEWHERE.search(where) or UNBUILT.search(where), where
    for word in ("not built", "missing", "in work"):
        assert where.count(word) == where.count(f"{word}: "), f"{word}: what, and why"


@pytest.mark.parametrize("row", [row for row in IDS if row[0] in "EG"])
def test_an_error_is_kept_out_and_a_golden_value_held_by_a_test(row: str) -> None:
    assert any(code and name.startswith("test_") for code, name, _ in LINK.findall(ROWS[row][1]))


def test_each_of_the_other_errors_is_kept_out_by_a_test_too() -> None:
    section = TEXT.partition("## More of them")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row for row in rows if "[`test_" not in row] == []


def test_every_file_test_and_figure_is_there_under_its_name() -> None:
    assert len(LINES) > len(IDS) / 2
    assert [f"{line[:12]}… {wrong}" for line in LINES for wrong in wrong_links(line)] == []


def test_every_command_is_one_with_its_options() -> None:
    assert [f"{line[:12]}… {wrong}" for line in TEXT.splitlines() for wrong in wrong_commands(line)] == []
    assert sum(bool(COMMAND.match(span)) for span in SPAN.findall(TEXT)) > 40


@pytest.mark.parametrize(
    "line",
    [
        "[`test_of_nothing`](../tests/docs/test_catalogue.py)",
        "[`step_lr`](../tests/ch6dist/optim/test_schedules.py)",
        "[`test_step_lr`](../tests/ch6dist/optim/test_optimizers.py)",
        "[docs/nowhere.md](nowhere.md)",
        "[docs/lab.md](packs.md)",
        "[`lr_sensitivity`](../analysis/plots/leaderboard.py)",
        "[`style`](../analysis/plots/style.py)",
        "[`flavors`](../analysis/lab/figures.py)",
        "[`adam_vs_sgd`](../analysis/article/readme.py)",
    ],
)
def test_a_name_that_has_changed_is_found(line: str) -> None:
    assert len(wrong_links(line)) == 1


@pytest.mark.parametrize(
    "line", ["`sweeps start`", "`analysis plots NAME`", "`analysis`", "`sweeps final` with `--seed 3`"]
)
def test_a_command_that_has_changed_is_found(line: str) -> None:
    assert len(wrong_commands(line)) == 1


def test_what_is_in_work_is_not_there_yet() -> None:
    """Once it has landed, its rows name it in code font, and lose these two words."""
    landed = []
    for row, (_, where) in ROWS.items():
        for text in re.findall(r"in work: ([^;|]+)", where):
            commands = re.findall(rf"\b({'|'.join(PROGRAMS)}) ([a-z-]+)", text)
            landed += [f"{row}: {' '.join(found)}" for found in commands if found[1] in commands_of(found[0])]
            landed += [f"{row}: {file}" for file in re.findall(r"\bdocs/[\w/.-]+", text) if (ROOT / file).exists()]
    assert not landed, "\n".join(landed)


def test_no_test_no_sweep_and_no_ranking_knows_a_number_that_was_only_reported() -> None:
    values = {float(number) for number in REPORTED} | {round(float(number) / 100, 4) for number in REPORTED}
    known = []
    for part in JUDGES:
        for path in sorted((ROOT / part).rglob("*.py")):
            numbers = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            known += [(path.name, n) for n in numbers if isinstance(n, float) and round(n, 6) in values]
    for path in sorted((ROOT / "sweeps" / "configs").rglob("*.yaml")):
        known += [(path.name, n) for n in _leaves(yaml.safe_load(path.read_text())) if n in values]
    assert known == []


def _leaves(content: object) -> list[object]:
    if isinstance(content, dict):
        return [leaf for value in content.values() for leaf in _leaves(value)]
    return [leaf for value in content for leaf in _leaves(value)] if isinstance(content, list) else [content]
