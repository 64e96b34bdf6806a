"""The command line of the analysis: `analysis report | table | plot | lab`.

    analysis report RUN [RUN …] [-o DIR]     one HTML file, figures, numbers
    analysis report RUN --watch              the same, written again while the run goes on
    analysis report RUN --for article        figures in print quality, captions, LaTeX tables
    analysis table RUN [--json]              the leaderboard
    analysis plot NAME RUN [-o DIR]          one figure
    analysis contest RUN -o DIR              who reaches a target first, all optimizers tuned with equal effort
    analysis averages FILE.csv --column NAME -o DIR     moving averages of a series
    analysis inside RUN TRIAL -o DIR         what its optimizer and each setting make of captured gradients
    analysis norms RUN TRIAL -o DIR          how large its gradients and parameters are, layer by layer
    ch6dist preview TRIAL.yaml … --json | analysis preview - -o DIR     schedules side by side
    analysis article SOURCE… -o DIR          the chapter as an article, from runs, laboratories and previews
    analysis lab FOLDER [-o DIR]             figures and page of what `ch6dist lab` has written
    analysis network FOLDER [-o DIR]         figures of a trained network that `ch6dist look` has seen

RUN is a run folder, a name under --runs, CH6DIST_RUNS or ./runs, or s3://bucket/prefix/NAME. The commands
import what they need, so that --help is fast.
"""

from __future__ import annotations

import math
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
from ch6dist.storage.files import is_remote

app = new_app("Turn the ledger of a sweep into tables, figures and a report.")

Runs = Annotated[
    list[str], typer.Argument(metavar="RUN…", help="Run folders, their names, or s3://bucket/prefix/NAME.")
]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, its name, or s3://bucket/prefix/NAME.")]
Root = Annotated[Path | None, typer.Option("--runs", help="Folder of the runs. Default: CH6DIST_RUNS, else ./runs.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to. Default: RUN/report.")]


@app.command()
def report(
    runs: Runs,
    output: Output = None,
    root: Root = None,
    is_watching: Annotated[
        bool, typer.Option("--watch", help="Write it again while the run goes on; the open page follows.")
    ] = False,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="With --watch: at most so often.")] = 30.0,
    purpose: Annotated[
        str | None, typer.Option("--for", metavar="article", help="Print quality, captions, LaTeX; no page.")
    ] = None,
) -> None:
    """Write one HTML page, its figures and their numbers."""
    if purpose not in (None, "article"):
        raise InputError("--for", purpose, "article")
    if not 0 < every < math.inf:
        raise InputError("--every", every, "a number of seconds above 0")
    if is_watching and purpose:
        raise InputError("--watch", purpose, "a page; not with --for")
    if is_watching and any(is_remote(run) for run in runs):
        raise InputError("--watch", ", ".join(runs), "run folders of this machine, not copies of an object store")
    folders = [find_run(run, root=root) for run in runs]
    if output is None and len(folders) > 1:
        raise InputError("-o", MISSING, "a folder for the report of several runs")
    home = output or folders[0] / REPORT / ("article" if purpose else "")
    _write(folders, given_path(home, key="-o"), purpose=purpose, every=every if is_watching else None)


def _write(folders: list[Path], home: Path, *, purpose: str | None, every: float | None) -> None:
    from analysis.report.article import write_article
    from analysis.report.page import write_report
    from analysis.report.watch import watch
    from analysis.study.load import load_study
    from analysis.study.results import analyse

    if every is not None:
        watch(folders, home, every=every, say=lambda text: print(text, flush=True))
    else:
        write = write_article if purpose else write_report
        print(write(analyse(load_study(folders)), home))


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
    print(write(results))


@app.command()
def plot(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a figure; a wrong name lists them all.")],
    run: Run,
    output: Output = None,
    root: Root = None,
) -> None:
    """Write one figure (PNG, SVG) and its numbers (CSV)."""
    from analysis.plots.registry import PLOTS
    from analysis.report.figures import write_plot
    from analysis.study.load import load_study
    from analysis.study.results import analyse

    if name not in PLOTS:
        raise unknown_name("NAME", name, PLOTS)
    folder = find_run(run, root=root)
    print(write_plot(name, analyse(load_study([folder])), given_path(output or folder / REPORT, key="-o")))


@app.command()
def contest(
    run: Run,
    target: Annotated[
        float | None, typer.Option("--target", help="Value to reach, as 0.25. Default: untuned Adam's score.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to; required.")] = None,
    root: Root = None,
) -> None:
    """Rank optimizers by the epochs to a target, each tuned with as many trials; and what it does untuned."""
    from analysis.report.contest import write_contest
    from analysis.study.contest import contest_of
    from analysis.study.load import load_study
    from analysis.study.results import analyse

    if output is None:
        raise InputError("-o", MISSING, "a folder for the table and the figures")
    results = analyse(load_study([find_run(run, root=root)]))
    print(write_contest(contest_of(results, target=target), results.study, given_path(output, key="-o")))


