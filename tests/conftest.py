"""Fixtures that tests of several packages use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ch6dist.catalog.described import keep_to
from tests.support.paths import ROOT

# Files that take minutes for a few tests. Of two processes that share out the files, one would end with them alone.
LONG = tuple(ROOT / "tests" / path for path in ("sweeps/test_mutants.py", "sweeps/launch", "sweeps/on_ray"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put these files first, in an order that is the same in every process."""
    items.sort(key=lambda item: not any(item.path.is_relative_to(path) for path in LONG))


@pytest.fixture(autouse=True)
def _of_no_run() -> None:
    """Let names mean what they mean here: a command that goes on with a run says otherwise, to its end."""
    keep_to(())


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `tmp_path` the working directory, with no folders set by the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("CH6DIST_RUNS", "CH6DIST_DATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """Run an S3 server for the tests of a module; skip them where moto is not installed."""
    from tests.support.s3_server import s3_server

    with s3_server() as running:
        yield running
