"""Programs whose output must not depend on the process that runs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import ROOT


def assert_same_elsewhere(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that a program prints here what it prints in a new process with another hash seed."""
    options = {"capture_output": True, "text": True, "check": True, "cwd": ROOT}
    env = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"}
    elsewhere = subprocess.run([sys.executable, "-c", program], env=env, **options).stdout
    exec(program, {})
    assert capsys.readouterr().out == elsewhere
