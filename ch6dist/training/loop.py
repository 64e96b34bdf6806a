"""The one loop: trains a pack of trials that share data and epochs; a pack of one is the ordinary case.

    statuses = train([trial], report=print_rows, checkpoints=Checkpoints("runs/one/checkpoints"))

`report(lines) -> Orders` gets ledger lines (rows, statuses, artifacts) after every epoch, before the checkpoint of that
epoch is written: what a checkpoint holds, the ledger holds. Its orders stop trials and admit new ones.
A range test is the same loop with another schedule, a row per step and a stop rule.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch

from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import TrialConfig
from ch6dist.data.images import load_split, load_test
from ch6dist.distributed.group import SOLO, Group, default_device
from ch6dist.engines.choice import make_engine
from ch6dist.engines.engine import DTYPES
from ch6dist.engines.epoch_batches import make_feed
from ch6dist.packs import Line, Orders, Report, check_shared, no_report
from ch6dist.runs.schema import EngineName, Status
from ch6dist.seeding import numerics
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.lane import EpochRecord, Lane, grouped
from ch6dist.training.ledger_lines import closing_lines, epoch_row, opening_line, range_result, range_rows

EVALUATION_BATCH = 500  # images; a larger one only costs memory


def train(
    trials: Sequence[TrialConfig],
    *,
    report: Report = no_report,
    checkpoints: Checkpoints | None = None,
    attempts: Mapping[str, int] | None = None,
    device: torch.device | str | None = None,
    group: Group = SOLO,
    engine: EngineName = "eager",
    checkpoint_seconds: float = 30.0,
    threads: int | None = None,
) -> dict[str, Status]:
    """Train a pack to its end, going on from checkpoints where there are any; returns each trial's status.

    Args:
        trials: configurations that share type, data, model, epochs, precision and determinism (else InputError).
        report: called on rank 0 after each epoch of the pack.
        checkpoints: where `last` and `best` are kept, used on rank 0 alone; None keeps nothing.
        attempts: attempt of each trial, 1 where left out; stamped on every line.
        device: left out: this process's GPU, else the CPU.
        group: the processes that train together (distributed.py).
        engine: `eager`, or `fused` for element-wise optimizers of one family in one process (engines/fused.py).
        checkpoint_seconds: how often `last` is written; also at a stop and at the end.
        threads: of this process, on a CPU; a resume is bit-exact with the same number.
    """
    check_shared(trials, engine=engine)
    if threads is not None:
        torch.set_num_threads(threads)
    where = torch.device(device) if device is not None else default_device()
    with numerics(where, deterministic=trials[0].deterministic):
        pack = _Pack(trials[0], report, checkpoints, attempts or {}, where, group, engine, checkpoint_seconds)
        return pack.run(trials)


class _Pack:
    """The loop's state: what all lanes share."""

    def __init__(
        self,
        first: TrialConfig,
        report: Report,
        checkpoints: Checkpoints | None,
        attempts: Mapping[str, int],
        device: torch.device,
        group: Group,
        engine: EngineName,
        checkpoint_seconds: float,
    ) -> None:
        self.first, self.report, self.attempts = first, report, attempts
        self.checkpoints = checkpoints if group.rank == 0 else None
        self.device, self.group, self.checkpoint_seconds = device, group, checkpoint_seconds
        self.data = load_split(first.data, device=device)
        self.dtype = DTYPES[first.precision]
        self.steps_per_epoch = first.data.steps_per_epoch
        dataset, steps = DATASETS[first.data.name], self.steps_per_epoch
        self.engine = make_engine(engine, dataset=dataset, steps_per_epoch=steps, device=device, group=group)
        self.joining: list[TrialConfig] = []  # admitted, not yet opened
        self.saved_at = time.monotonic()

    def run(self, trials: Sequence[TrialConfig]) -> dict[str, Status]:
        """Epoch after epoch until no lane is left: train, validate, report, obey, save. Returns each trial's status."""
        statuses, lanes = self.begin(trials)
        while lanes:
            records = self.train_epoch(lanes)
            self.validate(lanes, records)
            orders = self.send([row for lane in lanes for row in self.finish_epoch(lane, records[lane.trial_id])])
            ended, lanes = self.settle(self.obeyed(lanes, orders))
            statuses |= ended
            while self.joining:
                joining, self.joining = self.joining, []
                check_shared([self.first, *joining], engine=self.engine.name)
                ended, joined = self.begin(joining)
                statuses |= ended
                lanes += joined
        return statuses

    def begin(self, trials: Sequence[TrialConfig]) -> tuple[dict[str, Status], list[Lane]]:
        """Lanes for `trials`, as `settle` returns them: one whose checkpoint is of its last epoch ends at once."""
        lanes = [self.open(trial) for trial in trials]
        orders = self.send(self.opening(lanes))
        return self.settle(self.obeyed(lanes, orders))

    def obeyed(self, lanes: Sequence[Lane], orders: Orders) -> Sequence[Lane]:
        """`lanes`, of which those that were ordered to stop have ended as stopped."""
        for lane in lanes:
            if lane.trial_id in orders.stop and lane.status == Status.RUNNING:
                lane.end(Status.STOPPED, "asked to stop")
        return lanes

    def open(self, trial: TrialConfig) -> Lane:
        """A lane for `trial`, at its last checkpoint if there is one."""
        lane = Lane(trial, self.engine.open(trial), attempt=self.attempts.get(trial.trial_id, 1))
        made_with = lane.restore(self.checkpoints, self.group)
        if made_with is not None:
            self.engine.recall(made_with)
            if self.complete(lane):
                lane.end(Status.FINISHED)
        return lane

    def opening(self, lanes: Sequence[Lane]) -> list[Line]:
        """The first line of each lane."""
        return [opening_line(lane, self.group, device=str(self.device), engine=self.engine.name) for lane in lanes]

    def send(self, lines: Sequence[Line]) -> Orders:
        """Report on rank 0; every rank gets the orders. Who is admitted by any of them joins at the epoch's end."""
        orders = self.group.once(lambda: self.report(lines))
        self.joining += orders.admit
        return orders

    # One epoch

    def train_epoch(self, lanes: Sequence[Lane]) -> dict[str, EpochRecord]:
        """Every lane's next epoch, those that can together."""
        records: dict[str, EpochRecord] = {}
        for members in grouped(lanes, lambda lane: self.engine.company(lane.trial, lane.epoch, self.steps_in(lane))):
            started = self.clock()
            feed = make_feed(
                self.data,
                seeds=[lane.trial.seed for lane in members],
                epochs=[lane.epoch for lane in members],
                config=self.first.data,
                steps=self.steps_in(members[0]),
                device=self.device,
                dtype=self.dtype,
            )
            trained = self.engine.train_epoch([lane.engine for lane in members], feed)
            losses, accuracies = self.means(trained.sums, feed.counts)
            seconds = (self.clock() - started) / len(members)
            for k, lane in enumerate(members):
                lane.epoch += 1
                records[lane.trial_id] = EpochRecord(
                    losses=[step[k] for step in losses],
                    accuracies=[step[k] for step in accuracies],
                    counts=feed.counts,
                    rates=[step[k] for step in trained.rates],
                    seconds=seconds,
                    lanes=len(lanes),
                )
        return records

    def steps_in(self, lane: Lane) -> int:
        """Steps of a lane's next epoch; a range test ends inside one."""
        if self.first.type == "train":
            return self.steps_per_epoch
        return min(self.steps_per_epoch, self.first.range_test.steps - lane.epoch * self.steps_per_epoch)

    def means(self, sums: torch.Tensor, counts: Sequence[int]) -> tuple[list[list[float]], list[list[float]]]:
        """Per step and lane, over all ranks: mean loss, accuracy; `counts`: each step's images."""
        total = self.group.sum(sums.double()).cpu()
        means = total / torch.tensor(counts, dtype=torch.float64)[:, None, None]
        return means[..., 0].tolist(), means[..., 1].tolist()

    def validate(self, lanes: Sequence[Lane], records: Mapping[str, EpochRecord]) -> None:
        """Judge each lane, and evaluate the sound ones; on the test set too at the end of a final training."""
        for lane in lanes:
            if lane.trial.type == "train":
                lane.judge(records[lane.trial_id])
        sound = [lane for lane in lanes if lane.status == Status.RUNNING and lane.trial.type == "train"]
        started = self.clock()
        if sound and self.first.data.val_size:
            results = self.evaluate(sound, self.data.val_images, self.data.val_labels)
            for lane, result in zip(sound, results, strict=True):
                records[lane.trial_id].val = result
                lane.judge_validation(result[0])
                records[lane.trial_id].eval_seconds = (self.clock() - started) / len(sound)
        closing = [lane for lane in sound if lane.closing]
        if closing:
            images, labels = load_test(self.first.data, device=self.device)
            for lane, result in zip(closing, self.evaluate(closing, images, labels), strict=True):
                records[lane.trial_id].test = result

    def evaluate(self, lanes: Sequence[Lane], images: torch.Tensor, labels: torch.Tensor) -> list[tuple[float, float]]:
        """Mean loss and accuracy of each lane over all of `images`, each rank its share."""
        low, high = self.group.share(0, len(images))
        batches = self.data.batches(images[low:high], labels[low:high], size=EVALUATION_BATCH, dtype=self.dtype)
        sums = self.engine.evaluate([lane.engine for lane in lanes], batches)
        means = (self.group.sum(sums) / len(images)).tolist()
        return [(loss, accuracy) for loss, accuracy in means]

    def finish_epoch(self, lane: Lane, record: EpochRecord) -> list[Line]:
        """Step the schedule, keep the best weights, see whether that was the last epoch, and make the rows."""
        if lane.trial.type == "range_test":
            lane.curve += [(rate[0], loss) for rate, loss in zip(record.rates, record.losses, strict=True)]
            if range_result(lane)["diverged_at"] or self.complete(lane):
                lane.end(Status.FINISHED)
            return range_rows(lane, record, self.device)
        if lane.status == Status.RUNNING:
            lane.engine.end_epoch(record.metrics())
            if record.val:
                lane.keep_best(record.val[1])
            if self.complete(lane):
                lane.end(Status.FINISHED)
        return [epoch_row(lane, record, self.device)]

    # The end of an epoch

    def complete(self, lane: Lane) -> bool:
        """Whether a lane has done all its epochs (range test: steps)."""
        if lane.trial.type == "train":
            return lane.epoch >= lane.trial.epochs
        return lane.step >= lane.trial.range_test.steps

    def settle(self, lanes: Sequence[Lane]) -> tuple[dict[str, Status], list[Lane]]:
        """Write the checkpoints that are due, tell of the lanes that ended, and return those that go on."""
        ended = [lane for lane in lanes if lane.status != Status.RUNNING]
        due = time.monotonic() - self.saved_at >= self.checkpoint_seconds
        if self.engine.company_shows and (ended or self.joining):
            due = True  # what is trained again after a crash is trained in the same company
        if self.checkpoints:
            facts = {"engine": self.engine.name, "threads": torch.get_num_threads(), **self.engine.facts()}
            for lane in lanes:
                if lane.trial.type == "range_test" and lane.status == Status.FINISHED:
                    self.checkpoints.discard(lane.trial_id)  # its curve is what stays, not its weights
                elif lane.status in (Status.FINISHED, Status.STOPPED) or (due and lane.status == Status.RUNNING):
                    lane.save(self.checkpoints, made_with=facts)
            if due:
                self.saved_at = time.monotonic()
        if ended:
            self.send([line for lane in ended for line in closing_lines(lane, self.checkpoints)])
        return {lane.trial_id: lane.status for lane in ended}, [x for x in lanes if x.status == Status.RUNNING]

    def clock(self) -> float:
        """Seconds, after the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
