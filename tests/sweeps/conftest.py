"""Fixtures that tests of several folders of sweeps use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ray_cluster import two_cores


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a real Ray of two cores."""
    with two_cores() as found:
        yield found


@pytest.fixture
def one_core() -> Iterator[None]:
    """A slot for one pack at a time, whatever this machine has."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def storage(server: Any, tmp_path: Path) -> str:
    """Return the URL of a folder in an S3 server that is this test's own."""
    return server.url(f"sweeps/{tmp_path.name}")
