"""The command line of the analysis: `analysis report | table | plot`.

    analysis report RUN [RUN …] [-o DIR]     one HTML file, figures, numbers
    analysis table RUN [--json]              the leaderboard
    analysis plot NAME RUN [-o DIR]          one figure

RUN is a run folder, a name under --runs, CH6DIST_RUNS or ./runs, or s3://bucket/prefix/NAME. The commands
import what they need, so that --help is fast.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:  # `python -m` put the working directory before all libraries
    sys.path[:] = [*sys.path[1:], os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from pathlib import Path
from typing import Annotated

import typer

from ch6dist.cli import new_app
from ch6dist.cli import run as run_app
from ch6dist.errors import MISSING, InputError, unknown_name
from ch6dist.paths import given_path
from ch6dist.runs.folders import find_run
from ch6dist.runs.names import REPORT

app = new_app("Turn the ledger of a sweep into tables, figures and a report.")

Runs = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="Run folders, their names, or s3://bucket/prefix/NAME.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, its name, or s3://bucket/prefix/NAME.")]
Root = Annotated[Path | None, typer.Option("--runs", help="Folder of the runs. Default: CH6DIST_RUNS, else ./runs.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to. Default: RUN/report.")]


@app.command()
def report(runs: Runs, output: Output = None, root: Root = None) -> None:
    """Write one HTML page, its figures and their numbers."""
    from analysis.report.page import write_report
    from analysis.study.load import load_study
    from analysis.study.results import analyse

    folders = [find_run(run, root=root) for run in runs]
    if output is None and len(folders) > 1:
        raise InputError("-o", MISSING, "a folder for the report of several runs")
    print(write_report(analyse(load_study(folders)), given_path(output or folders[0] / REPORT, key="-o")))


@app.command()
def table(
    run: Run, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False, root: Root = None
) -> None:
    """Print the leaderboard."""
    from analysis.report import tables
    from analysis.study.load import load_study
    from analysis.study.results import analyse

    results = analyse(load_study([find_run(run, root=root)]))
    write = tables.leaderboard_json if as_json else tables.leaderboard_markdown
    print(write(results.study, results.board, results.finals))


@app.command()
def plot(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a figure; a wrong name lists them all.")],
    run: Run,
    output: Output = None,
    root: Root = None,
) -> None:
    """Write one figure (PNG, SVG) and its numbers (CSV)."""
    from analysis.plots.registry import PLOTS
    from analysis.report.page import write_plot
    from analysis.study.load import load_study
    from analysis.study.results import analyse

    if name not in PLOTS:
        raise unknown_name("NAME", name, PLOTS)
    folder = find_run(run, root=root)
    print(write_plot(name, analyse(load_study([folder])), given_path(output or folder / REPORT, key="-o")))


def main() -> None:
    """Run the installed command `analysis`."""
    sys.exit(run_app(app, name="analysis"))


if __name__ == "__main__":
    main()
