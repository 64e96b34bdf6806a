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
from ch6dist.machine import Devices
from ch6dist.records import EngineName
from sweeps.calibration import calibration_key
from sweeps.costs import CORE_MFLOPS, FP32_BYTES, PACK_SECONDS, images, makespan, pack_bytes
from sweeps.devices import Slots, place
from sweeps.packs import Pack, make_packs, notes
from sweeps.spec import Resources, SweepSpec
from sweeps.words import duration, size

GPU_MFLOPS = 20e6  # per second of a GPU: a third of an H200's fp32 peak, estimated
GPU_STEP_SECONDS = {"eager": 1e-3, "fused": 2e-4}  # of a step besides its arithmetic, estimated
START_SECONDS = 15.0  # of Ray, measured
ROW_BYTES = 400  # of the ledger
SHOWN_PACKS = 20


@dataclass(frozen=True)
class Estimate:
    """What a sweep costs, start-up included. Numbers per pack are in the order of the packs."""

    seconds: float
    pack_seconds: tuple[float, ...]
    images_per_second: dict[str, float]  # of one process, by model and, where it is fused, engine
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
    largest: dict[tuple[str, EngineName], Pack] = {}
    for pack in packs:
        kind = _kind(pack)
        largest[kind] = max(largest.get(kind, pack), pack, key=lambda pack: len(pack.trials))
    keys = {kind: calibration_key(slots.device, *kind) for kind in largest}
    speeds = {kind: calibration.get(keys[kind]) or _assumed_speed(pack, slots) for kind, pack in largest.items()}
    seconds = [PACK_SECONDS + sum(map(_images, pack.trials)) / speeds[_kind(pack)] for pack in packs]
    return Estimate(
        seconds=START_SECONDS + makespan(seconds, slots.count),
        pack_seconds=tuple(seconds),
        images_per_second={_label(*kind): speed for kind, speed in speeds.items()},
        calibrated=all(key in calibration for key in keys.values()),
        memory_bytes=max((pack_bytes(p.trials, kind=slots.kind, engine=p.engine) for p in packs), default=0),
        disk_bytes=sum(_disk_bytes(trial) for pack in packs for trial in pack.trials),
        epochs=sum(trial.epochs for pack in packs for trial in pack.trials if trial.type == "train"),
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
        "notes": notes(plan.packs),
        "packs": [
            {
                "trials": [trial.trial_id for trial in pack.trials],
                "engine": pack.engine,
                "not_fused": pack.not_fused,
                "why": pack.why,
                "seconds": seconds,
            }
            for pack, seconds in zip(plan.packs, plan.estimate.pack_seconds, strict=True)
        ],
    }


def render_plan(plan: Plan) -> RenderableType:
    """The plan for a terminal."""
    facts = Table.grid(padding=(0, 2))
    for label, words in _facts(plan):
        facts.add_row(Text(label, style="bold"), Text(words))
    hidden = len(plan.packs) - SHOWN_PACKS
    rest = [f"… and {hidden} more packs (--json lists them all)"] if hidden > 0 else []
    return Group(facts, _pack_table(plan), *map(Text, rest + notes(plan.packs)))


def _pack_table(plan: Plan) -> Table:
    """A line per pack; which engine, where not all have the same."""
    table = Table(title="Packs: trials trained together in one process", title_justify="left")
    mixed = [] if _one_engine(plan) else ["engine"]
    for heading in ("pack", "trials", "time", *mixed, "why apart", "first trial"):
        table.add_column(heading, justify="right" if heading in ("pack", "trials", "time") else "left")
    for number, pack in enumerate(plan.packs[:SHOWN_PACKS], start=1):
        time = duration(plan.estimate.pack_seconds[number - 1])
        why = pack.why or ("the engine" if mixed else "all in one")
        words = [*([_engine(pack)] if mixed else []), why, pack.trials[0].trial_id]
        table.add_row(str(number), str(len(pack.trials)), time, *map(Text, words))
    return table


def _one_engine(plan: Plan) -> str:
    """The engine of all packs, and why it is not the fused one; empty where they differ."""
    words = {_engine(pack) for pack in plan.packs}
    return words.pop() if len(words) == 1 else ""


def _engine(pack: Pack) -> str:
    return f"{pack.engine}: {pack.not_fused}" if pack.not_fused else pack.engine


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
        ("engine", _one_engine(plan) or "by pack: see below"),
        ("devices", f"{where}, {size(slots.memory_bytes)} of memory for each pack"),
        ("time", f"about {duration(cost.seconds)} ({measured}; images per second of a process: {speeds})"),
        ("memory", f"about {size(cost.memory_bytes)} for the largest pack"),
        ("disk", f"about {size(cost.disk_bytes)} for checkpoints and ledger"),
    ]


def _kind(pack: Pack) -> tuple[str, EngineName]:
    """What the speed of a pack's process depends on: model and engine."""
    return pack.trials[0].model["name"], pack.engine


def _label(model: str, engine: EngineName) -> str:
    return model if engine == "eager" else f"{model} {engine}"


def _images(trial: TrialConfig) -> float:
    """Images of a trial's training; one of validation, forward only, counts a third."""
    trained, validated = images(trial)
    return trained + validated / 3


def _assumed_speed(pack: Pack, slots: Slots) -> float:
    """Images per second of one process, training, without a measurement."""
    first = pack.trials[0]
    mflop = MODELS[first.model["name"]].mflop_per_image
    if slots.kind == "cpu":
        return CORE_MFLOPS / mflop
    step = first.data.batch_size * (len(pack.trials) if pack.engine == "fused" else 1)
    return step / (GPU_STEP_SECONDS[pack.engine] + step * mflop / GPU_MFLOPS)


def _disk_bytes(trial: TrialConfig) -> int:
    """`last` (weights, the best so far, state), `best` (weights), and the rows."""
    rows = trial.epochs if trial.type == "train" else trial.range_test.steps
    tensors = 3 + OPTIMIZERS[trial.optimizer["name"]].state_tensors
    return MODELS[trial.model["name"]].parameter_count * FP32_BYTES * tensors + rows * ROW_BYTES
