"""The copy of a run in an object store: complete, of one driver at a time, enough to resume when a head is lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
import torch

from ch6dist.config import parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.packs import Orders
from ch6dist.runs import lease
from ch6dist.runs.differences import differences
from ch6dist.runs.fetch import fetch_run, refresh
from ch6dist.runs.folders import checkpoints_root, find_run, new_run
from ch6dist.runs.ledger import read
from ch6dist.runs.names import LEASE
from ch6dist.runs.provenance import sweep_line, sweep_of_one, trial_line
from ch6dist.runs.write_ahead import lost_lines
from ch6dist.runs.writer import Writer
from ch6dist.storage.files import join, open_folder
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.record import stop_requests
from sweeps.record import uploader as uploader_module
from sweeps.record.uploader import NoUploader, lease_in_store, request_stop_in_store, runs_in_store, uploading
from tests.support.commands import succeed, sweeps
from tests.support.namespaces import wait_for
from tests.support.s3_server import s3_server
from tests.support.trials import small_trial

torch.set_num_threads(1)
LINE = {"kind": "sweep", "time": 1.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(uploader_module, "UPLOAD_SECONDS", 0.1)
    monkeypatch.setattr(uploader_module, "LAST_TRIES", 1)
    monkeypatch.setattr(uploader_module, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.2)


def begun(run, *lines):
    run.mkdir(parents=True, exist_ok=True)
    (run / "sweep.yaml").write_text("name: one\n")
    writer = Writer(run)
    writer.append(lines or [LINE])
    return writer


def there(storage):
    return open_folder(join(storage, "one"))


def test_lines_of_the_driver_are_uploaded_while_it_runs_and_complete_at_its_end(storage, tmp_path):
    run = tmp_path / "one"
    with begun(run) as writer, lease.hold(run):
        with uploading(run, storage, say=pytest.fail) as uploader:
            assert set(there(storage).sizes()) == {"sweep.yaml", "ledger/000001.jsonl", "lease.json"}
            writer.append([{**LINE, "time": 2.0}])
            uploader.soon()
            wait_for(lambda: there(storage).read("ledger/000001.jsonl").count(b"\n") == 2)
            writer.append([{**LINE, "time": 3.0}])
        assert (uploader.failed, uploader.lost) == ("", "")
    assert there(storage).read("ledger/000001.jsonl") == (run / "ledger" / "000001.jsonl").read_bytes()
    assert there(storage).read("lease.json") is None, "nobody holds it any more"


def test_a_half_written_line_is_not_uploaded(storage, tmp_path):
    run = tmp_path / "one"
    with begun(run), lease.hold(run):
        with (run / "ledger" / "000001.jsonl").open("a") as file:
            file.write('{"kind": "ro')
        with uploading(run, storage, say=pytest.fail) as uploader:
            assert there(storage).read("ledger/000001.jsonl").endswith(b"}\n")
            write, written = uploader.remote.write, []
            uploader.remote.write = lambda name, content: (written.append(name), write(name, content))
            wait_for(lambda: written.count(LEASE) == 2)  # a beat every second copy
            assert "ledger/000001.jsonl" not in written, "what has not grown is not copied again"


def test_a_request_left_in_the_store_reaches_the_driver(storage, tmp_path):
    run = tmp_path / "one"
    url = join(storage, "one")
    with begun(run), lease.hold(run):
        request_stop_in_store(url, "of-an-earlier-driver")
        with uploading(run, storage, say=pytest.fail):
            assert stop_requests.pending_stops(run) == (False, set()), "what was asked of an earlier one is forgotten"
            request_stop_in_store(url, "a")
            wait_for(lambda: stop_requests.pending_stops(run) == (False, {"a"}))
            request_stop_in_store(url)
            wait_for(lambda: stop_requests.pending_stops(run) == (True, {"a"}))
            wait_for(lambda: there(storage).sizes("requests") == {})


def test_a_stop_requested_in_a_copy_reaches_the_driver(storage, tmp_path):
    run, copy = tmp_path / "one", tmp_path / "laptop" / "one"
    sweep = {**LINE, "spec": {"name": "one", "storage": storage}}
    with begun(run, sweep), lease.hold(run), uploading(run, storage, say=pytest.fail):
        shutil.copytree(run, copy)
        succeed("stop", copy, cwd=tmp_path)
        # the driver is on this machine, the copy too
        wait_for(lambda: stop_requests.pending_stops(run) == (True, set()))
    elsewhere = {"host": "elsewhere", "pid": 1, "started": "", "heartbeat": time.time(), "boot": "another"}
    there(storage).write(LEASE, json.dumps(elsewhere).encode())
    (copy / LEASE).unlink()
    done = sweeps("stop", copy, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(there(storage).sizes("requests")) == {"requests/stop"}


def test_files_are_removed_only_after_the_upload_of_the_ledger_that_says_so(storage, tmp_path):
    run = tmp_path / "one"
    with begun(run) as writer, lease.hold(run), uploading(run, storage, say=pytest.fail) as uploader:
        there(storage).write("checkpoints/a/last.pt", b"x")
        writer.append([{"kind": "artifact", "trial": "a", "attempt": 1, "name": "last", "path": None}])
        uploader.remove(["checkpoints/a/last.pt"])
        wait_for(lambda: there(storage).read("checkpoints/a/last.pt") is None)
        assert b"artifact" in there(storage).read("ledger/000001.jsonl")


def test_on_paths_files_are_removed_at_once_and_nothing_is_uploaded(tmp_path):
    run = tmp_path / "one"
    (run / "checkpoints" / "a").mkdir(parents=True)
    (run / "checkpoints" / "a" / "last.pt").write_text("x")
    for storage in (None, str(tmp_path)):
        with uploading(run, storage, say=pytest.fail) as uploader:
            uploader.soon()
            uploader.remove(["checkpoints/a/last.pt", "checkpoints/a/best.pt"])
            assert isinstance(uploader, NoUploader)
            assert (uploader.failed, uploader.lost) == ("", "")
    assert list((run / "checkpoints").iterdir()) == []


def test_a_server_that_restarts_costs_nothing_and_is_reported_once(tmp_path):
    run, said = tmp_path / "one", []
    with s3_server() as own, begun(run) as writer, lease.hold(run):
        storage = own.url("sweeps")
        with uploading(run, storage, say=said.append) as uploader:
            held = own.kill()
            for time_ in (2.0, 3.0):
                writer.append([{**LINE, "time": time_}])
                uploader.soon()
                wait_for(lambda: uploader.failed)
            own.start()
            own.put_back(held)
            writer.append([{**LINE, "time": 4.0}])  # the uploader may have been there before what was put back
            wait_for(lambda: not uploader.failed)
        seen = [("failed; retrying" in text, "complete again" in text) for text in said]
        assert seen == [(True, False), (False, True)]
        assert there(storage).read("ledger/000001.jsonl") == (run / "ledger" / "000001.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_last_upload_that_fails_is_reported(tmp_path):
    run, said = tmp_path / "one", []
    with s3_server() as own, begun(run) as writer, lease.hold(run):
        with uploading(run, own.url("sweeps"), say=said.append) as uploader:
            own.kill()
            writer.append([LINE])
        assert "NETWORK_CONNECTION" in uploader.failed
        assert len(said) == 1


@pytest.mark.parametrize("where", ["bucket", "keys"])
def test_a_storage_that_refuses_is_reported_in_one_line_before_anything_is_made(tmp_path, where):
    with s3_server() as own:
        storage = own.url("sweeps", bucket="no-such-bucket" if where == "bucket" else "ch6dist-test")
        if where == "keys":
            own.demand_keys()
        with pytest.raises(UsageError, match="does not answer") as refused:
            runs_in_store(storage)
        assert "\n" not in str(refused.value)
        run = tmp_path / "one"
        refusing = pytest.raises(UsageError, match="cannot write to")
        with begun(run), lease.hold(run), refusing as refused, uploading(run, storage, say=pytest.fail):
            pytest.fail("it began")
        assert "\n" not in str(refused.value)


def test_a_name_used_in_the_store_is_not_used_again(storage, tmp_path):
    with begun(tmp_path / "one"), lease.hold(tmp_path / "one"), uploading(tmp_path / "one", storage, say=pytest.fail):
        pass
    taken = runs_in_store(storage)
    assert taken == {"one"}
    assert new_run("one", root=tmp_path / "laptop", explicit=False, taken=taken).name == "one-2"
    with pytest.raises(InputError, match="the storage"):
        new_run("one", root=tmp_path / "laptop", explicit=True, taken=taken)
    assert runs_in_store(None) == runs_in_store(str(tmp_path)) == set()


# Two drivers

OTHER = """
import sys, time
from pathlib import Path
from ch6dist.runs import lease
from ch6dist.runs.names import LEASE
from sweeps.record import uploader
uploader.SETTLE_SECONDS = 0.2
run = Path(sys.argv[1])
with lease.hold(run), uploader.uploading(run, sys.argv[2], say=print):
    print("it began", flush=True)
    time.sleep(600)
