"""What a sweep will do, before it does anything: packs, devices, estimated time, memory and disk.

    plan = make_plan(spec, expand(spec), devices=visible_devices(), calibration=read_calibration())
    console.print(render_plan(plan))        # or: json.dumps(plan_json(plan))

The estimate stands on speeds measured on this machine (calibration.py), and says "uncalibrated" where there are none:
then on the sizes in the catalog and the constants below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from sweeps.calibration import calibration_key
from sweeps.devices import Devices, Slots, place
from sweeps.packs import CORE_MFLOPS, FP32_BYTES, PACK_SECONDS, Pack, images, make_packs, makespan, pack_bytes
from sweeps.spec import Resources, SweepSpec

GPU_MFLOPS = 20e6  # per second of a GPU: a third of an H200's fp32 peak, estimated
GPU_STEP_SECONDS = 1e-3  # host time of an eager step, estimated
START_SECONDS = 15.0  # of Ray, measured
ROW_BYTES = 400  # of the ledger
SHOWN_PACKS = 20


@dataclass(frozen=True)
class Estimate:
    """What a sweep costs, start-up included. Numbers per pack are in the order of the packs."""

    seconds: float
    pack_seconds: tuple[float, ...]
    images_per_second: dict[str, float]  # of one process, by model
    calibrated: bool  # every speed was measured on this machine
    memory_bytes: int  # of the largest pack, where its tensors live
    disk_bytes: int  # checkpoints and ledger
    epochs: int  # over all trials; 0 where there are only range tests


@dataclass(frozen=True)
class Plan:
    """A sweep, laid out on devices."""

    spec: SweepSpec
    trials: tuple[TrialConfig, ...]
    packs: tuple[Pack, ...]
    devices: Devices
    slots: Slots
    estimate: Estimate


def make_plan(
    spec: SweepSpec,
    trials: Sequence[TrialConfig],
    *,
    devices: Devices,
    calibration: Mapping[str, float],
    packs: str | int = "auto",
) -> Plan:
    """Pack `trials` and estimate what they cost. InputError for packs and resources that cannot be.

    Args:
        devices: where they will run.
        calibration: images per second by `calibration_key`; what is missing is assumed.
        packs: as for `make_packs`.
    """
    made = make_packs(trials, devices=devices, packs=packs, resources=spec.resources)
    return Plan(
        spec=spec,
        trials=tuple(trials),
        packs=tuple(made),
        devices=devices,
        slots=place(spec.resources, devices),
        estimate=estimate(made, devices=devices, calibration=calibration, resources=spec.resources),
    )


def estimate(
    packs: Sequence[Pack], *, devices: Devices, calibration: Mapping[str, float], resources: Resources | None = None
) -> Estimate:
    """Time, memory and disk of `packs`. `calibration`: images per second by `calibration_key`."""
    slots = place(resources or Resources(), devices)
    trials = [trial for pack in packs for trial in pack.trials]
    kinds = {trial.model["name"]: trial for trial in trials}
    keys = {model: calibration_key(slots.device, model) for model in kinds}
    speeds = {model: calibration.get(keys[model]) or _assumed_speed(trial, slots) for model, trial in kinds.items()}
    seconds = [PACK_SECONDS + sum(_seconds(trial, speeds) for trial in pack.trials) for pack in packs]
    return Estimate(
        seconds=START_SECONDS + makespan(seconds, slots.count),
        pack_seconds=tuple(seconds),
        images_per_second=speeds,
        calibrated=all(key in calibration for key in keys.values()),
        memory_bytes=max((pack_bytes(pack.trials, kind=slots.kind) for pack in packs), default=0),
        disk_bytes=sum(map(_disk_bytes, trials)),
        epochs=sum(trial.epochs for trial in trials if trial.type == "train"),
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as one JSON document."""
    return {
        "name": plan.spec.name,
        "question": plan.spec.question,
        "trials": len(plan.trials),
        "configurations": len(plan.trials) // len(plan.spec.seeds),
        "seeds": list(plan.spec.seeds),
        "devices": asdict(plan.devices),
        "slots": asdict(plan.slots),
        "estimate": asdict(plan.estimate),
        "packs": [
            {"trials": [trial.trial_id for trial in pack.trials], "why": pack.why, "seconds": seconds}
            for pack, seconds in zip(plan.packs, plan.estimate.pack_seconds, strict=True)
        ],
    }


