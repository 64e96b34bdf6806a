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
from contextlib import contextmanager
from pathlib import Path

import pytest

from ch6dist.errors import UsageError
from ch6dist.runs import lease
from ch6dist.runs.lease import current, hold, in_folder
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


# The holder with another clock: its first argument is the folder, its second how many seconds it is ahead.
SKEWED = """
import sys, time
ahead, clock = float(sys.argv[2]), time.time
time.time = lambda: clock() + ahead
from ch6dist.runs import lease
lease.BEAT_SECONDS = 0.05
with lease.hold(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
"""
IN_A_NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


@contextmanager
def in_a_pid_namespace(folder, *, ahead=0.0, how=IN_A_NAMESPACE):
    """A process in a pid namespace of its own, as in a container of this machine, that holds the lease of a folder."""
    if subprocess.run([*how, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare --pid needs root, or user namespaces")
    command = [*how, sys.executable, "-c", SKEWED, str(folder), str(ahead)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def impatient(monkeypatch):
    """Watch another host's holder for a moment only."""
    monkeypatch.setattr(lease, "WATCH_SECONDS", 1.0)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.05)


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


@pytest.mark.parametrize("ahead", [-90, 0, 3600])
@pytest.mark.parametrize("of", [{}, {"boot": "a boot"}, {"boot": "a boot pid:[4026531836]"}, {"boot": lease.UNSEEN}])
def test_a_dead_holder_elsewhere_is_taken_over_after_the_watch_whatever_its_clock_said(tmp_path, impatient, ahead, of):
    put(tmp_path, host="elsewhere", pid=1, heartbeat=time.time() + ahead, **of)
    said = []
    with hold(tmp_path, say=said.append):
        assert current(tmp_path).pid == os.getpid()
    (line,) = said
    assert "process 1 on elsewhere" in line
    assert "waiting 1 s" in line


@pytest.mark.parametrize("ahead", [-90.0, 0.0, 3600.0])
def test_a_living_holder_elsewhere_is_respected_whatever_its_clock_says(tmp_path, impatient, ahead):
    with in_a_pid_namespace(tmp_path, ahead=ahead):
        before = in_folder(tmp_path)
        with pytest.raises(UsageError, match=f"process {before.pid} on {before.host}"), hold(tmp_path):
            pass
        assert in_folder(tmp_path).is_of(before), "the refused one takes nothing away"


def test_containers_of_one_host_do_not_take_each_others_pids_for_their_own(tmp_path, impatient):
    with in_a_pid_namespace(tmp_path) as outer:
        assert in_folder(tmp_path).host == socket.gethostname()
        assert in_folder(tmp_path).alive() is None, "the process of this pid here is another one"
    outer.wait()
    with hold(tmp_path):
        assert current(tmp_path).pid == os.getpid()


def test_a_holder_that_sees_the_pids_of_an_outer_namespace_is_watched(tmp_path, impatient):
    without_its_own_proc = [word for word in IN_A_NAMESPACE if word != "--mount-proc"]
    with in_a_pid_namespace(tmp_path, how=without_its_own_proc):
        assert in_folder(tmp_path).boot == lease.UNSEEN
        with pytest.raises(UsageError, match="in use"), hold(tmp_path):
            pass


def test_a_lease_of_before_on_this_host_is_judged_by_its_process(tmp_path, holder):
    found = in_folder(tmp_path)
    for boot in ("", found.boot.partition(" ")[0]):
        put(tmp_path, pid=found.pid, started=found.started, boot=boot)
        with pytest.raises(UsageError, match=f"process {found.pid}"), hold(tmp_path):
            pass


def test_every_heartbeat_is_another_one_even_while_the_clock_stands(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    with hold(tmp_path):
        seen = {in_folder(tmp_path).heartbeat}
        while len(seen) < 4:
            time.sleep(0.01)
            seen.add(in_folder(tmp_path).heartbeat)


def test_of_a_run_in_a_store_the_stores_lease_is_watched_and_not_the_copy_of_it(tmp_path, impatient):
    put(tmp_path, host="elsewhere", pid=1)
    copy = (tmp_path / LEASE).read_bytes()
    beats = iter(range(10**6))
    with pytest.raises(UsageError, match="process 7"), hold(tmp_path, store=lambda: _content(pid=7, beat=next(beats))):
        pass
    assert (tmp_path / LEASE).read_bytes() == copy
    with hold(tmp_path, store=lambda: None) as free:
        assert free is None


def _content(*, pid, beat):
    return json.dumps({"host": "elsewhere", "pid": pid, "started": "1", "heartbeat": beat}).encode()


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
        put(tmp_path, host="elsewhere", pid=1)  # this process slept longer than WATCH_SECONDS
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
