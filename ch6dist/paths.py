"""Paths as a person gives them, in a file, an option or the environment: one meaning, wherever one is read.

given_path("~/data")                        # /home/me/data, for good: it is absolute
shown_path(Path("/home/me/runs/demo"))      # runs/demo, in /home/me: for a person who reads it now
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ch6dist.errors import InputError


def given_path(path: Path | str, *, key: str = "path") -> Path:
    """Return `path` as the process that reads it means it: `~` expanded, absolute from its working directory.

    A path is absolute from here on: it may be handed to other processes and hosts. InputError for a `~name` of nobody
    and for what no file can be called.
    """
    if "\0" in str(path):
        raise InputError(key, str(path), "a path without the character NUL")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # there is no such user
        raise InputError(
            key, str(path), "a path; `~` is the home folder, `~name` that of a user of this machine"
        ) from None


def cache_folder() -> Path:
    """Return the user's cache: `${XDG_CACHE_HOME:-~/.cache}/ch6dist`, below TMPDIR for a user without a home."""
    home = os.path.expanduser("~")  # stays as it is for a user without a home, as in a container
    cache = os.environ.get("XDG_CACHE_HOME") or (Path(home, ".cache") if home != "~" else tempfile.gettempdir())
    return Path(cache, "ch6dist")


def shown_path(path: Path) -> Path:
    """Return a path as a person in the working directory would write it: relative where it lies below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
