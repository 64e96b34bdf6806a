"""YAML as a person writes it: what it means, what it does not mean, and what is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError, UsageError
from ch6dist.yamlfile import parse_override, read_mapping

MERGED = """
base: &base {name: SGD, lr: 0.1}
fast: &fast {<<: *base, lr: 0.5}
faster: {<<: *fast, lr: 1.0}
list: [*fast, {<<: *fast, momentum: 0.9}]
both: {<<: [*fast, *base], name: Adam}
deep: {inner: {inner: {<<: *base, name: NAdam}}}
again: *fast
"""


def content(text: str, folder: Path) -> dict[str, Any]:
    path = folder / "file.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return read_mapping(path)


def test_merge_keys_and_aliases_have_yaml_s_own_meaning_at_any_depth(tmp_path: Path) -> None:
    fast = {"name": "SGD", "lr": 0.5}
    assert content(MERGED, tmp_path) == {
        "base": {"name": "SGD", "lr": 0.1},
        "fast": fast,
        "faster": {"name": "SGD", "lr": 1.0},
        "list": [fast, {**fast, "momentum": 0.9}],
        "both": {"name": "Adam", "lr": 0.5},  # of several merged mappings the first wins
        "deep": {"inner": {"inner": {"name": "NAdam", "lr": 0.1}}},
        "again": fast,
    }


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {x: 1}\nb: {<<: *a, y: 1, y: 2}",
        "a: &a {x: 1, x: 2}\nb: {<<: *a}",
        "a: &a {x: 1}\nb: {<<: *a, <<: *a}",
        "a: [{b: {c: 1, 'c': 2}}]",
    ],
)
def test_a_key_that_is_really_given_twice_is_refused_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"file\.yaml: line \d, column \d+: the key '.+' a second time"):
        content(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("010", 8),
        ("-017", -15),
        ("0b101", 5),
        ("10:00", 600),
        ("1:30.5", 90.5),
        ("yes", True),
        ("Off", False),
        ("NO", False),
        ("on", True),
    ],
)
def test_what_yaml_1_1_alone_reads_as_a_number_or_truth_is_text_that_knows_it(
    text: str, meaning: Any, tmp_path: Path
) -> None:
    assert yaml.safe_load(text) == meaning  # what PyYAML makes of it
    for value in (content(f"key: {text}", tmp_path)["key"], parse_override(f"key={text}")[1]):
        assert value == text
        assert repr(value) == f"{text!r} ({str(meaning).lower()} in YAML 1.1)"
        assert as_number(value) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("-3", -3),
        ("0", 0),
        ("1_000", 1000),
        ("0x10", 16),
        ("1.0", 1.0),
        (".5", 0.5),
        ("1.5e+3", 1500.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("'010'", "010"),
        ("y", "y"),
    ],
)
def test_plain_numbers_truth_and_text_are_what_they_look_like(text: str, value: Any, tmp_path: Path) -> None:
    found = content(f"key: {text}", tmp_path)["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["010", "08", "'010'", "007", "+01"])
def test_a_number_with_a_leading_zero_is_none(text: str) -> None:
    assert as_number(parse_override(f"key={text}")[1]) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &a [*a]", "contains itself"),
        ("a: &a {<<: *a}", "contains itself"),
        ("a: !!int many", "no int"),
        ("a: !!bool 3", "no bool"),
        ("a: " + "9" * 5000, "no int"),
        ('a: "\\ud800"', "surrogate"),
        ("a: !!timestamp 2024-01-01", "timestamp"),
        ("a: !!binary aGk=", "binary"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("? [a]\n: 1", "unhashable key"),
        (
            "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else 'x'}]" for n in range(9)),
            "1000000 values",
        ),
    ],
)
def test_what_is_not_plain_is_refused_in_one_line(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        content(text, tmp_path)
    assert "\n" not in str(caught.value)
    value = text.partition(": ")[2]
    if "\n" not in text and text.startswith("a: "):
        with pytest.raises(InputError, match="a value as in a YAML file"):
            parse_override(f"key={value}")
