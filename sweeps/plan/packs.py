"""From trials to packs: who may train together, by which engine, and in how many parts, so that every device is busy.

    packs = make_packs(trials, devices=visible_devices(), packs="auto")     # or devices=cluster_hosts("auto")

A pack's trials share what changes shapes, code or data. The lanes of an eager pack share their batches too, so they
have one seed; those of a fused pack have one family of optimizers. Each such group is split into the fewest equal parts
with which the devices end together.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.packs import engine_for, shared
from ch6dist.runs.schema import EngineName
from sweeps.plan.costs import CORE_MFLOPS, PACK_SECONDS, makespan, pack_bytes, work
from sweeps.plan.slots import Hosts, Slots, find_slots
from sweeps.spec.sweep_file import Resources
from sweeps.units import format_bytes

MAX_LANES = 256
EPOCH_SECONDS = 120.0  # of a pack on a core, at most: its checkpoint and its answer to a wish wait for an epoch's end
MEMORY_SHARE = 0.8  # of a place's memory; the rest is left to allocators and the system
GOOD_ENOUGH = 1.02  # times the shortest possible end


@dataclass(frozen=True)
class Pack:
    """Trials that one process trains together."""

    trials: tuple[TrialConfig, ...]
    why: str = ""  # what sets the pack apart from the others
    engine: EngineName = "eager"
    not_fused: str = ""  # why its engine is the eager one
    note: str = ""  # what became of a wish that could not be met


@dataclass(frozen=True)
class _Group:
    """Trials that could all be one pack, and how many lanes one may have."""

    trials: list[TrialConfig]
    key: dict[str, Any]
    engine: EngineName
    not_fused: str
    limit: int
    note: str


def make_packs(
    trials: Sequence[TrialConfig], *, devices: Hosts, packs: str | int = "auto", resources: Resources | None = None
) -> list[Pack]:
    """Every trial in one pack, the longest packs first.

    Args:
        devices: where they will run: one host, or those of a cluster.
        packs: `auto`; `off` for packs of one; or the largest number of trials of a pack. What several workers train
            together is a pack of one.
        resources: of one pack; left out: one core, a GPU where there is one, and the engine that suits it.
    Raises InputError for a number of lanes that is not allowed and for resources that can never be placed.
    """
    resources = resources or Resources()
    slots = find_slots(resources, devices)
    groups = _groups(trials, slots, resources.engine, _most(packs))
    parts = [-(-len(group.trials) // group.limit) for group in groups]
    if packs == "auto":
        parts = _balanced([(len(group.trials), work(group.trials[0])) for group in groups], parts, slots.count)
    by_engine = itertools.groupby(groups, key=lambda group: group.engine)
    reasons = [reason for _, same in by_engine for reason in _reasons([group.key for group in same])]
    made = [
        Pack(
            trials=part,
            why=f"{reason}, part {number} of {count}".removeprefix(", ") if count > 1 else reason,
            engine=group.engine,
            not_fused=group.not_fused,
            note=group.note,
        )
        for group, count, reason in zip(groups, parts, reasons, strict=True)
        for number, part in enumerate(split(group.trials, count), start=1)
    ]
    return sorted(made, key=lambda pack: -sum(work(trial) for trial in pack.trials))


def notes(packs: Iterable[Pack]) -> list[str]:
    """What a person should know of these packs, each once."""
    return list(dict.fromkeys(pack.note for pack in packs if pack.note))


def split(items: Sequence[TrialConfig], parts: int) -> list[tuple[TrialConfig, ...]]:
    """`items` in order in `parts` parts whose lengths differ by one at most."""
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    return [tuple(items[low:high]) for low, high in itertools.pairwise(bounds)]


def check_packs(packs: str | int) -> str | int:
    """`packs` as `auto`, `off` or a number of lanes; InputError for anything else."""
    if packs in ("auto", "off"):
        return packs
    lanes = int(packs) if str(packs).isdecimal() else 0
    if not 1 <= lanes <= MAX_LANES:
        raise InputError("--packs", packs, f"auto, off, or a number of trials from 1 to {MAX_LANES}")
    return lanes


def _most(packs: str | int) -> int | None:
    """The most trials of a pack that a person allows; None leaves it to the sizes of trials and device."""
    checked = check_packs(packs)
    return {"auto": None, "off": 1}[checked] if isinstance(checked, str) else checked


def _groups(trials: Iterable[TrialConfig], slots: Slots, wanted: str, most: int | None) -> list[_Group]:
    """Trials that may train together, lanes of one seed side by side; the groups of an engine side by side."""
    found: dict[str, list[TrialConfig]] = {}
    for trial in trials:
        engine, _ = engine_for(trial.optimizer["name"], kind=slots.kind, wanted=wanted, workers=slots.workers)
        found.setdefault(json.dumps(shared(trial.model_dump(), engine=engine), sort_keys=True), []).append(trial)
    groups = []
    for key, members in found.items():
        name = members[0].optimizer["name"]
        engine, not_fused = engine_for(name, kind=slots.kind, wanted=wanted, workers=slots.workers)
        limit, note = _limit(members, slots, engine, most)
        ordered = sorted(members, key=lambda trial: trial.seed)  # they share their input
        groups.append(_Group(ordered, json.loads(key), engine, not_fused, limit, note))
    return sorted(groups, key=lambda group: group.engine)


def _limit(trials: Sequence[TrialConfig], slots: Slots, engine: EngineName, most: int | None) -> tuple[int, str]:
    """The largest number of lanes of a pack of trials like these; and a word if memory is less than what was asked."""
    if slots.workers > 1:
        wish = f"packs of {most} asked for; several processes train one trial: packs of one"
        return 1, wish if most not in (None, 1) else ""
    if engine == "eager" and slots.kind == "gpu":
        return 1, ""  # its lanes would take turns: alone they can at least go to different devices
    first = trials[0]
    one, two = (pack_bytes([first] * lanes, kind=slots.kind, engine=engine) for lanes in (1, 2))
    fitting = max(1, int((MEMORY_SHARE * slots.memory_bytes - one) // max(two - one, 1)) + 1)
    if most is None:
        return min(MAX_LANES, fitting, _lanes_in_time(first) if slots.kind == "cpu" else MAX_LANES), ""
    if fitting >= min(most, len(trials)):
        return most, ""
    largest = -(-len(trials) // -(-len(trials) // fitting))
    held = f"{format_bytes(slots.memory_bytes)} hold {fitting} lanes of {first.model['name']}"
    return fitting, f"packs of {most} asked for; {held}: split into packs of {largest}"


def _lanes_in_time(trial: TrialConfig) -> int:
    """Lanes whose epoch, one after the other, a core trains in EPOCH_SECONDS; at least 1."""
    epochs = trial.epochs if trial.type == "train" else max(1.0, trial.range_test.steps / trial.data.steps_per_epoch)
    return max(1, int(EPOCH_SECONDS * CORE_MFLOPS / (work(trial) / epochs)))


def _balanced(groups: Sequence[tuple[int, float]], fewest: Sequence[int], count: int) -> list[int]:
    """Parts of each group (trials, work of one): the fewest with which `count` places end as early as can be."""
    start = PACK_SECONDS * CORE_MFLOPS
    longest = max((cost for _, cost in groups), default=0.0)
    bound = max((sum(size * cost for size, cost in groups) + sum(fewest) * start) / count, longest + start)
    best, best_end = list(fewest), float("inf")
    most = count * (max(fewest, default=0) // count + 1)
    for wanted in range(min(fewest, default=1), most + 1):
        parts = [max(least, min(wanted, size)) for least, (size, _) in zip(fewest, groups, strict=True)]
        end = makespan(_durations(groups, parts, start), count)
        if end < best_end / GOOD_ENOUGH:
            best, best_end = parts, end
        if end <= bound * GOOD_ENOUGH:
            break
    return best


def _durations(groups: Sequence[tuple[int, float]], parts: Sequence[int], start: float) -> list[float]:
    """Work of every part, its start counted, the longest first."""
    sizes = [
        start + (size * (part + 1) // count - size * part // count) * cost
        for (size, cost), count in zip(groups, parts, strict=True)
        for part in range(count)
    ]
    return sorted(sizes, reverse=True)


def _reasons(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each group the shared fields in which these groups differ."""
    flat = [{name: value for field, value in key.items() for name, value in _flatten(field, value)} for key in keys]
    names = dict.fromkeys(name for key in flat for name in key)
    differing = [name for name in names if len({repr(key.get(name)) for key in flat}) > 1]
    return [", ".join(f"{name.removesuffix('.name')} {key[name]}" for name in differing if name in key) for key in flat]


def _flatten(field: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{field}.{name}", inner) for name, inner in value.items()]
    return [(field, value)]
