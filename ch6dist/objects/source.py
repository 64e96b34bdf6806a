"""The files that are the user's own: which of them a module brought in, and their hash.

    with first_imports() as own:        # of the working directory, or of the folder of a run that has the code
        import_module("mynets")
    own("mynets")                       # Sources(root="/home/me/nets", files={"mynets.py": "e3b0…"}, code="1c0ffee5…")

A module that is installed (below site-packages, or of Python itself) is no user's own: its version says what it is.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ch6dist.catalog.described import file_hash

OURS = ("ch6dist", "sweeps", "analysis")
HASH_DIGITS = 12


@dataclass(frozen=True)
class Sources:
    """The user's own files behind a module; none for what is installed."""

    root: str
    files: Mapping[str, str]  # path below root → sha256
    code: str  # the hash of them all; empty without files


def sources_of(module: ModuleType) -> Sources:
    """Return the files of a module, and of the modules that have been imported from the same folder.

    Its folder is the one that has to be on the path: for `nets.small` in nets/small.py it is the one that has nets/.
    """
    file = Path(getattr(module, "__file__", None) or "").resolve()
    if not is_own(module):
        return Sources("", {}, "")
    depth = len(module.__name__.split(".")) + (file.name == "__init__.py")
    root = file.parents[depth - 1]
    found = {}
    for other in list(sys.modules.values()):
        path = Path(getattr(other, "__file__", None) or "").resolve()
        if is_own(other) and path.is_relative_to(root):
            found[path.relative_to(root).as_posix()] = file_hash(path)
    files = dict(sorted(found.items()))
    return Sources(str(root), files, hash_of(files))


def hash_of(files: Mapping[str, str]) -> str:
    """Return the hash of a set of files, by their paths and contents."""
    text = "\n".join(f"{path} {digest}" for path, digest in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def is_own(module: ModuleType) -> bool:
    """Return whether a module is a file of the user's own: neither installed, nor of Python, nor of this project."""
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py") or module.__name__ == "__main__":
        return False
    if module.__name__.partition(".")[0] in OURS:
        return False
    path = Path(file).resolve()
    return "site-packages" not in path.parts and not any(path.is_relative_to(one) for one in _installed_folders())


@functools.cache  # asked of each of some thousand modules
def _installed_folders() -> set[Path]:
    return {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
