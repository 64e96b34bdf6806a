"""The command line of single trials: `ch6dist train`, `range-test`, `preview`, `look`, `lab` and `data`.

ch6dist train trial.yaml optimizer.lr=0.1 --run runs/one                # or python -m ch6dist train …
torchrun --nproc-per-node 2 -m -- ch6dist train trial.yaml --run runs/two   # without `--` torchrun takes --run itself
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:  # `python -m` put the working directory before all libraries
    sys.path[:] = [*sys.path[1:], os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ch6dist.cli import new_app, run
from ch6dist.errors import MISSING, InputError

if TYPE_CHECKING:
    from ch6dist.config import TrialConfig

app = new_app("Train one trial, find its learning rate, or see its schedule.")

TrialFile = Annotated[Path, typer.Argument(metavar="TRIAL.yaml", help="a trial, as `sweeps best` writes it")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="key=value", help="such as optimizer.lr=0.1")]
RunFolder = Annotated[Path | None, typer.Option("--run", metavar="DIR", help="run folder; left out: a new one")]
Resume = Annotated[bool, typer.Option("--resume", help="continue in the run folder from its checkpoint")]
Trust = Annotated[bool, typer.Option("--trust", help="code that the run folder brings may run here")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document")]


@app.command()
def train(
    trial: TrialFile, overrides: Overrides = None, run: RunFolder = None, resume: Resume = False, trust: Trust = False
) -> int:
    """Train a trial; under torchrun, with all its processes."""
    if resume and run is not None and run.is_dir():
        from ch6dist.catalog.described import keep_to
        from ch6dist.runs.ledger import read_heads
        from ch6dist.runs.names import LEDGER, SEGMENTS

        heads = read_heads(run) if any((run / LEDGER).glob(SEGMENTS)) else []
        keep_to(heads, ask=True)  # the names of the file mean what they meant when it began
    return _train(_read(trial, overrides), run, resume, trust=trust)


@app.command("range-test")
def range_test(trial: TrialFile, overrides: Overrides = None, run: RunFolder = None) -> int:
    """Run a range test and print the suggested learning rates."""
    return _train(_read(trial, [*(overrides or []), "type=range_test"]), run, resume=False)


@app.command()
def preview(
    given: Annotated[
        list[str] | None, typer.Argument(metavar="TRIAL.yaml… key=value…", help="no file: a trial of defaults")
    ] = None,
    schedules: Annotated[
        list[str] | None,
        typer.Option("--schedule", metavar="YAML", help="instead of the file's; repeat it to compare several"),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="epoch|step", help="a row per epoch or per step")] = "epoch",
    as_json: AsJson = False,
) -> None:
    """Print learning rate and momentum of trials or schedules side by side, without training."""
    if not given and not schedules:
        raise InputError("TRIAL.yaml", MISSING, "a trial file, key=value or --schedule")
    if by not in ("epoch", "step"):
        raise InputError("--by", by, "epoch or step")
    files = [text for text in given or [] if "=" not in text or Path(text).is_file()]
    overrides = [text for text in given or [] if text not in files]
    trials, sources = [], []
    for file in files or [""]:
        for chosen in [[f"schedule={text}"] for text in schedules or []] or [[]]:
            trials.append(_read(Path(file) if file else None, [*overrides, *chosen]))
            sources.append(file or None)

    from ch6dist.optim.trial_previews import preview_trials
    from ch6dist.previews import previews_text, to_json

    previews = preview_trials(trials, files=sources)
    print(to_json(previews) if as_json else previews_text(previews, by="step" if by == "step" else "epoch"))


@app.command(hidden=True)
def digests() -> None:
    """Read a JSON list of trials from stdin; print a digest of learning rates and momentum per epoch of each.

    For a program that has no torch (ch6dist/branches.py); null where a metric decides.
    """
    import json

    from ch6dist.config import parse_trial

    try:
        given = json.load(sys.stdin)
    except ValueError as error:
        raise InputError("stdin", MISSING, f"a JSON list of trials ({error})") from None
    if not isinstance(given, list):
        raise InputError("stdin", type(given).__name__, "a JSON list of trials")
    trials = [parse_trial(content, file=f"trial {n}") for n, content in enumerate(given)]

    from ch6dist.optim.digests import digests as digests_of

    print(json.dumps(digests_of(trials)))


@app.command()
def data(
    name: Annotated[
        str, typer.Argument(help="cifar10, cifar100, fashion_mnist, mnist, torchvision/NAME or hf/NAME")
    ] = "cifar100",
    root: Annotated[str | None, typer.Option(help="data root; left out: CH6DIST_DATA, else ./data")] = None,
) -> None:
    """Download a data set, checked against its md5; of a library, or of your own code, read it anew."""
    from ch6dist.catalog.data_keys import source_of
    from ch6dist.catalog.dataset_files import data_root

    source = source_of({"name": name, "root": root})
    if source is not None:
        from ch6dist.catalog.own_data import look

        found = look(source, download=True)
        print(f"{name}: {found.train_images:,} images to train on, {found.test_images:,} to test on")
        return

    from ch6dist.data.download import download

    try:
        download(name, root=root)
    except (RuntimeError, OSError) as error:  # torchvision raises the one, urllib the other
        raise OSError(f"{name} could not be downloaded: {error}") from None
    print(f"{name}: in place in {data_root(root)}")


@app.command()
def lab(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="folder to write to")],
    problem: Annotated[
        str, typer.Argument(metavar="PROBLEM", help="regression, or valley:condition=20,angle=0")
    ] = "regression",
    optimizer: Annotated[
        list[str] | None,
        typer.Option("--optimizer", metavar="NAME:key=value,…", help="repeat for more; left out: all of them"),
    ] = None,
    epochs: Annotated[str, typer.Option("--epochs", metavar="N", help="of every path")] = "10",
    lr: Annotated[str | None, typer.Option("--lr", metavar="X", help="of every path; left out: 0.1")] = None,
) -> None:
    """Follow optimizers and schedules over a loss of two parameters; `analysis lab FOLDER` draws it."""
    from ch6dist.lab.command import visit_lab
    from ch6dist.paths import given_path, shown_path

    folder = given_path(output, key="-o")
    print(shown_path(visit_lab(problem, optimizer or [], epochs=epochs, lr=lr, folder=folder)))


@app.command()
def look(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run folder, its name, or s3://bucket/prefix/NAME")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="folder to write to")],
    trial: Annotated[
        str | None, typer.Argument(metavar="TRIAL", help="id or its beginning; left out: the only one")
    ] = None,
    split: Annotated[str, typer.Option("--split", metavar="val|test", help="images to evaluate on")] = "val",
    checkpoint: Annotated[str, typer.Option("--checkpoint", metavar="last|best", help="weights to look at")] = "last",
    images: Annotated[str, typer.Option("--images", metavar="N", help="whose feature maps are kept")] = "4",
    data_root: Annotated[Path | None, typer.Option("--root", help="data root; left out: that of the trial")] = None,
    runs: Annotated[Path | None, typer.Option("--runs", help="folder of the runs; left out: CH6DIST_RUNS")] = None,
    trust: Trust = False,
) -> None:
    """Look at what a trial learned: filters, feature maps, classes; `analysis network FOLDER` draws it."""
    from ch6dist.look.command import look_at
    from ch6dist.paths import given_path, shown_path
    from ch6dist.runs.folders import find_run

    folder, home = given_path(output, key="-o"), find_run(run, root=runs)
    root = given_path(data_root, key="--root") if data_root else None
    chosen = {"split": split, "checkpoint": checkpoint, "images": images}
    path, lines = look_at(home, trial, **chosen, root=root, trust=trust, folder=folder)
    print(*lines, shown_path(path), sep="\n")


def _read(path: Path | None, overrides: list[str] | None) -> TrialConfig:
    from ch6dist.trial_file import read_trial

    return read_trial(path, overrides or [])


def _train(config: TrialConfig, folder: Path | None, resume: bool, *, trust: bool = False) -> int:
    from rich.console import Console

    from ch6dist.paths import given_path
    from ch6dist.training.solo import run_trial

    folder = given_path(folder, key="--run") if folder else None
    console = Console(soft_wrap=True, markup=False, emoji=False)
    return run_trial(config, run=folder, resume=resume, trust=trust, console=console)


def main() -> None:
    """Run the installed `ch6dist`."""
    sys.exit(run(app, name="ch6dist"))


if __name__ == "__main__":
    main()
