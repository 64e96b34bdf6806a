"""Three hosts, one `ray up`: sweeps lose a host, their driver, the head, but no epoch; a client needs the token.

The tests of this file run in order: later ones use what earlier ones left. `make test-cluster` runs it.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ch6dist.catalog.dataset_files import DataFilesError, check_files
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from tests.support.commands import sweep_file
from tests.support.hosts import UP_SECONDS, Cluster, hosts
from tests.support.namespaces import ADDRESSES, LAPTOP, ROOT, wait_for, why_not
from tests.support.processes import offspring
from tests.support.runs import ended, needless_attempts, newest_epochs, places, statuses, with_checkpoint

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]
PAGE = ROOT / "docs" / "cluster.md"
LOST_SECONDS = 150  # in which Ray takes a host that answers nothing for lost, and its trials have moved
SWEEP_SECONDS = 240
HARMLESS = {"metrics", "nothing", "closed"}
SSH = "22"
CLIENTS = (  # in the ways that people come
    "python -c 'import ray; ray.init(\"192.0.2.10:6379\")'",
    "ray job submit --address http://127.0.0.1:8265 -- true",
    "ray status",
)
WRONG_TOKEN = "0" * 64


def data_root() -> Path | None:
    """Where CIFAR-100 lies on this machine; None where it does not."""
    root = Path(os.environ.get("CH6DIST_DATA") or ROOT / "data").resolve()
    try:
        check_files("cifar100", root=str(root), test=False)
    except DataFilesError:
        return None
    return root


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Hosts, and Ray on them."""
    if reason := why_not():
        pytest.skip(reason)
    with hosts(3, data=data_root()) as found:
        found.up()
        yield found


def sweep_on(cluster: Cluster, name: str, *, lrs: list[float], **more: Any) -> str:
    """Write a sweep of a few thousand images into the folder that the hosts share; return its path there."""
    images = {"train_size": 2000, "val_size": 500, "batch_size": 100, "augment": "crop_flip"}
    data = {"name": "cifar100" if cluster.data else "synthetic_cifar100", **images}
    axis = {"optimizer.lr": {"values": lrs}}
    path = sweep_file(cluster.runs, name=name, data=data, parameters=axis, checkpoints={"seconds": 1}, **more)
    return f"/srv/runs/{path.name}"


class Driver:
    """A sweep that the head drives, to be lost."""

    def __init__(self, cluster: Cluster, command: str) -> None:
        self.log = cluster.rig / "driver.log"
        self.process = cluster.start("head", command, log=self.log)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for what must come while the sweep runs."""
        wait_for(lambda: condition() or self.process.poll() is not None, what=what, seconds=LOST_SECONDS, pause=0.2)
        assert self.process.poll() is None, f"the driver had ended before {what}:\n{self.log.read_text()}"

    def kill(self) -> None:
        """SIGKILL, also to what it started; nothing where it has ended."""
        for pid in offspring(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=LOST_SECONDS)


@contextmanager
def driving(cluster: Cluster, command: str) -> Iterator[Driver]:
    """A sweep that runs when the block begins, and is killed at its end."""
    driver = Driver(cluster, command)
    try:
        yield driver
    finally:
        driver.kill()


def resume(cluster: Cluster, run: str) -> str:
    return cluster.exec("head", f"sweeps resume {run} --address auto", timeout=SWEEP_SECONDS).stdout


def untouched(cluster: Cluster, run: str) -> None:
    """Assert that a run that was disturbed reads like one that was not, and that nothing began from scratch."""
    ledger = read(cluster.runs / run)
    assert set(statuses(ledger).values()) == {"finished"}
    assert differences(ledger, read(cluster.runs / f"{run}-undisturbed")) == []
    assert needless_attempts(cluster.runs / run) == [], "a trial with a checkpoint was trained from scratch again"
    keys = Counter((row["trial"], row["epoch"]) for row in ledger.rows)
    assert set(keys.values()) == {1}


# Every host joins; a client without the token is refused


def test_ray_up_brings_every_host(cluster: Cluster) -> None:
    assert cluster.alive() == {"head", "worker-1", "worker-2"}


def test_a_sweep_over_three_hosts_is_trained_on_all_of_them(cluster: Cluster) -> None:
    spec = sweep_on(cluster, "ordinary", epochs=20, lrs=[0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
    with driving(cluster, f"sweeps run {spec} --address auto --name probe") as driver:
        driver.until(lambda: all(trains(cluster, name) for name in cluster.names), "every host to train")
        without_token = {token: port_answers(cluster, token) for token in ("none", WRONG_TOKEN)}
    for token, found in without_token.items():
        assert {name for name, _ in found} == set(cluster.names)
        for (host, port), answers in found.items():
            assert "open" not in answers, f"{host}:{port} accepts a client with token {token}"
            assert "refused" in answers or port == SSH or answers <= HARMLESS, f"{host}:{port}: {answers}"


def trains(cluster: Cluster, host: str) -> bool:
    """Whether a process of a pack runs on a host: Tune's actor, or one of the other workers of a DDP trial."""
    return any(command.startswith(("ray::ImplicitFunc", "ray::RankWorker")) for command in cluster.processes(host))


