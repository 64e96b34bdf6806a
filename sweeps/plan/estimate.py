"""Estimate what packs cost before they are trained: time, memory of the largest, disk.

    cost = estimate(packs, slots=slots, calibration=read_calibration())

Speeds are those measured on the same kind of device (calibration.py), or else assumed from the catalog's sizes and the
constants below. The gain of several workers is always an estimate (costs.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ch6dist.catalog.models import MODELS
from ch6dist.config import TrialConfig
from ch6dist.runs.schema import EngineName
from sweeps.plan.balance import makespan
from sweeps.plan.calibration import calibration_key
from sweeps.plan.costs import CORE_MFLOPS, JOIN_SECONDS, PACK_SECONDS, image_passes, pack_bytes, worker_speed
from sweeps.plan.disk import captured_bytes, peak_bytes
from sweeps.plan.packs import Pack
from sweeps.plan.slots import Slots

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
    epochs: int  # over all trials; 0 if there are only range tests


def estimate(
    packs: Sequence[Pack], *, slots: Slots, calibration: Mapping[str, float], keep: Collection[str] = ("last", "best")
) -> Estimate:
    """Estimate time, memory and disk of `packs`.

    Args:
        calibration: images per second by `calibration_key`.
        keep: `checkpoints.keep` of the sweep.
    """
    largest: dict[tuple[str, EngineName], Pack] = {}
    for pack in packs:
        kind = _kind(pack)
        largest[kind] = max(largest.get(kind, pack), pack, key=lambda pack: len(pack.trials))
    keys = {kind: calibration_key(slots.device, *kind) for kind in largest}
    alone = {kind: calibration.get(keys[kind]) or _assumed_speed(pack, slots) for kind, pack in largest.items()}
    start = PACK_SECONDS + (JOIN_SECONDS if slots.workers > 1 else 0.0)
    seconds = [
        start + sum(map(image_passes, pack.trials)) / _pack_speed(pack, alone[_kind(pack)], slots) for pack in packs
    ]
    memory = [pack_bytes(p.trials, kind=slots.kind, engine=p.engine, workers=slots.workers) for p in packs]
    trials = [trial for pack in packs for trial in pack.trials]
    checkpoints = peak_bytes((pack.trials for pack in packs), at_once=slots.count, keep=keep)
    return Estimate(
        seconds=START_SECONDS + _one_after_another(packs, seconds, slots.count),
        pack_seconds=tuple(seconds),
        images_per_second={_label(*kind): _pack_speed(largest[kind], speed, slots) for kind, speed in alone.items()},
        calibrated=all(key in calibration for key in keys.values()),
        memory_bytes=max(memory, default=0),
        disk_bytes=checkpoints + ROW_BYTES * sum(map(_rows, trials)) + sum(map(captured_bytes, trials)),
        epochs=sum(trial.epochs for trial in trials if trial.type == "train"),
    )


def _one_after_another(packs: Sequence[Pack], seconds: Sequence[float], slots: int) -> float:
    """Return how long the packs take: those of range tests first, as training runs may wait for their bounds."""
    stages: dict[str, list[float]] = {}
    for pack, duration in zip(packs, seconds, strict=True):
        stages.setdefault(pack.trials[0].type, []).append(duration)
    return sum(makespan(stage, slots) for stage in stages.values())


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
    mflop = MODELS[first.model["name"]].mflop_per_image
    if slots.kind == "cpu":
        return CORE_MFLOPS / mflop
    step = first.data.batch_size * (len(pack.trials) if pack.engine == "fused" else 1)
    return step / (GPU_STEP_SECONDS[pack.engine] + step * mflop / GPU_MFLOPS)


def _rows(trial: TrialConfig) -> int:
    return trial.epochs if trial.type == "train" else trial.range_test.steps
