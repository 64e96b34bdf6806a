"""Refill: waiting trials take the lanes of ended ones, each trial trains in one pack, and the ledger has which."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ch6dist.config import parse_trial
from ch6dist.runs.ledger import read
from ch6dist.runs.schema import ENDED, Status
from ch6dist.runs.writer import Writer
from sweeps.driver import driver as driver_module
from sweeps.driver.driver import Driver, Rules
from sweeps.driver.halt import HaltedError
from sweeps.driver.jobs import PackJob
from sweeps.driver.progress import Progress
from sweeps.driver.trial_table import TrialTable
from sweeps.launch.packing import recorded_engines, recorded_packs
from sweeps.record.record import Record
from sweeps.record.uploader import NoUploader
from sweeps.search.next_trials import Search
from sweeps.wire.messages import Begin, Failed, Lines, Message, Reply

EPOCHS = 3


def config(number: int, **fields: Any) -> dict[str, Any]:
    optimizer = {"name": "SGD", "lr": 0.001 * (number + 1), **fields.pop("optimizer", {})}
    return parse_trial({"epochs": EPOCHS, "optimizer": optimizer, **fields}).model_dump()


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(f"t{number}" for number in numbers)


def not_asked(configs: Sequence[Any]) -> list[PackJob]:
    raise AssertionError(f"packs are wanted for {configs}")


WRITERS: list[Writer] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close the ledgers that a test has opened."""
    yield
    while WRITERS:
        WRITERS.pop().close()


class Fixture:
    """A driver over trials t0, t1, …, and the reports of workers that are not there."""

    def __init__(self, run: Path, packs: list[PackJob], **changes: dict[str, Any]) -> None:
        trials = [trial for pack in packs for trial in pack.trials]
        self.configs = {t: config(int(t[1:]), **changes.get(t, {})) for t in trials}
        self.run, self.table = run, TrialTable(self.configs)
        self.writer = Writer(run)
        WRITERS.append(self.writer)
        lines = [{"kind": "trial", "trial": t, "config": content} for t, content in self.configs.items()]
        self.writer.append([{"kind": "sweep", "spec": {}}, *lines])
        progress = Progress(self.table, Console(file=io.StringIO()), title="test")
        record = Record(run, self.writer, NoUploader(run), str(run / "checkpoints"), print)
        search = Search.of({}, read(run))
        self.driver = Driver(record, self.table, progress, Rules(max_retries=2), search=search, pack=not_asked)
        self.driver.begin(read(run), packs)
        self.alive: dict[int, list[str]] = {}

    def begin(self, pack: int) -> list[str]:
        """A worker begins a pack; the trials it trains."""
        while pack not in self.driver.queue.under_way:
            if self.driver.next_pack() is None:
                return []  # no trial is left in it: it is never launched
        self.alive[pack] = self.ask(pack, Begin())
        self.report(pack, [self.status(t, Status.RUNNING) for t in self.alive[pack]])
        return self.alive[pack]

    def ask(self, pack: int, message: Message) -> list[str]:
        """The trials that the reply to a message admits."""
        [reply] = self.driver.on_messages([(pack, message)])
        assert reply is not None
        return list(reply.attempts)

    def report(self, pack: int, lines: list[dict[str, Any]]) -> list[str]:
        return self.ask(pack, Lines(tuple(lines)))

    def epoch(self, pack: int, *, diverged: tuple[str, ...] = ()) -> list[str]:
        """An epoch of a pack, as `train` reports it; the trials that its orders admit."""
        rows = [self.row(t) for t in self.alive[pack]]
        admitted = self.report(pack, rows)
        ended = dict.fromkeys(diverged, Status.DIVERGED)
        ended |= {row["trial"]: Status.FINISHED for row in rows if row["epoch"] == EPOCHS}
        if ended:
            lines = [self.status(t, ended[t]) for t in self.alive[pack] if t in ended]
            admitted += self.report(pack, lines)
        self.alive[pack] = [t for t in self.alive[pack] if t not in ended]
        if admitted:
            self.report(pack, [self.status(t, Status.RUNNING) for t in admitted])
        self.alive[pack] += admitted
        return admitted

    def row(self, trial: str) -> dict[str, Any]:
        epoch = self.table.entries[trial].epoch + 1
        return {"kind": "row", "trial": trial, "attempt": 1, "epoch": epoch, "step": 10 * epoch}

    def status(self, trial: str, status: Status) -> dict[str, Any]:
        return {"kind": "status", "trial": trial, "attempt": 1, "status": status, "epoch": 0}


