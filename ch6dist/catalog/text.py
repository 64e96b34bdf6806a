"""Values of parameters as text, short and different where the values are; and names from outside as a line of text.

value_text([0.9, 0.999])                        # '0.9-0.999'
distinct_numbers([0.123456, 0.2])               # {0.123456: 0.123, 0.2: 0.2}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

LISTED = 3  # names that a message lists


def value_text(value: Any) -> str:
    """Return a value in few characters, without losing a digit: 0.9, 3e-3, 2 epochs, 0.8-0.99."""
    if isinstance(value, Mapping):
        return f"{number_text(value['epochs'])} epochs"
    if isinstance(value, (list, tuple)):
        return "-".join(value_text(item) for item in value)
    return number_text(value) if isinstance(value, float) else str(value).lower()


def number_text(number: float) -> str:
    """Return a number in few characters, without losing a digit: 0.1, 0.03, 3e-3, 1.25e-5."""
    if number == 0 or 0.01 <= abs(number) < 1000:
        return repr(float(number)).removesuffix(".0")
    shortest = next(text for digits in range(18) if float(text := f"{number:.{digits}e}") == number)
    mantissa, exponent = shortest.split("e")
    return f"{mantissa}e{int(exponent)}"


def list_text(noun: str, numbers: Sequence[int]) -> str:
    """Return whole numbers with their noun: `seed 3`, `seeds 0, 1, 7`, and `seeds 0 … 9` where many are in a row."""
    if len(numbers) > 3 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{noun}s {numbers[0]} … {numbers[-1]}"
    return f"{noun if len(numbers) == 1 else noun + 's'} {', '.join(map(str, numbers))}"


def one_line(text: str) -> str:
    """Return text from outside as one line that can be written anywhere, with � for what cannot."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> list[str]:
    """Return rows of cells as lines of columns, those of the places in `left` on the left, others on the right.

    A column without text is left out.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            if width
        ).rstrip()
        for row in rows
    ]


def distinct_numbers(numbers: Iterable[float], *, digits: int = 3) -> dict[float, float]:
    """Return each number rounded to as few significant digits, `digits` or more, as leave different ones different.

    None becomes 1 that is not: a beta of 0.9999 is no beta of 1.
    """
    distinct = sorted(set(numbers))
    for kept in range(digits, 17):
        rounded = {number: float(f"{number:.{kept}g}") for number in distinct}
        becomes_one = any(shown == 1 != number for number, shown in rounded.items())
        if len(set(rounded.values())) == len(distinct) and not becomes_one:
            return rounded
    return {number: number for number in distinct}


def round_values(values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of one parameter by their `repr`, numbers rounded as far as different values stay different."""
    shown = distinct_numbers(number for value in values for number in _floats(value))
    return {repr(value): _replace_floats(value, shown) for value in values}


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        yield from _floats(value["epochs"])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _floats(item)


def _replace_floats(value: Any, shown: Mapping[float, float]) -> Any:
    if isinstance(value, float):
        return shown[value]
    if isinstance(value, Mapping):
        return {"epochs": _replace_floats(value["epochs"], shown)}
    return [_replace_floats(item, shown) for item in value] if isinstance(value, (list, tuple)) else value