def port_answers(cluster: Cluster, token: str) -> dict[tuple[str, str], set[str]]:
    """The answers of every listening port of every host to the laptop."""
    found: dict[tuple[str, str], set[str]] = {}
    for name in cluster.names:
        listening = cluster.exec(name, "ss -Hltn").stdout.split("\n")[:-1]
        ports = sorted({line.split()[3].rpartition(":")[2] for line in listening})
        knock = f"python tests/support/knock.py {ADDRESSES[name]} {token} {' '.join(ports)}"
        answers = json.loads(cluster.exec(LAPTOP, knock).stdout)
        found |= {(name, port): set(given) for port, given in answers.items()}
    return found


def test_with_the_token_the_same_ports_accept(cluster: Cluster) -> None:
    token = cluster.exec(LAPTOP, "ray get-auth-token 2> /dev/null").stdout.strip()
    found = port_answers(cluster, token)
    assert "open" in found["head", "6379"]
    assert sum("open" in answers for answers in found.values()) >= 3 * len(cluster.names)


@pytest.mark.parametrize("token", ["none", WRONG_TOKEN], ids=["none", "wrong"])
def test_a_client_without_the_token_is_refused(cluster: Cluster, token: str) -> None:
    setup = "mkdir -p /tmp/stranger; export HOME=/tmp/stranger RAY_gcs_rpc_server_reconnect_timeout_s=1; "
    setup += "" if token == "none" else f"export RAY_AUTH_TOKEN={token}; "
    logs = [cluster.rig / f"client-{number}.log" for number in range(len(CLIENTS))]
    tried = [cluster.start("head", setup + command, log=log) for command, log in zip(CLIENTS, logs, strict=True)]
    for command, process, log in zip(CLIENTS, tried, logs, strict=True):
        assert process.wait(timeout=60) != 0, command
        assert "token" in log.read_text().lower(), f"{command}\n{log.read_text()}"


def test_the_dashboard_answers_to_the_head_alone(cluster: Cluster) -> None:
    listening = [line.split()[3] for line in cluster.exec("head", "ss -Hltn").stdout.split("\n")[:-1]]
    assert [address for address in listening if address.endswith(":8265")] == ["127.0.0.1:8265"]


# A sweep that loses a host, then its driver, then the head


def test_a_host_that_is_cut_off_loses_no_epoch(cluster: Cluster) -> None:
    spec = "/srv/runs/ordinary.yaml"
    cluster.exec("head", f"sweeps run {spec} --address auto --name ordinary-undisturbed", timeout=SWEEP_SECONDS)
    run = cluster.runs / "ordinary"
    with driving(cluster, f"sweeps run {spec} --address auto") as driver:
        driver.until(lambda: trained_on(run, "worker-1"), "epochs of the host")
        cluster.cut("worker-1")
        lost, before = trained_on(run, "worker-1"), newest_epochs(run)
        assert lost
        driver.until(lambda: further(run, lost, before), "the lost trials to resume elsewhere")
        status = cluster.exec("head", "sweeps status ordinary").stdout
        cluster.mend("worker-1")
    text = " ".join(status.split())  # the terminal wraps lines
    assert "worker-1: " in text, "status says where something failed"
    assert "its host was lost; retried" in text, "and what it was"


def trained_on(run: Path, host: str) -> set[str]:
    """The trials that a host trains, and has trained an epoch of."""
    epochs = newest_epochs(run)
    return {trial for trial, place in places(run).items() if place == host and trial in epochs}


