"""How workers fail: damaged checkpoints, a full disk, missing data. The reason is reported and little is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import Ledger, read
from tests.support.commands import driving, succeed, sweep_file, sweeps
from tests.support.runs import raw_lines, statuses, without_ray


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[Path, Path, Ledger]:
    """A sweep whose driver died: one trial finished, three left off with checkpoints; and its undisturbed ledger."""
    spec, run = sweep_file(tmp_path, epochs=6), tmp_path / "runs" / "tiny"
    without_ray(spec, run, epochs=3, whole=["adam-lr0.01-"])
    return spec, run, without_ray(spec, tmp_path / "alone")


def test_resume_continues_from_checkpoints_and_a_damaged_one_fails_only_its_trial(
    tmp_path: Path, interrupted: tuple[Path, Path, Ledger]
) -> None:
    _, run, alone = interrupted
    damaged = next(trial for trial in alone.trials if trial.startswith("sgd-momentum0.9-lr0.001"))
    (run / "checkpoints" / damaged / "last.pt").write_bytes(b"no checkpoint")
    found = sweeps("resume", run, cwd=tmp_path)
    assert found.returncode == 1, found.stdout + found.stderr
    assert Counter(statuses(read(run)).values()) == {"finished": 3, "failed": 1}
    reported = [line for line in found.stdout.splitlines() if line.startswith(f"failed: {damaged}")]
    assert len(reported) == 1
    assert "is no readable checkpoint" in reported[0]
    assert read(run).statuses[damaged]["traceback"]
    steps = Counter((row["trial"], row["step"]) for row in raw_lines(run, "row") if row["trial"] != damaged)
    assert set(steps.values()) == {1}  # nothing was trained twice

    succeed("rerun", run, "--failed", cwd=tmp_path)
    assert {trial: read(run).attempt(trial) for trial in alone.trials} == {
        trial: 2 if trial == damaged else 1 for trial in alone.trials
    }
    assert differences(read(run), alone) == []


@pytest.mark.slow
def test_checkpoints_that_cannot_be_written_end_the_sweep_with_the_reason(
    tmp_path: Path, interrupted: tuple[Path, Path, Ledger]
) -> None:
    _, run, alone = interrupted
    kept = shutil.move(run / "checkpoints", tmp_path / "kept")
    (run / "checkpoints").write_text("in the way")
    found = sweeps("resume", run, cwd=tmp_path)
    assert found.returncode == 1
    assert "checkpoints" in found.stdout
    assert "sweeps resume" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr
    (run / "checkpoints").unlink()
    shutil.move(kept, run / "checkpoints")
    succeed("resume", run, cwd=tmp_path)
    assert differences(read(run), alone) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk cannot be mounted here (that needs root)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("free", [0, 600_000])
def test_a_full_disk_ends_the_sweep_with_the_reason_and_resume_completes_it(
    free: int, tmp_path: Path, small_disk: Path
) -> None:
    """Without a free byte the ledger cannot be written; with some, the checkpoints cannot."""
    total = {"total": "1 GB"}  # more than the disk has: else the launch would be refused
    spec, run = sweep_file(tmp_path, epochs=4, checkpoints=total), small_disk / "tiny"
    with driving("run", spec, "--runs", small_disk, cwd=tmp_path) as driver:
        driver.until(lambda: raw_lines(run, "pack"))
        ballast = small_disk / "ballast"
        left = shutil.disk_usage(small_disk).free - free
        ballast.write_bytes(b"x" * left)
        assert driver.wait() == 1, driver.output()
        assert "No space left" in driver.output()
        assert "sweeps resume" in driver.output()
        assert "Traceback" not in driver.output()
    assert len(read(run).trials) == 4
    ballast.unlink()
    succeed("resume", run, cwd=tmp_path)
    assert differences(read(run), without_ray(spec, tmp_path / "alone")) == []


@pytest.mark.slow
@pytest.mark.exhaustive
def test_data_that_vanish_halt_the_sweep_until_they_are_back(tmp_path: Path) -> None:
    root = Path(os.environ.get("CH6DIST_DATA", "data"))
    if not (root / "cifar-100-python" / "train").is_file():
        pytest.skip("CIFAR-100 is not here: set CH6DIST_DATA")
    shutil.copytree(root / "cifar-100-python", tmp_path / "data" / "cifar-100-python")
    data = {"name": "cifar100", "root": str(tmp_path / "data"), "train_size": 256, "val_size": 64, "augment": "none"}
    spec = sweep_file(tmp_path, trial={"data": data, "epochs": 2})
    run, file = tmp_path / "runs" / "tiny", tmp_path / "data" / "cifar-100-python" / "train"
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: (run / "ledger").is_dir())
        hidden = file.rename(tmp_path / "hidden")
        assert driver.wait() == 1, driver.output()
        assert "cifar-100-python/train" in driver.output()
        assert "sweeps resume" in driver.output()
    hidden.rename(file)
    succeed("resume", run, cwd=tmp_path)
    assert set(statuses(read(run)).values()) == {"finished"}
