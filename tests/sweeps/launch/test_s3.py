"""Sweeps whose storage is an object store: a head that is lost with its disk costs nothing that was checkpointed."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.storage.files import join, open_folder
from tests.support.commands import driving, refused, sweep_file, sweeps
from tests.support.runs import row_count, without_ray

EPOCHS = 50
pytestmark = pytest.mark.slow


def rows_there(url: str) -> int:
    """Rows in the store's copy of the first segment."""
    return (open_folder(url).read("ledger/000001.jsonl") or b"").count(b'"kind":"row"')


@pytest.mark.parametrize("by", ["resume", pytest.param("the same command", marks=pytest.mark.exhaustive)])
def test_a_lost_head_is_replaced_and_the_sweep_ends_like_an_undisturbed_one(
    by: str, storage: str, tmp_path: Path
) -> None:
    url, run = join(storage, "tiny"), tmp_path / "runs" / "tiny"
    spec = sweep_file(tmp_path, epochs=EPOCHS, storage=storage, checkpoints={"seconds": 0.5})
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: rows_there(url) > 30)
        had = row_count(run)
        driver.until(lambda: row_count(run) > had)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    lost = row_count(run)
    shutil.rmtree(tmp_path / "runs")  # its disk is lost with it
    status = sweeps("status", url, cwd=tmp_path)
    assert "interrupted" in status.stdout
    assert 30 < row_count(run) <= lost
    shutil.rmtree(tmp_path / "runs")
    command = ("resume", url) if by == "resume" else ("run", spec, "--name", "tiny", "--resume")
    done = sweeps(*command, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert differences(read(run), without_ray(spec, tmp_path / "undisturbed")) == []
    artifacts = read(run).artifacts
    assert {name for _, name in artifacts} == {"last", "best"}
    assert not (run / "checkpoints").exists(), "they are in the store, and only there"
    again = sweeps(*command, cwd=tmp_path)
    assert "nothing to do" in again.stdout


def test_a_bucket_that_is_not_there_is_one_line_and_nothing_is_made(server: Any, tmp_path: Path) -> None:
    spec = sweep_file(tmp_path, storage=server.url("sweeps", bucket="no-such-bucket"))
    assert "no-such-bucket" in refused("run", spec, cwd=tmp_path)
    assert not (tmp_path / "runs").exists()
