"""The driver of trials over elastic workers: what is next, what a break means, and that nobody goes on unwritten."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ch6dist.config import parse_trial
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.writer import Writer
from sweeps.driver.elastic_driver import MAX_RESIZES, ElasticDriver
from sweeps.driver.trial_table import Board
from sweeps.on_ray.post import Post
from sweeps.plan.slots import Slots
from sweeps.record.record import Record
from sweeps.record.stop_requests import ask_stop
from sweeps.record.uploader import NoMirror
from tests.support.commands import TINY, statuses

TRIALS = [parse_trial({**TINY["trial"], "seed": seed}) for seed in (0, 1)]
FIRST, SECOND = (trial.trial_id for trial in TRIALS)


@pytest.fixture
def driver(tmp_path: Path) -> ElasticDriver:
    writer = Writer(tmp_path)
    writer.append([trial_line(trial) for trial in TRIALS])
    record = Record(tmp_path, writer, NoMirror(tmp_path), str(tmp_path / "checkpoints"), print)
    return ElasticDriver(record, Board.from_ledger(read(tmp_path)), Console(file=io.StringIO()))


def begins(driver: ElasticDriver, workers: int = 2) -> Any:
    return driver.on_letter({"next": workers})["trial"]


def status(trial: str, **facts: Any) -> dict[str, Any]:
    place = {"trial": trial, "attempt": 1, "epoch": 0, "device": "cpu", "workers": 2, "time": 0.0}
    return {"kind": "status", **place, **facts}


def row(trial: str, epoch: int) -> dict[str, Any]:
    numbers = {"lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.1, "images_per_second": 9.0}
    return {"kind": "row", "trial": trial, "attempt": 1, "epoch": epoch, "step": 4 * epoch, **numbers}


def breaks(driver: ElasticDriver, kind: str = "failed") -> None:
    driver.on_letter({"broken": kind, "reason": "it broke", "traceback": "…"})


def verdict(driver: ElasticDriver) -> int:
    return driver.verdict(driver.console.print, resume="sweeps final x --resume")


def test_trials_come_in_turn_until_none_is_left(driver: ElasticDriver) -> None:
    for trial in (FIRST, SECOND):
        assert begins(driver) == trial
        driver.on_letter({"lines": [status(trial, status="running"), row(trial, 1), status(trial, status="finished")]})
    assert begins(driver) is None
    assert [line["trial"] for line in read(driver.record.run).rows] == sorted([FIRST, SECOND])
    assert verdict(driver) == 0


def test_a_trial_that_breaks_at_one_place_has_max_retries(driver: ElasticDriver) -> None:
    assert begins(driver) == FIRST
    for _ in range(driver.max_retries):
        breaks(driver)
        assert begins(driver) == FIRST
    breaks(driver)
    assert begins(driver) == SECOND
    assert statuses(read(driver.record.run))[FIRST] == "failed"
    assert read(driver.record.run).statuses[FIRST]["reason"] == "it broke"
    assert verdict(driver) == 1


def test_a_trial_that_gets_further_is_tried_without_end(driver: ElasticDriver) -> None:
    for epoch in range(1, 20):
        assert begins(driver) == FIRST
        driver.on_letter({"lines": [row(FIRST, epoch)]})  # then its workers die without a word
    assert statuses(read(driver.record.run))[FIRST] != "failed"


def test_fewer_or_more_workers_are_no_failure(driver: ElasticDriver) -> None:
    assert all(begins(driver, workers) == FIRST for workers in (3, 2, 1, 2, 3, 2, 1))


def test_a_trial_under_which_workers_come_and_go_for_ever_is_given_up(driver: ElasticDriver) -> None:
    assert SECOND in [begins(driver, 2 + turn % 2) for turn in range(MAX_RESIZES + driver.max_retries + 2)]
    assert statuses(read(driver.record.run))[FIRST] == "failed"


def test_memory_that_runs_out_is_not_tried_again(driver: ElasticDriver) -> None:
    assert begins(driver) == FIRST
    breaks(driver, "out_of_memory")
    assert begins(driver) == SECOND
    assert statuses(read(driver.record.run))[FIRST] == "out_of_memory"


@pytest.mark.parametrize("kind", ["data", "storage"])
def test_what_every_trial_needs_ends_the_run_to_be_mended(driver: ElasticDriver, kind: str) -> None:
    begins(driver)
    breaks(driver, kind)
    assert driver.halted
    assert verdict(driver) == 1
    assert statuses(read(driver.record.run))[FIRST] not in ("failed", "out_of_memory")


def test_a_ledger_that_cannot_be_written_halts(driver: ElasticDriver) -> None:
    begins(driver)
    driver.record.writer.close()
    driver.record.writer.append = full  # type: ignore[method-assign]
    driver.on_letter({"lines": [row(FIRST, 1)]})
    assert driver.halted
    assert verdict(driver) == 1
    assert driver.board.entries[FIRST].epoch == 0


def full(lines: Any) -> None:
    raise OSError(28, "No space left on device")


def test_requests_stop_one_trial_or_everything(driver: ElasticDriver) -> None:
    assert begins(driver) == FIRST
    ask_stop(driver.record.run, FIRST)
    ask_stop(driver.record.run, SECOND)
    driver.tick()
    assert driver.on_letter({"lines": [row(FIRST, 1)]}) == {"stop": sorted([FIRST, SECOND])}
    driver.on_letter({"lines": [status(FIRST, status="stopped")]})
    assert begins(driver) is None
    assert set(statuses(read(driver.record.run)).values()) == {"stopped"}
    ask_stop(driver.record.run)
    driver.tick()
    assert verdict(driver) == 130


def test_a_job_holds_what_has_not_ended(driver: ElasticDriver) -> None:
    driver.on_letter({"lines": [status(FIRST, status="finished")]})
    slots = Slots("cpu", 1, 0, "CPU", 1, 0.0, 2, True)
    assert [pack.trials for pack in driver.job(slots, checkpoint_seconds=1.0).packs] == [(SECOND,)]


def test_workers_wait_for_their_answer_and_those_replaced_are_not_heard() -> None:
    async def talk() -> None:
        post = Post()
        assert await post.next(0.01) is None
        await post.join("old")
        asking = asyncio.ensure_future(post.ask("old", {"next": 2}))
        letter = await post.next(1.0)
        assert letter is not None
        assert letter[1] == {"next": 2}
        assert not asking.done()
        await post.answer(letter[0], {"trial": "a"})
        assert await asking == {"trial": "a"}
        await post.join("new")
        with pytest.raises(RuntimeError, match="replaced"):
            await post.ask("old", {"lines": []})
        assert await post.next(0.01) is None

    asyncio.run(talk())
