"""A run of an older format is not continued where a fraction in a schedule has another meaning now."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import UsageError
from ch6dist.optim.schedules import preview
from ch6dist.runs.ledger import read
from ch6dist.runs.moved_fractions import refuse_moved_fractions
from ch6dist.training.solo import run_trial
from sweeps.launch.confirm import confirm
from sweeps.launch.execute import Launch
from sweeps.launch.final import plan_final
from sweeps.launch.run import rerun, resume
from sweeps.status.best import best
from sweeps.status.queries import top
from tests.support.ledgers import HandTrial, trial, write_ledger

WARMUP = {"warmup": {"epochs": 2}}
MOVED: dict[str, Any] = {
    "milestones": {"name": "MultiStepLR", "milestones": [0.1, 0.75], **WARMUP},
    "T_max": {"name": "CosineAnnealingLR", "T_max": 1.0, **WARMUP},
    "total_iters": {"name": "PolynomialLR", "total_iters": 0.5, **WARMUP},
    "a preset": {"name": "LambdaLR", "recipe": "linear_to_zero", "total_iters": 0.5, **WARMUP},
    "the second of a list": [{"name": "LinearLR", "epochs": 2}, {"name": "CosineAnnealingLR", "T_max": 0.5}],
    "a sequence": {
        "name": "SequentialLR",
        "schedulers": ["ConstantLR", {"name": "LinearLR", "total_iters": 0.9}],
        "milestones": [0.5],
    },
}
KEPT: dict[str, Any] = {
    "none": "none",
    "no warm-up": {"name": "MultiStepLR", "milestones": [0.5, 0.75]},
    "whole numbers": {"name": "MultiStepLR", "milestones": [3, 5], **WARMUP},
    "a length": {"name": "StepLR", "step_size": 0.3, **WARMUP},
    "left out": {"name": "CosineAnnealingLR", **WARMUP},
    "the first of a list": [{"name": "LinearLR", "total_iters": 0.2, "epochs": 2}, "CosineAnnealingLR"],
    "a chain": {"name": "ChainedScheduler", "schedulers": ["ConstantLR", {"name": "LinearLR", "total_iters": 0.5}]},
}


def config(schedule: Any) -> TrialConfig:
    return parse_trial({"epochs": 10, "schedule": schedule})


def refused(schedule: Any, *formats: int) -> bool:
    heads: Any = [{"format": number} if number else {} for number in formats]
    try:
        refuse_moved_fractions(Path("run"), heads, [config("none"), config(schedule)])
    except UsageError:
        return True
    return False


@pytest.mark.parametrize("name", [*MOVED, *KEPT])
def test_a_fraction_that_is_a_moment_behind_another_schedule_has_moved_and_nothing_else_has(name: str) -> None:
    schedule = {**MOVED, **KEPT}[name]
    preview(config(schedule), steps_per_epoch=3)  # it can be trained
    for formats in ((0,), (1,), (1, 2)):
        assert refused(schedule, *formats) == (name in MOVED)
    for new in ((2,), (2, 2), ()):
        assert not refused(schedule, *new)


def seeds(lr: float, *scores: float, schedule: Any, status: str = "finished") -> list[HandTrial]:
    return [
        trial(lr=lr, seed=n, curve=[score] * 10, schedule=schedule, status=status) for n, score in enumerate(scores)
    ]


def sweep(folder: Path, schedule: Any, *, status: str = "finished", number: int = 1) -> Path:
    trials = [*seeds(0.1, 0.5, 0.51, schedule=schedule), *seeds(0.2, 0.5, 0.52, schedule=schedule, status=status)]
    return write_ledger(folder, trials, format=number)


def test_such_a_run_is_read_but_nothing_more_is_trained_in_it_or_from_it(tmp_path: Path) -> None:
    how, message = Launch(console=Console(file=io.StringIO())), "was made by an older ch6dist.*make a new run"
    run, open_run = sweep(tmp_path / "run", MOVED["T_max"]), sweep(tmp_path / "open", MOVED["T_max"], status="running")
    before = [sorted((path, path.read_bytes()) for path in f.rglob("*.jsonl")) for f in (run, open_run)]
    chosen = next(iter(read(run).trials))
    assert len(top(run)["top"]) == 2
    assert resume(run, how) == 0, "there is nothing to do"
    for work in (
        lambda: resume(open_run, how),
        lambda: rerun(run, how, [chosen]),
        lambda: confirm(run, how, seeds=1),
        lambda: best(run),
        lambda: plan_final(str(run)),
        lambda: plan_final(str(run), trial=chosen),
    ):
        with pytest.raises(UsageError, match=message):
            work()
    assert [sorted((path, path.read_bytes()) for path in f.rglob("*.jsonl")) for f in (run, open_run)] == before
    assert plan_final(str(sweep(tmp_path / "new", MOVED["T_max"], number=2))).chosen.epochs == 10
    assert plan_final(str(sweep(tmp_path / "kept", KEPT["left out"]))).chosen.epochs == 10


def test_a_single_training_of_an_older_format_is_not_continued_either(tmp_path: Path) -> None:
    data = {"name": "synthetic_mnist", "train_size": 200, "val_size": 100, "batch_size": 100}
    begun = trial(curve=[0.1], epochs=10, schedule=MOVED["T_max"], status="running", data=data, model="simple_nn")
    run = write_ledger(tmp_path / "run", [begun], format=1)
    with pytest.raises(UsageError, match="make a new run"):
        run_trial(begun.config, run=run, resume=True, console=Console(file=io.StringIO()))
