"""Text is UTF-8 in every file, whatever the locale says: no source leaves the encoding to Python's choice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SOURCES = sorted(
    path for part in ("ch6dist", "sweeps", "analysis", "benchmarks", "docs") for path in (ROOT / part).rglob("*.py")
)
TEXT_METHODS = {"read_text", "write_text"}
RUNNERS = {"run", "Popen", "check_output"}


def guilty_calls(source: str) -> Iterator[int]:
    """The lines of calls that read or write text in the locale's encoding."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _is_text(node) and "encoding" not in {k.arg for k in node.keywords}:
            yield node.lineno


def _is_text(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in RUNNERS:
        return any(keyword.arg in ("text", "universal_newlines") for keyword in call.keywords)
    return name in TEXT_METHODS or (name in ("open", "fdopen") and _opens_text(call))


def _opens_text(call: ast.Call) -> bool:
    """Whether a call of open, Path.open or os.fdopen asks for text: of other methods of this name, no mode is known."""
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    modes = [arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    of_function = isinstance(call.func, ast.Name)
    return any("b" not in mode for mode in modes if set(mode) <= set("rwxabt+")) or (of_function and len(given) == 1)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_that_its_text_is_utf8(path: Path) -> None:
    assert list(guilty_calls(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        *("open(p)", "open(p, 'w')", "p.open('r')", "p.read_text()", "p.write_text('x')", "os.fdopen(3, 'w')"),
        *("subprocess.run(c, text=True)", "subprocess.Popen(c, universal_newlines=True)"),
    ],
)
def test_each_way_to_leave_it_to_the_locale_is_found(line: str) -> None:
    assert list(guilty_calls(line)) == [1]


@pytest.mark.parametrize(
    "line",
    [
        *("open(p, 'rb')", "open(p, encoding='utf-8')", "p.read_text(encoding='utf-8')", "engine.open(trial)"),
        *("subprocess.run(c, text=True, encoding='utf-8')", "subprocess.run(c)"),
    ],
)
def test_other_calls_are_not(line: str) -> None:
    assert list(guilty_calls(line)) == []
