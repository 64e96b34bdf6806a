"""Numbers as text: short, without losing a digit, and different where the numbers are."""

from __future__ import annotations

import pytest

from ch6dist.catalog.text import aligned, distinct_numbers, number_text, round_values, value_text
from ch6dist.catalog.wording import format_probability


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.1, "0.1"),
        (0.03, "0.03"),
        (3e-3, "3e-3"),
        (1.25e-5, "1.25e-5"),
        (0.0, "0"),
        (1.0, "1"),
        (1e6, "1e6"),
        (-0.8, "-0.8"),
    ],
)
def test_a_number_is_short_and_loses_nothing(number: float, text: str) -> None:
    assert number_text(number) == text
    assert float(text) == number


def test_numbers_have_the_digits_that_tell_them_apart() -> None:
    assert list(distinct_numbers([0.123456, 0.2]).values()) == [0.123, 0.2]
    near = [0.1, 0.1 + 1e-9, 0.30000000000000004, 0.3]
    assert len(set(distinct_numbers(near).values())) == len(set(near)) == 4
    assert list(distinct_numbers([0.9, 0.999, 0.9999]).values()) == [0.9, 0.999, 0.9999]  # a beta of 1 is another thing
    assert list(distinct_numbers([1.0, 0.99999]).values()) == [0.99999, 1.0]


def test_values_of_every_kind_have_a_text_and_stay_different() -> None:
    values = [[None, 1e-3], [0.9, 0.999], [0.9, 0.9991], {"epochs": 2.0}, {"epochs": 2.0000001}, "Crop", True, None]
    assert [value_text(value) for value in values[:4]] == ["none-1e-3", "0.9-0.999", "0.9-0.9991", "2 epochs"]
    assert len({value_text(value) for value in round_values(values).values()}) == len(values)


def test_a_probability_is_never_rounded_to_certainty() -> None:
    shown = {0.0: "< 1 %", 0.0099: "< 1 %", 0.01: "1 %", 0.5: "50 %", 0.99: "99 %", 0.9901: "> 99 %", 1.0: "> 99 %"}
    assert [format_probability(p) for p in shown] == list(shown.values())
    assert format_probability(None) == format_probability(float("nan")) == "–"


def test_cells_stand_in_columns_of_which_those_without_text_are_left_out() -> None:
    rows = [["a", "", "1"], ["long", "", "10"], ["", "", ""]]
    assert aligned(rows, left=(0,)) == ["a      1", "long  10", ""]
    assert aligned(rows, left=()) == ["   a   1", "long  10", ""]
