"""Checkpoints: one file per trial and attempt, replaced in one step, loaded as data (never as code).

    store = Checkpoints(run / "checkpoints")
    store.save(trial_id, "last", state)
    state = store.load(trial_id, "last")      # None when there is none

`last` is what a resume starts from; `best` holds the weights of the best validation accuracy.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ch6dist.errors import InputError
from ch6dist.runs import checkpoint_path


class Checkpoints:
    """The checkpoints of a run. `attempts` says which attempt of a trial is meant; left out: the first."""

    def __init__(self, folder: Path | str, attempts: Mapping[str, int] | None = None) -> None:
        self.root, self.attempts = Path(folder), dict(attempts or {})

    def path(self, trial: str, name: str) -> Path:
        """Where checkpoint `name` (last or best) of a trial's attempt lies; it need not be there."""
        return checkpoint_path(self.root, trial, name, attempt=self.attempts.get(trial, 1))

    def save(self, trial: str, name: str, state: Mapping[str, Any]) -> Path:
        """Write beside, sync, rename: whoever reads sees the old file or the new one, whole."""
        path = self.path(trial, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(dict(state), content)  # in memory: on a full disk it would hide the OSError behind one of its own
        temporary = path.with_suffix(".tmp")  # a trial has one writer; what a killed one left is overwritten
        try:
            with open(temporary, "wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return path

    def load(self, trial: str, name: str, *, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """The state, tensors on `device`; None when there is none. InputError for a file that cannot be read."""
        path = self.path(trial, name)
        if not path.exists():
            return None
        try:
            state = dict(torch.load(path, map_location=device, weights_only=True))
        except Exception as error:  # torch raises many kinds for a damaged file
            reason = "a readable checkpoint; `sweeps rerun` starts the trial anew"
            raise InputError("checkpoint", type(error).__name__, reason, file=str(path)) from error
        if state.get("trial", trial) != trial:
            raise InputError("trial", state["trial"], f"a checkpoint of {trial}", file=str(path))
        return state

    def discard(self, trial: str) -> None:
        """Remove what this attempt of a trial left (a range test leaves no weights behind)."""
        shutil.rmtree(self.path(trial, "last").parent, ignore_errors=True)