def render_plan(plan: Plan) -> RenderableType:
    """The plan for a terminal."""
    facts = Table.grid(padding=(0, 2))
    for label, words in _facts(plan):
        facts.add_row(Text(label, style="bold"), Text(words))
    table = Table(title="Packs: trials trained together in one process", title_justify="left")
    for heading in ("pack", "trials", "time", "why apart", "first trial"):
        table.add_column(heading, justify="right" if heading in ("pack", "trials", "time") else "left")
    for number, pack in enumerate(plan.packs[:SHOWN_PACKS], start=1):
        time = duration(plan.estimate.pack_seconds[number - 1])
        table.add_row(
            str(number), str(len(pack.trials)), time, Text(pack.why or "all in one"), Text(pack.trials[0].trial_id)
        )
    hidden = len(plan.packs) - SHOWN_PACKS
    rest = [Text(f"… and {hidden} more packs (--json lists them all)")] if hidden > 0 else []
    return Group(facts, table, *rest)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3.4 h`, `2.1 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def size(count: float) -> str:
    """Bytes as a person says them: `1.2 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _facts(plan: Plan) -> list[tuple[str, str]]:
    cost, slots, seeds = plan.estimate, plan.slots, plan.spec.seeds
    configurations = len(plan.trials) // len(seeds)
    speeds = ", ".join(f"{model} {speed:,.0f}" for model, speed in cost.images_per_second.items())
    where = f"{slots.count} × {slots.device}" if slots.kind == "gpu" else f"{plan.devices.cpus} cores ({slots.device})"
    measured = "calibrated on this machine" if cost.calibrated else "uncalibrated: from the catalog's sizes"
    return [
        ("sweep", plan.spec.name),
        ("question", plan.spec.question or "none given"),
        ("trials", f"{len(plan.trials)}: configurations {configurations} × seeds {len(seeds)}"),
        ("epochs", f"{cost.epochs:,} over all trials"),
        ("packs", f"{len(plan.packs)}, {min(slots.count, len(plan.packs))} at once"),
        ("devices", f"{where}, {size(slots.memory_bytes)} of memory for each pack"),
        ("time", f"about {duration(cost.seconds)} ({measured}; images per second of a process: {speeds})"),
        ("memory", f"about {size(cost.memory_bytes)} for the largest pack"),
        ("disk", f"about {size(cost.disk_bytes)} for checkpoints and ledger"),
    ]


def _seconds(trial: TrialConfig, speeds: Mapping[str, float]) -> float:
    trained, validated = images(trial)
    return (trained + validated / 3) / speeds[trial.model["name"]]


def _assumed_speed(trial: TrialConfig, slots: Slots) -> float:
    """Images per second of one process, training, without a measurement."""
    mflop, batch = MODELS[trial.model["name"]].mflop_per_image, trial.data.batch_size
    if slots.kind == "cpu":
        return CORE_MFLOPS / mflop
    return batch / (GPU_STEP_SECONDS + batch * mflop / GPU_MFLOPS)


def _disk_bytes(trial: TrialConfig) -> int:
    """`last` (weights, the best so far, state), `best` (weights), and the rows."""
    rows = trial.epochs if trial.type == "train" else trial.range_test.steps
    tensors = 3 + OPTIMIZERS[trial.optimizer["name"]].state_tensors
    return MODELS[trial.model["name"]].parameter_count * FP32_BYTES * tensors + rows * ROW_BYTES
