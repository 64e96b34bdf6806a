"""The report: one self-contained HTML file, with leaderboard, figures and their numbers beside it.

write_report(analyse(load_study([Path("runs/optimizer-lr")])), Path("runs/optimizer-lr/report"))

index.html                  the page, figures embedded: it opens by a double click and needs nothing else
report.json                 every number of the page, for programs (docs/report-json.md)
rows.parquet                every row of the ledger
leaderboard.csv, .md        the table, for a program and for a README
figures/NAME.png, .svg      each figure
data/NAME.csv               the numbers behind it
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.plots.plot import Section
from analysis.report import tables
from analysis.report.conclusion import conclusion
from analysis.report.document import names_of, report_document
from analysis.report.explore import MAX_POINTS, explore_data, page_json
from analysis.report.figures import SECTIONS, Shown, sections, show_figures, writing
from analysis.report.header import made, nothing_yet, question, runs_table
from analysis.report.health import health
from analysis.report.members import members_table
from analysis.report.tables import MAX_ROWS
from analysis.study.finals import seeds_notes
from analysis.study.leaderboard import ranking_rule
from analysis.study.load import Study
from analysis.study.results import Results
from analysis.study.rows_file import write_rows
from analysis.study.searched import searched
from analysis.study.searched import sentences as search_sentences
from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import format_count
from ch6dist.storage.atomic import replace_file
from ch6dist.verdict.words import assumptions

COMMAND = re.compile(r"`((?:sweeps|analysis) [^`]+)`")
SEARCH: Section = "How it was searched"  # shown where a sweep searches
LIVE = '<p class="live">This page loads itself again while the run goes on.</p>\n'
REFRESH = '<meta name="refresh-seconds" content="{:g}">\n'  # what a page carries that is written again


@dataclass(frozen=True)
class Content:
    """A section of the page: its tables and figures, and why others have no data."""

    heading: str
    figures: list[Shown]
    absent: list[Shown]

    @property
    def anchor(self) -> str:
        """Return the id of the section, to which the table of contents leads."""
        return self.heading.lower().replace(" ", "-")


def write_report(results: Results, folder: Path, *, refresh_seconds: float | None = None) -> Path:
    """Write the report into `folder` and return the path of its index.html, which is written last and atomically.

    Args:
        refresh_seconds: an open page loads itself again so often; None: never.

    Raises:
        UsageError: the folder cannot be written.
    """
    study, board = results.study, results.board
    sentences = conclusion(results)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "leaderboard.csv").write_text(tables.leaderboard_csv(study, board), encoding="utf-8")
        (folder / "leaderboard.md").write_text(tables.leaderboard_markdown(results), encoding="utf-8")
        write_rows(study, folder / "rows.parquet")
        shown = show_figures(results, folder)
        document = report_document(results, shown, sentences)
        replace_file(folder / "report.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
        replace_file(folder / "index.html", _page(results, shown, sentences, refresh_seconds))
    return folder / "index.html"


def without_refresh(page: str) -> str:
    """Return a page that no longer loads itself again."""
    begin, mark, rest = page.partition(REFRESH.partition("{")[0])
    return begin + rest.partition("\n")[2].replace(LIVE, "", 1) if mark else page


def _page(results: Results, shown: Sequence[Shown], sentences: Sequence[str], refresh_seconds: float | None) -> str:
    study, board, final = results.study, results.board, results.finals
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=writable,
    )
    environment.filters["commands"] = partial(with_code, code=COMMAND)
    ranking = tables.leaderboard_table(results, rows=MAX_ROWS)
    tested = tables.finals_table(final, study) if len(final) else None
    likely = members_table(results.verdict, names_of(results))
    explore = explore_data(results)
    search = [(found.run, search_sentences(found)) for found in searched(study)]
    contents = [
        Content(heading, *found)
        for heading, found in sections(shown).items()
        if (any(found) if heading != SEARCH else found[0] or search)
        or heading in (SECTIONS[0], SECTIONS[-1])
        or (heading == SECTIONS[1] and likely.rows)
    ]
    return environment.get_template("report.html.j2").render(
        css=_source("report.css"),
        scripts=[_source("report.js"), *([_source("explore.js")] if explore else [])],
        live="" if refresh_seconds is None else LIVE,
        refresh="" if refresh_seconds is None else REFRESH.format(refresh_seconds),
        title=study.title(),
        synthetic=SYNTHETIC if study.synthetic else "",
        questions=list(dict.fromkeys(text for run in study.runs if (text := question(run)))),
        runs=[(run.name, made(run)) for run in study.runs],
        beside=runs_table(results) if len(study.runs) > 1 else None,
        nothing=nothing_yet(study),
        sentences=sentences,
        health=health(results),
        contents=contents,
        first=SECTIONS[0],
        sure=SECTIONS[1],
        last=SECTIONS[-1],
        search_heading=SEARCH,
        search=search,
        board=ranking,
        row_classes=[_row_class(row, results.verdict.leader) for _, row in board.head(MAX_ROWS).iterrows()],
        hidden=max(0, len(board) - MAX_ROWS),
        legend=tables.legend(study, board),
        members=likely,
        compared=format_count(len(results.verdict.compared), "configuration"),
        final=tested,
        chosen_on=" ".join([_chosen_on(study, final), *seeds_notes(study)]),
        names=tables.names_table(study, ranking, likely, *([tested] if tested else [])),
        rule=ranking_rule(study),
        assumptions=assumptions(results.verdict),
        explore=explore,
        explore_json=page_json(explore) if explore else "",
        max_points=MAX_POINTS,
        text_columns=tables.TEXT_HEADS,
    )


def _source(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def writable(value: Any) -> Any:
    """Return what a template prints; text from outside, such as a folder's name, may hold what no file can."""
    return one_line(value) if type(value) is str else value  # not Markup, which is the page's own


def with_code(sentence: str, *, code: re.Pattern[str]) -> Markup:
    """Return a sentence whose code, which stands between backticks, can be told from its words.

    Args:
        code: what is code of it, in its only group.
    """
    parts = code.split(one_line(sentence))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def _row_class(row: pd.Series, leader: str | None) -> str:
    """Return the CSS class of a row: leader, diverged, close to it (in the set of the best), or none."""
    if row["configuration"] == leader:
        return "leader"
    if row["diverged"]:
        return "diverged"
    return "close" if row["inside"] is True else ""


def _chosen_on(study: Study, final: pd.DataFrame) -> str:
    if final.empty:
        return ""
    if not final["val_size"].any():
        return (
            "The final training runs used all training images, so they have no validation split: the configuration was "
            "chosen before, by the validation accuracy of a sweep, and the test set was read once, at the end."
        )
    return "Chosen by validation, not by the test set, which was read once, at the end."
