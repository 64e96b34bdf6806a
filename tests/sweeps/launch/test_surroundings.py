"""A sweep in surroundings that are wrong in every way at once, up to its report and its final training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ch6dist.runs.ledger import read
from tests.support.commands import succeed, sweep_file

SHADOWS = ("ch6dist", "analysis", "torch", "numpy", "yaml", "random", "ray", "json", "logging", "sections", "tests")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
def test_a_sweep_runs_in_a_hostile_folder_locale_and_environment(tmp_path: Path) -> None:
    here, long = tmp_path / "größe und mehr", tmp_path / ("x" * 90)
    here.mkdir()
    long.mkdir()
    for name in SHADOWS:
        (here / f"{name}.py").write_text(f"raise RuntimeError('{name} of the working directory')")
    spec = sweep_file(here, name="tiny", epochs=1, question="Wie groß? × –", storage=str(here / "läufe"))
    hostile = {**ASCII, "TMPDIR": str(long), "HOME": "/proc/none", "WORLD_SIZE": "2", "LOCAL_RANK": "x"}
    run = here / "läufe" / "tiny"
    done = succeed("run", spec.name, cwd=here, **hostile)
    assert "TMPDIR" in done.stderr, "it says where Ray's files are instead"
    ledger = read(run)
    assert [str(ledger.status(trial)) for trial in ledger.trials] == ["finished"] * 4
    assert yaml.safe_load((run / "sweep.yaml").read_text(encoding="utf-8"))["question"] == "Wie groß? × –"
    assert "Wie groß? × –" in succeed("status", run, cwd=here, **hostile).stdout
    succeed("best", run, "-o", "größe.yaml", cwd=here, **hostile)
    assert "gro-e-final" in succeed("final", "größe.yaml", "--runs", "läufe", cwd=here, **hostile).stdout
    assert (here / "läufe" / "gro-e-final").is_dir()
