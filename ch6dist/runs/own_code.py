"""The user's own files that the trials of a run are made of: kept in the run folder as they were.

    code = own_code(trials)                 # read where they lie, checked against the hashes that the trials have
    keep(run, code)                         # RUN/code/HASH/myoptim.py, RUN/code/HASH/helper.py
    code = own_code(trials, runs=[run])     # from there again, whatever the working directory has by now
    folder = unpack(code.files["1c0ffee5abcd"])     # to import from

They are small, so they travel to a worker in its job. Ray could bring them (`runtime_env`, `py_modules`), but puts what
it brings before all libraries, knows one version of a name per process, and starts other workers for it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ch6dist.catalog.described import Description, in_use
from ch6dist.catalog.fingerprints import full_hash, hash_of
from ch6dist.errors import UsageError
from ch6dist.paths import cache_folder
from ch6dist.runs.names import CODE
from ch6dist.storage.atomic import replace_file

Files = Mapping[str, bytes]  # contents by path, below the folder that is to be on the path


@dataclass(frozen=True)
class OwnCode:
    """What trials need that neither the catalog nor an installed library has."""

    described: tuple[Description, ...] = ()  # of libraries too
    files: Mapping[str, Files] = field(default_factory=dict)  # by the hash that a configuration has as `code`

    @property
    def names(self) -> list[str]:
        """Return the paths of all files."""
        return sorted({path for files in self.files.values() for path in files})


def own_code(*contents: Any, runs: Sequence[Path] = ()) -> OwnCode:
    """Return what configurations, or a sweep, need, with the files as they are kept in `runs`, or else lie anywhere.

    Raises UsageError where a file is lost, or is not what its hash says.
    """
    described = tuple(in_use(*contents))
    return OwnCode(described, {one.code: _files_of(one, runs) for one in described if one.code})


def keep(run: Path, code: OwnCode) -> None:
    """Copy files into a run folder; those that are there stay."""
    for name, files in code.files.items():
        for path, content in files.items():
            copy = run / CODE / name / path
            if not copy.is_file() or copy.read_bytes() != content:
                replace_file(copy, content, sync=True)


def unpack(files: Files) -> Path:
    """Return a folder of this user that has these files and no others, for as long as the cache is kept.

    Not the run's own: it may have more in it than what was checked, compiled files above all.
    """
    digest = full_hash(digests(files))
    try:
        return _unpacked(cache_folder() / CODE / digest, files)
    except OSError:  # a cache that cannot be written
        return _unpacked(Path(tempfile.mkdtemp(prefix="ch6dist-code-")), files)


def unpack_all(code: OwnCode) -> dict[str, str]:
    """Return the folder of each hash's files."""
    return {name: str(unpack(files)) for name, files in code.files.items()}


def digests(files: Files) -> dict[str, str]:
    """Return the sha256 of each file."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def changed_here(code: OwnCode, folder: Path) -> list[str]:
    """Return which of the files a folder has with other content."""
    found = []
    for path in code.names:
        known = [files[path] for files in code.files.values() if path in files]
        here = folder / path
        found += [path] if here.is_file() and here.read_bytes() not in known else []
    return found


def _unpacked(folder: Path, files: Files) -> Path:
    for path, content in files.items():
        copy = folder / path
        if not copy.is_file() or copy.read_bytes() != content:
            replace_file(copy, content)
    return folder


def _files_of(one: Description, runs: Sequence[Path]) -> Files:
    if hash_of(one.files) != one.code or not all(map(_is_below, one.files)):
        raise UsageError(f"the record of {one.name} is damaged: its files have another hash", "restore it from a copy")
    homes = [run / CODE / one.code for run in runs]
    home = next((home for home in homes if home.is_dir()), Path(one.root) if one.root else None)
    if home is None:
        kept = ", ".join(map(str, homes)) or "no run"
        raise UsageError(f"the code of {one.name} is lost: {kept} has no files of it", "restore them from a copy")
    files = {}
    for path, known in one.files.items():
        try:
            content = (home / path).read_bytes()
        except OSError as error:
            raise UsageError(f"{home / path} cannot be read: {error.strerror}", "restore it from a copy") from None
        if hashlib.sha256(content).hexdigest() != known:
            hint = "restore it from a copy" if home in homes else "start it again"
            raise UsageError(f"{home / path} has changed: it is not the code of {one.name} that was recorded", hint)
        files[path] = content
    return files


def _is_below(path: str) -> bool:
    """Return whether a recorded path stays in its folder."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and path.endswith(".py")
