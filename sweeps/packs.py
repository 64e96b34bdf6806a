"""From trials to packs: who may train together, and in how many parts, so that every device is busy.

    packs = make_packs(trials, devices=visible_devices(), packs="auto")

A pack's trials share what changes shapes, code or data; on a CPU also the seed, because its lanes share their batches.
Each such group is split into the fewest equal parts with which the devices end together.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from sweeps.devices import Devices, Slots, place
from sweeps.spec import Resources

MAX_LANES = {"cpu": 32, "gpu": 256}  # beyond, a pack's epoch, and with it its checkpoint, takes too long
WORKER_BYTES = {"cpu": 900_000_000, "gpu": 1_500_000_000}  # CPU: a process with torch and ray; GPU: CUDA's own share
FP32_BYTES = 4
MEMORY_SHARE = 0.8  # of a place's memory; the rest is left to allocators and the system
CORE_MFLOPS = 38_000.0  # per second of a core: LeNet-5, one thread, AMD EPYC, measured
PACK_SECONDS = 1.6  # start of a Ray Tune trial, measured
GOOD_ENOUGH = 1.02  # times the shortest possible end


@dataclass(frozen=True)
class Pack:
    """Trials that one process trains together. `why` says what sets the pack apart from the others."""

    trials: tuple[TrialConfig, ...]
    why: str = ""


def make_packs(
    trials: Sequence[TrialConfig], *, devices: Devices, packs: str | int = "auto", resources: Resources | None = None
) -> list[Pack]:
    """Every trial in one pack, the longest packs first.

    Args:
        devices: where they will run.
        packs: `auto`; `off` for packs of one; or the largest number of trials of a pack.
        resources: of one pack; left out: one core, and a GPU where there is one.
    Raises InputError for a number of lanes that is not allowed and for resources that can never be placed.
    """
    slots = place(resources or Resources(), devices)
    groups: dict[str, list[TrialConfig]] = {}
    for trial in trials:
        groups.setdefault(json.dumps(shared(trial, kind=slots.kind), sort_keys=True), []).append(trial)
    limits = [_limit(group[0], slots, packs) for group in groups.values()]
    parts = [-(-len(group) // limit) for group, limit in zip(groups.values(), limits, strict=True)]
    if packs == "auto":
        parts = _balanced([(len(group), work(group[0])) for group in groups.values()], parts, slots.count)
    reasons = _reasons([json.loads(key) for key in groups])
    made = [
        Pack(part, f"{reason}, part {number} of {count}".removeprefix(", ") if count > 1 else reason)
        for group, count, reason in zip(groups.values(), parts, reasons, strict=True)
        for number, part in enumerate(split(group, count), start=1)
    ]
    return sorted(made, key=lambda pack: -sum(work(trial) for trial in pack.trials))


def shared(trial: TrialConfig, *, kind: str) -> dict[str, Any]:
    """What all trials of a pack have in common, as plain data."""
    fields = ("type", "data", "model", "precision", "deterministic", "evaluate_test")
    content = trial.model_dump(include={*fields, "epochs" if trial.type == "train" else "range_test"})
    return content | ({"seed": trial.seed} if kind == "cpu" else {"optimizer": trial.optimizer["name"]})


def split(items: Sequence[TrialConfig], parts: int) -> list[tuple[TrialConfig, ...]]:
    """`items` in order in `parts` parts whose lengths differ by one at most."""
    bounds = [len(items) * part // parts for part in range(parts + 1)]
    return [tuple(items[low:high]) for low, high in itertools.pairwise(bounds)]


def images(trial: TrialConfig) -> tuple[int, int]:
    """Images a trial trains on and images it validates on, repeats counted."""
    if trial.type == "range_test":
        return trial.range_test.steps * min(trial.data.batch_size, trial.data.train_size), 0
    return trial.epochs * trial.data.train_size, trial.epochs * trial.data.val_size


def work(trial: TrialConfig) -> float:
    """MFLOP of a trial's training; the forward pass alone, a third, for validation."""
    trained, validated = images(trial)
    return (trained + validated / 3) * MODELS[trial.model["name"]].mflop_per_image


