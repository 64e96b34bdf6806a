"""What a sweep will do, before it does anything: packs, devices, estimated time, memory and disk.

    plan = make_plan(spec, expand(spec), devices=[visible_devices()], calibration=read_calibration())
    console.print(render_plan(plan))        # or: json.dumps(plan_json(plan))

The estimate stands on speeds measured on this machine (calibration.py), and says "uncalibrated" where there are none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ch6dist.config import TrialConfig
from ch6dist.host.hardware import Devices
from ch6dist.runs.folders import checkpoints_root, home_of, runs_root
from ch6dist.storage.files import join
from sweeps.plan.disk import kept_bytes, total_bytes
from sweeps.plan.estimate import Estimate, estimate
from sweeps.plan.hosts import describe, describe_workers, parts, shared_storage_note, total
from sweeps.plan.packs import Pack, make_packs, notes
from sweeps.plan.slots import Hosts, Slots, as_hosts, find_slots
from sweeps.spec.sweep_file import SweepSpec
from sweeps.units import format_bytes, format_seconds

SHOWN_PACKS = 20


@dataclass(frozen=True)
class Plan:
    """A sweep, laid out on devices."""

    spec: SweepSpec
    trials: tuple[TrialConfig, ...]
    packs: tuple[Pack, ...]
    hosts: tuple[Devices, ...]
    slots: Slots
    estimate: Estimate
    ended_limit_bytes: int | None  # for checkpoints of ended trials; None: no limit


def make_plan(
    spec: SweepSpec,
    trials: Sequence[TrialConfig],
    *,
    devices: Hosts,
    calibration: Mapping[str, float],
    packs: str | int = "auto",
    runs: Path | None = None,
) -> Plan:
    """Pack `trials` and estimate what they cost. InputError for packs and resources that cannot be, or find no room.

    Args:
        devices: where they will run: one host, or those of a cluster.
        calibration: images per second by `calibration_key`; what is missing is assumed.
        packs: as for `make_packs`.
        runs: folder that will hold the run folder; None: as for `run`.
    """
    made = make_packs(trials, devices=devices, packs=packs, resources=spec.resources)
    slots, rules = find_slots(spec.resources, devices), spec.checkpoints
    where = checkpoints_root(runs_root(home_of(runs, spec.storage)), storage=spec.storage)
    running = [pack.trials for pack in made]
    return Plan(
        spec=spec,
        trials=tuple(trials),
        packs=tuple(made),
        hosts=as_hosts(devices),
        slots=slots,
        estimate=estimate(made, devices=devices, calibration=calibration, resources=spec.resources, keep=rules.keep),
        ended_limit_bytes=bytes_for_ended_trials(
            total_bytes(rules.total, where), running, at_once=slots.count, path=where
        ),
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as one JSON document."""
    return {
        "name": plan.spec.name,
        "question": plan.spec.question,
        "trials": len(plan.trials),
        "configurations": len(plan.trials) // len(plan.spec.seeds),
        "seeds": list(plan.spec.seeds),
        "devices": asdict(total(plan.hosts)),
        "hosts": [asdict(host) for host in plan.hosts],
        "hosts_not_up": sum(not host.up for host in plan.hosts),
        "workers": describe_workers(plan.trials, plan.slots) if plan.slots.workers > 1 else "",
        "slots": asdict(plan.slots),
        "estimate": asdict(plan.estimate),
        "room_bytes": plan.ended_limit_bytes,
        "notes": plan_notes(plan),
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
    return Group(facts, _pack_table(plan), *map(Text, rest + plan_notes(plan)))


def plan_notes(plan: Plan) -> list[str]:
    """What a person should know before the launch: of packs, of storage, of what is assumed."""
    storage, name = plan.spec.storage, plan.spec.name
    shared = shared_storage_note(plan.hosts, plan.trials, run=join(storage, name) if storage else runs_root() / name)
    assumed = sorted({gpu.name for host in plan.hosts for gpu in host.gpus if gpu.assumed})
    words = f"GPUs that cannot be asked ({', '.join(assumed)}): their memory is assumed by their type"
    return [*notes(plan.packs), *([shared] if shared else []), *([words] if assumed else [])]


def _pack_table(plan: Plan) -> Table:
    """A line per pack; which engine, where not all have the same."""
    table = Table(title="Packs: trials trained together in one process", title_justify="left")
    mixed = [] if _one_engine(plan) else ["engine"]
    for heading in ("pack", "trials", "time", *mixed, "why apart", "first trial"):
        table.add_column(heading, justify="right" if heading in ("pack", "trials", "time") else "left")
    for number, pack in enumerate(plan.packs[:SHOWN_PACKS], start=1):
        time = format_seconds(plan.estimate.pack_seconds[number - 1])
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
    clustered = len(plan.hosts) > 1 or bool(plan.hosts[0].name)
    measured = "uncalibrated: from the catalog's sizes"
    if cost.calibrated:
        measured = f"calibrated on {'such devices' if clustered else 'this machine'}"
    measured += f"; {slots.workers} workers: estimated" if slots.workers > 1 else ""
    who = "process" if slots.workers == 1 else f"trial's {slots.workers} workers"
    return [
        ("sweep", plan.spec.name),
        ("question", plan.spec.question or "none given"),
        ("trials", f"{len(plan.trials)}: configurations {configurations} × seeds {len(seeds)}"),
        ("epochs", f"{cost.epochs:,} over all trials"),
        ("packs", f"{len(plan.packs)}, {min(slots.count, len(plan.packs))} at once"),
        *([("workers", describe_workers(plan.trials, slots))] if slots.workers > 1 else []),
        ("engine", _one_engine(plan) or "by pack: see below"),
        *([("hosts", f"{describe(plan.hosts)}: {parts(plan.hosts)}")] if clustered else []),
        ("devices", f"{_devices(plan)}, {format_bytes(slots.memory_bytes)} of memory for each {_holder(slots)}"),
        ("time", f"about {format_seconds(cost.seconds)} ({measured}; images per second of a {who}: {speeds})"),
        (
            "memory",
            f"about {format_bytes(cost.memory_bytes)} for {'the largest pack' if slots.workers == 1 else 'a worker'}",
        ),
        ("disk", f"about {format_bytes(cost.disk_bytes)} for checkpoints and ledger{_limit(plan)}"),
    ]


def _limit(plan: Plan) -> str:
    kept = sum(kept_bytes(trial, plan.spec.checkpoints.keep) for trial in plan.trials)
    if plan.ended_limit_bytes is None or plan.ended_limit_bytes >= kept:
        return ""
    return f"; of ended trials' checkpoints the best {format_bytes(plan.ended_limit_bytes)} stay (checkpoints.total)"


def _devices(plan: Plan) -> str:
    """The devices that packs are placed on, all hosts together."""
    every = total(plan.hosts)
    if plan.slots.kind == "cpu":
        return f"{every.cpus} cores ({plan.slots.device})"
    return ", ".join(f"{count} × {name}" for name, count in Counter(gpu.name for gpu in every.gpus).items())


def _holder(slots: Slots) -> str:
    return "pack" if slots.workers == 1 else "worker"
