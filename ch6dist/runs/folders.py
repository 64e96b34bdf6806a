"""Run folders: where they are, and how a name becomes a folder. What lies in one: names.py.

RUN on a command line is a path, a name under `--runs`, CH6DIST_RUNS or ./runs, or s3://bucket/prefix/NAME.

With `storage: s3://…` checkpoints and captures lie there, and all but the report is copied there
(sweeps/record/uploader.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path

from ch6dist.errors import InputError, UsageError
from ch6dist.paths import given_path
from ch6dist.runs.fetch import fetch_run
from ch6dist.runs.names import CAPTURES, CHECKPOINTS, LEDGER, SEGMENTS, checkpoint_name
from ch6dist.storage.files import Folder, is_remote, join, split_last

LONGEST = 100  # characters of a name, its number included
NUMBERS = 100_000  # of runs of one name
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
NAME_RULE = f"letters, digits, '.', '_' and '-', beginning with a letter or digit, at most {LONGEST}"


def checkpoints_root(run: Path, *, storage: str | None = None) -> str:
    """Return the folder, or the URL, of a run's checkpoints: all of its workers write there."""
    return _root_of(CHECKPOINTS, run, storage)


def captures_root(run: Path, *, storage: str | None = None) -> str:
    """Return the folder, or the URL, of what is captured in a run: its workers write there."""
    return _root_of(CAPTURES, run, storage)


def has_checkpoint(checkpoints: Folder, trial: str, *, attempt: int = 1) -> bool:
    """Return whether a trial's attempt can resume from a `last`. OSError when the storage does not answer."""
    return checkpoints.size(checkpoint_name(trial, "last", attempt=attempt)) is not None


def runs_root(given: Path | str | None = None) -> Path:
    """Return the folder that holds run folders: the given one, else CH6DIST_RUNS, else ./runs; absolute."""
    variable = os.environ.get("CH6DIST_RUNS") or "runs"
    return given_path(given, key="--runs") if given else given_path(variable, key="CH6DIST_RUNS")


def home_of(runs: Path | None, storage: str | None) -> Path | None:
    """Return the folder that is to hold a new run: the given one, else the sweep's `storage` where that is a path."""
    return runs if runs or not storage or is_remote(storage) else Path(storage)


def check_name(name: str, *, key: str = "name") -> str:
    """Return `name` if it can be a folder's name and nothing more, else raise InputError."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(key, name, NAME_RULE)
    return name


def name_from(text: str, *, ending: str = "") -> str:
    """Return a name for a run folder made of any text, such as the name of a file, and `ending`.

    What a name cannot hold becomes `-`, letters lose their accents, and so much is cut off that a number still fits.
    """
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-") or "unnamed"
    return kept[: LONGEST - len(ending) - len(f"-{NUMBERS}")] + ending


def find_run(run: Path | str, *, root: Path | str | None = None) -> Path:
    """Return the run folder that RUN means; of one in an object store, a copy under `root`, without its checkpoints.

    Raises InputError when there is none, naming the runs that are there.
    """
    if is_remote(run):
        name = check_name(split_last(str(run))[1], key="RUN")
        return fetch_run(str(run), runs_root(root) / name)
    for folder in (given_path(run, key="RUN"), runs_root(root) / run):
        if (folder / LEDGER).is_dir():
            return folder if folder.name not in ("", "..") else folder.resolve()  # its name is asked for
    home = runs_root(root)
    there = sorted(p.name for p in home.iterdir() if (p / LEDGER).is_dir()) if home.is_dir() else []
    raise InputError("RUN", str(run), f"a run folder, or one of the runs in {home}/: {', '.join(there) or 'none yet'}")


def new_run(name: str, *, root: Path | str | None = None, explicit: bool, taken: Collection[str] = frozenset()) -> Path:
    """Make the folder of a new run, and return it. An explicit name must be free; otherwise NAME, NAME-2, … is taken.

    Args:
        taken: names that are in use elsewhere, as in an object store.
    """
    check_name(name)
    home = runs_root(root)
    home.mkdir(parents=True, exist_ok=True)
    for number in range(1, NUMBERS):
        folder = home / _numbered(name, number)
        try:
            if folder.name in taken:
                raise FileExistsError(folder.name)
            folder.mkdir()
        except FileExistsError:
            if explicit:
                where = "the storage" if folder.name in taken else f"{home}/"
                raise InputError("--name", name, f"a name that {where} does not hold yet") from None
            continue
        return folder
    raise UsageError(f"{home}/ holds too many runs of the name {name}", "choose another one with --name")


@contextlib.contextmanager
def removed_unless_begun(run: Path) -> Iterator[None]:
    """Remove a folder that this process made for a new run if the block fails before its ledger has a line."""
    try:
        yield
    except BaseException:
        if not any(path.stat().st_size for path in (run / LEDGER).glob(SEGMENTS)):
            shutil.rmtree(run, ignore_errors=True)
        raise


def _root_of(part: str, run: Path, storage: str | None) -> str:
    if storage and is_remote(storage):
        return join(storage, run.name, part)
    return str((run / part).resolve())


def _numbered(name: str, number: int) -> str:
    """Return NAME, NAME-2, …, as much of it as a name may have."""
    ending = "" if number == 1 else f"-{number}"
    return name[: LONGEST - len(ending)] + ending
