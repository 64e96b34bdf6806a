"""docs/your-own.md: its code is that of examples/your_own, and its commands do what the page says, as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ch6dist.runs.ledger import read
from tests.support.commands import succeed

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "your_own"
PAGE = (ROOT / "docs" / "your-own.md").read_text(encoding="utf-8")
LESS = ["epochs=2", "seeds=2", "parameters.optimizer.lr=[0.001]"]  # of the sweep, so that the test takes a minute


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert shown == [(EXAMPLE / name).read_text() for name in ("mynets.py", "mydata.py", "myoptim.py", "mysched.py")]


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    home = tmp_path / "mine"
    shutil.copytree(EXAMPLE, home)
    block = re.search(r"```\n(sweeps check .*?)```", PAGE, flags=re.DOTALL)
    assert block
    said = {}
    for line in block.group(1).splitlines():
        words = line.partition("#")[0].split()
        words += LESS if "sweep.yaml" in words else []
        module, *arguments = words
        said[arguments[0]] = " ".join(succeed(*arguments, module=module, cwd=home).stdout.split())
    assert said["check"].count("resumes exactly") == 3
    ledger = read(home / "runs" / "your-own")
    assert {ledger.status(trial) for trial in ledger.trials} == {"finished"}
    names = {line["config"]["optimizer"]["name"] for line in ledger.trials.values()}
    assert names == {"SGD", "AdamW", "myoptim:SignMomentum"}
    kept = {path.name for path in (home / "runs" / "your-own" / "code").glob("*/*")}
    assert kept == {"mynets.py", "mydata.py", "myoptim.py", "mysched.py"}
    assert (home / "runs" / "your-own" / "report" / "index.html").is_file()
    assert (home / "runs" / "your-own-final").is_dir()
