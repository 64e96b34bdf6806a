"""The hosts that the cluster's tests stand on: separate like machines, and gone without a trace, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import hear_ctrl_c
from tests.support.namespaces import ADDRESSES, LAPTOP, ROOT, Lan, plugged, wait_for, why_not
from tests.support.processes import alive, offspring

pytestmark = pytest.mark.cluster
KEEPER = """
import sys, time
from pathlib import Path
from tests.support.namespaces import Lan, plugged
with plugged(Lan(["head", "worker-1"], Path(sys.argv[1]))):
    print("booted", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _able() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ch6dist-hosts-") as name:
        yield Path(name)


def traces() -> dict[str, list[str]]:
    """What a machine that was left as it was found shows as before: links, namespaces with names, mounts."""
    commands = {"links": "ip -o link", "namespaces": "ip netns list"}
    shown = {
        what: subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout.splitlines()
        for what, command in commands.items()
    }
    return {**shown, "mounts": Path("/proc/self/mountinfo").read_text().splitlines()}


def booted(lan: Lan) -> list[int]:
    """Every process of the hosts, as this machine counts them."""
    return [pid for host in lan.hosts.values() for pid in (host.process.pid, *offspring(host.process.pid))]


@contextmanager
def leaving_no_trace(pids: list[int]) -> Iterator[None]:
    before = traces()
    yield
    assert pids, "nothing was there to begin with"
    wait_for(lambda: not alive(pids), what="every process to end")
    wait_for(lambda: traces() == before, what="links and mounts to be as before")


def test_hosts_have_their_own_name_home_tmp_address_and_processes(folder: Path) -> None:
    lan = Lan(["head", "worker-1"], folder)
    with plugged(lan):
        for name in lan.names:
            lan.exec(name, f"hostname > /tmp/mine; echo {name} > ~/mine; touch /srv/runs/{name}")
        for name in lan.names:
            assert lan.exec(name, "cat /tmp/mine ~/mine; hostname -I").stdout.split() == [name, name, ADDRESSES[name]]
            assert lan.processes(name) == []
        assert lan.exec("head", "ls /srv/runs").stdout.split() == ["head", "worker-1"]
        assert "worker-1" in lan.exec(LAPTOP, ssh("worker-1", "hostname")).stdout


def test_a_cable_pulled_a_cable_put_back_and_a_host_rebooted(folder: Path) -> None:
    lan = Lan(["head", "worker-1"], folder)
    with plugged(lan):
        lan.exec("worker-1", "touch /tmp/gone ~/kept")
        lan.cut("worker-1")
        assert lan.exec("head", ssh("worker-1", "true"), check=False).returncode != 0
        lan.mend("worker-1")
        assert lan.exec(LAPTOP, ssh("worker-1", "hostname")).stdout.strip() == "worker-1"
        running = lan.start("worker-1", "sleep 600", log=folder / "sleep.log")
        lan.kill("worker-1")
        assert running.wait(timeout=60) != 0
        lan.boot("worker-1")
        assert lan.exec("worker-1", "ls /tmp/gone ~/kept", check=False).stdout.split() == ["/run/home/kept"]
        assert lan.exec(LAPTOP, ssh("worker-1", "hostname")).stdout.strip() == "worker-1"


def test_no_packet_leaves_the_hosts(folder: Path) -> None:
    lan = Lan(["head"], folder)
    mine = [line.split()[1] for line in traces()["links"]]
    with plugged(lan):
        assert [line.split()[1] for line in traces()["links"]] == mine, "this machine's own network is not touched"
        assert set(lan.exec(LAPTOP, "ls /sys/class/net; ip -o link | cut -d' ' -f2").stdout.split()) >= {"lan:", "lo:"}
        assert "eth" not in lan.exec(LAPTOP, "ip -o link | cut -d' ' -f2").stdout


def test_nothing_is_left_after_an_error(folder: Path) -> None:
    pids: list[int] = []

    def failing() -> None:
        lan = Lan(["head", "worker-1"], folder)
        with plugged(lan):
            pids.extend(booted(lan))
            raise ZeroDivisionError

    with leaving_no_trace(pids), pytest.raises(ZeroDivisionError):
        failing()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill"])
def test_nothing_is_left_when_their_owner_is_ended(how: signal.Signals, folder: Path) -> None:
    pids: list[int] = []
    with leaving_no_trace(pids):
        command = [sys.executable, "-c", KEEPER, str(folder)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        owner = subprocess.Popen(command, env=env, preexec_fn=hear_ctrl_c, **quiet)
        assert owner.stdout is not None
        assert owner.stdout.readline() == "booted\n"
        pids += offspring(owner.pid)
        os.kill(owner.pid, how)
        owner.wait(timeout=60)
        owner.stdout.close()


def ssh(host: str, command: str) -> str:
    return f"ssh -o ConnectTimeout=5 -o StrictHostKeyChecking=no root@{ADDRESSES[host]} {command}"
