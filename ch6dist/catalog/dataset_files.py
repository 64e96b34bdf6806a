"""Where the files of a data set are, and whether they are intact: known before anything heavy is imported."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from ch6dist.catalog.datasets import DATASETS, DataFile
from ch6dist.errors import UsageError
from ch6dist.paths import given_path

VARIABLE = "CH6DIST_DATA"


class DataFilesError(UsageError):
    """Files of a data set are missing or damaged on this host."""


def data_root(root: str | None = None) -> Path:
    """Return the folder of all data sets: `data.root`, else CH6DIST_DATA, else ./data; absolute."""
    return given_path(root, key="data.root") if root else given_path(os.environ.get(VARIABLE) or "data", key=VARIABLE)


def adopt_data_root(root: str) -> None:
    """Make `root` this process's CH6DIST_DATA, unless its host has an absolute one of its own."""
    if not Path(os.environ.get(VARIABLE, "")).expanduser().is_absolute():  # relative to another working directory
        os.environ[VARIABLE] = root


def check_files(name: str, *, root: str | None = None, test: bool = False) -> None:
    """Raise DataFilesError if a file of the data set is missing or its md5 is not the published one."""
    entry = DATASETS[name]
    _check(name, data_root(root), [*entry.train_files, *(entry.test_files if test else ())])


def check_file(name: str, file: DataFile, *, root: str | None = None) -> Path:
    """Return where a file of a data set is. DataFilesError if it is missing or its md5 is not the published one."""
    folder = data_root(root)
    _check(name, folder, [file])
    return folder / file.path


def _check(name: str, folder: Path, files: Iterable[DataFile]) -> None:
    hint = f"`ch6dist data {name}` downloads it; CH6DIST_DATA or data.root says where it is"
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise DataFilesError(f"{name} is not in {folder}: {file.path} is missing", hint)
        with path.open("rb") as content:
            if hashlib.file_digest(content, "md5").hexdigest() != file.md5:
                raise DataFilesError(f"{path} is damaged: its md5 is not {file.md5}", hint)
