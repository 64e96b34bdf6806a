"""The final training runs of a run or of a trial file: what they are called, and which is the newest.

newest_final("runs/optimizer-lr")       # runs/optimizer-lr-final-2
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ch6dist.errors import InputError, UsageError
from ch6dist.paths import given_path, shown_path
from ch6dist.runs.folders import find_run, name_from, runs_root
from ch6dist.runs.ledger import read_heads
from ch6dist.runs.names import LEDGER, SEGMENTS, SWEEP_FILE
from ch6dist.yamlfile import read_mapping


def newest_final(source: str, *, runs: Path | None = None) -> Path:
    """Return the run folder of a final training: `source` itself, or the newest chosen from it (run or trial file).

    Raises UsageError when there is none.
    """
    path = given_path(source) if given_path(source).is_file() else find_run(source, root=runs)
    if path.is_dir() and "chosen_from" in read_mapping(path / SWEEP_FILE):
        return path
    home = path.parent if path.is_dir() and runs is None else runs_root(runs)
    heads = {folder: read_heads(folder) for folder in _finals_in(home, path)}
    begun = {folder: found[0]["time"] for folder, found in heads.items() if found}
    if not begun:
        why = f"{source} has no final training to resume in {shown_path(home)}/"
        raise UsageError(why, "leave --resume out to start one, or name its folder by --runs")
    return max(begun, key=lambda folder: begun[folder])


def refuse_beside_resume(**chosen: Any) -> None:
    """Raise InputError for an option that is given beside --resume: what is trained was chosen before."""
    for name, value in chosen.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise InputError(option, value, "nothing beside --resume: what is trained was chosen before")


def _finals_in(home: Path, source: Path) -> list[Path]:
    """Return the run folders in `home` of final training runs that were chosen from a run or a trial file."""
    segments = {path.parent.parent for path in home.glob(f"*/{LEDGER}/{SEGMENTS}")}
    return [folder for folder in segments if (folder / SWEEP_FILE).is_file() and _is_final_of(folder, source)]


def _is_final_of(folder: Path, source: Path) -> bool:
    if b"chosen_from" not in (folder / SWEEP_FILE).read_bytes():  # most are sweeps, some are long
        return False
    spec = read_mapping(folder / SWEEP_FILE)
    numbered = re.compile(rf"{re.escape(default_name(source))}(-\d+)?")  # of those that do not say what they are of
    return bool(spec["final_of"] == source.name if "final_of" in spec else numbered.fullmatch(folder.name))


def default_name(source: Path) -> str:
    """Return what the final training of a run or of a trial file is called, without its number."""
    return name_from(source.name if source.is_dir() else source.stem, ending="-final")
