"""Fixtures that tests of several packages use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

ON_RAY = (ROOT / "tests" / "sweeps" / "launch", ROOT / "tests" / "sweeps" / "on_ray")  # their tests start a Ray


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process of `pytest -n`, and all that start a Ray: two at once would meet.

    These come first, as one process is busy with them about as long as the other with all the rest.
    """
    items.sort(key=lambda item: item.path.parent not in ON_RAY)
    for item in items:
        group = "ray" if item.path.parent in ON_RAY else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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
