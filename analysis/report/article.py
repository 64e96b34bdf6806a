"""What an article needs of a study: figures in print quality, their captions as text, the leaderboard as tables.

write_article(results, Path("runs/optimizer-lr/report/article"))

NAME.png (300 dpi), .svg, .pdf      each figure, without title and caption: the article has its own
captions.md                         title, caption and numbers of each
leaderboard.md, .tex                the table; its first line names the packages that LaTeX needs
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from analysis.plots import style
from analysis.plots.registry import PLOTS, draw
from analysis.report import tables
from analysis.report.figures import caption_of, writing
from analysis.report.tables import MAX_ROWS, Table, markdown_text
from analysis.study.results import Results
from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.text import one_line

DPI = 300
KINDS = ("png", "svg", "pdf")
# one pass over the text: what an escape writes is not escaped again
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": "{'}",
    "[": "{[}",  # after the end of a row it would be a length
    "*": "{*}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "–": "--",
}
_SPECIAL = re.compile("|".join(map(re.escape, _LATEX)) + "|-(?=-)")  # two hyphens would be a dash


def write_article(results: Results, folder: Path) -> Path:
    """Write the figures, captions and tables into `folder` and return it.

    Raises:
        UsageError: the folder cannot be written.
    """
    study = results.study
    captions = [f"# Figures of {markdown_text(study.title())}"] + ([f"**{SYNTHETIC}.**"] if study.synthetic else [])
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for plot in PLOTS.values():
            data = plot.data(results)
            for kind in KINDS:
                (folder / f"{plot.name}.{kind}").unlink(missing_ok=True)  # of an earlier one, that had data
            if data.empty:
                continue
            with style.context():
                figure = draw(plot, data, study=study, captioned=False)
                for kind in KINDS:
                    with (folder / f"{plot.name}.{kind}").open("wb") as file:
                        style.picture(figure, file, dpi=DPI, kind=kind)
            paragraphs = [markdown_text(line) for line in caption_of(plot, data, study).splitlines()]
            captions += [f"## {plot.name}", f"**{markdown_text(plot.title)}**", *paragraphs]
        _write(folder / "captions.md", "\n\n".join(captions))
        _write(folder / "leaderboard.md", tables.leaderboard_markdown(results).rstrip("\n"))
        _write(folder / "leaderboard.tex", leaderboard_latex(results))
    return folder


def leaderboard_latex(results: Results) -> str:
    """Return the leaderboard, its first MAX_ROWS rows, and the final training runs as LaTeX tables (booktabs)."""
    study, board, final = results.study, results.board, results.finals
    note = f"{SYNTHETIC}. " if study.synthetic else ""
    parts = [r"% \usepackage[T1]{fontenc} \usepackage{booktabs,graphicx}"]
    if len(board):
        caption = f"{note}Leaderboard of {study.title()}. {tables.legend(study, board)}{_left_out(len(board))}"
        parts.append(_latex(tables.leaderboard_table(results, rows=MAX_ROWS), caption, "tab:leaderboard"))
    if len(final):
        caption = f"{note}Final training runs; the test set was read once."
        parts.append(_latex(tables.finals_table(final, study), caption, "tab:final"))
    return "\n\n".join(parts)


def _left_out(total: int) -> str:
    if total <= MAX_ROWS:
        return ""
    return f" Shown are the first {MAX_ROWS} of {total} configurations; {total - MAX_ROWS} are left out."


def latex_text(text: str) -> str:
    """Return text as LaTeX that shows it: a line, without commands of its own."""
    return _SPECIAL.sub(lambda found: _LATEX.get(found[0], "-{}"), one_line(text))


def _latex(table: Table, caption: str, label: str) -> str:
    aligned = ["l" if head in tables.TEXT_HEADS else "r" for head in table.heads]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\label{{{label}}}",
        r"\resizebox{\linewidth}{!}{%",
        rf"\begin{{tabular}}{{{''.join(aligned)}}}",
        r"\toprule",
        _row(table.heads),
        r"\midrule",
        *map(_row, table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def _write(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")