"""


def test_a_second_driver_on_another_machine_is_refused_while_the_first_runs(storage, tmp_path):
    first, second = tmp_path / "head" / "one", tmp_path / "other" / "one"
    with begun(first), lease.hold(first), uploading(first, storage, say=pytest.fail):
        shutil.copytree(first, second, ignore=shutil.ignore_patterns("lease*"))
        arguments = [sys.executable, "-c", OTHER, str(second), storage]
        refused = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=120)
    assert "UsageError" in refused.stderr
    assert f"another driver (process {os.getpid()} on {socket.gethostname()})" in refused.stderr
    assert "it began" not in refused.stdout


def test_a_driver_whose_run_was_taken_over_says_so_and_uploads_no_more(storage, tmp_path):
    run = tmp_path / "one"
    with begun(run) as writer, lease.hold(run), uploading(run, storage, say=pytest.fail) as uploader:
        other = {"host": "elsewhere", "pid": 7, "started": "1", "heartbeat": time.time() + 600, "boot": "x"}
        there(storage).write("lease.json", json.dumps(other).encode())
        wait_for(lambda: uploader.lost)
        assert "process 7 on elsewhere" in uploader.lost
        before = there(storage).read("ledger/000001.jsonl")
        writer.append([LINE])
    assert there(storage).read("ledger/000001.jsonl") == before
    assert json.loads(there(storage).read("lease.json")) == other, "the lease is the other's"


@pytest.mark.parametrize("ahead", [-90, 3600])
def test_a_lease_in_the_store_is_taken_when_it_was_watched_and_stood_still_whatever_its_clock(
    storage, tmp_path, monkeypatch, ahead
):
    monkeypatch.setattr(lease, "WATCH_SECONDS", 0.5)
    run, said = tmp_path / "one", []
    dead = {"host": "elsewhere", "pid": 7, "started": "1", "heartbeat": time.time() + ahead, "boot": "x"}
    there(storage).write("lease.json", json.dumps(dead).encode())
    reader = lease_in_store(run, storage)
    with begun(run), lease.hold(run, store=reader, say=said.append) as free:
        with uploading(run, storage, say=pytest.fail, free=free):
            assert json.loads(there(storage).read("lease.json"))["pid"] == os.getpid()
        there(storage).write("lease.json", json.dumps(dead | {"heartbeat": 1.0}).encode())  # it beats again
        refusing = pytest.raises(UsageError, match="process 7 on elsewhere")
        with refusing, uploading(run, storage, say=pytest.fail, free=free):
            pytest.fail("it began")
    assert len(said) == 1


# A lost head


def lose(storage):
    """The machine is gone, and its driver's lease says so: its process is."""
    lease_there = json.loads(there(storage).read("lease.json"))
    there(storage).write("lease.json", json.dumps({**lease_there, "pid": 4_194_305}).encode())


