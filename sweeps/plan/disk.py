"""Disk space of checkpoints and captures, and whether they fit: checked by `plan` and `run` before anything is written.

left = bytes_for_ended_trials(total_bytes("auto", path), packs, at_once=slots.count)     # InputError: they cannot fit
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ch6dist.capture import capture_bytes
from ch6dist.catalog.lookup import optimizer_of
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.storage.files import LocalFolder, is_remote
from sweeps.plan.costs import FP32_BYTES, size_of
from sweeps.units import format_bytes

OVERHEAD_BYTES = 20_000  # per file: names, buffers, generator states, torch's own format


def checkpoint_bytes(trial: TrialConfig) -> dict[str, int]:
    """Estimate the bytes of a trial's checkpoints by name: weights and, in `last`, the optimizer's state.

    A range test keeps none: it is never resumed, and what it writes is removed.
    """
    if trial.type != "train":
        return {}
    weights = size_of(trial).parameter_count * FP32_BYTES
    state = optimizer_of(trial.optimizer).state_tensors
    return {"last": (1 + state) * weights + OVERHEAD_BYTES, "best": weights + OVERHEAD_BYTES}


def captured_bytes(trial: TrialConfig) -> int:
    """Return the most that a trial's capture takes. It stays, and `checkpoints.total` is not about it."""
    return capture_bytes(trial.capture, trial.capturable)


def running_bytes(trial: TrialConfig) -> int:
    """Return the most that a running trial's checkpoints take: `best`, `last`, and the `last` that replaces it."""
    files = checkpoint_bytes(trial)
    return sum(files.values()) + files.get("last", 0)


def kept_bytes(trial: TrialConfig, keep: Collection[str]) -> int:
    """Return what an ended trial's checkpoints take under `checkpoints.keep`."""
    return sum(count for name, count in checkpoint_bytes(trial).items() if name in keep)


def peak_bytes(packs: Iterable[Sequence[TrialConfig]], *, at_once: int, keep: Collection[str]) -> int:
    """Return the most that a sweep's checkpoints take without a limit: those kept, and those of running packs."""
    kept, extra = 0, []
    for pack in packs:
        stays = sum(kept_bytes(trial, keep) for trial in pack)
        kept += stays
        extra.append(sum(map(running_bytes, pack)) - stays)
    return kept + sum(sorted(extra, reverse=True)[:at_once])


def waiting_bytes(trials: Iterable[TrialConfig], *, keep: Collection[str]) -> int:
    """Return what trials take that wait at a rung, beyond what stays of them: `last`, whatever is kept at the end."""
    return 0 if "last" in keep else sum(checkpoint_bytes(trial).get("last", 0) for trial in trials)


def branch_bytes(trials: Iterable[TrialConfig], kept: Mapping[str, Collection[int]]) -> int:
    """Return what checkpoints take that trials leave for others that branch off there.

    Args:
        kept: the epochs of each, by trial id.
    """
    return sum(len(kept.get(trial.trial_id, ())) * checkpoint_bytes(trial).get("last", 0) for trial in trials)


def total_bytes(given: int | str, path: str) -> int | None:
    """Return the limit that `checkpoints.total` means for the folder or URL of the checkpoints; None: no limit.

    `auto` is half of the free bytes and those that the run itself holds, so that a resume computes the same.
    """
    if given != "auto":
        return int(given)
    if is_remote(path):
        return None
    folder = Path(path)
    existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.is_dir())
    return (shutil.disk_usage(existing).free + sum(LocalFolder(folder).sizes().values())) // 2


def bytes_for_ended_trials(
    total: int | None, packs: Iterable[Sequence[TrialConfig]], *, at_once: int, path: str = ""
) -> int | None:
    """Return what of `total` is left for ended trials while the `at_once` largest packs run; None: no limit.

    Args:
        path: of the checkpoints, for the message.

    Raises InputError if the running packs alone do not fit.
    """
    if total is None:
        return None
    largest = sorted((sum(map(running_bytes, pack)) for pack in packs), reverse=True)
    needed = sum(largest[:at_once])
    if needed > total:
        allowed = f"{format_bytes(needed)} or more, the checkpoints of the trials that run at once"
        raise InputError("checkpoints.total", format_bytes(total) + (f" in {path}" if path else ""), allowed)
    return total - needed
