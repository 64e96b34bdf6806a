"""What the commands of `sweeps` share: arguments and options, and how a result is shown."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ch6dist.errors import UsageError

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
Trust = Annotated[bool, typer.Option("--trust", help="code that RUN brings may run here")]


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Say of a package that an import in the block lacks how it is installed, as UsageError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed", "pip install 'ch6dist[train]' brings it") from None


def view(name: str, *of: Any, as_json: bool, queries: str = "queries", views: str = "views") -> None:
    """Print what a query of a run finds; the query and its rendering are imported by their names."""
    found = getattr(importlib.import_module(f"sweeps.status.{queries}"), name)(*of)
    show_found(found, getattr(importlib.import_module(f"sweeps.status.{views}"), f"render_{name}")(found), as_json)


def show_found(data: Any, rendered: Any, as_json: bool) -> None:
    """Print data as JSON, or as it is rendered for a terminal."""
    if as_json:
        typer.echo(json.dumps(data, indent=2, default=str))
    else:
        Console().print(rendered)
