"""Run folders: where they are, what lies where in one, and how a name becomes a folder.

RUN on a command line is a path, or a name under `--runs`, CH6DIST_RUNS or ./runs.

    runs/NAME/sweep.yaml              the sweep as resolved
    runs/NAME/ledger/000001.jsonl     the record (ledger.py)
    runs/NAME/checkpoints/TRIAL/      last.pt, best.pt
    runs/NAME/lease.json              who writes now (lease.py)
    runs/NAME/requests/               what `sweeps stop` asks of the driver
    runs/NAME/report/                 what `analysis report` writes
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ch6dist.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME_RULE = "letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 100"


def checkpoint_path(folder: Path, trial: str, name: str, *, attempt: int = 1) -> Path:
    """Where checkpoint `name` (last or best) of a trial's attempt lies in `folder`; it need not be there."""
    home = folder / trial if attempt == 1 else folder / trial / f"attempt-{attempt}"
    return home / f"{name}.pt"


def runs_root(given: Path | str | None = None) -> Path:
    """The folder that holds run folders: the given one, else CH6DIST_RUNS, else ./runs."""
    return Path(given or os.environ.get("CH6DIST_RUNS") or "runs")


def check_name(name: str, *, key: str = "name") -> str:
    """`name` if it can be a folder's name and nothing more, else InputError."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(key, name, NAME_RULE)
    return name


def find_run(run: Path | str, *, root: Path | str | None = None) -> Path:
    """The run folder that RUN means. InputError when there is none, naming the runs that are there."""
    for folder in (Path(run), runs_root(root) / run):
        if (folder / "ledger").is_dir():
            return folder
    home = runs_root(root)
    there = sorted(p.name for p in home.iterdir() if (p / "ledger").is_dir()) if home.is_dir() else []
    raise InputError("RUN", str(run), f"a run folder, or one of the runs in {home}/: {', '.join(there) or 'none yet'}")


def new_run(name: str, *, root: Path | str | None = None, explicit: bool) -> Path:
    """Make the folder of a new run. An explicit name must be free; otherwise NAME, NAME-2, … is taken."""
    check_name(name)
    home = runs_root(root)
    home.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100_000):
        folder = home / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            if explicit:
                raise InputError("--name", name, f"a name that {home}/ does not hold yet") from None
            continue
        return folder
    raise InputError("name", name, f"fewer runs of one name in {home}/")