@pytest.mark.parametrize("engine", ["eager", "fused"])
def test_the_lane_of_a_diverged_trial_is_refilled_by_a_waiting_trial(engine: Any, tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1, 2), engine), PackJob(names(3, 4, 5), engine)])
    test.begin(0)
    assert test.epoch(0, diverged=names(1)) == ["t5"], "at the same epoch's end"
    assert test.alive[0] == ["t0", "t2", "t5"]
    assert test.epoch(0) == []
    assert test.epoch(0) == ["t3", "t4"]  # t0 and t2 have just done their last epoch
    assert test.begin(1) == []


def test_the_last_pack_gives_its_trials_first_and_trains_the_rest(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1, 2)), PackJob(names(3, 4)), PackJob(names(5, 6))])
    test.begin(0)
    assert test.epoch(0, diverged=names(0)) == ["t6"]
    assert test.begin(2) == ["t5"]
    assert test.begin(1) == ["t3", "t4"]


def test_a_pack_whose_trials_all_moved_trains_nothing(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1, 2, 3)), PackJob(names(4, 5))])
    test.begin(0)
    assert test.epoch(0, diverged=names(0, 1)) == ["t4", "t5"]
    assert test.begin(1) == []


def test_a_running_pack_gives_no_trial_away_and_never_has_more_lanes_than_it_began_with(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1)), PackJob(names(2, 3)), PackJob(names(4, 5, 6))])
    test.begin(0)
    test.begin(1)
    assert test.epoch(0, diverged=names(0)) == ["t6"]
    assert test.epoch(1, diverged=names(2)) == ["t5"]
    assert test.begin(2) == ["t4"]
    test.epoch(0)
    assert len(test.alive[0]) <= 2


def test_a_pack_that_ends_takes_no_trial_of_a_waiting_pack(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1)), PackJob(names(2, 3))])
    test.begin(0)
    for _ in range(EPOCHS):
        assert test.epoch(0) == []
    assert test.begin(1) == ["t2", "t3"]


@pytest.mark.parametrize(
    ("engine", "waiting", "other"),
    [
        ("eager", "eager", {"seed": 1}),
        ("eager", "eager", {"epochs": 4}),
        ("fused", "fused", {"optimizer": {"name": "Adam"}}),
        ("fused", "fused", {"data": {"batch_size": 64}}),
        ("fused", "fused", {"model": "conv3bn"}),
        ("fused", "eager", {}),
    ],
)
def test_only_trials_that_may_share_the_pack_join_it(
    engine: Any, waiting: Any, other: dict[str, Any], tmp_path: Path
) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1), engine), PackJob(names(2, 3), waiting)], t2=other, t3=other)
    test.begin(0)
    assert test.epoch(0, diverged=names(0)) == []
    assert test.epoch(0) == []


def test_fused_lanes_may_be_refilled_with_other_seeds(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1), "fused"), PackJob(names(2), "fused")], t2={"seed": 7})
    test.begin(0)
    assert test.epoch(0, diverged=names(0)) == ["t2"]


def test_a_trial_that_will_stop_or_has_a_checkpoint_or_lost_its_process_is_not_moved(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1)), PackJob(names(2, 3, 4)), PackJob(names(5))])
    test.begin(0)
    test.driver.stops.add("t4")
    test.table.entries["t3"].last = {"epoch": 1}
    test.driver.on_dead_worker(2)
    assert test.epoch(0, diverged=names(0)) == ["t2"]


