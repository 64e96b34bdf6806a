"""Ledgers made by hand, written by the real writer: what tests of the analysis and of the command lines read.

    trials = [trial("SGD", lr=0.1, seed=0, curve=[0.1, 0.2, 0.3]), trial("Adam", lr=1e-3, seed=0, status="diverged")]
    write_ledger(folder, trials)

A curve is the validation accuracy after each epoch; the other columns follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.runs.schema import Line
from ch6dist.runs.writer import Writer

START = 1_760_000_000.0  # unix seconds of the first line
SWEEP: Line = {
    "kind": "sweep",
    "name": "twelve",
    "question": "Which optimizer and learning rate are best?",
    "spec": {
        "name": "twelve",
        "question": "Which optimizer and learning rate are best?",
        "method": "grid",
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "seeds": 3,
    },
    "command": "sweeps run twelve.yaml",
    "git_commit": "0123456789ab",
    "versions": {"python": "3.12.1", "torch": "2.11.0", "ray": None},
    "hardware": {"host": "hand", "cpus": 8, "cpu": "a CPU", "gpus": ["a GPU", "a GPU"], "memory_bytes": 2**36},
    "time": START,
}


@dataclass(frozen=True)
class HandTrial:
    """A trial with its outcome."""

    config: TrialConfig
    status: str | None  # None: still planned
    rows: Sequence[Mapping[str, Any]]
    artifact: Mapping[str, Any] | None = None
    reason: str = ""
    attempt: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)  # more columns of the last row
    where: Mapping[str, Any] = field(default_factory=dict)  # more of the first status line: host, device, workers
    begun: float | None = None  # seconds after START; None: a minute after the trial before
    confirms: tuple[str, int] | None = None  # a fresh seed, of `set` or `default`, and of which confirmation
    case: Mapping[str, str] | None = None  # the names of its cases, by axis
    rule: bool = False  # the sweep's own rule stopped it


def trial(
    optimizer: str = "SGD",
    *,
    lr: float = 0.1,
    seed: int = 0,
    curve: Sequence[float | None] = (),
    status: str | None = "finished",
    epochs: int | None = None,
    seconds: float = 2.0,
    extra: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    reason: str = "",
    columns: Mapping[str, Sequence[Any]] | None = None,
    where: Mapping[str, Any] | None = None,
    begun: float | None = None,
    confirms: tuple[str, int] | None = None,
    case: Mapping[str, str] | None = None,
    rule: bool = False,
    **config: Any,
) -> HandTrial:
    """One training. `epochs` is the length of the curve unless given; `parameters` are the optimizer's.

    `columns` replace those of the rows, a value per epoch; `where` and `begun` say where and when it was trained.
    """
    content = {
        "data": {"name": "cifar100", **config.pop("data", {})},
        "optimizer": {"name": optimizer, "lr": lr, **(parameters or {})},
        "epochs": epochs or len(curve) or 3,
        "seed": seed,
        **config,
    }
    parsed = parse_trial(content)
    has_val = parsed.data.val_size > 0
    rows = [_row(epoch, value, lr, seconds, has_val) for epoch, value in enumerate(curve, start=1)]
    for name, values in (columns or {}).items():
        rows = [{**row, name: value} for row, value in zip(rows, values, strict=True)]
    return HandTrial(
        parsed,
        status,
        rows,
        reason=reason,
        extra=extra or {},
        where=where or {},
        begun=begun,
        confirms=confirms,
        case=case,
        rule=rule,
    )


def range_trial(
    optimizer: str = "SGD", *, losses: Sequence[float | None], lrs: Sequence[float], seed: int = 0, **marks: Any
) -> HandTrial:
    """One range test, a row per step; `marks` are the artifact's steepest, valley, slide, minimum, interval, …"""
    parsed = parse_trial(
        {"type": "range_test", "optimizer": {"name": optimizer, **marks.pop("parameters", {})}, "seed": seed}
    )
    rows = [
        {"epoch": 1, "step": step, "lr": lr, "train_loss": loss, "seconds": 0.01, "lanes": 1}
        for step, (lr, loss) in enumerate(zip(lrs, losses, strict=True), start=1)
    ]
    nothing = {"steepest": None, "valley": None, "slide": None, "minimum": None, "interval": None}
    value = {"lr": list(lrs), "smoothed": list(losses), **nothing, "no_signal": False, "diverged_at": None, **marks}
    return HandTrial(parsed, "diverged" if value["diverged_at"] else "finished", rows, artifact=value)


def write_ledger(folder: Path, trials: Iterable[HandTrial], /, **sweep: Any) -> Path:
    """Write a run folder with these trials; `sweep` replaces fields of the sweep line. Returns the folder."""
    with Writer(folder) as writer:
        writer.append([{**SWEEP, **sweep}])
        for number, item in enumerate(trials):
            writer.append(_lines(item, START + (60 * number if item.begun is None else item.begun)))
    return folder


