"""What checkpoints take on the disk, and whether they fit: asked by `plan` and `run` alike, before anything is written.

left = room(total_bytes("auto", checkpoints), packs, at_once=slots.count)      # InputError: they cannot fit
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.storage.files import LocalFolder, is_remote
from sweeps.plan.costs import FP32_BYTES
from sweeps.units import format_bytes

OVERHEAD_BYTES = 20_000  # of a file: names, buffers, generator states, torch's own format


def file_bytes(trial: TrialConfig) -> dict[str, int]:
    """A trial's checkpoints, by name, about: weights, and in `last` the optimizer's state besides.

    None of a range test: it runs in one go, and what it left is removed.
    """
    if trial.type != "train":
        return {}
    weights = MODELS[trial.model["name"]].parameter_count * FP32_BYTES
    state = OPTIMIZERS[trial.optimizer["name"]].state_tensors
    return {"last": (1 + state) * weights + OVERHEAD_BYTES, "best": weights + OVERHEAD_BYTES}


def running_bytes(trial: TrialConfig) -> int:
    """The most that a running trial's checkpoints take: `best`, `last`, and the `last` that replaces it."""
    files = file_bytes(trial)
    return sum(files.values()) + files.get("last", 0)


def kept_bytes(trial: TrialConfig, keep: Collection[str]) -> int:
    """What stays of a trial that has ended under `checkpoints.keep`."""
    return sum(count for name, count in file_bytes(trial).items() if name in keep)


def peak_bytes(packs: Iterable[Sequence[TrialConfig]], *, at_once: int, keep: Collection[str]) -> int:
    """The most that a sweep's checkpoints take, were there no limit: what ended trials keep, and what runs besides."""
    kept, more = 0, []
    for pack in packs:
        stays = sum(kept_bytes(trial, keep) for trial in pack)
        kept += stays
        more.append(sum(map(running_bytes, pack)) - stays)
    return kept + sum(sorted(more, reverse=True)[:at_once])


def total_bytes(given: int | str, checkpoints: str) -> int | None:
    """What `checkpoints.total` means for the folder or URL of a run's checkpoints; None: no limit.

    `auto` is half of what is free and of what the run itself holds already, so that a resume finds the same.
    """
    if given != "auto":
        return int(given)
    if is_remote(checkpoints):
        return None
    place = Path(checkpoints)
    there = next(folder for folder in (place, *place.resolve().parents) if folder.is_dir())
    return (shutil.disk_usage(there).free + sum(LocalFolder(place).sizes().values())) // 2


def bytes_for_ended_trials(
    total: int | None, packs: Iterable[Sequence[TrialConfig]], *, at_once: int, path: str = ""
) -> int | None:
    """Return the bytes of `total` that are left for ended trials while the `at_once` largest packs run; None: no limit.


    InputError when the running ones alone do not fit, before anything is written.
    """
    if total is None:
        return None
    largest = sorted((sum(map(running_bytes, pack)) for pack in packs), reverse=True)
    needed = sum(largest[:at_once])
    if needed > total:
        allowed = f"{format_bytes(needed)} or more: so much the checkpoints of the trials take that run at once"
        raise InputError(
            "checkpoints.total", f"{format_bytes(total)} in {path}" if path else format_bytes(total), allowed
        )
    return total - needed
