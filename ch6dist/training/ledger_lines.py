"""What a lane leaves in the ledger: its first line, its rows, and its last lines."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Mapping
from typing import Any

import torch

from ch6dist.distributed.group import Group
from ch6dist.engines.engine import LrMomentum
from ch6dist.optim.range_test import suggest
from ch6dist.packs import shares
from ch6dist.runs.capture_signs import capture_signs
from ch6dist.runs.names import CAPTURES, epoch_checkpoint
from ch6dist.runs.schema import Line, Status, VariantLine
from ch6dist.training.captures import Captures
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.lane import EpochRecord, Lane


def opening_line(lane: Lane, group: Group, **where: Any) -> Line:
    """Make the line of a trial that begins: where, from which epoch, how the batch is shared, what torch overrides."""
    batch_size = lane.trial.data.batch_size
    sharing = {
        "host": socket.gethostname(),
        "workers": group.world_size,
        "batch_size": batch_size,  # the global one
        "rows_per_worker": shares(batch_size, world_size=group.world_size),
    }
    notes = [note for note in (*lane.engine.notes, *lane.notes) if note]
    kept = {"notes": notes} if notes else {}
    return lane.line("status", status=Status.RUNNING, epoch=lane.epoch, time=time.time(), **where, **sharing, **kept)


def variant_line(key: str, variant: str) -> VariantLine:
    """Make the line of a kernel variant that was measured, before it is used."""
    return {"kind": "variant", "key": key, "variant": variant, "time": time.time()}


def epoch_row(lane: Lane, record: EpochRecord, device: torch.device) -> Line:
    """Make the row of an epoch."""
    metrics = record.metrics()
    if record.test:
        metrics |= {f"test_{name}": value for name, value in record.test.items()}
    signs = capture_signs(record.captured) if record.captured else {}
    row = _row(lane, record, device, step=lane.step, lr_momentum=record.lr_momentum[-1], metrics=metrics)
    return {**row, "seconds": record.seconds, "eval_seconds": record.eval_seconds, **signs}


def range_rows(lane: Lane, record: EpochRecord, device: torch.device) -> list[Line]:
    """Make a row per step of a range test, up to the step that diverged."""
    first = lane.step - len(record.losses) + 1
    last = min(lane.step, range_result(lane)["diverged_at"] or lane.step)
    rows: list[Line] = []
    for index, step in enumerate(range(first, last + 1)):
        metrics = {"train_loss": record.losses[index], "train_accuracy": record.accuracies[index]}
        row = _row(lane, record, device, step=step, lr_momentum=record.lr_momentum[index], metrics=metrics)
        rows.append({**row, "seconds": record.seconds / len(record.losses)})
    return rows


def closing_lines(lane: Lane, checkpoints: Checkpoints | None, captures: Captures | None) -> list[Line]:
    """Make a trial's last lines: what it leaves behind, then its status."""
    lines = []
    if lane.trial.type == "range_test" and lane.status == Status.FINISHED:
        lines.append(lane.line("artifact", name="range_test", value=range_result(lane)))
    if checkpoints and lane.status in (Status.FINISHED, Status.STOPPED):
        for name in ("last", "best"):
            size = checkpoints.size(lane.trial_id, name)
            if size is not None:
                epoch = lane.best["epoch"] if name == "best" and lane.best else lane.epoch
                file = {"path": checkpoints.name(lane.trial_id, name), "bytes": size}
                lines.append(lane.line("artifact", name=name, **file, epoch=epoch))
    if captures and lane.trial.capture:
        file = {"path": captures.name(lane.trial_id), "bytes": captures.size(lane.trial_id, epochs=lane.epoch)}
        lines.append(lane.line("artifact", name=CAPTURES, **file, epoch=lane.epoch))
    end = {"reason": lane.reason, "epoch": lane.epoch, "step": lane.bad_step or lane.step, "time": time.time()}
    by_rule = {"rule": True} if lane.rule else {}
    return [*lines, lane.line("status", status=lane.status, **end, **by_rule)]


def branch_line(lane: Lane, checkpoints: Checkpoints) -> Line:
    """Make the line that says where the checkpoint of an epoch is: from now on others may branch off there."""
    name = epoch_checkpoint(lane.epoch)
    file = {"path": checkpoints.name(lane.trial_id, name), "bytes": checkpoints.size(lane.trial_id, name)}
    return lane.line("artifact", name=name, **file, epoch=lane.epoch)


def range_result(lane: Lane) -> dict[str, Any]:
    """Return the suggestions of a range test's curve so far (range_test.py)."""
    settings = lane.trial.range_test
    lrs, losses = [lr for lr, _ in lane.curve], [loss for _, loss in lane.curve]
    return suggest(lrs, losses, beta=settings.smoothing, factor=lane.trial.divergence_factor)


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory of the device if it is a GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts kibibytes


def _row(
    lane: Lane,
    record: EpochRecord,
    device: torch.device,
    *,
    step: int,
    lr_momentum: LrMomentum,
    metrics: Mapping[str, float],
) -> Line:
    return lane.line(
        "row",
        epoch=lane.epoch,
        step=step,
        lr=lr_momentum[0],
        momentum=lr_momentum[1],
        **metrics,
        lanes=record.lanes,
        images_per_second=sum(record.counts) / record.seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        time=time.time(),
    )
