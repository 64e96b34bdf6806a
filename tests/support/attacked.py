"""A simulated sweep under attack: workers die or have no memory, trials are asked to stop; rules are checked all along.

    run = Attacked(folder, spec, value, deaths=0.1, stops=0.05, memory=5)
    run.go(); run.check()

After each message no trial may be in two packs, and no lane may stay free that a waiting trial could take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ch6dist.runs.schema import ENDED, Line, Status
from sweeps.record.stop_requests import clear, request_stop
from sweeps.search.replay import departures
from sweeps.spec.sweep_file import SweepSpec
from sweeps.wire.messages import Failed, Lines, Reply
from tests.support.simulated import Simulated, Value, Worker


class DeadError(Exception):
    """A worker's process is gone."""


class FullError(Exception):
    """A worker has no memory for its lanes."""


class Attacked(Simulated):
    """A run to which things happen."""

    def __init__(
        self,
        run: Path,
        spec: SweepSpec,
        value: Value,
        *,
        deaths: float = 0.0,
        stops: float = 0.0,
        memory: int | None = None,
        **others: Any,
    ) -> None:
        """
        Args:
            deaths: the chance that a worker dies, before and after each of its messages.
            stops: the chance at each turn that a trial is asked to stop.
            memory: lanes for which a worker has room.
        """
        super().__init__(run, spec, value, **others)
        self.deaths, self.stops, self.memory = deaths, stops, memory
        self.asked: set[str] = set()
        self.ask_next: list[str] = []  # trials that are asked to stop at the next turns

    def send(self, number: int, message: Any) -> Reply:
        """Send, and die before or after it; check what the driver made of it."""
        self._die()
        reply = super().send(number, message)
        self._check_packs()
        if isinstance(message, Lines) and any(line.get("status") != Status.RUNNING for line in message.lines):
            self._check_lanes(number)
        self._die()
        return reply

    def turn(self, number: int, act: Callable[[], bool], running: dict[int, Worker]) -> None:
        """Let a worker do something, which may be its last; or somebody asks a trial to stop."""
        if self.ask_next:
            self._ask_to_stop(self.ask_next.pop())
        if self.rng.random() < self.stops:
            self._ask_to_stop(self.rng.choice(sorted(self.driver.table.entries)))
        try:
            if self.memory is not None and len(running[number].lanes) > self.memory:
                raise FullError
            super().turn(number, act, running)
        except DeadError:
            del running[number]
            self.driver.on_dead_worker(number)
        except FullError:
            del running[number]
            super().send(number, Failed("out_of_memory", "no memory left"))
            self.driver.on_end(number)
        self._check_packs()

    def check(self) -> None:
        """What holds when a sweep has come to its end."""
        ledger = self.ledger()
        departed = departures(ledger)
        assert not departed, departed[:3]
        assert not _needless(ledger.lines)
        statuses = {trial: ledger.status(trial) for trial in ledger.trials}
        whole = not ledger.spec.get("budget")
        assert Status.RUNNING not in statuses.values()
        assert not whole or set(statuses.values()) <= ENDED, statuses
        for trial in self.asked:
            assert statuses[trial] in ENDED or not whole

    def forget_requests(self) -> None:
        """As a new driver does."""
        clear(self.run)
        self.asked.clear()

    def _die(self) -> None:
        if self.rng.random() < self.deaths:
            raise DeadError

    def _ask_to_stop(self, trial: str) -> None:
        request_stop(self.run, trial)
        self.asked.add(trial)
        self.driver.look_for_requests()

    def _check_packs(self) -> None:
        queue, entries = self.driver.queue, self.driver.table.entries
        held = [t for n in {*queue.queue, *queue.under_way} for t in queue.packs[n].trials]
        open_ = [trial for trial in held if entries[trial].status not in ENDED]
        twice = [trial for trial, count in Counter(open_).items() if count > 1]
        assert not twice, f"in two packs: {twice}"
        lost = [trial for trial in open_ if trial not in queue.place]
        assert not lost, f"in a pack, and without a place: {lost}"

    def _check_lanes(self, number: int) -> None:
        """No lane is free that a trial could take which waits, beyond the packs that idle slots are about to train."""
        queue, entries = self.driver.queue, self.driver.table.entries
        if number not in queue.keys or number not in queue.lanes:
            return
        trials = queue.packs[number].trials
        staying = [t for t in trials if entries[t].status not in ENDED and not entries[t].waits]
        if not 0 < len(staying) < queue.lanes[number]:
            return
        coming = [n for n in [*sorted(queue.under_way - queue.lanes.keys()), *queue.queue] if queue.packs[n].trials]
        later = coming[max(0, self.slots - len(queue.lanes)) :]
        fitting = [
            trial
            for n in later
            if queue.keys.get(n) == queue.keys[number]
            for trial in queue.packs[n].trials
            if (not entries[trial].last or entries[trial].status == Status.PAUSED) and trial not in self.driver.stops
        ]
        assert not fitting, f"pack {number} has a free lane, and {fitting} wait"


def _needless(lines: Sequence[Line]) -> set[tuple[int, str, int, int]]:
    """What a driver trained twice, of trials that did not fail: driver, trial, attempt, epoch."""
    often: Counter[tuple[int, str, int, int]] = Counter()
    failed = set[tuple[int, str]]()
    driver = 0
    for line in lines:
        driver += line["kind"] == "sweep"
        if line["kind"] == "event":
            failed |= {(driver, trial) for trial in line["trials"]}
        if line["kind"] == "row" and "shared" not in line:
            often[driver, line["trial"], line["attempt"], line["epoch"]] += 1
    return {key for key, count in often.items() if count > 1 and key[:2] not in failed}
