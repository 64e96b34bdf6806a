"""Where a run's files are kept: a folder (an NFS path too), or an object store such as s3://bucket/prefix.

    folder = open_folder("s3://bucket/sweeps/demo")
    folder.write("ledger/000001.jsonl", content)     # whole or not at all
    folder.read("lease.json")                        # None when there is none

The library of an object store is imported when the first of its URLs is opened: nothing else waits for it.
"""

from __future__ import annotations

import contextlib
import pkgutil
import re
from pathlib import Path
from typing import Protocol

from ch6dist.errors import InputError
from ch6dist.paths import given_path
from ch6dist.storage.atomic import replace_file

SCHEMES = {"s3": "ch6dist.storage.s3:S3Folder"}  # by name: pyarrow takes a moment to import
REMOTE = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<path>[^?]*)(?P<query>\?.*)?")
ALLOWED = "a folder, or s3://bucket/prefix (?endpoint_override=HOST:PORT&scheme=http for another server than AWS's)"


class Folder(Protocol):
    """Named files: `/` in a name makes folders as needed. All methods raise OSError if it cannot be reached."""

    def read(self, name: str) -> bytes | None:
        """Return the content; None if there is no such file."""

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Replace the file: a reader sees the old content or the new one, whole."""

    def size(self, name: str) -> int | None:
        """Return the size in bytes; None if there is no such file."""

    def sizes(self, under: str = "") -> dict[str, int]:
        """Return the bytes of every file below `under`, by its full name."""

    def names(self) -> set[str]:
        """Return the names of the files and folders directly in it."""

    def remove(self, name: str) -> None:
        """Remove the file if it is there."""


def is_remote(path: Path | str, *, key: str = "storage") -> bool:
    """Return whether `path` is a URL of an object store. InputError for one of another kind than S3."""
    found = REMOTE.fullmatch(str(path))
    if found and found["scheme"] not in SCHEMES:
        raise InputError(key, str(path), ALLOWED)
    return found is not None


def check_storage(given: str, *, key: str = "storage") -> str:
    """Return `given`, a folder's path made absolute, if runs can be kept there; else raise InputError."""
    if not isinstance(given, str) or not given.strip():
        raise InputError(key, given, ALLOWED)
    if is_remote(given, key=key):
        path = REMOTE.fullmatch(given)["path"]  # type: ignore[index]
        if "@" in path.partition("/")[0]:
            raise InputError(key, "a URL with a password in it", "keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=+-]+)*/?", path):
            raise InputError(key, given, ALLOWED)
        return given
    return str(given_path(given, key=key))


def join(path: str, *names: str) -> str:
    """Return the path or URL of `names` below `path`; the query of a URL stays at its end."""
    found = REMOTE.fullmatch(path)
    if not found:
        return str(Path(path, *names))
    below = "/".join([found["path"].rstrip("/"), *names])
    return f"{found['scheme']}://{below}{found['query'] or ''}"


def split_last(url: str) -> tuple[str, str]:
    """Split a URL before its last name: that of a run into its storage and NAME."""
    found = REMOTE.fullmatch(url)
    assert found
    home, _, name = found["path"].rstrip("/").rpartition("/")
    return f"{found['scheme']}://{home}{found['query'] or ''}", name


def open_folder(path: Path | str) -> Folder:
    """Return the folder at a path or URL, which may not exist yet. An object store gets no request yet."""
    if not is_remote(path):
        return LocalFolder(path)
    check_storage(str(path))
    opener = SCHEMES[str(path).partition(":")[0]]
    folder: Folder = pkgutil.resolve_name(opener)(str(path))
    return folder


def first_line(error: BaseException) -> str:
    """Return the first line of a storage error's message, without the request's number."""
    return str(error).partition(" (Request ID")[0].partition("\n")[0] or type(error).__name__


class LocalFolder:
    """A folder of this host, or one that hosts share."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def read(self, name: str) -> bytes | None:
        """Return the content; None if there is no such file."""
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Replace the file, on the disk before this returns."""
        replace_file(self.path / name, content, sync=True)

    def size(self, name: str) -> int | None:
        """Return the size in bytes; None if there is no such file."""
        try:
            return (self.path / name).stat().st_size
        except FileNotFoundError:
            return None

    def sizes(self, under: str = "") -> dict[str, int]:
        """Return the bytes of every file below `under`, by its full name."""
        files = (path for path in (self.path / under).rglob("*") if path.is_file())
        return {str(path.relative_to(self.path)): path.stat().st_size for path in files}

    def names(self) -> set[str]:
        """Return the names of the files and folders directly in it; none if it does not exist."""
        return {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()

    def remove(self, name: str) -> None:
        """Remove the file if it is there, and its folder if that is empty now."""
        path = self.path / name
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or not there
            path.parent.rmdir()
