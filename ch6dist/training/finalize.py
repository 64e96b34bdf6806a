"""What happens between two epochs of a pack: orders, checkpoints that are due, and the last lines of lanes that end."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from ch6dist.packs import Orders
from ch6dist.runs.schema import Status
from ch6dist.training.lane import Lane
from ch6dist.training.ledger_lines import branch_line, closing_lines
from ch6dist.training.pack import Pack

_SAVED = (Status.FINISHED, Status.STOPPED, Status.PAUSED)  # lanes that end so leave a checkpoint
_SOUND = (Status.RUNNING, *_SAVED)  # others ended in the middle of an epoch


def apply_orders(lanes: Sequence[Lane], orders: Orders) -> None:
    """End the lanes that are ordered to leave the pack: to stop, or to wait."""
    for lane in lanes:
        leave = orders.leave.get(lane.trial_id)
        if leave and lane.status == Status.RUNNING:
            lane.end(leave.status, leave.reason, rule=leave.rule)


def finalize(pack: Pack, lanes: Sequence[Lane]) -> tuple[dict[str, Status], list[Lane]]:
    """Write the checkpoints that are due and report the lanes that ended.

    Returns the statuses of those by trial id, and the lanes that are still running.
    """
    ended = [lane for lane in lanes if lane.status != Status.RUNNING]
    kept = [lane for lane in lanes if lane.epoch in pack.kept.get(lane.trial_id, ()) and lane.status in _SOUND]
    due = bool(kept) or pack.halted or time.monotonic() - pack.saved_at >= pack.checkpoint_seconds
    if pack.engine.group_dependent and (ended or pack.joining):
        due = True  # what is trained again after a crash is trained in the same batch group
    if pack.checkpoints:
        numerics = {
            "engine": pack.engine.name,
            "threads": torch.get_num_threads(),
            **pack.engine.numerics_state(),
        }
        for lane in kept:  # before `last`: a resume that starts there has no chance to write it
            lane.save_epoch(pack.checkpoints, made_with=numerics)
        for lane in lanes:
            if lane.trial.type == "range_test" and lane.status == Status.FINISHED:
                pack.checkpoints.discard(lane.trial_id)  # its curve is what stays, not its weights
            elif lane.status in _SAVED or (due and lane.status == Status.RUNNING):
                lane.save(pack.checkpoints, made_with=numerics)
        if due:
            pack.saved_at = time.monotonic()
    lines = [branch_line(lane, pack.checkpoints) for lane in kept if pack.checkpoints]
    lines += [line for lane in ended for line in closing_lines(lane, pack.checkpoints, pack.captures)]
    if kept or ended:
        pack.send(lines)
    return {lane.trial_id: lane.status for lane in ended}, [x for x in lanes if x.status == Status.RUNNING]
