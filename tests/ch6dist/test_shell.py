"""Commands that are suggested can be pasted into a shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ch6dist.shell import command
from tests.support.paths import ROOT

UNQUOTED = re.compile(r"\b(sweeps|analysis|ch6dist) [a-z-]+ \{(run|folder|path|source|file)\b")


@pytest.mark.parametrize("name", ["plain", "my run", "größe", "$HOME", "a'b", "-n", ""])
def test_a_shell_reads_the_words_back(name: str) -> None:
    assert shlex.split(command("sweeps", "resume", name, 3)) == ["sweeps", "resume", name, "3"]


def test_no_source_puts_a_name_into_a_command_unquoted() -> None:
    sources = [path for part in ("ch6dist", "sweeps", "analysis") for path in (ROOT / part).rglob("*.py")]
    assert [path.name for path in sources if UNQUOTED.search(path.read_text(encoding="utf-8"))] == []
    assert UNQUOTED.search('f"`sweeps stop {run}` ends it"')


def test_a_path_below_the_working_directory_is_shown_relative_to_it(in_tmp_path: Path) -> None:
    assert command("sweeps", "top", in_tmp_path / "runs" / "my run") == "sweeps top 'runs/my run'"
    assert command("sweeps", "top", in_tmp_path.parent / "else") == f"sweeps top {in_tmp_path.parent / 'else'}"
    assert command("sweeps", "top", Path("s3") / "x") == "sweeps top s3/x"