def drive(run, storage, trial, *, until=None):
    """Drive one trial: append its lines, then let the worker continue. `until`: the epoch in which the head is lost."""
    store_url = checkpoints_root(run, storage=storage)
    ledger = read(run) if (run / "ledger").is_dir() else None
    with begun(run, sweep_line(sweep_of_one("one", [trial])), trial_line(trial)) as writer, lease.hold(run):
        if ledger is not None:
            writer.append(lost_lines(open_folder(store_url), ledger))
        with uploading(run, storage, say=pytest.fail) as uploader:

            def report(lines):
                writer.append(lines)
                if until and any(line["kind"] == "row" and line["epoch"] == until for line in lines):
                    raise KeyboardInterrupt
                return Orders()

            uploader.lost = "nothing is copied from here on" if until else ""
            store = Checkpoints(store_url)
            try:
                train([trial], report=store.write_ahead(report), checkpoints=store, checkpoint_seconds=0.0, threads=1)
            except KeyboardInterrupt:
                lose(storage)
                raise


def test_lines_a_lost_head_had_not_uploaded_are_read_from_beside_the_checkpoints(storage, tmp_path):
    trial = small_trial(epochs=6)
    undisturbed = tmp_path / "undisturbed"
    drive(undisturbed, None, trial)
    head, new = tmp_path / "head" / "one", tmp_path / "new"
    with pytest.raises(KeyboardInterrupt):
        drive(head, storage, trial, until=3)
    state = Checkpoints(checkpoints_root(head, storage=storage)).load(trial.trial_id, "last")
    shutil.rmtree(head)
    run = find_run(join(storage, "one"), root=new)
    assert (len(read(run).rows), state["epoch"]) == (0, 2), "the checkpoint is ahead of the ledger that was copied"
    with pytest.raises(KeyboardInterrupt):
        drive(run, storage, trial, until=5)  # and that one is lost too
    shutil.rmtree(run)
    run = find_run(join(storage, "one"), root=new)
    drive(run, storage, trial)
    assert differences(read(run), read(undisturbed)) == []
    began = [line["epoch"] for line in read(run).history[trial.trial_id] if line["status"] == "running"]
    assert began[-1] == 4, "it resumed, not from the start"
    assert read(fetch_run(join(storage, "one"), tmp_path / "laptop")).rows == read(run).rows


