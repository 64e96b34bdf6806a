"""The report: one self-contained HTML file, with leaderboard, figures and their numbers beside it.

write_report(analyse(load_study([Path("runs/optimizer-lr")])), Path("runs/optimizer-lr/report"))

index.html                  the page, figures embedded
leaderboard.csv, .md        the table, for a program and for a README
figures/NAME.png, .svg      each figure
data/NAME.csv               the numbers behind it
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.plots.plot import Plot
from analysis.plots.registry import PLOTS, write_figure
from analysis.report import tables
from analysis.report.conclusion import conclusion
from analysis.report.health import health
from analysis.study.finals import seeds_notes
from analysis.study.load import Run, Study
from analysis.study.results import Results
from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.text import one_line
from ch6dist.errors import UsageError
from ch6dist.storage.atomic import replace_file

MAX_ROWS = 100  # rows of the leaderboard on the page; the CSV holds all


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure on the page; without data, the page says why instead."""

    plot: Plot
    caption: str
    png_base64: str  # empty: no data


def write_report(results: Results, folder: Path) -> Path:
    """Write the report into `folder` and return the path of its index.html, which is written last and atomically.

    Raises:
        UsageError: the folder cannot be written.
    """
    study, board, final = results.study, results.board, results.finals
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "leaderboard.csv").write_text(tables.leaderboard_csv(study, board), encoding="utf-8")
        (folder / "leaderboard.md").write_text(tables.leaderboard_markdown(study, board, final), encoding="utf-8")
        figures = [_embedded(plot, results, folder) for plot in PLOTS.values()]
        replace_file(folder / "index.html", _page(results, figures))
    return folder / "index.html"


def write_plot(name: str, results: Results, folder: Path) -> Path:
    """Write one figure and its numbers under `folder` and return the path of its PNG.

    Raises:
        UsageError: the study has no data for the figure, or the folder cannot be written.
    """
    plot = PLOTS[name]
    data = plot.data(results)
    with _writing(folder):
        path = write_figure(plot, data, folder, study=results.study)
    if path is None:
        raise UsageError(f"nothing to draw for {name}: {plot.empty}")
    return path


def _embedded(plot: Plot, results: Results, folder: Path) -> EmbeddedFigure:
    data = plot.data(results)
    path = write_figure(plot, data, folder, study=results.study)
    if path is None:
        return EmbeddedFigure(plot, "", "")
    return EmbeddedFigure(plot, plot.caption(data), base64.b64encode(path.read_bytes()).decode())


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", "choose another folder with -o") from None


def _page(results: Results, figures: list[EmbeddedFigure]) -> str:
    study, board, final = results.study, results.board, results.finals
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_writable,
    )
    css = environment.get_template("report.css").render()
    ranking = tables.leaderboard_table(study, board.head(MAX_ROWS))
    tested = tables.finals_table(final, study) if len(final) else None
    return environment.get_template("report.html.j2").render(
        css=css,
        title=study.title(),
        synthetic=SYNTHETIC if study.synthetic else "",
        headers=[_header(run) for run in study.runs],
        health=health(results),
        conclusion=conclusion(results),
        board=ranking,
        row_classes=[_row_class(row, position) for position, row in board.head(MAX_ROWS).iterrows()],
        hidden=max(0, len(board) - MAX_ROWS),
        legend=tables.legend(study, board),
        final=tested,
        names=tables.names_table(study, ranking, *([tested] if tested else [])),
        chosen_on=" ".join([_chosen_on(study, final), *seeds_notes(study)]),
        figures=figures,
    )


def _writable(value: Any) -> Any:
    """Return what a template prints; text from outside, such as a folder's name, may hold what no file can."""
    return one_line(value) if type(value) is str else value  # not Markup, which is the page's own


def _row_class(row: pd.Series, position: Any) -> str:
    """Return the CSS class of a row: diverged, leader, close to it (in the set of the best), or none."""
    if row["diverged"]:
        return "diverged"
    if position == 0 and row["inside"] is True:
        return "leader"
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


def _header(run: Run) -> dict[str, Any]:
    """Return what the header says of a run: name, question, and the facts that its ledger holds."""
    head, drivers = run.head, run.ledger.sweeps
    lines = [*drivers, *run.ledger.statuses.values()]
    times = sorted(float(line["time"]) for line in lines if line.get("time"))
    hardware = head.get("hardware") or {}
    facts = {
        "Command": ", then ".join(str(line["command"]) for line in drivers if line.get("command")),
        "Commit": head.get("git_commit"),
        "Versions": ", ".join(f"{name} {version}" for name, version in (head.get("versions") or {}).items() if version),
        "Hardware": _hardware(hardware),
        "Dates": f"{_date(times[0])} to {_date(times[-1])} (UTC)" if times else "",
        "Drivers": f"{len(drivers)} (stopped and resumed)" if len(drivers) > 1 else "",
    }
    question = head.get("question") or run.ledger.spec.get("question") or ""
    return {"name": run.name, "question": question, "facts": {k: v for k, v in facts.items() if v}}


def _date(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, tz=UTC).strftime("%Y-%m-%d %H:%M")


def _hardware(hardware: dict[str, Any]) -> str:
    gpus = [gpu if isinstance(gpu, str) else str(gpu.get("name", gpu)) for gpu in hardware.get("gpus") or []]
    parts = [
        hardware.get("host"),
        f"{hardware['cpus']} CPUs" if hardware.get("cpus") else "",
        hardware.get("cpu"),
        ", ".join(f"{gpus.count(name)} × {name}" for name in dict.fromkeys(gpus)) or "no GPU",
        f"{hardware['memory_bytes'] / 2**30:.0f} GiB memory" if hardware.get("memory_bytes") else "",
    ]
    return ", ".join(str(part) for part in parts if part) if hardware else ""
