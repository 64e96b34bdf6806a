"""Group trials into packs: which train together, by which engine, and in how many parts so that no device is idle.

    packs = make_packs(trials, devices=visible_devices(), packs="auto")     # or devices=cluster_hosts("auto")

The trials of a pack share what changes shapes, code or data. The lanes of an eager pack share their batches too, so
they have one seed; those of a fused pack have one family of optimizers. Each such group is split into the fewest equal
parts with which all slots finish together (balance.py).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.catalog.augmentations import words
from ch6dist.catalog.models import LaneForm
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.packs import engine_for, shared
from ch6dist.runs.schema import EngineName
from sweeps.plan.balance import balanced_parts, split
from sweeps.plan.costs import CORE_MFLOPS, pack_bytes, size_of, work
from sweeps.plan.slots import Hosts, Slots, find_slots
from sweeps.spec.sweep_file import Resources
from sweeps.units import format_bytes

MAX_LANES = 256
EPOCH_SECONDS = 120.0  # at most, of a pack on a core: checkpoints and requests to stop wait for the end of an epoch
MEMORY_SHARE = 0.8  # of a slot's memory; the rest is left to allocators and the system


@dataclass(frozen=True)
class Pack:
    """Trials that one process trains together."""

    trials: tuple[TrialConfig, ...]
    why: str = ""  # by what the pack was split from the others
    engine: EngineName = "eager"
    not_fused: str = ""  # why its engine is eager
    lane_form: LaneForm = ""  # how its engine, if that is the fused one, computes the lanes as one model
    note: str = ""  # how it differs from the packs asked for


@dataclass(frozen=True)
class _Group:
    """Trials that may share a pack, and the most lanes of one."""

    trials: list[TrialConfig]
    key: dict[str, Any]
    engine: EngineName
    not_fused: str
    limit: int
    note: str


def make_packs(
    trials: Sequence[TrialConfig], *, devices: Hosts, packs: str | int = "auto", resources: Resources | None = None
) -> list[Pack]:
    """Return packs that hold every trial once, the longest packs first.

    Args:
        devices: one host, or those of a cluster.
        packs: `auto`; `off` for packs of one; or the largest number of trials of a pack. Trials that several workers
            train together are packs of one.
        resources: of one pack; default: one core, a GPU if there is one, and the engine that suits it.

    Raises InputError for a number of lanes that is not allowed, and for resources that no host has.
    """
    resources = resources or Resources()
    slots = find_slots(resources, devices)
    groups = _groups(trials, slots, resources.engine, _largest_allowed(packs))
    parts = [-(-len(group.trials) // group.limit) for group in groups]
    if packs == "auto":
        sizes = [(len(group.trials), work(group.trials[0])) for group in groups]
        parts = balanced_parts(sizes, fewest=parts, slots=slots.count)
    by_engine = itertools.groupby(groups, key=lambda group: group.engine)
    reasons = [reason for _, same in by_engine for reason in _reasons([group.key for group in same])]
    made = [
        Pack(
            trials=part,
            why=f"{reason}, part {number} of {count}".removeprefix(", ") if count > 1 else reason,
            engine=group.engine,
            not_fused=group.not_fused,
            lane_form=size_of(part[0]).lane_form if group.engine == "fused" else "",
            note=group.note,
        )
        for group, count, reason in zip(groups, parts, reasons, strict=True)
        for number, part in enumerate(split(group.trials, count), start=1)
    ]
    return sorted(made, key=lambda pack: -sum(work(trial) for trial in pack.trials))


def pack_notes(packs: Iterable[Pack]) -> list[str]:
    """Return the notes of the packs, each once."""
    return list(dict.fromkeys(pack.note for pack in packs if pack.note))


def engine_label(engine: str, lane_form: LaneForm) -> str:
    """Return an engine's name, and by what it computes lanes of a network that has no lane layers."""
    return f"{engine} (vmap)" if engine == "fused" and lane_form == "vmap" else engine


def check_packs(packs: str | int) -> str | int:
    """Return `packs` as `auto`, `off` or a number of lanes; raise InputError for anything else."""
    if packs in ("auto", "off"):
        return packs
    lanes = int(packs) if str(packs).isdecimal() else 0
    if not 1 <= lanes <= MAX_LANES:
        raise InputError("--packs", packs, f"auto, off, or a number of trials from 1 to {MAX_LANES}")
    return lanes