def test_without_the_lines_beside_the_checkpoints_rows_would_be_lost(storage, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "write_ahead", lambda self, report: report)
    trial = small_trial(epochs=4)
    with pytest.raises(KeyboardInterrupt):
        drive(tmp_path / "head" / "one", storage, trial, until=3)
    run = find_run(join(storage, "one"), root=tmp_path / "new")
    drive(run, storage, trial)
    assert [row["epoch"] for row in read(run).rows] == [3, 4], "the hazard is real"


def test_a_restarted_head_reads_what_another_machine_added(storage, tmp_path):
    trial = small_trial(epochs=4)
    head = tmp_path / "head" / "one"
    with pytest.raises(KeyboardInterrupt):
        drive(head, storage, trial, until=3)
    run = find_run(join(storage, "one"), root=tmp_path / "new")
    drive(run, storage, trial)
    refresh(head, storage)
    assert differences(read(head), read(run)) == []


def test_lines_of_ended_trials_and_of_older_attempts_are_not_read_again(tmp_path):
    trials = [small_trial(seed=seed) for seed in (0, 1, 2)]
    ended, older, newer = [parse_trial(trial.model_dump()).trial_id for trial in trials]
    folder = open_folder(tmp_path / "checkpoints")
    row = {"kind": "row", "attempt": 1, "epoch": 1, "step": 4}
    status = {"kind": "status", "attempt": 1, "status": "running"}
    for trial in (ended, older):
        folder.write(f"{trial}/lines.jsonl", json.dumps({**row, "trial": trial}).encode() + b"\n")
    lines = [{**status, "trial": newer, "attempt": 2}, {**row, "trial": newer, "attempt": 2}]
    folder.write(f"{newer}/attempt-2/lines.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    with Writer(tmp_path) as writer:
        writer.append(map(trial_line, trials))
        writer.append([{**status, "trial": ended, "status": "finished"}, {**status, "trial": newer}])
        writer.append([{**status, "trial": older, "attempt": 2, "status": "planned"}])
    assert lost_lines(folder, read(tmp_path)) == lines
