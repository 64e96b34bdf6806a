"""Code that a run folder brings is code that runs: none that this user has not run here before, unless they say so.

    check_trust(run, code, contents, trust=False)       # asks on a terminal; UsageError without one
    accept(code, contents)                              # they wrote the names themselves: `sweeps run`

What was run before is kept in the user's cache by the hash of its content, not by its place: a copy of a run folder
asks no second time, a changed file does.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path
from typing import Any

from ch6dist.catalog.described import texts_in
from ch6dist.catalog.fingerprints import full_hash
from ch6dist.catalog.lookup import IMPORT_PATH
from ch6dist.errors import UsageError
from ch6dist.paths import cache_folder
from ch6dist.runs.own_code import OwnCode, digests
from ch6dist.storage.atomic import replace_file

ACCEPTED = "trusted-code"  # a hash and what it is of, a line each


def accept(code: OwnCode, *contents: Any) -> None:
    """Remember that this user runs this code, and what configurations import besides it."""
    known = _accepted()
    new = {digest: what for digest, what in _needed(code, contents).items() if digest not in known}
    if new:
        lines = [*known.values(), *(f"{digest} {what}" for digest, what in new.items())]
        with contextlib.suppress(OSError):  # then it is asked again
            replace_file(_place(), "".join(f"{line}\n" for line in lines))


def check_trust(run: Path, code: OwnCode, *contents: Any, trust: bool = False) -> None:
    """Raise UsageError unless the user has run all of this before, or says now that it may run.

    Args:
        code: with the files of the run folder.
        contents: configurations and axes: an import path in them is code too, also of what is installed.
        trust: they have said so.
    """
    known = _accepted()
    unknown = [what for digest, what in _needed(code, contents).items() if digest not in known]
    if unknown and not trust and not _agreed(run, unknown):
        raise UsageError(f"{run} brings code of its own: {', '.join(unknown)}", "--trust runs it")
    accept(code, *contents)


def _agreed(run: Path, what: list[str]) -> bool:
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{run} brings code of its own: {', '.join(what)}; run it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _needed(code: OwnCode, contents: Any) -> dict[str, str]:
    """Return what runs, by its hash: the user's own files, and what is imported from what is installed."""
    own = {full_hash(digests(files)): ", ".join(sorted(files)) for files in code.files.values()}
    ours = {one.name for one in code.described if one.code}
    paths = {text for text in texts_in(contents) if IMPORT_PATH.fullmatch(text)} - ours
    return own | {hashlib.sha256(path.encode()).hexdigest(): path for path in sorted(paths)}


def _accepted() -> dict[str, str]:
    """Return the lines of what was accepted, by their hashes."""
    try:
        lines = _place().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    return {line.partition(" ")[0]: line for line in lines if line}


def _place() -> Path:
    return cache_folder() / ACCEPTED