def test_no_trial_is_moved_when_the_driver_is_halted(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1)), PackJob(names(2))])
    test.begin(0)
    test.driver.stop_all("asked to stop", exit_status=130)
    assert test.epoch(0, diverged=names(0)) == []
    assert test.epoch(0) == []


def test_a_failed_pack_is_retried_with_the_trials_that_joined_it(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1, 2), "fused"), PackJob(names(3, 4), "fused")])
    test.begin(0)
    assert test.epoch(0, diverged=names(0)) == ["t4"]
    test.driver.on_dead_worker(0)
    assert [test.driver.next_pack(), test.driver.next_pack(), test.driver.next_pack()] == [2, 1, None]
    assert test.driver.queue.packs[2:0:-1] == [PackJob(names(1, 2, 4), "fused"), PackJob(names(3), "fused")]
    assert test.begin(2) == ["t1", "t2", "t4"]
    assert test.begin(1) == ["t3"]
    assert not test.driver.over, "the packs may fail again"


def test_the_ledger_has_the_new_pack_before_the_worker_has(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1, 2), "fused"), PackJob(names(3, 4), "fused")])
    test.begin(0)
    test.epoch(0, diverged=names(0))
    row = test.row("t1")
    test.report(0, [row, test.row("t2")])  # and here the driver is killed
    ledger = read(tmp_path)
    todo = {trial for trial in ledger.trials if ledger.status(trial) not in ENDED}
    found = recorded_packs(ledger, todo)
    assert sorted(found, key=lambda pack: pack.trials) == [
        PackJob(names(1, 2, 4), "fused"),
        PackJob(names(3), "fused"),
    ]
    assert recorded_engines(ledger) == dict.fromkeys(names(0, 1, 2, 3, 4), "fused")
    again = recorded_packs(ledger, set(ledger.trials))  # everything is trained from scratch: no trial is missing
    assert sorted(trial for pack in again for trial in pack.trials) == list(names(0, 1, 2, 3, 4))


@pytest.mark.parametrize("seed", range(8))
def test_whatever_fails_every_trial_trains_once_in_one_pack(seed: int, tmp_path: Path) -> None:
    """Forty trials in packs of five on three slots; lanes diverge, workers die and failed packs are retried."""
    rng = random.Random(seed)
    jobs = [PackJob(names(*range(low, low + 5)), "fused") for low in range(0, 40, 5)]
    test, finished, slots = Fixture(tmp_path, jobs), Counter[str](), []
    test.driver.rules = Rules(max_retries=100)
    while not test.driver.over:
        while len(slots) < 3 and (number := test.driver.next_pack()) is not None:
            slots.append(number)
            test.begin(number)
        busy = [t for pack in slots for t in test.alive[pack]]
        assert len(busy) == len(set(busy))
        pack = rng.choice(slots)
        if rng.random() < 0.1:
            test.driver.on_dead_worker(pack)
            slots.remove(pack)
            continue
        diverged = tuple(t for t in test.alive[pack] if rng.random() < 0.1)
        before = set(test.alive[pack])
        test.epoch(pack, diverged=diverged)
        finished.update(before - set(test.alive[pack]))
        assert len(test.alive[pack]) <= test.driver.queue.lanes.get(pack, 0)
        if not test.alive[pack]:
            test.driver.on_end(pack)
            slots.remove(pack)
    assert finished == Counter(names(*range(40)))
    assert {entry.status for entry in test.table.entries.values()} == {Status.FINISHED, Status.DIVERGED}


# Kernel variants


def variant(key: str, name: str) -> Lines:
    """A worker has measured a kernel variant and is about to use it."""
    return Lines(({"kind": "variant", "key": key, "variant": name, "time": 1.0},))


