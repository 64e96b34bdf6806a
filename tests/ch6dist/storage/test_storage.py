"""Folders and object stores: the same claims for both, and how a bad path or URL is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest
import torch

from ch6dist.errors import InputError, UsageError
from ch6dist.runs.fetch import fetch_run
from ch6dist.runs.folders import checkpoints_root, find_run, has_checkpoint
from ch6dist.runs.ledger import read
from ch6dist.runs.write_ahead import decode_lines, encode_lines
from ch6dist.runs.writer import Writer
from ch6dist.storage.files import check_storage, first_line, is_remote, join, open_folder, split_last
from ch6dist.training.checkpoint import Checkpoints
from tests.support.commands import environment

torch.set_num_threads(1)
STATE = {"trial": "a", "epoch": 1, "lane": {"model": {"w": torch.arange(1000.0)}}}
ROW = {"kind": "row", "trial": "a", "attempt": 1, "epoch": 1, "step": 4}


@pytest.fixture(params=["path", "s3"])
def storage(request, tmp_path, server):
    return str(tmp_path / "store") if request.param == "path" else server.url(f"store/{tmp_path.name}")


def test_what_is_written_is_read_listed_and_removed(storage):
    folder = open_folder(storage)
    assert (folder.read("a/x"), folder.size("a/x"), folder.sizes(), folder.names()) == (None, None, {}, set())
    folder.write("a/x", b"one")
    folder.write("a/b/y", memoryview(b"twelve bytes"))
    folder.write("a/x", b"two!")
    assert (folder.read("a/x"), folder.size("a/x")) == (b"two!", 4)
    assert folder.sizes() == {"a/x": 4, "a/b/y": 12}
    assert folder.sizes("a/b") == {"a/b/y": 12}
    assert folder.names() == {"a"}
    folder.remove("a/x")
    folder.remove("a/x")
    assert folder.sizes() == {"a/b/y": 12}


def test_more_than_a_part_of_an_upload_arrives_whole(storage):
    content = bytes(range(256)) * 60_000  # 15 MB: an object store takes it in parts
    open_folder(storage).write("large", content)
    assert open_folder(storage).read("large") == content


def test_a_file_that_another_replaces_and_removes_is_read_whole_or_not_at_all(storage):
    contents, folder, done = [b"a", b"b" * 3000, b"c" * 50], open_folder(storage), threading.Event()

    def disturb():
        other = open_folder(storage)
        for turn in range(60):
            other.write("x", contents[turn % 3])
            if turn % 4 == 3:
                other.remove("x")
            time.sleep(0.02)
        done.set()

    writer = threading.Thread(target=disturb)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(folder.read("x"))
    writer.join()
    assert seen <= {*contents, None}


def test_a_checkpoint_is_saved_loaded_and_discarded_anywhere(storage):
    store = Checkpoints(storage, {"b": 2})
    for trial in "ab":
        assert store.load(trial, "last") is None
        assert store.size(trial, "last") is None
        store.save(trial, "last", {**STATE, "trial": trial})
        assert torch.equal(store.load(trial, "last")["lane"]["model"]["w"], STATE["lane"]["model"]["w"])
    assert set(open_folder(storage).sizes()) == {"a/last.pt", "b/attempt-2/last.pt"}
    assert store.size("a", "last") == open_folder(storage).size("a/last.pt")
    assert has_checkpoint(open_folder(storage), "b", attempt=2)
    assert not has_checkpoint(open_folder(storage), "b")
    store.discard("b")
    assert set(open_folder(storage).sizes()) == {"a/last.pt"}


def test_the_lines_of_a_trial_are_in_the_store_before_its_checkpoint(server, tmp_path):
    storage = server.url(f"lines/{tmp_path.name}")
    first = Checkpoints(storage)
    first.write_ahead(lambda lines: None)([{**ROW, "train_loss": float("nan")}])
    first.save("a", "last", STATE)
    second = Checkpoints(storage)  # another process resumes: what the first reported stays
    second.load("a", "last")
    report = second.write_ahead(lambda lines: None)
    report(
        [{"kind": "variant", "key": "conv", "variant": "loop", "time": 1.0}]
    )  # of no trial: in the checkpoint itself
    report([{**ROW, "epoch": 2, "step": 8}])
    second.save("a", "last", STATE)
    lines = decode_lines(open_folder(storage).read("a/lines.jsonl"), place="here")
    assert [line["step"] for line in lines] == [4, 8]
    assert lines[0]["train_loss"] != lines[0]["train_loss"], "NaN stays NaN: the ledger decides how to store it"


def test_a_folder_holds_the_ledger_itself_and_no_lines_beside_a_checkpoint(tmp_path):
    store = Checkpoints(tmp_path)
    store.write_ahead(lambda lines: None)([ROW])
    store.save("a", "last", STATE)
    assert set(open_folder(tmp_path).sizes()) == {"a/last.pt"}


@pytest.mark.parametrize("content", [b"{", b"[1]\n", b"1\n", b"\xff\n"])
def test_damaged_lines_are_refused_by_file(content):
    with pytest.raises(UsageError, match="here is damaged"):
        decode_lines(content, place="here")
    assert decode_lines(encode_lines([ROW, ROW]), place="here") == [ROW, ROW]


BAD = ["", "  ", None, 7, "gs://bucket/x", "http://x/y", "s3://", "s3://b", "s3:///x", "s3://key:secret@bucket/x"]


@pytest.mark.parametrize("given", [*BAD, "s3://Bucket/x", "s3://bucket/a b", "s3://bucket//x", "s3://bucket/x#y"])
def test_a_storage_that_cannot_be_opened_is_refused_in_one_line(given):
    with pytest.raises(InputError) as refused:
        check_storage(given)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_url_that_pyarrow_does_not_take_is_refused():
    with pytest.raises(InputError, match="bogus"):
        open_folder("s3://bucket/x?bogus=1")


@pytest.mark.parametrize("given", ["/mnt/nfs/runs", "s3://bucket", "s3://bucket/a/b/", "s3://bucket/a?region=x"])
def test_other_storages_are_accepted_unchanged(given):
    assert check_storage(given) == given
    assert is_remote(given) == given.startswith("s3://")


def test_urls_are_joined_and_split_with_their_query():
    url = "s3://bucket/sweeps/?scheme=http"
    assert join(url, "one", "checkpoints") == "s3://bucket/sweeps/one/checkpoints?scheme=http"
    assert join("s3://bucket", "one") == "s3://bucket/one"
    assert join("runs", "one") == "runs/one"
    assert split_last(join(url, "one")) == ("s3://bucket/sweeps?scheme=http", "one")
    assert split_last("s3://bucket/one/") == ("s3://bucket", "one")


def test_checkpoints_lie_in_the_run_folder_or_in_the_object_store(tmp_path):
    run = tmp_path / "one"
    assert checkpoints_root(run) == checkpoints_root(run, storage=str(tmp_path)) == str(run / "checkpoints")
    assert checkpoints_root(run, storage="s3://bucket/x?region=y") == "s3://bucket/x/one/checkpoints?region=y"


# A run in an object store


def uploaded(run, url):
    folder = open_folder(url)
    for path in [run / "sweep.yaml", *sorted((run / "ledger").glob("*"))]:
        folder.write(str(path.relative_to(run)), path.read_bytes())


def made(run, *lines):
    with Writer(run) as writer:
        (run / "sweep.yaml").write_text("name: one\n")
        writer.append(lines or [{"kind": "sweep", "time": 1.0}, ROW])
    return run


def test_a_run_in_a_store_is_found_and_brought_here(server, tmp_path):
    url = server.url(f"found/{tmp_path.name}/one")
    run = made(tmp_path / "there" / "one")
    uploaded(run, url)
    folder = find_run(url, root=tmp_path / "here")
    assert folder == tmp_path / "here" / "one"
    assert read(folder) == read(run)
    made(run, {**ROW, "step": 8})  # a second driver: a second segment
    uploaded(run, url)
    assert len(read(find_run(url, root=tmp_path / "here")).rows) == 2


def test_newer_lines_here_are_not_overwritten_by_older_ones(server, tmp_path):
    url = server.url(f"newer/{tmp_path.name}/one")
    run = made(tmp_path / "one")
    uploaded(run, url)
    with (run / "ledger" / "000001.jsonl").open("a") as file:
        file.write(json.dumps({**ROW, "step": 8}) + "\n" + '{"kind": "row", "tri')  # a torn line too
    before = (run / "ledger" / "000001.jsonl").read_bytes()
    assert find_run(url, root=tmp_path) == run
    assert (run / "ledger" / "000001.jsonl").read_bytes() == before


def test_a_torn_line_here_gives_way_to_the_whole_one_there(server, tmp_path):
    url = server.url(f"torn/{tmp_path.name}/one")
    run = made(tmp_path / "one")
    uploaded(run, url)
    whole = (run / "ledger" / "000001.jsonl").read_bytes()
    (run / "ledger" / "000001.jsonl").write_bytes(whole[:-5])
    find_run(url, root=tmp_path)
    assert (run / "ledger" / "000001.jsonl").read_bytes() == whole


def test_another_run_of_the_same_name_is_refused_and_left_alone(server, tmp_path):
    url = server.url(f"other/{tmp_path.name}/one")
    uploaded(made(tmp_path / "there" / "one"), url)
    run = made(tmp_path / "one", {"kind": "sweep", "time": 2.0})
    before = (run / "ledger" / "000001.jsonl").read_bytes()
    with pytest.raises(UsageError, match="holds other lines"):
        find_run(url, root=tmp_path)
    assert (run / "ledger" / "000001.jsonl").read_bytes() == before


@pytest.mark.parametrize(("name", "error"), [("nowhere", UsageError), ("..", InputError), ("a b", InputError)])
def test_a_run_that_is_not_there_is_refused_and_nothing_is_made(server, tmp_path, name, error):
    with pytest.raises(error):
        find_run(server.url(f"x/{name}"), root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_bucket_is_reported_in_one_line(server, tmp_path):
    with pytest.raises(UsageError, match="NO_SUCH_BUCKET") as refused:
        fetch_run(server.url("x/one", bucket="no-such-bucket"), tmp_path / "one")
    assert "\n" not in str(refused.value)


def test_an_error_is_reported_without_its_request_id():
    assert first_line(OSError("no bucket (Request ID: 12)\nmore")) == "no bucket"


LOCAL = """
import sys
from ch6dist.runs.folders import find_run
import sweeps.record.uploader, sweeps.record.retention, sweeps.spec.sweep_file
find_run(sys.argv[1])
assert "pyarrow" not in sys.modules, "pyarrow"
assert "torch" not in sys.modules, "torch"
"""


def test_runs_on_paths_wait_for_no_object_store_library(tmp_path):
    run = made(tmp_path / "one")
    subprocess.run([sys.executable, "-c", LOCAL, str(run)], check=True, env=environment())
