"""The final training: the chosen configuration, over its full budget, over several seeds, and the test set once.

    plan = plan_final("runs/optimizer-lr", epochs=60, seeds=3, all_data=True)
    run, status = train_final(plan, Launch())

It is a sweep of one configuration, so it has a run folder, a ledger and a resume like any other. With several workers
each seed is trained by `torchrun` over processes of this host instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml
from rich.console import Console

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.ledger import read
from ch6dist.runs import check_name, find_run, new_run
from ch6dist.schedules import preview
from ch6dist.yamlfile import read_mapping
from sweeps.queries import best, find_trial
from sweeps.runner import Launch, check_data, resume, start


@dataclass(frozen=True)
class FinalPlan:
    """What a final training trains, and what it changed of the chosen configuration."""

    name: str
    chosen: TrialConfig  # as the sweep had it
    trials: tuple[TrialConfig, ...]  # one per seed
    source: str  # where the choice comes from, in words
    notes: tuple[str, ...]


def plan_final(
    source: str,
    *,
    runs: Path | None = None,
    trial: str | None = None,
    epochs: int | None = None,
    seeds: int = 1,
    all_data: bool = False,
) -> FinalPlan:
    """Read the choice (the best of a RUN, one trial of it, or a trial.yaml) and resize it."""
    chosen, origin, name = _choice(source, runs, trial)
    if chosen.type != "train":
        raise InputError("type", chosen.type, "train: a range test has nothing to train on")
    if seeds < 1:
        raise InputError("--seeds", seeds, "a whole number ≥ 1")
    content = chosen.model_dump() | {"evaluate_test": True, "epochs": epochs or chosen.epochs}
    notes = []
    if all_data:
        data = content["data"]
        content["data"] = data | {"train_size": data["train_size"] + data["val_size"], "val_size": 0}
        schedule, changed = _without_validation(content["schedule"])
        content["schedule"] = schedule
        notes += ["the plateau schedule watches the training metric: there is no validation split"] if changed else []
    resized = [parse_trial(content | {"seed": seed}) for seed in range(seeds)]
    notes += _kept_counts(chosen, resized[0])
    return FinalPlan(check_name(f"{name}-final"), chosen, tuple(resized), origin, tuple(notes))


def train_final(plan: FinalPlan, how: Launch, *, workers: int = 1, runs: Path | None = None) -> tuple[Path, int]:
    """Train the plan in a new run folder; the folder and the exit status."""
    content = {
        "name": plan.name,
        "question": f"How well does the chosen configuration do on the test set? ({plan.source})",
        "trial": plan.trials[0].model_dump(exclude={"seed"}),
        "method": "grid",
        "metric": {"name": "val_accuracy", "goal": "maximize"},
        "parameters": {},
        "seeds": [trial.seed for trial in plan.trials],
        "chosen_from": plan.source,
        "resources": {"workers": workers},
    }
    if workers == 1:
        return start(content, plan.trials, how, runs=runs)
    check_data(plan.trials)
    run = new_run(plan.name, root=runs, explicit=False)
    (run / "sweep.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return run, torchrun(run, plan.trials, workers=workers)


def torchrun(run: Path, trials: tuple[TrialConfig, ...], *, workers: int) -> int:
    """Each trial in turn over `workers` processes of this host; the first exit status that is not 0."""
    for trial in trials:
        file = run / f"trial-s{trial.seed}.yaml"
        file.write_text(yaml.safe_dump(trial.model_dump(), sort_keys=False))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
        command = [*launcher, "-m", "ch6dist", "train", str(file), "--run", str(run), "--resume"]
        status = subprocess.run(command, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False).returncode
        if status != 0:
            return status
    return 0


def resume_final(source: str, how: Launch, *, runs: Path | None = None) -> tuple[Path, int]:
    """Go on with a final training: its own run folder, or the run (or trial file) it was chosen from."""
    names = [source, f"{Path(source).stem if Path(source).is_file() else Path(source).name}-final"]
    run = find_run(names[0] if names[0].rstrip("/").endswith("-final") else names[1], root=runs)
    workers = read(run).spec.get("resources", {}).get("workers", 1)
    if workers == 1:
        return run, resume(run, how)
    trials = tuple(parse_trial(read_mapping(file)) for file in sorted(run.glob("trial-s*.yaml")))
    return run, torchrun(run, trials, workers=workers)


def say_plan(plan: FinalPlan, console: Console) -> None:
    """What will be trained, at which rates, and what was kept as it was."""
    first = plan.trials[0]
    console.print(f"final training of {plan.chosen.configuration_id} ({plan.source})", highlight=False)
    images = f"{first.data.train_size} images, {first.data.val_size} held out for validation"
    console.print(f"{first.epochs} epochs, {len(plan.trials)} seed(s), {images}", highlight=False)
    console.print(f"rates at the start of epochs: {rates(first)}", highlight=False)
    for note in plan.notes:
        console.print(f"note: {note}", highlight=False)


def rates(trial: TrialConfig) -> str:
    """The rate in the first step of a few epochs, and in the last step of all."""
    steps = -(-trial.data.train_size // trial.data.batch_size)
    table = preview(trial, steps_per_epoch=steps)
    epochs = sorted({1, trial.epochs // 4 or 1, trial.epochs // 2 or 1, 3 * trial.epochs // 4 or 1, trial.epochs})
    parts = [f"{epoch}: {table[(epoch - 1) * steps][0]:.4g}" for epoch in epochs]
    return ", ".join([*parts, f"last step: {table[-1][0]:.4g}"])


def result(run: Path) -> dict[str, Any]:
    """Test accuracy per seed, their mean and standard deviation, in numbers."""
    ledger = read(run)
    tested = {row["trial"]: row["test_accuracy"] for row in ledger.rows if row.get("test_accuracy") is not None}
    values = list(tested.values())
    return {
        "run": str(run),
        "test_accuracy": tested,
        "mean": mean(values) if values else None,
        "std": stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
        "chosen_from": ledger.spec.get("chosen_from"),
    }


def say_result(found: Mapping[str, Any], console: Console) -> None:
    if not found["seeds"]:
        console.print("no seed reached the test set", highlight=False)
        return
    for trial, accuracy in found["test_accuracy"].items():
        console.print(f"{trial}: test accuracy {100 * accuracy:.2f} %", highlight=False)
    spread = f" ± {100 * found['std']:.2f} (std over {found['seeds']} seeds)" if found["std"] is not None else ""
    console.print(f"test accuracy {100 * found['mean']:.2f} %{spread}", highlight=False)


def _choice(source: str, runs: Path | None, trial: str | None) -> tuple[TrialConfig, str, str]:
    if Path(source).is_file():
        if trial:
            raise InputError("--trial", trial, "nothing beside a trial.yaml: it is the choice")
        return parse_trial(read_mapping(source), file=source), f"from {source}", Path(source).stem
    run = find_run(source, root=runs)
    if trial:
        ledger = read(run)
        name = find_trial(ledger, trial)
        return parse_trial(ledger.trials[name]["config"], file=str(run)), f"trial {name} of {run.name}", run.name
    found = best(run)
    why = f"best of {run.name}: {found['configuration']}, {found['score']:.4g} by {found['rule']}"
    return parse_trial(found["trial"], file=str(run)), why, run.name


def _without_validation(schedule: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    monitor = str(schedule.get("monitor", ""))
    if not monitor.startswith("val_"):
        return schedule, False
    return schedule | {"monitor": "train_" + monitor.removeprefix("val_")}, True


def _kept_counts(chosen: TrialConfig, resized: TrialConfig) -> list[str]:
    """Whole epoch counts stay as they are when the training gets longer: say which."""
    if chosen.epochs == resized.epochs:
        return []
    kept = [
        f"{name} stays {value}"
        for name, value in chosen.schedule.items()
        if name in ("step_size", "milestones", "T_0", "T_max", "total_iters", "total_steps", "step_size_up")
        and (isinstance(value, int) or (isinstance(value, list) and all(isinstance(item, int) for item in value)))
    ]
    if not kept:
        return []
    change = f"from {chosen.epochs} to {resized.epochs} epochs"
    return [f"{', '.join(kept)} though the training goes {change}; fractions such as 0.5 would follow it"]
