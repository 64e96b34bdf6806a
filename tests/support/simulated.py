"""A sweep without training and without Ray: the real driver over a real ledger, and workers that only report values.

    run = Simulated(folder, spec, value=lambda config, epoch: 0.1 * epoch)
    run.go()                            # to its end; or: run.go(kill_after=17) and again
    run.ledger()

A kill ends everything between two messages, as SIGKILL does: what was written stays, and a checkpoint is there only if
it was due. The next `go` is a resume.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

from ch6dist.branches import Branch
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.packs import Leave
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.names import checkpoint_name, epoch_checkpoint
from ch6dist.runs.schema import Line, Status
from ch6dist.runs.writer import Writer
from sweeps.driver.driver import Driver, Rules
from sweeps.driver.jobs import PackJob
from sweeps.driver.progress import Progress
from sweeps.driver.trial_table import TrialTable
from sweeps.record.record import Record
from sweeps.record.uploader import NoUploader
from sweeps.search.next_trials import Search
from sweeps.spec.sweep_file import SweepSpec, dump
from sweeps.wire.messages import Begin, Lines, Reply

Value = Callable[[Mapping[str, Any], int], float | None]  # of the metric after an epoch; None: it diverges there

Finds = Callable[[Mapping[str, Any]], Mapping[str, Any]]  # the artifact of a range test; left out: no signal


PENDING = 4  # packs that Ray Tune takes before there is a slot for them


class KilledError(Exception):
    """The driver is gone, and its workers with it."""


class Simulated:
    """A run folder, and what happens in it."""

    def __init__(
        self,
        run: Path,
        spec: SweepSpec,
        value: Value,
        *,
        slots: int = 2,
        lanes: int = 4,
        seed: int = 0,
        every: int = 1,
        finds: Finds | None = None,
        max_retries: int = 2,
    ) -> None:
        """`lanes`: of a pack at most; `every`: epochs between two checkpoints; `finds`: what a range test suggests."""
        self.run, self.content, self.value = run, dump(spec), value
        self.finds = finds or (lambda _: {"no_signal": True})
        self.metric = spec.metric.name
        self.slots, self.lanes, self.every, self.max_retries = slots, lanes, every, max_retries
        self.rng = Random(seed)
        self.messages = 0
        self.limit: int | None = None
        self.clock = time.time()  # the driver's own lines have the time of day
        self.stop: set[str] = set()  # trials that a person stops
        self.from_scratch = 0  # branches whose checkpoint was gone

    def ledger(self) -> Ledger:
        """The run as it stands."""
        return read(self.run)

    def go(self, *, kill_after: int | None = None) -> bool:
        """Start or resume; True when nothing is left to do, False when it was killed after so many messages."""
        self.messages, self.limit = 0, kill_after
        known = read(self.run) if (self.run / "ledger").exists() else Ledger()
        search = Search.of(self.content, known, extended=bool(known.sweeps) and known.spec != self.content)
        new = [item.line for item in search.new_trials()]
        with Writer(self.run) as writer:
            head = {
                "kind": "sweep",
                "format": 3,
                "spec": self.content,
                "trials": len({*known.trials, *(n["trial"] for n in new)}),
            }
            writer.append([{**head, "time": self.tick()}, *new])
            ledger = read(self.run)
            table = TrialTable.from_ledger(ledger)
            steps = Search.of(self.content, ledger).steps()
            packs = self.pack([ledger.trials[step.trial]["config"] for step in steps])
            search = Search.of(self.content, ledger)
            record = Record(self.run, writer, NoUploader(self.run), str(self.run / "checkpoints"), print)
            progress = Progress(table, Console(file=io.StringIO()), title="simulated")
            rules = Rules(max_retries=self.max_retries, slots=self.slots)
            self.driver = Driver(record, table, progress, rules, search=search, pack=self.pack)
            self.driver.begin(ledger, packs)
            self.driver.stops |= self.stop
            try:
                self._train()
            except KilledError:
                return False
        return True

    def pack(self, configs: Sequence[Mapping[str, Any]]) -> list[PackJob]:
        """Packs of one seed and length, of so many lanes at most."""
        groups: dict[tuple[int, int, str], list[str]] = {}
        for config in configs:
            trial = parse_trial(config)
            groups.setdefault((trial.seed, trial.epochs, trial.type), []).append(trial.trial_id)
        return [
            PackJob(tuple(group[at : at + self.lanes]))
            for group in groups.values()
            for at in range(0, len(group), self.lanes)
        ]

    def _train(self) -> None:
        running: dict[int, Worker] = {}
        pending: list[int] = []
        idle = 0
        while True:
            while len(pending) < PENDING and (number := self.driver.next_pack()) is not None:
                pending.append(number)
            if pending and len(running) < self.slots:
                number = pending.pop(0)
                running[number] = Worker(self, number)
                self.turn(number, running[number].begin, running)
            elif running:
                number = self.rng.choice(sorted(running))
                self.turn(number, running[number].work, running)
            elif self.driver.over:
                return
            else:
                idle += 1  # Ray Tune asks again
                assert idle < 3, "nothing runs, nothing waits, and the driver goes on"
                continue
            idle = 0

    def turn(self, number: int, act: Callable[[], bool], running: dict[int, Worker]) -> None:
        """Let a worker do something; when it is done with its pack, tell the driver."""
        if not act():
            del running[number]
            self.driver.on_end(number)

    def send(self, number: int, message: Any) -> Reply:
        """A worker's message and its reply; KilledError at the limit."""
        if self.limit is not None and self.messages >= self.limit:
            raise KilledError
        self.messages += 1
        [reply] = self.driver.on_messages([(number, message)])
        assert reply is not None
        return reply

    def tick(self) -> float:
        """A second later."""
        self.clock += 1.0
        return self.clock

    def checkpoint(self, trial: str, attempt: int, name: str = "last") -> Path:
        """The file of a trial's checkpoint; it holds the epoch."""
        return self.run / "checkpoints" / checkpoint_name(trial, name, attempt=attempt)


