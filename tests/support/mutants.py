"""Sweep and trial files with mistakes in them, as people and editors make them; hypothesis chooses and shrinks them.

    @mutations(500)
    def test(rng: Random) -> None:
        text = mutant(path.read_text(), rng)

Half of the mutants change what a file says (keys, values, nesting), half its text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# fmt: off
ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 3, 0.5, 1.0, -0.1, 1e-30, 1e300, 10**9, 10**30, 10**400,
    float("nan"), float("inf"), float("-inf"), "", " ", "x", "nan", "1e-3", "-inf", "010", "∞", "größe", "a\nb", "\0",
    [], [[]], [1], [0.1, 0.1], [None], {}, {"a": 1}, {1: 2}, {"name": "SGD"}, {"values": [1]}, {"epochs": 2},
    "SGD", "Adam", "StepLR", "CosineAnnealingLR", "SequentialLR", "lenet5", "mnist", "val_loss", "factor3", "~", "s3://x",
]
ODD_TEXTS = [
    "010", "10:00", "yes", "off", "0x1F", "0b1", "1_000", "1.", "+1", ".nan", "-.inf", "~", "null", "true", "9" * 5000,
    "2024-01-01", "!!int x", "!!bool 3", "!!python/name:os.system", "!x y", "*none", "<<: *none", "{<<: {epochs: 3}}",
    "&a [1, *a]", "&a {epochs: *a}", "&a {b: 1}", "[" * 2000, "[1, 2", "{", "[", "]", "}", ":", ": ", "#", "%", "@",
    "`", "'", '"', '"\\ud800"', '"\\0"', "? a", "- 1", "|", ">-", "=", "---", "...", "epochs: 3", "seeds: on",
    "\t", "\0", "\x07", "\ufeff", "\u2028", "é", "日本", "\U0001f600", "\ud800",
]
# fmt: on
NEAR = "abcdefghijklmnopqrstuvwxyz_.-0"


def mutations(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test `count` times with an `rng` of hypothesis. Its files are its own: none is left from call to call."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    chosen = settings(deadline=None, database=None, max_examples=count, suppress_health_check=checks)
    return lambda test: chosen(given(rng=st.randoms(use_true_random=False))(test))


def mutant(text: str, rng: Random) -> str:
    """Return a text that differs from `text` by one to three mistakes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = rng.choice((_of_content, _of_text))(text, rng)
    return text


def _of_content(text: str, rng: Random) -> str:
    """Change one key or value; a text that is no YAML any more stays."""
    try:
        content = yaml.safe_load(text)
        places = list(_places(content))
        if not places:
            return text
        container, key = rng.choice(places)
        rng.choice(CONTENT)(container, key, rng)
        return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except Exception:  # what PyYAML raises for odd texts is of many kinds
        return text


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container with each of its keys or indices."""
    items = list(content.items()) if isinstance(content, dict) else list(enumerate(content or ()))
    for key, value in items:
        yield content, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _drop(container: Any, key: Any, rng: Random) -> None:
    del container[key]


def _replace(container: Any, key: Any, rng: Random) -> None:
    container[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def _nudge(container: Any, key: Any, rng: Random) -> None:
    """Make a number another one, near or far; a name one letter different."""
    value = container[key]
    if isinstance(value, (int, float)):
        container[key] = value * rng.choice((-1, 0, 0.5, 2, 10, 1e6, 1e-6)) + rng.choice((0, 0, 1, -1))
    elif isinstance(value, str):
        container[key] = _misspelt(value, rng)


def _rename(container: Any, key: Any, rng: Random) -> None:
    if isinstance(container, dict):
        container[rng.choice((_misspelt(str(key), rng), "", 3, None, True, f"trial.{key}", f"{key}.x"))] = (
            container.pop(key)
        )


def _nest(container: Any, key: Any, rng: Random) -> None:
    container[key] = rng.choice(
        ([container[key]], {"values": container[key]}, {str(key): container[key]}, {"name": container[key]})
    )


def _unnest(container: Any, key: Any, rng: Random) -> None:
    value = container[key]
    if isinstance(value, dict) and isinstance(container, dict):
        container.update(container.pop(key))
    elif isinstance(value, (dict, list)) and value:
        container[key] = rng.choice(list(value.values()) if isinstance(value, dict) else value)


def _copy_elsewhere(container: Any, key: Any, rng: Random) -> None:
    """Repeat an item, or give a value to another key beside it."""
    if isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        container[rng.choice(list(container))] = copy.deepcopy(container[key])


CONTENT: tuple[Callable[[Any, Any, Random], None], ...] = (
    *(_drop, _replace, _replace, _replace, _nudge, _nudge, _rename, _nest, _unnest, _copy_elsewhere),
)


def _misspelt(word: str, rng: Random) -> str:
    position = rng.randrange(len(word) + 1)
    kept = word[position + rng.choice((0, 1)) :]
    return word[:position] + rng.choice((*NEAR, "", "")) + kept


def _of_text(text: str, rng: Random) -> str:
    lines = text.splitlines() or [""]
    number = rng.randrange(len(lines))
    line = lines[number]
    position = rng.randrange(len(line) + 1)
    lines[number : number + 1] = rng.choice(
        (
            [],
            [line, line],
            [f" {line}"],
            [line.lstrip()],
            [f"\t{line}"],
            [line[:position] + rng.choice(ODD_TEXTS) + line[position:]],
            [line[:position] + line[position + 1 :]],
            *[[line.partition(":")[0] + ": " + odd] for odd in rng.sample(ODD_TEXTS, 8)],
            [line, rng.choice(ODD_TEXTS)],
            [line[:position]],
            [line.replace(rng.choice("{}[],: "), rng.choice("{}[],: "))],
        )
    )
    return "\n".join(lines) + "\n"