def test_of_two_packs_that_measure_a_shape_at_once_both_are_told_the_first_choice(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1), "fused"), PackJob(names(2, 3), "fused")])
    test.begin(0)
    test.begin(1)
    replies = test.driver.on_messages([(1, variant("conv", "loop")), (0, variant("conv", "grouped"))])
    assert [reply and reply.variants for reply in replies] == [{"conv": "loop"}, {"conv": "loop"}]
    assert read(tmp_path).variants == {"conv": "loop"}


def test_a_pack_begins_with_what_the_run_has_recorded_also_under_another_driver(tmp_path: Path) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1), "fused"), PackJob(names(2, 3), "fused")])
    test.begin(0)
    test.driver.on_messages([(0, variant("conv", "loop"))])
    test.driver.next_pack()
    [reply] = test.driver.on_messages([(1, Begin())])
    assert reply is not None
    assert reply.variants == TrialTable.from_ledger(read(tmp_path)).variants == {"conv": "loop"}


def test_no_trial_joins_within_an_epoch_when_a_kernel_variant_is_recorded(tmp_path: Path) -> None:
    """Rows of earlier epochs may be trained again after a crash, and then in the batch group that they had."""
    test = Fixture(tmp_path, [PackJob(names(0, 1, 2), "fused"), PackJob(names(3, 4), "fused")])
    test.begin(0)
    test.driver.ledger.write([test.status("t1", Status.DIVERGED)])
    assert test.ask(0, variant("conv", "loop")) == []
    assert test.epoch(0) != []


# What halts the driver


@pytest.mark.parametrize("kind", ["data", "storage"])
def test_missing_data_halts_on_the_only_host_and_on_a_second_one(kind: str, tmp_path: Path) -> None:
    def lack(host: str) -> Failed:
        return Failed(kind, "nothing there", host=host)

    alone = Fixture(tmp_path / "alone", [PackJob(names(0, 1))])
    alone.begin(0)
    alone.ask(0, lack("a"))
    assert (alone.driver.halt.reason, alone.driver.halt.exit_status) == ("nothing there", 1)
    several = Fixture(tmp_path / "several", [PackJob(names(0)), PackJob(names(1))])
    several.driver.rules = Rules(max_retries=2, hosts=2)
    several.begin(0)
    several.begin(1)
    for number, host in enumerate(("a", "a", "b")):
        assert not several.driver.halted
        several.ask(min(number, 1), lack(host))
    assert several.driver.halted


@pytest.mark.parametrize(("exit_status", "reply", "rows"), [(130, Reply(halt=True), 1), (1, None, 0)])
def test_a_halt_that_was_asked_for_has_packs_save_and_another_one_writes_nothing_more(
    exit_status: int, reply: Reply | None, rows: int, tmp_path: Path
) -> None:
    test = Fixture(tmp_path, [PackJob(names(0))])
    test.begin(0)
    test.driver.stop_all("why", exit_status=exit_status)
    assert test.driver.on_messages([(0, Lines((test.row("t0"),)))]) == [reply]
    assert len(read(tmp_path).rows) == rows
    assert test.driver.on_messages([(0, Begin())]) == [reply]


def test_a_ledger_that_cannot_be_written_halts_and_the_table_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = Fixture(tmp_path, [PackJob(names(0, 1))])
    test.begin(0)

    def full(lines: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(test.writer, "append", full)
    with pytest.raises(HaltedError, match="No space left"):
        test.report(0, [test.row("t0")])
    assert test.table.entries["t0"].epoch == 0
    assert test.driver.halted
    assert test.driver.next_pack() is None


def test_packs_that_all_wait_are_reported_once_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = Fixture(tmp_path, [PackJob(names(0)), PackJob(names(1))])
    said: list[str] = []
    monkeypatch.setattr(test.driver.progress, "say", said.append)
    monkeypatch.setattr(driver_module, "STALL_SECONDS", 0.0)
    test.driver.next_pack()
    test.driver.look_for_stall()
    assert said == ["No pack is running: 1 are waiting for resources; "]
    test.begin(0)
    test.driver.look_for_stall()
    assert len(said) == 1
