"""The wire: what is asked is answered once it was handled; strangers are not heard; nobody waits for a dead end."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ch6dist.packs import Leave
from ch6dist.runs.schema import Status
from sweeps.wire import reporter as reporter_module
from sweeps.wire import server as server_module
from sweeps.wire.client import DriverGoneError, Wire
from sweeps.wire.messages import Address, Begin, Lines, Message, Pace, Reply
from sweeps.wire.reporter import Reporter
from sweeps.wire.server import Server
from tests.support.namespaces import wait_for

HOST = "127.0.0.1"
PACE = Pace(("a",), step=1, steps=2, images_per_second=3.0)


class Driver:
    """Notes each batch, and replies to each message with the number of its pack."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, Message]]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, batch: Sequence[tuple[int, Message]]) -> list[Reply | None]:
        self.batches.append(list(batch))
        self.may_answer.wait(60)
        return [None if isinstance(message, Pace) else reply(pack) for pack, message in batch]


def reply(pack: int) -> Reply:
    return Reply(leave={f"of-{pack}": Leave(Status.PAUSED, "waits")}, admit=({"epochs": pack},), attempts={"a": pack})


def line(epoch: int) -> Lines:
    return Lines(({"kind": "row", "trial": "a", "epoch": epoch},))


def test_each_worker_gets_its_own_reply_to_each_message_in_order() -> None:
    driver = Driver()

    def work(pack: int) -> list[Reply]:
        wire = Wire(server.address, pack=pack)
        found = [wire.ask(line(epoch)) for epoch in range(50)]
        wire.close()
        return found

    with Server(driver, host=HOST) as server, ThreadPoolExecutor(16) as pool:
        found = list(pool.map(work, range(16)))
    assert found == [[reply(pack)] * 50 for pack in range(16)]
    heard = [asked for batch in driver.batches for asked in batch]
    for pack in range(16):
        assert [message for number, message in heard if number == pack] == [line(epoch) for epoch in range(50)]


def test_no_reply_comes_before_the_message_was_handled_and_what_waits_is_handled_at_once() -> None:
    driver = Driver()
    driver.may_answer.clear()
    with Server(driver, host=HOST) as server, ThreadPoolExecutor(9) as pool:
        first = pool.submit(Wire(server.address, pack=0).ask, Begin())
        wait_for(lambda: driver.batches)
        others = [pool.submit(Wire(server.address, pack=pack).ask, Begin()) for pack in range(1, 9)]
        wait_for(lambda: server.waiting.qsize() == 8)
        assert not first.done()
        driver.may_answer.set()
        assert [asked.result(60) for asked in (first, *others)] == [reply(pack) for pack in range(9)]
    assert [len(batch) for batch in driver.batches] == [1, 8]


def test_a_message_that_is_told_is_not_answered() -> None:
    driver = Driver()
    with Server(driver, host=HOST) as server:
        wire = Wire(server.address, pack=4)
        for _ in range(3):
            wire.tell(lambda: PACE)
            assert wire.ask(Begin()) == reply(4)
    assert [message for batch in driver.batches for _, message in batch] == [PACE, Begin()] * 3


def test_a_message_may_be_as_long_as_it_likes() -> None:
    driver, long = Driver(), Lines(tuple({"trial": "x" * 1000, "epoch": epoch} for epoch in range(5000)))
    with Server(driver, host=HOST) as server:
        Wire(server.address, pack=0).ask(long)
    assert driver.batches == [[(0, long)]]


@pytest.mark.parametrize("key", [b"", b"another key"], ids=["none", "another"])
def test_a_stranger_is_not_heard(key: bytes) -> None:
    driver = Driver()
    with Server(driver, host=HOST) as server:
        with pytest.raises(DriverGoneError):
            Wire(replace(server.address, key=key), pack=0).ask(Begin())
        with socket.create_connection((HOST, server.address.port)) as stranger, suppress(ConnectionResetError):
            stranger.sendall(b"\x00\x00\x00\x04abcd" * 1000)
            while stranger.recv(4096):
                pass
        assert Wire(server.address, pack=1).ask(Begin()) == reply(1)
    assert driver.batches == [[(1, Begin())]]


def test_a_stranger_who_says_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HANDSHAKE_SECONDS", 3600.0)
    with Server(Driver(), host=HOST) as server, socket.create_connection((HOST, server.address.port)):
        assert Wire(server.address, pack=1).ask(Begin()) == reply(1)


def test_a_driver_that_fails_hangs_up_and_keeps_the_reason() -> None:
    def fail(batch: Sequence[tuple[int, Message]]) -> list[Reply | None]:
        raise ZeroDivisionError

    with Server(fail, host=HOST) as server, ThreadPoolExecutor(4) as pool:
        wires = [Wire(server.address, pack=pack) for pack in range(4)]
        for asked in [pool.submit(wire.ask, Begin()) for wire in wires]:
            with pytest.raises(DriverGoneError):
                asked.result(60)
        assert isinstance(server.error, ZeroDivisionError)
        with pytest.raises(DriverGoneError):
            Wire(server.address, pack=9).ask(Begin())