@app.command()
def averages(
    file: Annotated[Path | None, typer.Argument(metavar="FILE.csv", help="Left out: a made-up series.")] = None,
    column: Annotated[str | None, typer.Option("--column", metavar="NAME", help="The column of the series.")] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="Of the exponential average: β, in [0, 1).")] = None,
    period: Annotated[float | None, typer.Option("--period", help="Instead: its window, such as 19.")] = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="Instead: the weight of the newest value.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to; required.")] = None,
) -> None:
    """Draw simple and exponential moving averages of a series, and print what they keep of its variance."""
    from analysis.chapter.averages import AVERAGES, WEIGHTS, averages_data, beta_to_draw, statistics_data, weights_data
    from analysis.chapter.drawing import write_drawing, write_table
    from analysis.chapter.series import made_up_series, read_series
    from analysis.chapter.tables import statistics_text
    from analysis.report.figures import writing

    chosen = beta_to_draw(beta=beta, period=period, alpha=alpha)
    if output is None:
        raise InputError("-o", MISSING, "a folder for the figures")
    if file is None and column is not None:
        raise InputError("FILE.csv", MISSING, "the file that has the column")
    folder = given_path(output, key="-o")
    series = made_up_series() if file is None else read_series(given_path(file, key="FILE.csv"), column)
    data = averages_data(series, beta=chosen)
    found = statistics_data(data)
    with writing(folder):
        paths = [write_drawing(AVERAGES, data, folder), write_drawing(WEIGHTS, weights_data(beta=chosen), folder)]
        paths.append(write_table("averages_statistics", found, folder))
    print(statistics_text(found), *paths, sep="\n")


@app.command()
def inside(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial that captured, or the beginning of its id.")],
    name: Annotated[str | None, typer.Option("--name", help="Of a parameter. Default: the first captured.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to; required.")] = None,
    root: Root = None,
) -> None:
    """Draw what the optimizer of a trial makes of its gradients, what each of its settings does, and print both."""
    from analysis.report.one_trial import write_inside

    if output is None:
        raise InputError("-o", MISSING, "a folder for the figure")
    print(write_inside(find_run(run, root=root), trial, given_path(output, key="-o"), name=name))


@app.command()
def norms(
    run: Run,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial that captured, or the beginning of its id.")],
    beta: Annotated[float, typer.Option("--beta", help="Of the exponential average: β, in [0, 1).")] = 0.9,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to; required.")] = None,
    root: Root = None,
) -> None:
    """Draw how large the gradients and parameters of a trial are over its steps, raw and smoothed."""
    from analysis.report.one_trial import write_norms
    from ch6dist.averages import beta_of

    if output is None:
        raise InputError("-o", MISSING, "a folder for the figures")
    chosen = beta_of(beta=beta)
    print(write_norms(find_run(run, root=root), trial, given_path(output, key="-o"), beta=chosen))


@app.command()
def preview(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE.json…", help="What `ch6dist preview --json` printed; `-`: from a pipe.")
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to; required.")] = None,
    is_log: Annotated[bool, typer.Option("--log", help="Learning rates on a logarithmic axis.")] = False,
) -> None:
    """Draw the learning rate and momentum of schedules side by side, and what they spend."""
    from analysis.chapter.drawing import write_drawing
    from analysis.chapter.schedules import read_previews, schedules_data, schedules_drawing
    from analysis.report.figures import writing

    if output is None:
        raise InputError("-o", MISSING, "a folder for the figure")
    folder = given_path(output, key="-o")
    data = schedules_data([preview for file in files for preview in read_previews(file)])
    with writing(folder):
        print(write_drawing(schedules_drawing(is_log=is_log), data, folder))


@app.command()
def article(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE…", help="Runs, what `ch6dist lab` and `look` and `preview --json` wrote."),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder to write to; required.")] = None,
    root: Root = None,
) -> None:
    """Write the chapter as an article: its figures and tables from these trainings, beside the documents' numbers."""
    from analysis.article.sources import read_sources
    from analysis.article.write import write_chapter

    if output is None:
        raise InputError("-o", MISSING, "a folder for the article")
    folder = given_path(output, key="-o")
    print(write_chapter(read_sources(sources, root=root), folder))


@app.command()
def lab(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `ch6dist lab` has written.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write to. Default: FOLDER itself.")
    ] = None,
) -> None:
    """Write figures and an animated page of the two-parameter laboratory."""
    from analysis.lab.load import load_visit
    from analysis.lab.page import write_page

    visit = load_visit(folder)
    print(write_page(visit, given_path(output or folder, key="-o")))


@app.command()
def network(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `ch6dist look` has written.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write to. Default: FOLDER itself.")
    ] = None,
) -> None:
    """Draw what a network has learned: filters, feature maps, classes, and what it confuses."""
    from analysis.network.figures import write_network
    from analysis.network.load import load_network

    seen = load_network(folder)
    print(*write_network(seen, given_path(output or folder, key="-o")), *seen.index["notes"], sep="\n")


def main() -> None:
    """Run the installed command `analysis`."""
    sys.exit(run_app(app, name="analysis"))


if __name__ == "__main__":
    main()