def makespan(durations: Iterable[float], count: int) -> float:
    """When `count` places are done that each take the next item as they become free."""
    ends = [0.0] * count
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def pack_bytes(trials: Sequence[TrialConfig], *, kind: str) -> int:
    """Memory of a pack where its tensors live: the process, the images, each lane's weights, gradients and state."""
    first = trials[0]
    data, dataset = first.data, DATASETS[first.data.name]
    pixels = (data.train_size + data.val_size) * dataset.channels * dataset.height * dataset.width
    activations = MODELS[first.model["name"]].activation_bytes_per_image * data.batch_size
    together = len(trials) if kind == "gpu" else 1  # a CPU's lanes take turns
    return WORKER_BYTES[kind] + pixels + activations * together + sum(map(lane_bytes, trials))


def lane_bytes(trial: TrialConfig) -> int:
    """Weights, their best copy, gradients and the optimizer's state."""
    tensors = 3 + OPTIMIZERS[trial.optimizer["name"]].state_tensors
    return MODELS[trial.model["name"]].parameter_count * FP32_BYTES * tensors


def _limit(trial: TrialConfig, slots: Slots, packs: str | int) -> int:
    """The largest number of lanes of a pack of trials like this one."""
    one, two = (pack_bytes([trial] * lanes, kind=slots.kind) for lanes in (1, 2))
    fitting = int((MEMORY_SHARE * slots.memory_bytes - one) // max(two - one, 1)) + 1
    limit = max(1, min(MAX_LANES[slots.kind], fitting))
    if packs == "auto":
        return limit
    if packs == "off":
        return 1
    lanes = int(packs) if str(packs).isdecimal() else 0
    if not 1 <= lanes <= MAX_LANES[slots.kind]:
        raise InputError("--packs", packs, f"auto, off, or a number of trials from 1 to {MAX_LANES[slots.kind]}")
    return min(lanes, limit)


def _balanced(groups: Sequence[tuple[int, float]], fewest: Sequence[int], count: int) -> list[int]:
    """Parts of each group (trials, work of one): the fewest with which `count` places end as early as can be."""
    longest = max((cost for _, cost in groups), default=0.0)
    bound = max(sum(size * cost for size, cost in groups) / count, longest)
    best, best_end = list(fewest), float("inf")
    most = count * (max(fewest, default=0) // count + 1)
    for wanted in range(min(fewest, default=1), most + 1):
        parts = [max(least, min(wanted, size)) for least, (size, _) in zip(fewest, groups, strict=True)]
        end = makespan(_durations(groups, parts), count)
        if end < best_end / GOOD_ENOUGH:
            best, best_end = parts, end
        if end <= bound * GOOD_ENOUGH:
            break
    return best


def _durations(groups: Sequence[tuple[int, float]], parts: Sequence[int]) -> list[float]:
    """Work of every part, its start counted, the longest first."""
    start = PACK_SECONDS * CORE_MFLOPS
    sizes = [
        start + (size * (part + 1) // count - size * part // count) * cost
        for (size, cost), count in zip(groups, parts, strict=True)
        for part in range(count)
    ]
    return sorted(sizes, reverse=True)


def _reasons(keys: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each group the shared fields in which the groups differ."""
    flat = [{name: value for field, value in key.items() for name, value in _flatten(field, value)} for key in keys]
    names = dict.fromkeys(name for key in flat for name in key)
    differing = [name for name in names if len({repr(key.get(name)) for key in flat}) > 1]
    return [", ".join(f"{name.removesuffix('.name')} {key[name]}" for name in differing if name in key) for key in flat]


def _flatten(field: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(f"{field}.{name}", inner) for name, inner in value.items()]
    return [(field, value)]
