"""Commands in other locales, on other terminals, and in folders whose files are named like libraries."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ch6dist.runs.ledger import read
from tests.support.commands import environment
from tests.support.paths import ROOT

TRIAL = {
    "data": {"name": "synthetic_mnist", "train_size": 100, "val_size": 50},
    "model": "simple_nn",
    "optimizer": "SGD",
    "epochs": 1,
}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SHADOWS = ("json", "yaml", "torch", "numpy", "random", "logging", "pathlib", "typer", "pydantic", "ch6dist", "sweeps")


def ran(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False, env=environment(**env))


def trial_in(folder: Path, name: str) -> str:
    (folder / name).write_text(yaml.safe_dump(TRIAL))
    return name


def test_a_file_whose_name_the_locale_cannot_spell_is_read_and_its_run_folder_written(tmp_path: Path) -> None:
    done = ran("ch6dist", "train", trial_in(tmp_path, "größe.yaml"), "--run", "läufe/ü", cwd=tmp_path, **ASCII)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith("run folder: läufe/ü\n".encode()), "a pipe gets UTF-8"
    assert len(read(tmp_path / "läufe" / "ü").rows) == 1


def test_an_error_in_such_a_locale_is_one_line_too(tmp_path: Path) -> None:
    done = ran("ch6dist", "train", "größe.yaml", cwd=tmp_path, **ASCII)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_a_name_that_is_no_text_is_printed_with_question_marks(tmp_path: Path) -> None:
    done = ran("ch6dist", "train", trial_in(tmp_path, "t.yaml"), "--run", os.fsdecode(b"gr\xf6"), cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, b"run folder: gr?")


def test_a_terminal_gets_a_question_mark_for_what_it_cannot_show(tmp_path: Path) -> None:
    near, far = pty.openpty()
    command = [sys.executable, "-m", "ch6dist", "train", trial_in(tmp_path, "t.yaml"), "--run", "ü"]
    subprocess.run(command, cwd=tmp_path, stdout=far, stderr=far, check=True, env=environment(**ASCII))
    os.close(far)
    assert os.read(near, 1000).startswith(b"run folder: ?\r\n")
    os.close(near)


@pytest.mark.parametrize("program", [("ch6dist", "preview"), ("sweeps", "best"), ("analysis", "table")])
def test_files_of_the_working_directory_shadow_no_module_of_a_command(tmp_path: Path, program: tuple[str, str]) -> None:
    for name in SHADOWS:
        if name != program[0]:  # that one Python itself would start
            (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} of the working directory')")
    done = ran(*program, trial_in(tmp_path, "t.yaml"), cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert b"Traceback" not in done.stderr
    assert done.returncode == (0 if program[0] == "ch6dist" else 2), "t.yaml is no run"


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        (">/dev/full", 1, "sweeps: No space left on device\n"),
        (">&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("| head -n 1 >/dev/null", 0, ""),
    ],
)
def test_a_command_whose_output_cannot_be_written_says_so(redirection: str, status: int, said: str) -> None:
    line = f"set -o pipefail; {sys.executable} -m sweeps schema {redirection}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (status, said)


def test_output_that_is_lost_at_the_very_end_is_not_success() -> None:
    line = f"{sys.executable} -c 'from ch6dist.cli import leave; print(1); leave(0)' >/dev/full"
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(["bash", "-c", line], env=buffered, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, "output: No space left on device: what was printed is not complete\n")
