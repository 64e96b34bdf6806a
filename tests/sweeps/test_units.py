"""Numbers as a person says them."""

from __future__ import annotations

import pytest

from sweeps.units import format_bytes, format_seconds


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "61 s"), (600, "10 min"), (7200, "2.0 h"), (5 * 86400, "5.0 days"), (0, "0 s")]
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert format_seconds(seconds) == words


def test_sizes_read_as_people_say_them() -> None:
    assert [format_bytes(n) for n in (12, 1500, 2.5e6, 1.41e11, 3e15)] == [
        "12 bytes",
        "1.5 kB",
        "2.5 MB",
        "141 GB",
        "3000.0 TB",
    ]
