"""Durations, sizes and counts as text."""

from __future__ import annotations

import pytest

from ch6dist.catalog.wording import format_count
from sweeps.units import format_bytes, format_seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(61, "61 s"), (600, "10 min"), (7200, "2.0 h"), (5 * 86400, "5.0 days"), (0, "0 s")]
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_size_has_the_unit_that_suits_it() -> None:
    assert [format_bytes(n) for n in (12, 1500, 2.5e6, 1.41e11, 3e15)] == [
        "12 bytes",
        "1.5 kB",
        "2.5 MB",
        "141 GB",
        "3000.0 TB",
    ]


def test_a_count_of_one_is_singular() -> None:
    assert [format_count(n, "trial") for n in (0, 1, 2, 1200)] == ["0 trials", "1 trial", "2 trials", "1,200 trials"]
