"""The report: one HTML file that stands alone, with leaderboard, figures and their numbers beside it.

write_report(load_study([Path("runs/optimizer-lr")]), Path("runs/optimizer-lr/report"))

index.html                  everything, figures embedded
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
from analysis.plots.registry import PLOTS, study_palette, write_figure
from analysis.report import tables
from analysis.report.health import health
from analysis.report.verdict import verdict
from analysis.study.leaderboard import finals, leaderboard
from analysis.study.load import Run, Study
from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.errors import InputError
from ch6dist.storage.atomic import replace_file

MAX_ROWS = 100  # of the leaderboard in the page; all are in the CSV


@dataclass(frozen=True)
class Shown:
    """One figure of the page: the picture, or the sentence that says why there is none."""

    plot: Plot
    caption: str
    picture: str  # base64 of the PNG; empty: nothing to draw


def write_report(study: Study, folder: Path) -> Path:
    """Write the report into `folder` and return the path of its index.html, which appears last and whole.

    InputError where the folder cannot be written.
    """
    board, final = leaderboard(study), finals(study)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "leaderboard.csv").write_text(tables.leaderboard_csv(study, board), encoding="utf-8")
        (folder / "leaderboard.md").write_text(tables.leaderboard_markdown(study, board, final), encoding="utf-8")
        shown = [_show(plot, study, board, folder) for plot in PLOTS.values()]
        page = _page(study, board, final, shown)
        replace_file(folder / "index.html", page)
    return folder / "index.html"


def write_plot(name: str, study: Study, folder: Path) -> Path:
    """Write one figure and its numbers under `folder`; its PNG. InputError where the study has no data for it."""
    plot = PLOTS[name]
    data = plot.data(study, leaderboard(study))
    with _writing(folder):
        path = write_figure(plot, data, folder, study=study, palette=study_palette(study))
    if path is None:
        raise InputError("NAME", name, f"a figure that the run has data for. {plot.empty}")
    return path


def _show(plot: Plot, study: Study, board: pd.DataFrame, folder: Path) -> Shown:
    data = plot.data(study, board)
    path = write_figure(plot, data, folder, study=study, palette=study_palette(study))
    if path is None:
        return Shown(plot, "", "")
    return Shown(plot, plot.caption(data), base64.b64encode(path.read_bytes()).decode())


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError("-o", str(folder), f"a folder that can be written ({error.strerror})") from None


def _page(study: Study, board: pd.DataFrame, final: pd.DataFrame, shown: list[Shown]) -> str:
    environment = Environment(
        loader=PackageLoader("analysis.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    css = environment.get_template("report.css").render()
    return environment.get_template("report.html.j2").render(
        css=css,
        title=study.title(),
        synthetic=SYNTHETIC if study.synthetic else "",
        heads=[_head(run) for run in study.runs],
        health=health(study, board),
        verdict=verdict(study, board, final),
        board=tables.leaderboard_table(study, board.head(MAX_ROWS)),
        shades=[_shade(row, place) for place, row in board.head(MAX_ROWS).iterrows()],
        hidden=max(0, len(board) - MAX_ROWS),
        legend=tables.legend(study, board),
        final=tables.finals_table(final, study) if len(final) else None,
        chosen_on=_chosen_on(study, final),
        shown=shown,
    )


def _shade(row: pd.Series, place: Any) -> str:
    """The class of a row: the leader, what is not distinguishable from it, what diverged."""
    if row["diverged"]:
        return "diverged"
    if place == 0 and row["eligible"]:
        return "leader"
    return "close" if row["close"] is True else ""


def _chosen_on(study: Study, final: pd.DataFrame) -> str:
    if final.empty:
        return ""
    if not final["val_size"].any():
        return (
            "These trainings used all training images, so they have no validation split: the configuration was chosen "
            "beforehand, on the validation accuracy of a sweep, and the test set was read once, at the end."
        )
    return "Chosen on validation, never on the test set, which was read once, at the end."


def _head(run: Run) -> dict[str, Any]:
    """What the header says of a run: each line only where the ledger knows it."""
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
