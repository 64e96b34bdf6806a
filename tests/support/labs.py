"""A visit to the laboratory, made once for all tests of a process."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from ch6dist.lab.command import visit_lab


@cache
def visited(problem: str = "regression") -> Path:
    """Return the folder of a visit with all optimizers of the catalog. Tests do not write into it."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    visit_lab(problem, [], epochs="10", lr=None, folder=folder)
    return folder
