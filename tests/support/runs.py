"""Run folders: what their ledgers hold, and the same trials trained without Ray to compare."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml

from ch6dist.config import TrialConfig
from ch6dist.packs import Orders
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.names import CHECKPOINTS, checkpoint_name
from ch6dist.runs.provenance import sweep_line, trial_line
from ch6dist.runs.schema import ENDED, Line, Status
from ch6dist.runs.writer import Writer
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.search.range_stage import bounds_of
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump


def raw_lines(run: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Every whole line of a ledger's files, as written; none while there is no ledger yet."""
    texts = [line for path in sorted((run / "ledger").glob("*.jsonl")) for line in path.read_text().split("\n")[:-1]]
    return [line for line in map(json.loads, texts) if kind in (None, line["kind"])]


def statuses(ledger: Ledger) -> dict[str, str]:
    return {trial: str(ledger.status(trial)) for trial in ledger.trials}


def without_ray(spec: Path, run: Path, *, epochs: int | None = None, whole: Sequence[str] = ()) -> Ledger:
    """The run folder of a sweep whose trials were trained one by one in this process.

    With `epochs` every trial is left off after so many, with a checkpoint of each epoch, as by a driver that died;
    but trials whose ids begin with an item of `whole` are trained to their ends.
    """
    torch.set_num_threads(1)
    sweep = load_spec(spec)
    trials = expand(sweep)
    with Writer(run) as writer:
        (run / "sweep.yaml").write_text(yaml.safe_dump(dump(sweep), sort_keys=False))
        writer.append([sweep_line(dump(sweep)), *map(trial_line, trials)])
        for trial in trials:
            writer.append([{"kind": "pack", "trials": [trial.trial_id], "engine": "eager", "time": 0.0}])
            limit = None if trial.trial_id.startswith(tuple(whole)) else epochs
            _train_alone(trial, writer, Checkpoints(run / "checkpoints"), limit)
    return read(run)


def in_two_stages(spec: Path, run: Path) -> Ledger:
    """The run folder of a sweep whose bounds come from range tests: these first, then the training runs, one by one."""
    torch.set_num_threads(1)
    sweep = load_spec(spec)
    with Writer(run) as writer:
        (run / "sweep.yaml").write_text(yaml.safe_dump(dump(sweep), sort_keys=False))
        writer.append([sweep_line(dump(sweep))])
        _train_stage(expand(sweep), writer, run)
        found = read(run).artifacts.items()
        bounds = bounds_of(sweep, {trial: line["value"] for (trial, name), line in found if name == "range_test"})
        _train_stage(expand(sweep, bounds=bounds), writer, run)
    return read(run)


def _train_stage(trials: Sequence[TrialConfig], writer: Writer, run: Path) -> None:
    writer.append(list(map(trial_line, trials)))
    for trial in trials:
        _train_alone(trial, writer, Checkpoints(run / "checkpoints"), None)


def _train_alone(trial: TrialConfig, writer: Writer, store: Checkpoints, limit: int | None) -> None:
    def report(lines: Sequence[Line]) -> Orders:
        if limit and any(line["kind"] == "row" and line["epoch"] > limit for line in lines):
            raise KeyboardInterrupt
        writer.append(lines)
        return Orders()

    with suppress(KeyboardInterrupt):
        train([trial], report=report, checkpoints=store, checkpoint_seconds=0.0, threads=1)


def ended(run: Path) -> int:
    """How many trials of a run have ended; 0 while there is no ledger yet."""
    with suppress(ValueError):
        ledger = read(run)
        return sum(Status(status) in ENDED for status in statuses(ledger).values())
    return 0


def row_count(run: Path) -> int:
    return len(raw_lines(run, "row"))


def newest_epochs(run: Path) -> dict[str, int]:
    """The newest epoch of every trial that has rows."""
    return {row["trial"]: row["epoch"] for row in raw_lines(run, "row")}


def places(run: Path) -> dict[str, str]:
    """The host on which each trial that has begun, and has not ended, began last."""
    latest = {line["trial"]: line for line in raw_lines(run, "status")}
    return {trial: line["host"] for trial, line in latest.items() if line["status"] == Status.RUNNING}


def with_checkpoint(run: Path, trial: str) -> bool:
    """Whether the first attempt at a trial can go on from a checkpoint."""
    return (run / CHECKPOINTS / checkpoint_name(trial, "last", attempt=1)).exists()


def needless_attempts(run: Path) -> list[str]:
    """The trials that were trained from scratch again although an earlier attempt had a checkpoint."""
    found, ledger = [], read(run)
    for trial in ledger.trials:
        numbers = range(1, ledger.attempt(trial))
        checkpoints = [run / CHECKPOINTS / checkpoint_name(trial, "last", attempt=number) for number in numbers]
        found += [trial] if any(path.exists() for path in checkpoints) else []
    return found
