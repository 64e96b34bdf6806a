"""Try trials: train each for two epochs, stop another after the first, resume it in another process, compare them.

    python -m ch6dist.training.check FOLDER begin       # FOLDER/asked.json: trials, and where their own code is
    python -m ch6dist.training.check FOLDER resume      # the last line is JSON: of each trial what came of it

It runs the user's code, so it runs in processes of its own (sweeps/plan/check.py asks them). The second one is another
process because code may keep something that is in no checkpoint.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ch6dist.catalog.described import Description
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.objects.adopt import adopt_described
from ch6dist.objects.describe import answer, answered
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train

EPOCHS = 2


def begin(trial: TrialConfig, folder: Path) -> dict[str, Any]:
    """Train a trial for two epochs, and for one; return its losses: `{"losses": [4.6, 4.5]}`."""
    losses: list[float] = []
    _train(trial, folder / "whole", EPOCHS, seen=losses)
    _train(trial, folder / "stopped", 1)
    return {"losses": losses}


def resume(trial: TrialConfig, folder: Path) -> dict[str, Any]:
    """Go on with the trial that was stopped; return what it differs in from the other: `{"differs": []}`."""
    _train(trial, folder / "stopped", EPOCHS)
    states = [Checkpoints(folder / how).load(trial.trial_id, "last") for how in ("whole", "stopped")]
    lanes = [state["lane"] for state in states if state is not None]
    return {"differs": list(differences(*lanes))} if len(lanes) == len(states) else {"error": "a checkpoint"}


def differences(first: Any, second: Any, name: str = "") -> Iterator[str]:
    """Yield the names of what two states do not have alike, bit for bit."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        alike = first.dtype == second.dtype and torch.equal(first.nan_to_num(), second.nan_to_num())
        if not alike:
            yield name
    elif isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in {**first, **second}:
            yield from differences(first.get(key), second.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from differences(*pair, f"{name}.{index}")
    elif first != second:
        yield name


def _train(trial: TrialConfig, folder: Path, epochs: int, seen: list[float] | None = None) -> None:
    """Train until an epoch has ended, and halt."""

    def report(lines: Sequence[Line]) -> Orders:
        """Halt after the last epoch that is wanted."""
        rows = [line for line in lines if line["kind"] == "row"]
        if seen is not None:
            seen.extend(row["train_loss"] for row in rows)
        return Orders(halt=any(row["epoch"] >= epochs for row in rows))

    train([trial], checkpoints=Checkpoints(folder), report=report, threads=1)


STAGES: dict[str, Callable[[TrialConfig, Path], dict[str, Any]]] = {"begin": begin, "resume": resume}


def tried(folder: Path, stage: str) -> dict[str, Any]:
    """Return what came of each trial in a stage, in order; an `error` ends none of the others."""
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    adopt_described(map(Description.from_data, asked["described"]), asked["homes"])

    def one(index: int, config: dict[str, Any]) -> dict[str, Any]:
        """Try one trial."""
        return answered(lambda: STAGES[stage](parse_trial(config), folder / str(index)))

    return {"trials": [one(index, config) for index, config in enumerate(asked["trials"])]}


if __name__ == "__main__":
    answer(lambda: tried(Path(sys.argv[1]), sys.argv[2]))