def further(run: Path, trials: set[str], before: dict[str, int]) -> bool:
    """Whether each of these trials has more epochs than before."""
    epochs = newest_epochs(run)
    return all(epochs[trial] > before[trial] for trial in trials)


def test_a_killed_driver_is_resumed(cluster: Cluster) -> None:
    run = cluster.runs / "ordinary"
    assert "interrupted" in cluster.exec("head", "sweeps status ordinary").stdout
    before = newest_epochs(run)
    with driving(cluster, "sweeps resume ordinary --address auto") as driver:
        driver.until(lambda: newest_epochs(run) != before, "epochs of the resumed run")
        cluster.kill("head")


def test_a_head_that_was_lost_comes_back(cluster: Cluster) -> None:
    cluster.boot("head")
    cluster.up()
    resume(cluster, "ordinary")
    untouched(cluster, "ordinary")


# DDP trials whose workers are on several hosts


def test_a_ddp_trial_survives_a_host_that_reboots_and_the_loss_of_its_driver(cluster: Cluster) -> None:
    over_two = {"workers": 2, "span_hosts": True}
    spec = sweep_on(cluster, "spanning", epochs=15, lrs=[0.1, 0.01], resources=over_two)
    cluster.exec("head", f"sweeps run {spec} --address auto --name spanning-undisturbed", timeout=SWEEP_SECONDS)
    run = cluster.runs / "spanning"
    with driving(cluster, f"sweeps run {spec} --address auto") as driver:
        driver.until(lambda: any(with_checkpoint(run, trial) for trial in places(run)), "a checkpoint to go on from")
        away = next(name for name in cluster.names[1:] if trains(cluster, name))
        cluster.kill(away)
        lost, before = set(places(run)) & set(newest_epochs(run)), newest_epochs(run)
        assert lost
        driver.until(lambda: further(run, lost, before), "the trial to resume elsewhere")
        cluster.boot(away)
    resume(cluster, "spanning")
    untouched(cluster, "spanning")


def test_a_host_that_was_rebooted_joins_again_by_itself(cluster: Cluster) -> None:
    wait_for(lambda: cluster.alive() == set(cluster.names), what="the host", seconds=LOST_SECONDS, pause=1)


# The page, and the way out


def test_every_command_of_the_page_works(cluster: Cluster) -> None:
    for kind, block in re.findall(r"^```sh( tunnel)?\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        if kind:
            through_the_tunnel(cluster, block)
            continue
        filled_in = block.replace("ubuntu@", "root@")  # as in the laptop's file
        cluster.exec(LAPTOP, f"set -e\n{filled_in}", timeout=SWEEP_SECONDS)
        if "ray up" in block:
            wait_for(lambda: cluster.alive() == set(cluster.names), what="all hosts to join", seconds=UP_SECONDS)
        if "--no-wait" in block:
            wait_for(lambda: ended(cluster.runs / "night") == 12, what="the job", seconds=SWEEP_SECONDS, pause=1)
    assert set(statuses(read(cluster.runs / "demo")).values()) <= {"finished", "diverged"}  # Adam at 0.1 is too much
    assert set(statuses(read(cluster.runs / "demo-final")).values()) == {"finished"}
    report = cluster.rig / "home" / LAPTOP / "demo-report" / "index.html"
    assert "<html" in report.read_text()


def through_the_tunnel(cluster: Cluster, block: str) -> None:
    """The dashboard answers on the laptop while the page's tunnel is open, to one who has the token."""
    knocking = "python tests/support/knock.py 127.0.0.1 {} 8265"
    ask = f"{knocking.format('$(ray get-auth-token 2> /dev/null)')}; {knocking.format(WRONG_TOKEN)}"
    command = f"exec env --default-signal=INT {block.strip()}"  # a test started in the background ignores Ctrl-C
    tunnel = cluster.start(LAPTOP, command, log=cluster.rig / "tunnel.log")
    try:
        wait_for(
            lambda: '"open"' in (found := cluster.exec(LAPTOP, ask).stdout) and '"refused"' in found, what="a tunnel"
        )
    finally:
        cluster.exec(LAPTOP, "kill -INT $(pgrep -f '[r]ay dashboard')")
        tunnel.wait()


def test_nothing_is_left_running(cluster: Cluster) -> None:
    for name in cluster.names:
        wait_for(lambda name=name: cluster.processes(name) == [], what=f"{name} to be idle")