def test_a_driver_that_has_ended_is_gone_for_those_who_wait_and_for_those_who_come() -> None:
    with Server(Driver(), host=HOST) as server:
        wire = Wire(server.address, pack=0)
    with pytest.raises(DriverGoneError):
        wire.ask(Begin())
    with pytest.raises(DriverGoneError):
        wire.tell(lambda: PACE)
    with pytest.raises(DriverGoneError):
        Wire(server.address, pack=0)


def ask_and_hang(address: Address) -> None:
    Wire(address, pack=7).ask(Begin())
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_disturbs_no_other() -> None:
    driver = Driver()
    with Server(driver, host=HOST) as server:
        wire = Wire(server.address, pack=0)
        wire.ask(Begin())
        process = multiprocessing.get_context("spawn").Process(target=ask_and_hang, args=(server.address,))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert wire.ask(line(1)) == reply(0)
    assert server.error is None


def test_a_pack_tells_its_pace_while_it_trains_and_not_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "PACE_SECONDS", 0.01)
    driver, paces = Driver(), iter([None, None, *(replace(PACE, step=step) for step in range(1000))])
    with Server(driver, host=HOST) as server, Reporter(server.address, pack=5) as reporter:
        with reporter.telling_pace(lambda: next(paces)):
            wait_for(lambda: len(driver.batches) >= 3)
            [teller] = [thread for thread in threading.enumerate() if "_tell_pace" in thread.name]
        teller.join(60)
        assert not teller.is_alive(), "though the connection is open"
        reporter([])
    *told, last = [asked for batch in driver.batches for asked in batch]
    assert told == [(5, replace(PACE, step=step)) for step in range(len(told))]
    assert last == (5, Lines(()))


def test_what_is_told_is_made_when_nothing_else_is_asked() -> None:
    driver, made = Driver(), []
    driver.may_answer.clear()
    with Server(driver, host=HOST) as server, ThreadPoolExecutor(2) as pool:
        wire = Wire(server.address, pack=0)
        asked = pool.submit(wire.ask, line(1))
        wait_for(lambda: driver.batches)
        told = pool.submit(wire.tell, lambda: made.append(asked.done()))
        driver.may_answer.set()
        told.result(60)
    assert made == [True], "not while the report of an epoch waits"


def test_a_worker_that_is_not_wanted_any_more_is_hung_up_on_and_the_others_go_on() -> None:
    def handle(batch: Sequence[tuple[int, Message]]) -> list[Reply | None]:
        return [None if pack == 1 else reply(pack) for pack, _ in batch]

    with Server(handle, host=HOST) as server:
        dead, living = Wire(server.address, pack=1), Wire(server.address, pack=2)
        dead.tell(lambda: PACE)  # wants no reply
        assert living.ask(Begin()) == reply(2)
        with pytest.raises(DriverGoneError):
            dead.ask(Begin())
        assert living.ask(Begin()) == reply(2)


def test_a_worker_that_takes_no_reply_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SEND_SECONDS", 0.2)
    large = Reply(admit=({"text": "x" * 2**26},))

    def handle(batch: Sequence[tuple[int, Message]]) -> list[Reply | None]:
        return [large if pack == 1 else reply(pack) for pack, _ in batch]

    with Server(handle, host=HOST) as server:
        stopped, living = Wire(server.address, pack=1), Wire(server.address, pack=2)
        stopped.connection.send((1, Begin()))  # and never reads
        assert living.ask(Begin()) == reply(2)
    assert server.error is None


@pytest.mark.parametrize("replies", [0, 2])
def test_a_driver_that_does_not_answer_each_message_is_a_driver_that_fails(replies: int) -> None:
    with Server(lambda batch: [reply(0)] * replies, host=HOST) as server:
        with pytest.raises(DriverGoneError):
            [Wire(server.address, pack=0).ask(Begin()) for _ in range(2)]
        server.answering.join(60)
        assert isinstance(server.error, ValueError)


def test_workers_may_come_after_the_descriptors_were_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, refused = Driver(), [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread")]
    with Server(driver, host=HOST) as server:
        accept = server.listener.accept

        def without_luck() -> Any:
            """Accept, and fail where a descriptor or a thread is lacking."""
            found = accept()
            if refused:
                found[0].close()
                raise refused.pop()
            return found

        monkeypatch.setattr(server_module.socket.socket, "accept", lambda self: without_luck())
        Wire(server.address, pack=0).ask(Begin())  # the thread was in the real accept already
        for _ in range(2):
            with pytest.raises(DriverGoneError):
                Wire(server.address, pack=1).ask(Begin())
        assert Wire(server.address, pack=2).ask(Begin()) == reply(2)
