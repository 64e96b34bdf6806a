"""One epoch of a pack: train, check for divergence, evaluate, and make the rows.

records = train_epoch(pack, lanes)
validate(pack, lanes, records)
save_captured(pack, lanes, records)
rows = finish_epoch(pack, lanes, records)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ch6dist.data.images import load_test
from ch6dist.engines.epoch_batches import epoch_batches
from ch6dist.engines.task import Task
from ch6dist.runs.schema import Line, Status
from ch6dist.training.lane import EpochRecord, Lane, batch_groups
from ch6dist.training.ledger_lines import epoch_row, range_result, range_rows
from ch6dist.training.pack import Pack

EVALUATION_BATCH = 500  # images; a larger one only costs memory
Records = Mapping[str, EpochRecord]  # by trial id


def train_epoch(pack: Pack, lanes: Sequence[Lane]) -> dict[str, EpochRecord]:
    """Train every lane for its next epoch, each batch group in one call of the engine; return what it measured."""
    records: dict[str, EpochRecord] = {}
    groups = batch_groups(lanes, lambda lane: pack.engine.batch_group(lane.trial, lane.epoch, lane.next_steps))
    pack.counter.begin(
        [lane.trial_id for lane in lanes],
        steps=max(lane.next_steps for lane in lanes),
        images=sum(lane.next_images for lane in lanes),
        device=pack.device,
    )
    for members in groups:
        started = pack.clock()
        epoch = epoch_batches(
            pack.data,
            seeds=[lane.trial.seed for lane in members],
            epochs=[lane.epoch for lane in members],
            config=pack.first.data,
            steps=members[0].next_steps,
            device=pack.device,
            dtype=pack.dtype,
            counter=pack.counter,
        )
        trained = pack.engine.train_epoch([lane.engine for lane in members], epoch)
        losses, accuracies = _means(pack, trained.sums, epoch.counts)
        seconds = (pack.clock() - started) / len(members)
        for k, lane in enumerate(members):
            lane.epoch += 1
            records[lane.trial_id] = EpochRecord(
                losses=[step[k] for step in losses],
                accuracies=[step[k] for step in accuracies],
                counts=epoch.counts,
                lr_momentum=[step[k] for step in trained.lr_momentum],
                seconds=seconds,
                lanes=len(lanes),
                captured=trained.captured[k] if trained.captured else None,
            )
    pack.counter.end()
    return records


def validate(pack: Pack, lanes: Sequence[Lane], records: Records) -> None:
    """Check each lane for divergence and evaluate the others; on the test set too at the end of a final training."""
    training = [lane for lane in lanes if lane.trial.type == "train"]
    for lane in training:
        lane.check_divergence(records[lane.trial_id])
    sound = [lane for lane in training if lane.status == Status.RUNNING]
    started = pack.clock()
    if sound and pack.first.data.val_size:
        results = evaluate(pack, sound, pack.data.val_images, pack.data.val_labels)
        for lane, result in zip(sound, results, strict=True):
            records[lane.trial_id].val = result
            lane.check_validation(result["loss"])
            records[lane.trial_id].eval_seconds = (pack.clock() - started) / len(sound)
    closing = [lane for lane in sound if lane.closing]
    if closing:
        images, labels = load_test(pack.first.data, device=pack.device)
        for lane, result in zip(closing, evaluate(pack, closing, images, labels), strict=True):
            records[lane.trial_id].test = result


def evaluate(pack: Pack, lanes: Sequence[Lane], images: torch.Tensor, labels: torch.Tensor) -> list[dict[str, float]]:
    """Return the means of each lane over all of `images`, of which each rank takes its share.

    They are loss, accuracy, and the accuracy by each metric that the trials ask for.
    """
    task = Task(tuple(pack.first.metrics), pack.data.coarse_of_class)
    names = ("loss", "accuracy", *(f"{metric}_accuracy" for metric in task.metrics))
    low, high = pack.group.share(0, len(images))
    batches = pack.data.batches(images[low:high], labels[low:high], size=EVALUATION_BATCH, dtype=pack.dtype)
    sums = pack.engine.evaluate([lane.engine for lane in lanes], batches, task)
    means = (pack.group.sum(sums) / len(images)).tolist()
    return [dict(zip(names, values, strict=True)) for values in means]


def save_captured(pack: Pack, lanes: Sequence[Lane], records: Records) -> None:
    """Write what was captured in the epoch, before its rows: where the ledger has a row, its capture is there."""
    for lane in lanes:
        captured = records[lane.trial_id].captured
        if captured is not None and pack.captures:
            pack.captures.save(lane.trial_id, captured, epoch=lane.epoch, workers=pack.group.world_size)


def finish_epoch(pack: Pack, lanes: Sequence[Lane], records: Records) -> list[Line]:
    """Step schedules, keep the best weights, end lanes after their last epoch; return the rows."""
    return [row for lane in lanes for row in _finish_lane(pack, lane, records[lane.trial_id])]


def _finish_lane(pack: Pack, lane: Lane, record: EpochRecord) -> list[Line]:
    if lane.trial.type == "range_test":
        lane.curve += [(used[0], loss) for used, loss in zip(record.lr_momentum, record.losses, strict=True)]
        if range_result(lane)["diverged_at"] or lane.complete:
            lane.end(Status.FINISHED)
        return range_rows(lane, record, pack.device)
    if lane.status == Status.RUNNING:
        lane.metrics.append(record.metrics())
        lane.engine.end_epoch(lane.metrics[-1])
        if record.val:
            lane.keep_best(record.val["accuracy"])
        if lane.complete:
            lane.end(Status.FINISHED)
    return [epoch_row(lane, record, pack.device)]


def _means(pack: Pack, sums: torch.Tensor, counts: Sequence[int]) -> tuple[list[list[float]], list[list[float]]]:
    """Return mean loss and accuracy by step and lane, over all ranks.

    Args:
        sums: [steps, K, 2], this rank's sums of losses and counts of correct predictions.
        counts: images of each step's global batch.
    """
    total = pack.group.sum(sums.double()).cpu()
    means = total / torch.tensor(counts, dtype=torch.float64)[:, None, None]
    return means[..., 0].tolist(), means[..., 1].tolist()