def _largest_allowed(packs: str | int) -> int | None:
    """Return the largest pack that the user allows; None leaves it to the sizes of trials and device."""
    checked = check_packs(packs)
    return {"auto": None, "off": 1}[checked] if isinstance(checked, str) else checked


def _groups(trials: Iterable[TrialConfig], slots: Slots, wanted: str, most: int | None) -> list[_Group]:
    """Group trials that may train together, sorted by engine, and within a group by seed."""
    found: dict[str, list[TrialConfig]] = {}
    for trial in trials:
        engine, _ = engine_of(trial, kind=slots.kind, wanted=wanted, workers=slots.workers)
        found.setdefault(json.dumps(shared(trial.model_dump(), engine=engine), sort_keys=True), []).append(trial)
    groups = []
    for key, members in found.items():
        engine, not_fused = engine_of(members[0], kind=slots.kind, wanted=wanted, workers=slots.workers)
        limit, note = _limit(members, slots, engine, most)
        ordered = sorted(members, key=lambda trial: trial.seed)  # lanes of one seed share their input
        groups.append(_Group(ordered, json.loads(key), engine, not_fused, limit, note))
    return sorted(groups, key=lambda group: group.engine)


def engine_of(trial: TrialConfig, *, kind: str, wanted: str = "auto", workers: int = 1) -> tuple[EngineName, str]:
    """Return the engine that a trial gets, and why it is not the fused one. Arguments as of `engine_for`."""
    return engine_for(
        trial.optimizer,
        kind=kind,
        wanted=wanted,
        workers=workers,
        captures=trial.capture is not None,
        not_fused=lambda: size_of(trial).not_fused,
        groups=bool(trial.no_weight_decay_on),
    )


def _limit(trials: Sequence[TrialConfig], slots: Slots, engine: EngineName, most: int | None) -> tuple[int, str]:
    """Return the most lanes of a pack of such trials, and a note if that is less than `most`, the number asked for."""
    if slots.workers > 1:
        note = f"packs of {most} asked for, but several processes train one trial: using packs of one"
        return 1, note if most not in (None, 1) else ""
    if engine == "eager" and slots.kind == "gpu":
        return 1, ""  # lanes would take turns; packs of one can run on different devices
    first = trials[0]
    one, two = (pack_bytes([first] * lanes, kind=slots.kind, engine=engine) for lanes in (1, 2))
    fitting = max(1, int((MEMORY_SHARE * slots.memory_bytes - one) // max(two - one, 1)) + 1)
    if most is None:
        return min(MAX_LANES, fitting, _lanes_in_time(first) if slots.kind == "cpu" else MAX_LANES), ""
    if fitting >= min(most, len(trials)):
        return most, ""
    largest = -(-len(trials) // -(-len(trials) // fitting))
    held = f"{format_bytes(slots.memory_bytes)} hold {format_count(fitting, 'lane')} of {first.model['name']}"
    return fitting, f"packs of {most} asked for, but {held}: using packs of {largest}"


def _lanes_in_time(trial: TrialConfig) -> int:
    """Return how many lanes, one after another, a core trains for an epoch in EPOCH_SECONDS; at least 1."""
    epochs = trial.epochs if trial.type == "train" else max(1.0, trial.range_test.steps / trial.data.steps_per_epoch)
    return max(1, int(EPOCH_SECONDS * CORE_MFLOPS / (work(trial) / epochs)))


def _reasons(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each group the shared fields in which the groups differ that have them."""
    flat = [{name: value for field, value in key.items() for name, value in _flatten(field, value)} for key in keys]
    names = dict.fromkeys(name for key in flat for name in key)
    differing = [name for name in names if len({repr(key[name]) for key in flat if name in key}) > 1]
    return [
        ", ".join(f"{name.removesuffix('.name')} {_shown(key[name])}" for name in differing if name in key)
        for key in flat
    ]


def _flatten(field: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{field}.{name}", inner) for name, inner in value.items()]
    return [(field, value)]


def _shown(value: Any) -> Any:
    """Return a value for people: of a list of augmentations a few words."""
    return words(value) if isinstance(value, list) and all(isinstance(item, Mapping) for item in value) else value
