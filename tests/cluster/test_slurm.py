"""cluster/slurm.sbatch on two hosts: a lost host and a job whose time is over cost no epoch of the sweep.

No SLURM is installed: `tests/support/slurm.py` stands in for what the job script sees of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ch6dist.runs.differences import differences
from ch6dist.runs.lease import in_folder
from ch6dist.runs.ledger import read
from tests.support.commands import TINY, sweep_file
from tests.support.namespaces import wait_for, why_not
from tests.support.runs import needless_attempts, newest_epochs, raw_lines, statuses, with_checkpoint, without_ray
from tests.support.slurm import Slurm, job_hosts

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
SCRIPT = "cluster/slurm.sbatch"
SECONDS = 300
EPOCHS = 30
DATA = TINY["trial"]["data"] | {"train_size": 512}
LRS = {"optimizer.lr": {"values": [0.03, 0.01, 0.003, 0.001]}}


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    if reason := why_not():
        pytest.skip(reason)
    with job_hosts(2) as found:
        yield found


def hosts_that_train(slurm: Slurm) -> set[str]:
    titles = {name: slurm.processes(name) for name in slurm.names}
    return {name for name, lines in titles.items() if any(line.startswith("ray::ImplicitFunc") for line in lines)}


def test_a_job_goes_on_after_a_lost_host_and_after_its_time_is_over(slurm: Slurm, tmp_path: Path) -> None:
    spec = sweep_file(slurm.runs, epochs=EPOCHS, data=DATA, parameters=LRS, checkpoints={"seconds": 0})
    run, logs = slurm.runs / "night", [tmp_path / f"job-{number}.log" for number in range(3)]
    command = (SCRIPT, f"/srv/runs/{spec.name}", "night")

    job = slurm.sbatch(*command, log=logs[0])
    further(slurm, run, logs[0])
    slurm.kill("worker-1")  # the power is out: SLURM ends the job and starts it again where there is a node
    slurm.boot("worker-1")
    slurm.end_job(job)

    job = slurm.sbatch(*command, log=logs[1])
    further(slurm, run, logs[1])
    slurm.signal_batch()  # the time is nearly over
    wait_for(lambda: slurm.requeued, what="the job to put itself back", seconds=SECONDS)
    assert in_folder(run) is None, "the driver had ended, and given the run back"
    assert [line["reason"] for line in raw_lines(run, "event")][-1] == "asked to stop"
    saved = {trial for trial in newest_epochs(run) if with_checkpoint(run, trial)}
    assert saved == set(newest_epochs(run))
    slurm.end_job(job)

    job = slurm.sbatch(*command, log=logs[2])
    wait_for(lambda: job.poll() is not None, what=f"the job to end, {logs[2]}", seconds=SECONDS)
    assert job.returncode == 0, logs[2].read_text()
    ledger = read(run)
    assert set(statuses(ledger).values()) == {"finished"}
    assert len(ledger.sweeps) == 3
    assert differences(ledger, without_ray(spec, tmp_path / "alone")) == []
    assert needless_attempts(run) == []
    assert set(Counter((row["trial"], row["epoch"]) for row in ledger.rows).values()) == {1}


def further(slurm: Slurm, run: Path, log: Path) -> None:
    """Wait until both hosts train, and every trial has more epochs than before, but is not done."""
    before = newest_epochs(run)
    wait_for(lambda: hosts_that_train(slurm) == set(slurm.names), what=f"both to train\n{log}", seconds=SECONDS)
    wait_for(lambda: len(now := newest_epochs(run)) == 4 and now != before, what="epochs", seconds=SECONDS)
    assert min(newest_epochs(run).values()) < EPOCHS, "too quick to be disturbed"