class Worker:
    """A pack's worker: an epoch of all lanes with each call of `work`."""

    def __init__(self, run: Simulated, number: int) -> None:
        self.run, self.number = run, number
        self.lanes: dict[str, Lane] = {}

    def begin(self) -> bool:
        """Open the lanes of the pack; False when there are none."""
        self._open(self.run.send(self.number, Begin()))
        return bool(self.lanes)

    def work(self) -> bool:
        """An epoch; False when no lane is left."""
        if not self.lanes:
            return False
        for lane in self.lanes.values():
            lane.epoch += 1
        reply = self._send([line for lane in self.lanes.values() for line in lane.lines(self.run)])
        ends = {name: end for name, lane in self.lanes.items() if (end := lane.end(self.run, reply.leave))}
        kept = [lane.kept(self.run) for lane in self.lanes.values() if lane.epoch in lane.keep]
        for name, lane in self.lanes.items():
            diverged = name in ends and ends[name].status == Status.DIVERGED
            if not diverged and (name in ends or lane.epoch % self.run.every == 0):
                lane.save(self.run)
        closing = [self.lanes[name].closing(self.run, end) for name, end in ends.items()]
        more = self._send([*kept, *closing]) if kept or ends else None
        self.lanes = {name: lane for name, lane in self.lanes.items() if name not in ends}
        self._open(reply)
        if more:
            self._open(more)
        return bool(self.lanes)

    def _send(self, lines: list[Line]) -> Reply:
        return self.run.send(self.number, Lines(tuple(lines)))

    def _open(self, reply: Reply) -> None:
        """Lanes of the trials that a reply admits, at their checkpoints."""
        made = [Lane(parse_trial(config), reply, self.run) for config in reply.admit]
        if made:
            self.lanes |= {lane.name: lane for lane in made}
            leave = self._send([lane.line(self.run, "status", status="running", engine="eager") for lane in made]).leave
            self._end({lane.name: leave[lane.name] for lane in made if lane.name in leave})
        done = {lane.name: Leave(Status.FINISHED, "") for lane in made if lane.epoch >= lane.epochs}
        self._end({name: end for name, end in done.items() if name in self.lanes})

    def _end(self, ends: Mapping[str, Leave]) -> None:
        """Report lanes that end before they train: a finished checkpoint, or a decision since it was packed."""
        if ends:
            for name in ends:
                self.lanes[name].save(self.run)
            more = self._send([self.lanes[name].closing(self.run, end) for name, end in ends.items()])
            self.lanes = {name: lane for name, lane in self.lanes.items() if name not in ends}
            self._open(more)


class Lane:
    """A trial of a worker."""

    def __init__(self, trial: TrialConfig, reply: Reply, run: Simulated) -> None:
        self.trial, self.name = trial, trial.trial_id
        self.attempt, self.keep = reply.attempts[self.name], reply.keep.get(self.name, ())
        file, branch = run.checkpoint(self.name, self.attempt), reply.branches.get(self.name)
        self.epoch = int(file.read_text()) if file.exists() else self.branched_off(branch, run) if branch else 0

    def branched_off(self, branch: Branch, run: Simulated) -> int:
        """The epoch of another trial's checkpoint, if that is there; else zero, as where it is gone."""
        for name in (epoch_checkpoint(branch.epoch), "last"):
            file = run.checkpoint(branch.trial, branch.attempt, name)
            if file.exists() and int(file.read_text()) == branch.epoch:
                return branch.epoch
        run.from_scratch += 1
        return 0

    def line(self, run: Simulated, kind: str, **content: Any) -> Line:
        place = {"kind": kind, "trial": self.name, "attempt": self.attempt, "epoch": self.epoch}
        return {**place, "time": run.tick(), **content}

    @property
    def epochs(self) -> int:
        return self.trial.epochs if self.trial.type == "train" else 1

    def lines(self, run: Simulated) -> list[Line]:
        value = run.value(self.trial.model_dump(), self.epoch)
        row = self.line(run, "row", step=self.epoch, seconds=1.0, eval_seconds=0.0, **{run.metric: value})
        if self.trial.type == "train":
            return [row]
        return [row, self.line(run, "artifact", name="range_test", value=run.finds(self.trial.model_dump()))]

    def end(self, run: Simulated, leave: Mapping[str, Leave]) -> Leave | None:
        if run.value(self.trial.model_dump(), self.epoch) is None:
            return Leave(Status.DIVERGED, "no value")
        if self.epoch >= self.epochs:
            return Leave(Status.FINISHED, "")
        return leave.get(self.name)

    def save(self, run: Simulated, name: str = "last") -> None:
        file = run.checkpoint(self.name, self.attempt, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(self.epoch))

    def kept(self, run: Simulated) -> Line:
        """Save the checkpoint from which others branch off; the line that says so."""
        name = epoch_checkpoint(self.epoch)
        self.save(run, name)
        return self.line(run, "artifact", name=name, path=name, bytes=1)

    def closing(self, run: Simulated, end: Leave) -> Line:
        rule = {"rule": True} if end.rule else {}
        return self.line(run, "status", status=end.status, reason=end.reason, **rule)
