"""A process group over given processes: how ranks connect, what they leave behind, and what a lost one does."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import time
from datetime import timedelta

import pytest
import torch

from ch6dist.distributed import group as distributed
from ch6dist.distributed.group import SOLO, Group, connect, process_group, rendezvous
from ch6dist.errors import InputError
from ch6dist.packs import shares
from tests.support.ranks import HOST, in_ranks, started

torch.set_num_threads(1)


class StubbornError(Exception):
    """An error whose pickle cannot be read: unpickling passes the arguments of another constructor."""

    def __init__(self, host: str, number: int) -> None:
        super().__init__(f"{host} {number}")


def greet(group, folder):
    """What the group is, and what it does with a tensor and a value."""
    total = group.sum(torch.tensor([1.0, float(group.rank)])).tolist()
    return (
        group.rank,
        group.world_size,
        total,
        group.from_rank_zero(f"from {group.rank}"),
        group.on_rank_zero(os.getpid),
    )


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_that_meet_at_a_store_are_one_group(tmp_path, world_size):
    found = in_ranks(world_size, tmp_path, greet)
    sums = [float(world_size), float(sum(range(world_size)))]
    assert [answer[:4] for answer in found] == [(rank, world_size, sums, "from 0") for rank in range(world_size)]
    assert len({pid for *_, pid in found}) == 1


def raising(group, folder):
    """What each rank sees of errors that rank 0 alone meets."""
    seen = []
    for error in (ValueError("no such thing"), StubbornError("shelf", 3)):
        with pytest.raises(Exception, match=str(error)) as caught:
            group.on_rank_zero(lambda error=error: (_ for _ in ()).throw(error))
        seen.append(type(caught.value).__name__)
    return seen, group.on_rank_zero(lambda: "still together")


def test_what_rank_0_alone_meets_is_raised_on_every_rank(tmp_path):
    first, *others = in_ranks(3, tmp_path, raising)
    assert first == (["ValueError", "StubbornError"], "still together")
    assert others == [(["ValueError", "RuntimeError"], "still together")] * 2


def test_alone_an_action_is_only_called():
    assert SOLO.on_rank_zero(lambda: 3) == 3
    with pytest.raises(KeyError, match="mine"):
        SOLO.on_rank_zero(lambda: {}["mine"])


@pytest.mark.parametrize("preset", [{}, {"GLOO_SOCKET_IFNAME": "lo"}])
def test_a_group_leaves_environment_and_ports_as_they_were_also_after_an_error(monkeypatch, preset):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    for name, value in preset.items():
        monkeypatch.setenv(name, value)
    importlib.import_module("torch._dynamo")  # sets a variable of its own, once in a process
    before = dict(os.environ)
    for _ in range(3):  # the second time the first must not be in its way
        store = rendezvous(HOST, 1)
        port = store.port
        with (
            pytest.raises(AssertionError, match="on purpose"),
            process_group(store, rank=0, world_size=1, address=HOST),
        ):
            assert os.environ["GLOO_SOCKET_IFNAME"] != "lo", "on purpose"
        assert dict(os.environ) == before
        assert not torch.distributed.is_initialized()
        del store
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port), timeout=5)


def test_the_store_listens_at_its_own_address_only():
    store = rendezvous(HOST, 2)
    connect(HOST, store.port, 2).set("greeting", "hello")
    assert store.get("greeting") == b"hello"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", store.port), timeout=5)


def enter(store, **settings):
    with process_group(store, **settings):
        pass


def test_an_address_of_another_host_is_refused_before_anybody_waits():
    store = rendezvous(HOST, 2)
    with pytest.raises(InputError, match="address"):
        enter(store, rank=0, world_size=2, address="192.0.2.1")


def test_ranks_that_do_not_come_are_named(monkeypatch):
    monkeypatch.setattr(distributed, "CONNECT_TIMEOUT", timedelta(seconds=1))
    store = rendezvous(HOST, 3)
    store.set("here/1", "")
    with pytest.raises(torch.distributed.DistStoreError, match=r"ranks \[2\] of 3 did not connect"):
        enter(store, rank=0, world_size=3, address=HOST)
    assert not torch.distributed.is_initialized()


def sum_for_ever(group, folder, raising):
    """Sum until that fails; return the message. Rank 1 stops with an error where `raising` is set."""
    try:
        while True:
            group.sum(torch.ones(1000))
            (folder / f"pid-{group.rank}").write_text(str(os.getpid()))
            assert not (raising and group.rank == 1), "on purpose"
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("how", ["killed", "raising"])
def test_a_rank_that_is_lost_is_noticed_by_all_others_at_once(tmp_path, how):
    names = [f"pid-{rank}" for rank in range(4)]
    with started(4, tmp_path, sum_for_ever, how == "raising") as processes:
        while not all((tmp_path / name).exists() for name in names):
            time.sleep(0.01)
        if how == "killed":
            os.kill(processes[1].pid, signal.SIGKILL)
    assert [process.exitcode for process in processes] == [0, -signal.SIGKILL if how == "killed" else 1, 0, 0]


@pytest.mark.parametrize(("world_size", "expected"), [(1, [128]), (3, [42, 43, 43]), (4, [32] * 4), (200, None)])
def test_shares_of_a_batch_are_those_that_the_ranks_take(world_size, expected):
    found = shares(128, world_size=world_size)
    assert expected is None or found == expected
    slices = [Group(rank, world_size).share(0, 128) for rank in range(world_size)]
    assert found == [stop - start for start, stop in slices]
    assert sum(found) == 128
