"""Trials that two workers train: the same numbers as one worker's, and nothing left behind however they end."""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from ch6dist.host.hardware import visible_devices
from ch6dist.runs.lease import current
from ch6dist.runs.ledger import Ledger, read
from tests.support.commands import TINY, Driving, driving, refused, succeed, sweep_file
from tests.support.namespaces import wait_for
from tests.support.processes import alive, cmdline, offspring, trainers, workers
from tests.support.ray_cluster import left_in
from tests.support.runs import raw_lines, row_count, statuses, without_ray

EPOCHS = 20
LONG = 100_000  # epochs; never reached
TWO = {"resources": {"workers": 2}}
DATA = TINY["trial"]["data"]
BUSY = re.compile("ray::(?!IDLE|.*Agent)")  # titles of Ray's processes that are busy
LISTENS = "0A"  # a state in the kernel's table of sockets
MEASURED = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "momentum", "step", "epoch")


def apart(one: Ledger, other: Ledger, *, epochs: float = math.inf) -> float:
    """The largest difference of two ledgers' numbers in the first `epochs`, relative to what is compared."""
    pairs = [
        (row[name], twin[name])
        for row, twin in zip(one.rows, other.rows, strict=True)
        for name in MEASURED
        if row["epoch"] <= epochs and (row[name], twin[name]) != (None, None)
    ]
    assert pairs
    return max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs)


@pytest.mark.slow
def test_two_workers_train_what_one_trains_in_fp64(tmp_path: Path, address: str) -> None:
    uneven = DATA | {"batch_size": 51}  # 25 and 26 images; at last a single one, and a worker without any
    spec = sweep_file(tmp_path, precision="fp64", data=uneven, **TWO)
    done = succeed("run", spec, "--address", address, cwd=tmp_path)
    assert "2 workers train each trial (global batch 51 = 25 + 26), on one host" in done.stdout
    ledger, alone = read(tmp_path / "runs" / "tiny"), without_ray(spec, tmp_path / "alone")
    assert list(ledger.trials) == list(alone.trials)
    assert statuses(ledger) == statuses(alone)
    assert apart(ledger, alone) < 1e-9
    first = [lines[0] for lines in ledger.history.values()]
    assert [(line["workers"], line["batch_size"], line["rows_per_worker"]) for line in first] == [(2, 51, [25, 26])] * 4


@pytest.mark.slow
def test_a_batch_per_worker_trains_the_product(tmp_path: Path, address: str) -> None:
    one = {"parameters": {"optimizer.lr": {"values": [0.001]}}}
    resources = {"workers": 2, "batch": "per_worker"}
    spec = sweep_file(tmp_path, data=DATA | {"batch_size": 32}, resources=resources, **one)
    succeed("run", spec, "--address", address, cwd=tmp_path)
    product = sweep_file(tmp_path, data=DATA | {"batch_size": 64}, name="product", **one)
    ledger, alone = read(tmp_path / "runs" / "tiny"), without_ray(product, tmp_path / "alone")
    assert list(ledger.trials) == list(alone.trials)
    assert apart(ledger, alone, epochs=1) < 1e-5
    [line] = [line for line in raw_lines(tmp_path / "runs" / "tiny", "status") if line["status"] == "running"]
    assert (line["batch_size"], line["rows_per_worker"]) == (64, [32, 32])


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["diverged", "stopped"])
def test_ten_trials_ended_early_in_a_row_leave_nothing_behind(tmp_path: Path, address: str, ending: str) -> None:
    lrs = [(1e6 if ending == "diverged" else 1e-3) * (1 + k / 100) for k in range(10)]
    spec = sweep_file(tmp_path, epochs=LONG, parameters={"optimizer.lr": {"values": lrs}}, **TWO)
    run, ports = tmp_path / "runs" / "tiny", listening(offspring(os.getpid()))
    with driving("run", spec, "--address", address, cwd=tmp_path) as driver:
        if ending == "stopped":
            burdens = [stopped(run, driver) for _ in lrs]
            assert max(burdens) == burdens[0]  # the workers stay for the next trial; what each opened does not
        assert driver.wait() == 0, driver.output()
    assert list(statuses(read(run)).values()) == [ending] * 10
    assert raw_lines(run, "event") == []
    wait_for(lambda: not [pid for pid in offspring(os.getpid()) if BUSY.search(cmdline(pid))])
    wait_for(lambda: listening(offspring(os.getpid())) <= ports)
    assert left_in(address) == []


