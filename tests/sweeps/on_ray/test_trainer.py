"""A final training over the workers of a cluster: the ledger is torchrun's, and what is lost comes back.

The cluster is a real Ray of two cores, started for these tests with a token of its own and ended with them.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.ledger import differences, read
from ch6dist.runs.provenance import sweep_line
from ch6dist.runs.writer import Writer
from sweeps.launch.final import result
from tests.support.commands import (
    alive,
    driving,
    environment,
    offspring,
    raw_lines,
    row_count,
    statuses,
    sweep_file,
    sweeps,
    wait_for,
    without_ray,
    words_of,
)

pytestmark = pytest.mark.slow
EPOCHS = 40
CPUS = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False); print(ray.cluster_resources()['CPU'])"
LEFT = """
import json, sys, ray
from ray._private.state import actors
ray.init(address=sys.argv[1], logging_level="CRITICAL", log_to_driver=False)
groups = ray.util.placement_group_table().values()
print(json.dumps({
    "actors": [actor["ActorClassName"] for actor in actors().values() if actor["State"] != "DEAD"],
    "groups": [group["state"] for group in groups if group["state"] != "REMOVED"],
}))
"""


class Cluster:
    """Hosts of a Ray, each of which is a `ray start --block` with everything below it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        with socket.socket() as free:
            free.bind(("", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.hosts: list[subprocess.Popen[bytes]] = []

    def start(self, *, cpus: int) -> subprocess.Popen[bytes]:
        """One more host; the first leads."""
        port = self.address.rpartition(":")[2]
        head = ["--head", "--port", port, "--include-dashboard", "false", "--temp-dir", str(self.folder)]
        role = ["--address", self.address] if self.hosts else head
        size = ["--num-cpus", str(cpus), "--object-store-memory", str(100 * 1024**2), "--block"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *role, *size]
        with (self.folder / f"host-{len(self.hosts)}.log").open("wb") as log:
            env = environment(**self.env)
            host = subprocess.Popen(command, env=env, cwd="/", stdout=log, stderr=log, start_new_session=True)
        self.hosts.append(host)
        wait_for(lambda: self.cpus() >= cpus or host.poll() is not None)
        assert host.poll() is None, (self.folder / f"host-{len(self.hosts) - 1}.log").read_text()
        return host

    def cpus(self) -> float:
        found = self.ask(CPUS)
        return float(found.stdout or 0)

    def ask(self, code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, self.address]
        env = environment(**self.env)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    def left(self) -> dict[str, list[str]]:
        """Actors and placement groups that are there, less the one that Ray leaves for whoever trains next."""
        found = json.loads(self.ask(LEFT).stdout)
        return {**found, "actors": [name for name in found["actors"] if name != "_AutoscalingCoordinatorActor"]}

    def workers(self) -> list[int]:
        """The processes that train."""
        below = [pid for host in self.hosts for pid in offspring(host.pid)]
        return [pid for pid in below if "TrainWorker" in words_of(pid)]

    @staticmethod
    def stop(host: subprocess.Popen[bytes]) -> None:
        below = offspring(host.pid)
        for pid in [host.pid, *below]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        host.wait()
        wait_for(lambda: not alive(below))


@contextmanager
def cluster_of(*cpus: int) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="ch6dist-ray-", dir="/tmp"))  # short: it holds sockets
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    cluster = Cluster(folder, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)})
    try:
        for number in cpus:
            cluster.start(cpus=number)
        wait_for(lambda: cluster.cpus() == sum(cpus))
        yield cluster
    finally:
        for host in reversed(cluster.hosts):
            cluster.stop(host)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CH6DIST_RUNS", raising=False)
    if "cluster" in request.fixturenames:
        join(request.getfixturevalue("cluster"), monkeypatch)
    return tmp_path


