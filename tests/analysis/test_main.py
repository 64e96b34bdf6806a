"""The command line of the analysis: names, folders, wrong input, and an installation without torch and ray."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ledgers import twelve
from tests.support.paths import ROOT


def command(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-m", "analysis", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )


def test_help_needs_neither_pandas_nor_matplotlib():
    code = "import sys, analysis.__main__; print([m for m in ('pandas', 'matplotlib', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"
    for flag in ("-h", "--help"):
        assert "report" in command(flag).stdout


def test_commands_find_a_run_by_name_and_write_where_they_say(tmp_path):
    twelve(tmp_path / "runs" / "twelve")
    found = command("report", "twelve", "--runs", tmp_path / "runs")
    assert (found.returncode, found.stderr) == (0, "")
    assert Path(found.stdout.strip()) == tmp_path / "runs" / "twelve" / "report" / "index.html"
    found = command("plot", "lr_sensitivity", "twelve", "-o", tmp_path / "out", CH6DIST_RUNS=str(tmp_path / "runs"))
    assert found.returncode == 0
    assert Path(found.stdout.strip()).is_file()


def test_table_is_one_json_document_without_nan(tmp_path):
    run = twelve(tmp_path / "twelve")
    document = json.loads(command("table", run, "--json").stdout, parse_constant=pytest.fail)
    assert [row["lr"] for row in document["leaderboard"]] == [0.1, 0.001, 0.01, 0.1]
    assert document["leaderboard"][3]["p_best"] is None
    assert document["rule"].startswith("mean val_accuracy")
    assert "| 1 " in command("table", run).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "nowhere"), "RUN: 'nowhere' is not allowed"),
        (("plot", "lr_sensitivty", "RUN"), "did you mean 'lr_sensitivity'?"),
        (("plot", "lr_range_test", "RUN"), "no range test"),
        (("report", "RUN", "-o", "/dev/null/out"), "cannot write to /dev/null/out: Not a directory"),
        (("report", "RUN", "OTHER"), "-o is required: a folder for the report of several runs"),
        (("tabel", "RUN"), "tabel"),
        (("table",), "RUN"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(tmp_path, arguments, message):
    runs = {"RUN": twelve(tmp_path / "a"), "OTHER": twelve(tmp_path / "b")}
    found = command(*[runs.get(name, name) for name in arguments], cwd=tmp_path)
    assert found.returncode == 2
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_a_damaged_ledger_is_named_with_its_line(tmp_path):
    run = twelve(tmp_path / "run")
    (run / "ledger" / "000002.jsonl").write_text("{broken\n")
    found = command("table", run)
    assert found.returncode == 2
    assert "000002.jsonl:1" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_the_base_installation_reports_without_torch_and_ray(tmp_path):
    run = twelve(tmp_path / "run")
    source = tmp_path / "source"
    for package in ("ch6dist", "sweeps", "analysis"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", source], check=True)
    probe = "import importlib.util as u; print([n for n in ('torch', 'ray') if u.find_spec(n)])"
    found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == "[]"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    made = subprocess.run(
        [tmp_path / "venv" / "bin" / "analysis", "report", run],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert (run / "report" / "index.html").is_file()
