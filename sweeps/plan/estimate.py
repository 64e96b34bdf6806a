"""Estimate what packs cost before they are trained: time, memory of the largest, disk.

    cost = estimate(packs, slots=slots, calibration=read_calibration())

Speeds are those measured on the same kind of device (calibration.py), or else assumed from the catalog's sizes and the
constants below. The gain of several workers is always an estimate (costs.py).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ch6dist.branches import kept_epochs
from ch6dist.config import TrialConfig
from ch6dist.runs.schema import EngineName
from sweeps.plan.balance import makespan
from sweeps.plan.calibration import calibration_key
from sweeps.plan.costs import (
    JOIN_SECONDS,
    PACK_SECONDS,
    core_seconds,
    image_passes,
    pack_bytes,
    size_of,
    worker_speed,
)
from sweeps.plan.course import Course
from sweeps.plan.disk import branch_bytes, captured_bytes, kept_bytes, peak_bytes, waiting_bytes
from sweeps.plan.packs import Pack
from sweeps.plan.slots import Slots
from sweeps.plan.wall_time import RESTART_SECONDS, wall_seconds

GPU_MFLOPS = 20e6  # per second of a GPU: a third of an H200's fp32 peak, estimated
GPU_STEP_SECONDS = {"eager": 1e-3, "fused": 2e-4}  # fixed part of a step, estimated
START_SECONDS = 15.0  # start of Ray, measured
ROW_BYTES = 400  # per row of the ledger


@dataclass(frozen=True)
class Estimate:
    """What a sweep costs, start-up included. Numbers per pack are in the order of the packs."""

    seconds: float
    pack_seconds: tuple[float, ...]
    images_per_second: dict[str, float]  # of a pack's workers together, by model and, if it is fused, engine
    calibrated: bool  # the speed of one process was measured for every model and engine on such a device
    memory_bytes: int  # per worker of the largest pack, in its device's memory
    disk_bytes: int  # the ledger, captures, and the most that checkpoints take without a limit
    epochs: int  # over all trials, if all are trained to their end; 0 if there are only range tests
    expected_epochs: float  # of them those that are expected to be trained; those of further seeds are not among them
    device_hours: float  # of training and evaluation, as `budget` counts them


def estimate(
    packs: Sequence[Pack],
    *,
    slots: Slots,
    calibration: Mapping[str, float],
    keep: Collection[str] = ("last", "best"),
    course: Course | None = None,
) -> Estimate:
    """Estimate time, memory and disk of `packs`.

    Args:
        calibration: images per second by `calibration_key`.
        keep: `checkpoints.keep` of the sweep.
        course: what of the trials is expected to be trained; None: all.
    """
    largest: dict[tuple[str, EngineName], Pack] = {}
    for pack in packs:
        kind = _kind(pack)
        largest[kind] = max(largest.get(kind, pack), pack, key=lambda pack: len(pack.trials))
    keys = {kind: calibration_key(slots.device, *kind) for kind in largest}
    alone = {kind: calibration.get(keys[kind]) or _assumed_speed(pack, slots) for kind, pack in largest.items()}
    start = PACK_SECONDS + (JOIN_SECONDS if slots.workers > 1 else 0.0)
    speeds = [_pack_speed(pack, alone[_kind(pack)], slots) for pack in packs]
    names = [[trial.trial_id if course else "" for trial in pack.trials] for pack in packs]  # hashed once
    passes = [
        sum(
            image_passes(trial, course.expected.of_trials.get(name) if course else None)
            for trial, name in zip(pack.trials, own, strict=True)
        )
        for pack, own in zip(packs, names, strict=True)
    ]
    training = [each / speed for each, speed in zip(passes, speeds, strict=True)]
    seconds = [start + each for each in training]
    memory = [pack_bytes(p.trials, kind=slots.kind, engine=p.engine, workers=slots.workers) for p in packs]
    trials = [trial for pack in packs for trial in pack.trials]
    asked = sum(trial.epochs for trial in trials if trial.type == "train")
    checkpoints = peak_bytes((pack.trials for pack in packs), at_once=slots.count, keep=keep)
    if course:
        checkpoints += waiting_bytes(trials, keep=keep) if course.waits else 0
        checkpoints += branch_bytes(trials, kept_epochs(course.branches)) if course.branches else 0
        checkpoints += round(course.further.trials * max((kept_bytes(trial, keep) for trial in trials), default=0))
    further, further_training = _further(packs, training, slots, course)
    return Estimate(
        seconds=START_SECONDS + _wall(packs, seconds, training, slots.count, course, start) + further,
        pack_seconds=tuple(seconds),
        images_per_second={_label(*kind): _pack_speed(largest[kind], speed, slots) for kind, speed in alone.items()},
        calibrated=all(key in calibration for key in keys.values()),
        memory_bytes=max(memory, default=0),
        disk_bytes=checkpoints + ROW_BYTES * sum(map(_rows, trials)) + sum(map(captured_bytes, trials)),
        epochs=asked,
        expected_epochs=course.expected.epochs if course else asked,
        device_hours=slots.workers * (sum(training) + further_training) / 3600,
    )


def _wall(
    packs: Sequence[Pack],
    seconds: Sequence[float],
    training: Sequence[float],
    slots: int,
    course: Course | None,
    start: float,
) -> float:
    """Return how long the packs take: those of range tests first, as training runs may wait for their bounds.

    Args:
        training: `seconds` of the packs without their starts.
    """
    stages: dict[str, list[int]] = {}
    for number, pack in enumerate(packs):
        stages.setdefault(pack.trials[0].type, []).append(number)
    total = 0.0
    for kind, stage in stages.items():
        together = makespan((seconds[number] for number in stage), slots)
        if course and kind == "train" and course.expected.epochs:
            total += max(together, _in_levels([training[number] for number in stage], slots, course, start))
        else:
            total += together
    return total


def _further(
    packs: Sequence[Pack], training: Sequence[float], slots: Slots, course: Course | None
) -> tuple[float, float]:
    """Return the seconds that further seeds take, round after round, and those of all of them on one slot.

    They share epochs as the first seeds do. A round has few lanes, which a GPU trains less well than many.
    """
    trained = [number for number, pack in enumerate(packs) if pack.trials[0].type == "train"]
    if course is None or not course.expected.reached or not course.further.trials:
        return 0.0, 0.0
    each = course.length * sum(training[number] for number in trained) / course.expected.reached
    largest = max((packs[number] for number in trained), key=lambda pack: len(pack.trials))

    def lane_seconds(trials: int) -> tuple[int, float]:
        """Return how many lanes the busiest slot has in a round, and how long each of them takes."""
        lanes = math.ceil(trials / slots.count)
        alike = replace(largest, trials=largest.trials[:lanes])
        return lanes, each * _assumed_speed(largest, slots) / _assumed_speed(alike, slots)

    def in_turn(trials: int) -> float:
        """Return how long a round takes."""
        lanes, seconds = lane_seconds(trials)
        return lanes * seconds + RESTART_SECONDS

    return course.further.mean(in_turn), course.further.mean(lambda trials: trials * lane_seconds(trials)[1])


def _in_levels(training: Sequence[float], slots: int, course: Course, start: float) -> float:
    """Return how long the training runs take if some wait for others; as long as one that trains to its end takes."""
    expected = course.expected
    epoch = sum(training) / expected.epochs
    longest = start + epoch * max((high for _, high, count in expected.levels if count), default=0)
    if not (course.waits or course.batches > 1):
        return longest if expected.epochs < expected.asked else 0.0
    in_turn = wall_seconds(
        epoch * expected.epochs / expected.reached,
        levels=expected.levels,
        batches=course.batches,
        slots=slots,
        packs=len(training),
        start=start,
    )
    return max(longest, in_turn)


def _kind(pack: Pack) -> tuple[str, EngineName]:
    """Return what the speed of a pack's process depends on: model and engine."""
    return pack.trials[0].model["name"], pack.engine


def _label(model: str, engine: EngineName) -> str:
    return model if engine == "eager" else f"{model} {engine}"


def _pack_speed(pack: Pack, speed: float, slots: Slots) -> float:
    """Return the images per second of a pack's workers, given the `speed` of one process alone."""
    link = "hosts" if slots.span_hosts else slots.kind
    fixed = GPU_STEP_SECONDS[pack.engine] if slots.kind == "gpu" else 0.0
    return worker_speed(pack.trials[0], speed, workers=slots.workers, link=link, step_seconds=fixed)


def _assumed_speed(pack: Pack, slots: Slots) -> float:
    """Return the training speed of one process, in images per second, without a measurement."""
    first = pack.trials[0]
    if slots.kind == "cpu":
        return 1 / core_seconds(size_of(first))
    mflop = size_of(first).mflop_per_image
    step = first.data.batch_size * (len(pack.trials) if pack.engine == "fused" else 1)
    return step / (GPU_STEP_SECONDS[pack.engine] + step * mflop / GPU_MFLOPS)


def _rows(trial: TrialConfig) -> int:
    return trial.epochs if trial.type == "train" else trial.range_test.steps