def join(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of this test bring the cluster's token."""
    for name, value in cluster.env.items():
        monkeypatch.setenv(name, value)


def finished_sweep(folder: Path, **settings: Any) -> Path:
    """The run folder of a sweep of one configuration that has ended; its final trainings take `settings` over."""
    spec = sweep_file(folder, parameters={"optimizer.lr": {"values": [0.003]}}, epochs=1)
    without_ray(spec, folder / "runs" / "tiny")
    with Writer(folder / "runs" / "tiny") as writer:
        content = read(folder / "runs" / "tiny").spec
        writer.append([sweep_line({**content, "checkpoints": {"seconds": 0.1}, **settings})])
    return folder / "runs" / "tiny"


@pytest.fixture(scope="module")
def torchruns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The final training of two seeds over two workers as torchrun trains it, undisturbed."""
    place = tmp_path_factory.mktemp("torchrun")
    found = sweeps(*final(finished_sweep(place)), cwd=place)
    assert found.returncode == 0, found.stdout + found.stderr
    return place / "runs" / "tiny-final"


def final(source: Path, *more: object, epochs: int = EPOCHS) -> list[object]:
    return ["final", source, "--workers", 2, "--seeds", 2, "--epochs", epochs, "--runs", source.parent, *more]


def opened(run: Path, trial: str) -> list[int]:
    """The epochs from which a trial was begun or gone on with."""
    lines = raw_lines(run, "status")
    return [line["epoch"] for line in lines if line["trial"] == trial and line["status"] == "running"]


def test_both_ways_write_the_same_ledger(here: Path, cluster: Cluster, torchruns: Path) -> None:
    found = sweeps(*final(finished_sweep(here), "--address", cluster.address), cwd=here)
    assert found.returncode == 0, found.stdout + found.stderr
    run = here / "runs" / "tiny-final"
    assert differences(read(run), read(torchruns)) == []
    assert result(run)["test_accuracy"] == result(torchruns)["test_accuracy"]
    assert len([row for row in raw_lines(run, "row") if row.get("test_accuracy") is not None]) == 2
    volatile = {"notes"}
    for kind in ("row", "status", "artifact"):
        mine, theirs = ([line.keys() - volatile for line in raw_lines(folder, kind)] for folder in (run, torchruns))
        assert mine == theirs
    assert f"epoch {EPOCHS}/{EPOCHS}" in found.stdout
    assert found.stderr == ""
    assert cluster.left() == {"actors": [], "groups": []}


@pytest.mark.exhaustive
def test_a_killed_worker_is_replaced_and_goes_on(here: Path, cluster: Cluster, torchruns: Path) -> None:
    run = here / "runs" / "tiny-final"
    with driving(*final(finished_sweep(here), "--address", cluster.address), cwd=here) as driver:
        driver.until(lambda: row_count(run) > 8)
        os.kill(cluster.workers()[-1], signal.SIGKILL)
        assert driver.wait() == 0, driver.output()
        assert "trying again" in driver.output()
    assert differences(read(run), read(torchruns)) == []
    first = next(iter(read(run).trials))
    assert len(opened(run, first)) == 2
    assert opened(run, first)[1] > 3
    assert cluster.left() == {"actors": [], "groups": []}


@pytest.mark.exhaustive
def test_an_interrupted_or_killed_driver_is_resumed(here: Path, cluster: Cluster, torchruns: Path) -> None:
    run, join_it = here / "runs" / "tiny-final", ["--address", cluster.address]
    with driving(*final(finished_sweep(here), *join_it), cwd=here) as driver:
        driver.until(lambda: row_count(run) > 8)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
        assert f"go on with: sweeps final {run} --resume --address {cluster.address}" in driver.output()
    assert cluster.left() == {"actors": [], "groups": []}
    assert not cluster.workers()
    before = row_count(run)
    with driving("final", "tiny", "--resume", *join_it, cwd=here) as driver:
        driver.until(lambda: row_count(run) > before + 8)
        os.kill(driver.pid, signal.SIGKILL)
    wait_for(lambda: not cluster.workers())
    before, killed_at = row_count(run), time.monotonic()
    with driving("final", "tiny", "--resume", *join_it, cwd=here) as driver:
        driver.until(lambda: row_count(run) > before)
        assert time.monotonic() - killed_at < 120, "it waited for the places that Ray keeps for the dead one"
        driver.interrupt(signal.SIGTERM)
        assert driver.wait() == 130, driver.output()
    found = sweeps("final", "tiny", "--resume", *join_it, cwd=here)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "going on with runs/tiny-final" in found.stdout
    assert differences(read(run), read(torchruns)) == []
    assert all(epoch > 0 for epoch in opened(run, next(iter(read(run).trials)))[1:])


@pytest.mark.exhaustive
def test_torchrun_goes_on_with_what_the_cluster_began(here: Path, cluster: Cluster, torchruns: Path) -> None:
    run = here / "runs" / "tiny-final"
    with driving(*final(finished_sweep(here), "--address", cluster.address), cwd=here) as driver:
        driver.until(lambda: row_count(run) > 8)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
    found = sweeps("final", run, "--resume", cwd=here)
    assert found.returncode == 0, found.stdout + found.stderr
    assert differences(read(run), read(torchruns)) == []


def test_what_never_finds_a_place_is_refused_and_nothing_is_written(here: Path, cluster: Cluster) -> None:
    source = finished_sweep(here)
    found = sweeps("final", source, "--workers", 3, "--runs", source.parent, "--address", cluster.address, cwd=here)
    assert found.returncode == 2
    assert "at most 2" in found.stderr
    assert not (here / "runs" / "tiny-final").exists()


@pytest.mark.exhaustive
def test_a_trial_that_fails_by_itself_ends_as_failed(here: Path, cluster: Cluster) -> None:
    run = here / "runs" / "tiny-final"
    source = finished_sweep(here, max_retries=0)
    with driving(*final(source, "--address", cluster.address), cwd=here) as driver:
        driver.until(lambda: row_count(run) > 8)
        driver.interrupt()
        assert driver.wait() == 130
    first, second = read(run).trials
    (run / "checkpoints" / first / "last.pt").write_bytes(b"no checkpoint")
    found = sweeps("final", source, "--resume", "--address", cluster.address, "--runs", source.parent, cwd=here)
    assert found.returncode == 1, found.stdout + found.stderr
    assert statuses(read(run)) == {first: "failed", second: "finished"}
    assert "a readable checkpoint" in read(run).statuses[first]["reason"]


@pytest.mark.exhaustive
def test_a_lost_host_leaves_fewer_workers(here: Path, torchruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = here / "runs" / "tiny-final"
    with cluster_of(1, 1) as cluster:
        join(cluster, monkeypatch)
        with driving(*final(finished_sweep(here), "--address", cluster.address), cwd=here) as driver:
            driver.until(lambda: row_count(run) > 8)
            cluster.stop(cluster.hosts.pop())
            assert driver.wait() == 0, driver.output()
    first = next(iter(read(run).trials))
    assert [line["workers"] for line in read(run).history[first] if line["status"] == "running"] == [2, 1]
    assert opened(run, first)[1] > 3
    mine, theirs = read(run).rows, read(torchruns).rows
    assert [(row["trial"], row["step"]) for row in mine] == [(row["trial"], row["step"]) for row in theirs]
    for name in ("train_loss", "val_loss"):  # sums over ranks are rounded otherwise
        assert [row[name] for row in mine] == pytest.approx([row[name] for row in theirs], rel=1e-4)
