"""What tests of sweeps build."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ray_cluster import two_cores


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a real Ray of two cores."""
    with two_cores() as found:
        yield found
