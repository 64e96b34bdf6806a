"""What makes a pack: its engine, the fields that its trials share, the shares of a batch, and the driver's orders.

A pack reports ledger lines to its driver and gets Orders back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ch6dist.catalog.lookup import family_in
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.runs.schema import EngineName, Line, Status

SHARED = ("type", "data", "model", "precision", "deterministic", "evaluate_test")


@dataclass(frozen=True)
class Leave:
    """Why a trial leaves its pack before its last epoch: to wait (`paused`), or for good (`stopped`)."""

    status: Status
    reason: str
    rule: bool = False  # the sweep's own rule wants it, no person


@dataclass(frozen=True)
class Orders:
    """What the driver wants of a pack at the end of an epoch."""

    leave: Mapping[str, Leave] = field(default_factory=dict)  # by trial id
    admit: tuple[TrialConfig, ...] = ()  # trials that may join, sharing what a pack shares
    halt: bool = False  # save what is trained, and end: the driver goes, the trials will resume


Report = Callable[[Sequence[Line]], Orders]


def no_report(lines: Sequence[Line]) -> Orders:
    """Ignore the lines: for notebooks and tests that only want the statuses."""
    return Orders()


def engine_for(
    optimizer: Mapping[str, Any],
    *,
    kind: str,
    wanted: str = "auto",
    workers: int = 1,
    captures: bool = False,
    not_fused: Callable[[], str] = str,
    groups: bool = False,
) -> tuple[EngineName, str]:
    """Choose the engine for trials of an optimizer.

    Args:
        optimizer: of a trial.
        kind: of the device, `cpu` or `gpu`.
        wanted: `resources.engine`.
        workers: processes that train one trial together.
        captures: they keep something of the inside of their training.
        not_fused: returns why their model does not fuse, empty where it does; asked only where all else would.
        groups: some of their parameters are spared weight decay.

    Returns the engine, and if it is the eager one, the reason.
    """
    if wanted == "eager":
        return "eager", "asked for"
    if workers > 1:
        return "eager", "several processes train one trial"
    if wanted == "auto" and kind == "cpu":
        return "eager", "on a CPU, whose results do not depend on packs"
    if captures:
        return "eager", "it captures, and fused lanes cannot be looked into"
    if groups:
        return "eager", "no_weight_decay_on makes two groups of parameters, and a fused lane has one"
    family, why_none = family_in(optimizer)
    if family is None:
        return "eager", why_none
    if reason := not_fused():
        return "eager", f"its model does not fuse: {reason}"
    return "fused", ""


def share(start: int, stop: int, *, rank: int, world_size: int) -> tuple[int, int]:
    """Return a rank's slice of the global batch [start, stop): contiguous, sizes differ by at most one."""
    count = stop - start
    return start + count * rank // world_size, start + count * (rank + 1) // world_size


def shares(count: int, *, world_size: int) -> list[int]:
    """Return the rows of each rank in a global batch of `count`."""
    slices = [share(0, count, rank=rank, world_size=world_size) for rank in range(world_size)]
    return [stop - start for start, stop in slices]


def shared_fields(trial_type: str) -> tuple[str, ...]:
    """Return the fields of a trial in which all trials of a pack are equal."""
    return (*SHARED, "epochs" if trial_type == "train" else "range_test")


def shared(config: Mapping[str, Any], *, engine: EngineName) -> dict[str, Any]:
    """Return what all trials of a pack have in common with this one, as plain data.

    Args:
        config: a TrialConfig as data.

    Lanes of the eager engine train on the same batches, so they share the seed; fused lanes share an optimizer family.
    All share one split of the data, and so the seed where the split follows it.
    """
    content = {"engine": engine, **{name: config[name] for name in shared_fields(config["type"])}}
    vary = list(config.get("vary", ()))  # older ledgers lack the key
    content |= {"vary": vary} if vary else {}
    content |= {"metrics": list(config["metrics"])} if config.get("metrics") else {}  # older ledgers lack the key
    if engine == "eager":
        return content | {"seed": config["seed"]}
    content |= {"split of seed": config["seed"]} if "split" in vary else {}
    return content | {"optimizer family": family_in(config["optimizer"])[0]}


def check_shared(trials: Sequence[TrialConfig], *, engine: EngineName = "eager") -> None:
    """Raise InputError naming the first field in which trials differ that a pack has to share."""
    if not trials:
        raise InputError("trials", [], "at least one trial")
    for trial, name in itertools.product(trials, shared_fields(trials[0].type)):
        if getattr(trial, name) != getattr(trials[0], name):
            raise InputError(name, getattr(trial, name), f"the pack's {getattr(trials[0], name)!r}: packs share {name}")
    for trial in trials:
        if trial.split_seed != trials[0].split_seed:
            raise InputError(
                "seed", trial.seed, f"the pack's {trials[0].seed}: packs share a split, and it varies here"
            )
        if trial.metrics != trials[0].metrics:
            raise InputError("metrics", trial.metrics, f"the pack's {trials[0].metrics}: packs share metrics")
    if len({trial.trial_id for trial in trials}) != len(trials):
        raise InputError("trials", [trial.trial_id for trial in trials], "each trial once")
    if engine == "fused":
        _check_without_capture(trials)
        for trial in trials:
            if given := trial.no_weight_decay_on:
                raise InputError(
                    "no_weight_decay_on", given, "none in a fused pack: a lane has one group of parameters"
                )
        _check_fused([trial.optimizer for trial in trials])


def _check_without_capture(trials: Sequence[TrialConfig]) -> None:
    for trial in trials:
        if trial.capture:
            raise InputError("capture", trial.trial_id, "none in a fused pack: only the eager engine captures")


def _check_fused(optimizers: Sequence[Mapping[str, Any]]) -> None:
    family, _ = family_in(optimizers[0])
    for optimizer in optimizers:
        name, (own, why_none) = optimizer["name"], family_in(optimizer)
        if own is None:
            allowed = f"an element-wise optimizer: a fused pack has no place for others ({why_none})"
            raise InputError("optimizer.name", name, allowed)
        if own != family:
            allowed = f"an optimizer of the pack's family, {family}: fused packs share it"
            raise InputError("optimizer.name", name, allowed)
