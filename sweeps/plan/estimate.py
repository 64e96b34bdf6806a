"""What packs cost before they are trained: time, memory of the largest, disk.

    cost = estimate(packs, devices=visible_devices(), calibration=read_calibration())

Speeds are those measured on such devices (calibration.py); where there are none, the sizes in the catalog and the
constants below stand in. What several workers gain is always an estimate (costs.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ch6dist.catalog.models import MODELS
from ch6dist.config import TrialConfig
from ch6dist.runs.schema import EngineName
from sweeps.plan.calibration import calibration_key
from sweeps.plan.costs import CORE_MFLOPS, JOIN_SECONDS, PACK_SECONDS, images, makespan, pack_bytes, worker_speed
from sweeps.plan.disk import peak_bytes
from sweeps.plan.packs import Pack
from sweeps.plan.slots import Hosts, Slots, find_slots
from sweeps.spec.sweep_file import Resources

GPU_MFLOPS = 20e6  # per second of a GPU: a third of an H200's fp32 peak, estimated
GPU_STEP_SECONDS = {"eager": 1e-3, "fused": 2e-4}  # of a step besides its arithmetic, estimated
START_SECONDS = 15.0  # of Ray, measured
ROW_BYTES = 400  # of the ledger


@dataclass(frozen=True)
class Estimate:
    """What a sweep costs, start-up included. Numbers per pack are in the order of the packs."""

    seconds: float
    pack_seconds: tuple[float, ...]
    images_per_second: dict[str, float]  # of a pack's workers together, by model and, where it is fused, engine
    calibrated: bool  # every speed was measured on such a device, of one process
    memory_bytes: int  # of the largest pack, where its tensors live; with several workers, of each
    disk_bytes: int  # the most that checkpoints take, were there no limit, and the ledger
    epochs: int  # over all trials; 0 where there are only range tests


def estimate(
    packs: Sequence[Pack],
    *,
    devices: Hosts,
    calibration: Mapping[str, float],
    resources: Resources | None = None,
    keep: Collection[str] = ("last", "best"),
) -> Estimate:
    """Time, memory and disk of `packs`.

    Args:
        calibration: images per second by `calibration_key`.
        keep: `checkpoints.keep` of the sweep.
    """
    slots = find_slots(resources or Resources(), devices)
    largest: dict[tuple[str, EngineName], Pack] = {}
    for pack in packs:
        kind = _kind(pack)
        largest[kind] = max(largest.get(kind, pack), pack, key=lambda pack: len(pack.trials))
    keys = {kind: calibration_key(slots.device, *kind) for kind in largest}
    alone = {kind: calibration.get(keys[kind]) or _assumed_speed(pack, slots) for kind, pack in largest.items()}
    speeds = {kind: _together(largest[kind], speed, slots) for kind, speed in alone.items()}
    begin = PACK_SECONDS + (JOIN_SECONDS if slots.workers > 1 else 0.0)
    seconds = [begin + sum(map(_images, pack.trials)) / _together(pack, alone[_kind(pack)], slots) for pack in packs]
    return Estimate(
        seconds=START_SECONDS + makespan(seconds, slots.count),
        pack_seconds=tuple(seconds),
        images_per_second={_label(*kind): speed for kind, speed in speeds.items()},
        calibrated=all(key in calibration for key in keys.values()),
        memory_bytes=max(
            (pack_bytes(p.trials, kind=slots.kind, engine=p.engine, workers=slots.workers) for p in packs), default=0
        ),
        disk_bytes=peak_bytes((pack.trials for pack in packs), at_once=slots.count, keep=keep)
        + ROW_BYTES * sum(_rows(trial) for pack in packs for trial in pack.trials),
        epochs=sum(trial.epochs for pack in packs for trial in pack.trials if trial.type == "train"),
    )


def _kind(pack: Pack) -> tuple[str, EngineName]:
    """What the speed of a pack's process depends on: model and engine."""
    return pack.trials[0].model["name"], pack.engine


def _label(model: str, engine: EngineName) -> str:
    return model if engine == "eager" else f"{model} {engine}"


def _images(trial: TrialConfig) -> float:
    """Images of a trial's training; one of validation, forward only, counts a third."""
    trained, validated = images(trial)
    return trained + validated / 3


def _together(pack: Pack, speed: float, slots: Slots) -> float:
    """Images per second of a pack's workers, where one process alone trains `speed`."""
    link = "hosts" if slots.span_hosts else slots.kind
    fixed = GPU_STEP_SECONDS[pack.engine] if slots.kind == "gpu" else 0.0
    return worker_speed(pack.trials[0], speed, workers=slots.workers, link=link, step_seconds=fixed)


def _assumed_speed(pack: Pack, slots: Slots) -> float:
    """Images per second of one process, training, without a measurement."""
    first = pack.trials[0]
    mflop = MODELS[first.model["name"]].mflop_per_image
    if slots.kind == "cpu":
        return CORE_MFLOPS / mflop
    step = first.data.batch_size * (len(pack.trials) if pack.engine == "fused" else 1)
    return step / (GPU_STEP_SECONDS[pack.engine] + step * mflop / GPU_MFLOPS)


def _rows(trial: TrialConfig) -> int:
    return trial.epochs if trial.type == "train" else trial.range_test.steps
