"""What passes between a pack and its driver: ledger lines one way, orders the other; and what makes a pack a pack."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.runs.schema import EngineName

Line = dict[str, Any]


@dataclass(frozen=True)
class Orders:
    """What the driver wants of a pack at an epoch's end."""

    stop: frozenset[str] = frozenset()  # trial ids
    admit: tuple[TrialConfig, ...] = ()  # trials that may join, sharing what a pack shares


Report = Callable[[Sequence[Line]], Orders]


def no_report(lines: Sequence[Line]) -> Orders:
    """For notebooks and tests that only want the statuses."""
    return Orders()


def check_shared(trials: Sequence[TrialConfig], *, engine: EngineName = "eager") -> None:
    """InputError naming the first field in which trials differ that a pack has to share."""
    if not trials:
        raise InputError("trials", [], "at least one trial")
    shared = ["type", "data", "model", "precision", "deterministic", "evaluate_test"]
    shared.append("epochs" if trials[0].type == "train" else "range_test")
    for trial, name in itertools.product(trials, shared):
        if getattr(trial, name) != getattr(trials[0], name):
            raise InputError(name, getattr(trial, name), f"the pack's {getattr(trials[0], name)!r}: packs share {name}")
    if len({trial.trial_id for trial in trials}) != len(trials):
        raise InputError("trials", [trial.trial_id for trial in trials], "each trial once")
    if engine == "fused":
        _check_fused([trial.optimizer["name"] for trial in trials])


def _check_fused(optimizers: Sequence[str]) -> None:
    family = OPTIMIZERS[optimizers[0]].family
    for name in optimizers:
        if OPTIMIZERS[name].family is None:
            raise InputError("optimizer.name", name, "an element-wise optimizer: a fused pack has no place for others")
        if OPTIMIZERS[name].family != family:
            allowed = f"an optimizer of the pack's family, {family}: fused packs share it"
            raise InputError("optimizer.name", name, allowed)
