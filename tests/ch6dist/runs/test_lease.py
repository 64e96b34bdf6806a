"""The lease, held and lost by real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ch6dist.errors import UsageError
from ch6dist.runs import lease
from ch6dist.runs.lease import STALE_SECONDS, current, hold
from ch6dist.runs.names import LEASE
from tests.support.paths import ROOT

HOLDER = "import sys, time\nfrom ch6dist.runs.lease import hold\nwith hold(sys.argv[1]):\n    print('held', flush=True)\n    "  # noqa: E501


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lease of tmp_path until it is killed."""
    command = [sys.executable, "-c", HOLDER + "time.sleep(600)", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def put(folder, **fields):
    content = {"host": socket.gethostname(), "pid": os.getpid(), "started": "1", "heartbeat": time.time(), **fields}
    (folder / LEASE).write_text(json.dumps(content))


def test_a_second_process_is_refused_with_the_holder(tmp_path, holder):
    with pytest.raises(UsageError) as refused, hold(tmp_path):
        pass
    assert f"process {holder.pid} on {socket.gethostname()}" in str(refused.value)
    assert f"sweeps stop {tmp_path}" in str(refused.value)
    assert current(tmp_path).pid == holder.pid, "the refused one takes nothing away"


def test_a_killed_holder_is_taken_over_at_once(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LEASE).exists()
    assert current(tmp_path) is None
    with hold(tmp_path):
        assert current(tmp_path).pid == os.getpid()


def test_a_holder_that_is_a_zombie_process_is_dead_too(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    stat = Path(f"/proc/{holder.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert current(tmp_path) is None


def test_a_stopped_holder_is_alive(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(UsageError), hold(tmp_path):
        pass


def test_a_reused_pid_is_not_the_holder(tmp_path):
    put(tmp_path, pid=os.getpid(), started="1")  # this process lives, but began later
    assert current(tmp_path) is None
    with hold(tmp_path):
        pass


def test_another_hosts_young_heartbeat_is_respected_and_an_old_one_is_not(tmp_path):
    put(tmp_path, host="elsewhere", pid=1, heartbeat=time.time() - STALE_SECONDS / 2)
    with pytest.raises(UsageError, match="process 1 on elsewhere"), hold(tmp_path):
        pass
    put(tmp_path, host="elsewhere", pid=1, heartbeat=time.time() - STALE_SECONDS - 1)
    with hold(tmp_path):
        assert current(tmp_path).pid == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"host": "x"}', "\x00\x01"])
def test_a_damaged_lease_has_no_holder(tmp_path, content):
    (tmp_path / LEASE).write_text(content)
    assert current(tmp_path) is None
    with hold(tmp_path):
        assert current(tmp_path) is not None


def test_the_lease_is_gone_after_the_block_and_after_an_error_in_it(tmp_path):
    with hold(tmp_path):
        assert (tmp_path / LEASE).exists()
    assert not (tmp_path / LEASE).exists()
    with pytest.raises(RuntimeError), hold(tmp_path):
        raise RuntimeError
    assert current(tmp_path) is None
    with hold(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [LEASE + ".lock"]
    assert threading.active_count() == 1, "the heart has stopped"


def test_the_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with hold(tmp_path):
        first = current(tmp_path).heartbeat
        while current(tmp_path).heartbeat == first:
            time.sleep(0.01)


def test_a_lease_that_another_host_took_over_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with hold(tmp_path):
        put(tmp_path, host="elsewhere", pid=1)  # this process slept longer than STALE_SECONDS
        time.sleep(0.1)
        assert current(tmp_path).host == "elsewhere"
    assert current(tmp_path).host == "elsewhere"


def test_of_many_that_want_a_dead_lease_at_once_one_gets_it(tmp_path):
    put(tmp_path, started="1")
    command = [sys.executable, "-c", HOLDER + "sys.stdin.read()", str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    rivals = [subprocess.Popen(command, text=True, cwd=ROOT, **pipes) for _ in range(4)]
    first = [rival.stdout.readline() for rival in rivals]  # the losers end with nothing said
    for rival in rivals:
        rival.communicate()
    assert sorted(first) == ["", "", "", "held\n"]