@pytest.mark.slow
def test_a_killed_rank_costs_what_came_after_the_checkpoint_and_one_line(tmp_path: Path, address: str) -> None:
    one = {"parameters": {"optimizer.lr": {"values": [0.001]}}, "checkpoints": {"seconds": 0}}
    spec, run = sweep_file(tmp_path, epochs=EPOCHS, precision="fp64", **one, **TWO), tmp_path / "runs" / "tiny"
    with driving("run", spec, "--address", address, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > 3)
        [rank] = set(trainers(os.getpid())) - set(workers(os.getpid()))
        os.kill(rank, signal.SIGKILL)
        written = row_count(run)
        assert driver.wait() == 0, driver.output()
    [event] = raw_lines(run, "event")
    assert (event["reason"], event["what"]) == ("its worker process died", "retried")
    first, again = [line for line in raw_lines(run, "status") if line["status"] == "running"]
    assert (first["attempt"], again["attempt"]) == (1, 1)
    assert written - 1 <= again["epoch"] <= event["epochs"][0]
    assert row_count(run) <= EPOCHS + 1
    assert apart(read(run), without_ray(spec, tmp_path / "alone")) < 1e-9


@pytest.mark.parametrize("lack", [{"workers": 64}, {"workers": 2, "gpus": 1}, {"workers": 2, "cpus": 64}])
def test_resources_that_no_host_has_are_refused_in_one_line(tmp_path: Path, lack: dict[str, int]) -> None:
    if "gpus" in lack and visible_devices().gpus:
        pytest.skip("there is a GPU here")
    line = refused("run", sweep_file(tmp_path, resources=lack), cwd=tmp_path)
    assert "resources." in line
    assert "at most" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    spec, run = sweep_file(tmp_path, epochs=LONG, **TWO), tmp_path / "runs" / "tiny"
    with driving("run", spec, cwd=tmp_path) as driver:
        driver.until(lambda: row_count(run) > 3)
        assert len(trainers(driver.pid)) == 2
        started = offspring(driver.pid)
        driver.interrupt()
        assert driver.wait() == 130
        assert "Traceback" not in driver.output()
        wait_for(lambda: not alive(started))
    assert not listening(started)
    assert current(run) is None
    assert "running" in statuses(read(run)).values()  # it was not given up


def stopped(run: Path, driver: Driving) -> int:
    """Stop the trial that trains; how many ports its workers listened on meanwhile."""
    before = row_count(run)
    driver.until(lambda: row_count(run) > before)
    [trial] = [trial for trial, status in statuses(read(run)).items() if status == "running"]
    ports = len(listening(trainers(os.getpid())))
    succeed("stop", run, trial, cwd=run.parent.parent)
    wait_for(lambda: statuses(read(run))[trial] == "stopped")
    return ports


def listening(pids: Sequence[int]) -> set[str]:
    """Addresses and ports on which processes listen, as the kernel writes them."""
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for fields in map(str.split, Path(table).read_text().splitlines()[1:]):
            if fields[3] == LISTENS:
                sockets[f"socket:[{fields[9]}]"] = fields[1]
    return {sockets[held] for pid in pids for held in descriptors(pid) if held in sockets}


def descriptors(pid: int) -> list[str]:
    """What a process holds open; nothing when it is gone."""
    found = []
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(os.readlink(descriptor))
    return found
