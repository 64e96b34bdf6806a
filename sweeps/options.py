"""The arguments and options that commands of `sweeps` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="a sweep file (YAML)")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="key=value", help="such as epochs=2 or seeds=1")]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="a run folder, its name under --runs, or s3://bucket/prefix/NAME")
]
Runs = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="holds run folders; left out: CH6DIST_RUNS, else ./runs")
]
Address = Annotated[str | None, typer.Option(help="a running Ray to join, such as auto; left out: one is started")]
Packs = Annotated[str, typer.Option(metavar="auto|off|K", help="trials trained together in one process")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON document")]
OneTrial = Annotated[str | None, typer.Argument(metavar="TRIAL", help="one trial only: its id, or the beginning of it")]
