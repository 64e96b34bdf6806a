"""Small trials, trained for real: what tests of the training share.

seen = Seen()
train([small_trial(optimizer="Adam")], report=seen, device="cpu")
seen.rows()         # what two equal training runs have in common: no times, no attempts
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ch6dist.catalog.dataset_files import data_root
from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.packs import Leave, Orders
from ch6dist.runs.columns import VOLATILE_COLUMNS
from ch6dist.runs.schema import Line, Status
from ch6dist.training.checkpoint import Checkpoints

DATA = {"name": "synthetic_mnist", "train_size": 100, "val_size": 60, "batch_size": 32}  # 4 steps, the last of 4 images
# A process forked from one that has torch loaded starts at once, and may be killed without harm to this one.
PROCESSES = multiprocessing.get_context("forkserver")
# The compiler, which a group of ranks imports before it forms, is a second of each rank's; pytest, which tests import.
PROCESSES.set_forkserver_preload(["ch6dist.training.solo", "torch._dynamo", "pytest"])


def small_trial(**changes: Any) -> TrialConfig:
    """A trial of milliseconds: simple_nn on a hundred synthetic digits, three epochs. `data` is merged."""
    content = {"model": "simple_nn", "optimizer": {"name": "SGD", "lr": 0.05}, "epochs": 3, **changes}
    return parse_trial({**content, "data": {**DATA, **changes.get("data", {})}})


def real(name: str) -> None:
    """Skip the test where the files of a data set are not."""
    entry = DATASETS[name]
    if not all((data_root() / file.path).is_file() for file in (*entry.train_files, *entry.test_files)):
        pytest.skip(f"no {name} under {data_root()}: `ch6dist data {name}` downloads it")


class Seen:
    """A report that keeps every line. `stop`: trial id → epoch after which it ends; `admit`: epoch → trials to join."""

    def __init__(
        self, *, stop: Mapping[str, int] | None = None, admit: Mapping[int, Sequence[TrialConfig]] | None = None
    ) -> None:
        self.stop, self.admit = dict(stop or {}), dict(admit or {})
        self.lines: list[Line] = []

    def __call__(self, lines: Sequence[Line]) -> Orders:
        self.lines += lines
        rows = [line for line in lines if line["kind"] == "row"]
        stop = {row["trial"] for row in rows if row["epoch"] >= self.stop.get(row["trial"], math.inf)}
        joining = self.admit.pop(rows[0]["epoch"], ()) if rows else ()
        leave = Leave(Status.STOPPED, "asked to stop")
        return Orders(leave=dict.fromkeys(stop, leave), admit=tuple(joining))

    def of_kind(self, kind: str, trial: TrialConfig | None = None) -> list[Line]:
        found = [line for line in self.lines if line["kind"] == kind]
        return found if trial is None else [line for line in found if line["trial"] == trial.trial_id]

    def rows(self, trial: TrialConfig | None = None) -> list[Line]:
        """The rows without what says how fast; NaN as the ledger writes it, so that rows can be compared."""
        return [_lasting(row) for row in self.of_kind("row", trial)]


def _lasting(row: Line) -> Line:
    kept = {key: value for key, value in row.items() if key not in VOLATILE_COLUMNS | {"attempt"}}
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in kept.items()}


def saved_weights(store: Checkpoints, trial: TrialConfig, name: str = "last") -> dict[str, torch.Tensor]:
    state = store.load(trial.trial_id, name)
    assert state is not None, f"no {name}.pt of {trial.trial_id}"
    return state["model"] if name == "best" else state["lane"]["model"]


def same_weights(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor]) -> bool:
    """Bit for bit (so that NaN equals itself)."""
    return a.keys() == b.keys() and all(a[n].numpy().tobytes() == b[n].numpy().tobytes() for n in a)


def in_process(target: Callable[..., None], *arguments: Any) -> int:
    """Run `target` in a process of its own; its exit status, negative for a signal."""
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