def twelve(folder: Path, **sweep: Any) -> Path:
    """The 12-run fixture: 2 optimizers × 2 learning rates × 3 seeds over 6 epochs (score: the last 2), by hand.

    SGD 0.1     last epochs 0.48 0.50 | 0.50 0.52 | 0.52 0.54    scores 0.49 0.51 0.53    mean 0.51, std 0.02
    SGD 0.01    last epochs 0.38 0.40 | 0.40 0.42 | 0.42 0.44    scores 0.39 0.41 0.43    mean 0.41, std 0.02
    Adam 0.001  last epochs 0.49 0.49 | 0.50 0.50 | 0.51 0.51    scores 0.49 0.50 0.51    mean 0.50, std 0.01
    Adam 0.1    last epochs 0.45 0.45 | 0.45 0.45 | diverged     scores 0.45 0.45         1 of 3 diverged
    """
    rise = [0.05, 0.20, 0.30, 0.35]
    trials = []
    for seed, shift in enumerate((0.0, 0.02, 0.04)):
        trials += [
            trial("SGD", lr=0.1, seed=seed, curve=[*rise, 0.48 + shift, 0.50 + shift]),
            trial("SGD", lr=0.01, seed=seed, curve=[*rise, 0.38 + shift, 0.40 + shift]),
            trial("Adam", lr=0.001, seed=seed, curve=[*rise, 0.49 + shift / 2, 0.49 + shift / 2], seconds=3.0),
        ]
        burst = {"curve": [*rise[:2], None], "status": "diverged", "epochs": 6, "reason": "loss is nan"}
        trials.append(trial("Adam", lr=0.1, seed=seed, **(burst if seed == 2 else {"curve": [*rise, 0.45, 0.45]})))
    return write_ledger(folder, trials, **sweep)


HALVING = {"early_stop": {"name": "halving", "first": 1, "factor": 2}}


def halved_trials() -> list[HandTrial]:
    """A halved sweep of 4 epochs with rungs of 1 and 2: 20 epochs asked for, 9 trained, 8 saved, 3 lost."""
    return [
        trial(lr=0.4, curve=[0.4, 0.5, 0.6, 0.7]),
        trial(lr=0.3, curve=[0.3, 0.45], epochs=4, status="stopped", rule=True),
        trial(lr=0.2, curve=[0.2], epochs=4, status="stopped", rule=True),
        trial(lr=0.1, curve=[0.1], epochs=4, status="stopped", rule=True),
        trial(lr=0.5, curve=[None], epochs=4, status="diverged"),
    ]


def halved(folder: Path, *more: HandTrial, **spec: Any) -> Path:
    """The run folder of a halved sweep, with more trials, and more keys in its spec."""
    return write_ledger(folder, [*halved_trials(), *more], spec={**SWEEP["spec"], **HALVING, **spec})


def add_decision(folder: Path, item: HandTrial, why: str) -> Path:
    """Add to a run folder the decision by which a trial was added to the sweep."""
    with Writer(folder) as writer:
        line = {"kind": "decision", "trial": item.config.trial_id, "what": "begin", "why": why, "time": START}
        writer.append([{**line, "until": item.config.epochs}])
    return folder


def sharing(folder: Path) -> Path:
    """Two trials of 4 epochs of 2.1 s; the second has its first 2 epochs from the first."""
    first, other = trial(lr=0.1, curve=[0.1, 0.2, 0.3, 0.4]), {"name": "StepLR", "step_size": 2}
    source = first.config.trial_id
    shared = {"shared": [source, source, None, None]}
    return write_ledger(folder, [first, trial(lr=0.1, curve=[0.1, 0.2, 0.4, 0.5], schedule=other, columns=shared)])


# what a person may call a folder or ask as a question, and what is markup somewhere
NASTY = (
    r"$x^2$ and $\frac{a}{b$",
    "_under_ \\alpha \\",
    "<b>bold & &lt;",
    "a|b `code` [link](x) [red]",
    "实验 😀",
    "two\nlines\x1b",
    "**star** ~~old~~",
    "_",
)


def _row(epoch: int, accuracy: float | None, lr: float, seconds: float, has_val: bool) -> Line:
    loss = math.nan if accuracy is None else -math.log(max(accuracy, 1e-3))
    return {
        "epoch": epoch,
        "step": 100 * epoch,
        "lr": lr,
        "momentum": None,
        "train_loss": loss,
        "train_accuracy": accuracy and 0.9 * accuracy,
        "val_loss": loss if has_val else None,
        "val_accuracy": accuracy if has_val else None,
        "seconds": seconds,
        "eval_seconds": 0.1,
        "lanes": 1,
        "images_per_second": 1000.0,
        "peak_memory_bytes": 2**28,
    }


def _lines(item: HandTrial, begun: float) -> list[Line]:
    ids = {"trial": item.config.trial_id, "attempt": item.attempt}
    content = item.config.model_dump()
    lines: list[Line] = [
        {
            "kind": "trial",
            "trial": item.config.trial_id,
            "configuration": item.config.configuration_id,
            "name": item.config.configuration_id.rpartition("-")[0],
            "config": content,
            "seed": item.config.seed,
        }
    ]
    if item.confirms:
        lines[0] = {**lines[0], "confirms": item.confirms[0], "confirmation": item.confirms[1]}
    if item.case:
        lines[0] = {**lines[0], "case": item.case}
    if item.status is None:
        return lines
    begin = {"status": "running", "reason": "", "epoch": 0, "step": 0, "time": begun, **item.where}
    lines.append({"kind": "status", **ids, **begin})
    last = len(item.rows) - 1
    lines += [
        {"kind": "row", **ids, **row, **(item.extra if index == last else {})} for index, row in enumerate(item.rows)
    ]
    if item.artifact is not None:
        lines.append({"kind": "artifact", **ids, "name": "range_test", "value": dict(item.artifact)})
    if item.status != "running":
        end = {"epoch": len(item.rows), "step": 100 * len(item.rows), "time": begun + 50}
        by = {"rule": True} if item.rule else {}
        lines.append({"kind": "status", **ids, "status": item.status, "reason": item.reason, **end, **by})
    return lines
