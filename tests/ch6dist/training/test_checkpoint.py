"""Checkpoints that outlive full disks, kills and damage."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
from pathlib import Path

import pytest
import torch

from ch6dist.errors import UsageError
from ch6dist.host.process import host_id
from ch6dist.storage.atomic import STALE_SECONDS
from ch6dist.training.checkpoint import Checkpoints
from tests.support.trials import files_in, in_process

torch.set_num_threads(1)
OLD = {"trial": "a", "epoch": 1, "lane": {"model": {"w": torch.arange(1000.0)}}}
NEW = {"trial": "a", "epoch": 2, "lane": {"model": {"w": torch.arange(100_000.0)}}}  # 400 kB


def save_on_a_small_disk(folder, limit, action):
    """Exit status 3 when the full disk raised an OSError."""
    signal.signal(signal.SIGXFSZ, action)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        Checkpoints(folder).save("a", "last", NEW)
    except OSError:
        sys.exit(3)


def is_old(state):
    return state["epoch"] == 1 and torch.equal(state["lane"]["model"]["w"], OLD["lane"]["model"]["w"])


def test_what_is_saved_is_loaded(tmp_path):
    store = Checkpoints(tmp_path)
    store.save("a", "last", NEW)
    assert store.path("a", "last") == tmp_path / "a" / "last.pt"
    assert torch.equal(store.load("a", "last")["lane"]["model"]["w"], NEW["lane"]["model"]["w"])
    assert files_in(tmp_path) == ["a/last.pt"]


def test_what_is_not_there_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nowhere").load("a", "last") is None


@pytest.mark.parametrize("limit", [0, 1, 4096, 200_000, 399_999])
def test_a_full_disk_is_reported_and_leaves_the_old_checkpoint_whole(tmp_path, limit):
    Checkpoints(tmp_path).save("a", "last", OLD)
    assert in_process(save_on_a_small_disk, tmp_path, limit, signal.SIG_IGN) == 3
    assert is_old(Checkpoints(tmp_path).load("a", "last"))
    assert files_in(tmp_path) == ["a/last.pt"], "no half of the new one is left"


@pytest.mark.parametrize("limit", [1, 200_000])
def test_a_kill_in_mid_write_leaves_the_old_checkpoint_whole(tmp_path, limit):
    store = Checkpoints(tmp_path)
    store.save("a", "last", OLD)
    assert in_process(save_on_a_small_disk, tmp_path, limit, signal.SIG_DFL) == -signal.SIGXFSZ
    assert is_old(store.load("a", "last"))
    store.save("a", "last", NEW)
    assert store.load("a", "last")["epoch"] == 2


def test_what_dead_writers_left_goes_and_what_living_ones_write_stays(tmp_path):
    store, home = Checkpoints(tmp_path), tmp_path / "a"
    home.mkdir()
    dead, living = f".last.pt.{host_id()}.4194305.tmp", f".last.pt.{host_id()}.1.tmp"
    old, young = ".last.pt.other.host.1.tmp", ".last.pt.another.1.tmp"
    for name in (dead, living, old, young):
        (home / name).write_text("half")
    os.utime(home / old, (0, (home / old).stat().st_mtime - STALE_SECONDS - 1))
    store.save("a", "last", OLD)
    assert files_in(tmp_path) == sorted(f"a/{name}" for name in (living, young, "last.pt"))


def test_what_a_trial_leaves_is_discarded_and_nothing_else(tmp_path):
    store = Checkpoints(tmp_path, {"a": 2})
    for trial in "ab":
        store.save(trial, "last", {**OLD, "trial": trial})
    store.discard("a")
    assert files_in(tmp_path) == ["b/last.pt"]


def test_a_reader_during_the_replacement_reads_the_old_one_whole(tmp_path):
    store = Checkpoints(tmp_path)
    store.save("a", "last", OLD)
    with store.path("a", "last").open("rb") as reader:
        store.save("a", "last", NEW)
        assert is_old(torch.load(reader, weights_only=True))


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Checkpoints(tmp_path / "file").save("a", "last", OLD)


def damaged(whole):
    yield from (whole[:end] for end in (0, 1, 100, len(whole) // 2, len(whole) - 1))
    yield b"x" * len(whole)
    yield pickle.dumps([1, 2, 3], protocol=2)


def test_a_damaged_checkpoint_is_refused_by_its_path(tmp_path):
    store = Checkpoints(tmp_path)
    store.save("a", "last", OLD)
    path = store.path("a", "last")
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"a/last\.pt is no readable checkpoint"):
            store.load("a", "last")
    torch.save(torch.zeros(3), path)  # whole, and no checkpoint
    with pytest.raises(UsageError):
        store.load("a", "last")


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


def test_a_checkpoint_is_data_and_never_code(tmp_path):
    store = Checkpoints(tmp_path)
    store.save("a", "last", OLD)
    path = store.path("a", "last")
    torch.save({"trial": "a", "lane": Evil()}, path)
    with pytest.raises(UsageError, match="UnpicklingError"):
        store.load("a", "last")


def test_the_checkpoint_of_another_trial_is_refused(tmp_path):
    store = Checkpoints(tmp_path)
    store.save("a", "last", OLD)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(UsageError, match="is a checkpoint of a, not of b"):
        store.load("b", "last")


def test_attempts_have_folders_of_their_own(tmp_path):
    first, second = Checkpoints(tmp_path), Checkpoints(tmp_path, {"a": 2})
    first.save("a", "last", OLD)
    assert second.load("a", "last") is None
    second.save("a", "last", NEW)
    assert files_in(tmp_path) == ["a/attempt-2/last.pt", "a/last.pt"]
    assert is_old(first.load("a", "last"))


def test_the_attempt_of_a_trial_that_is_added_later_is_its_own(tmp_path: Path) -> None:
    attempts: dict[str, int] = {}
    store = Checkpoints(tmp_path, attempts)
    attempts["late"] = 2
    store.save("late", "last", {})
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.pt")] == ["late/attempt-2/last.pt"]
