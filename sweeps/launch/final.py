"""The final training: the chosen configuration, over its full budget, over several seeds, and the test set once.

    plan = plan_final("runs/optimizer-lr", epochs=60, seeds=3, all_data=True)
    run, status = train_final(plan, Launch())

It is a sweep of one configuration, so it has a run folder, a ledger and a resume like any other. With several workers
each seed is trained by `torchrun` over processes of this host, or by Ray Train over those of a cluster
(final_training.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml
from rich.console import Console

from ch6dist.catalog.schedule_entries import RECIPES, SCHEDULES
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.optim.schedules import preview
from ch6dist.runs import lease
from ch6dist.runs.fetch import refresh
from ch6dist.runs.folders import check_name, find_run, home_of, new_run, runs_root
from ch6dist.runs.ledger import find_trial, read
from ch6dist.runs.provenance import sweep_line, sweep_of_one, trial_line
from ch6dist.runs.writer import Writer
from ch6dist.yamlfile import read_mapping
from sweeps.launch.execute import Launch
from sweeps.launch.final_workers import placed, train_over
from sweeps.launch.runner import check_data, resume, start
from sweeps.record.uploader import names_there
from sweeps.status.queries import best

LENGTHS = {
    parameter.name
    for entry in (*SCHEDULES.values(), *RECIPES.values())
    for parameter in entry.parameters
    if parameter.kind in ("duration", "durations")
}
KEPT = ("resources", "checkpoints", "storage", "max_retries")  # what a final training takes over of its sweep


@dataclass(frozen=True)
class FinalPlan:
    """What a final training trains, and what it changed of the chosen configuration."""

    name: str
    chosen: TrialConfig  # as the sweep had it
    trials: tuple[TrialConfig, ...]  # one per seed
    source: str  # where the choice comes from, in words
    notes: tuple[str, ...]
    settings: dict[str, Any]  # of the sweep it was chosen from, those in KEPT


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
    content = chosen.model_dump() | {"evaluate_test": True, "epochs": chosen.epochs if epochs is None else epochs}
    notes = []
    if all_data:
        data = content["data"]
        content["data"] = data | {"train_size": data["train_size"] + data["val_size"], "val_size": 0}
        schedule, changed = _without_validation(content["schedule"])
        content["schedule"] = schedule
        notes += ["the plateau schedule watches the training metric: there is no validation split"] if changed else []
    resized = [parse_trial(content | {"seed": seed}) for seed in range(seeds)]
    notes += _kept_counts(chosen, resized[0])
    spec = {} if Path(source).is_file() else read(find_run(source, root=runs)).spec
    settings = {key: spec[key] for key in KEPT if key in spec}
    return FinalPlan(check_name(f"{name}-final"), chosen, tuple(resized), origin, tuple(notes), settings)


def train_final(plan: FinalPlan, how: Launch, *, workers: int = 1, runs: Path | None = None) -> tuple[Path, int]:
    """Train the plan in a new run folder; the folder and the exit status."""
    question = f"How well does the chosen configuration do on the test set? ({plan.source})"
    content = sweep_of_one(plan.name, plan.trials, question=question)
    # the chosen trial's batch is the global one already, and a worker trains on one device
    resources = {**plan.settings.get("resources", {}), "workers": workers, "batch": "global"}
    if workers > 1 and resources.get("gpus") not in (0, 1):
        resources["gpus"] = "auto"
    content |= {**plan.settings, "chosen_from": plan.source, "resources": resources}
    if workers == 1:
        return start(content, plan.trials, how, runs=runs)
    check_data(plan.trials)
    # refused, where it is, before anything is written
    home = home_of(runs, content.get("storage"))
    slots = placed(resources, plan.trials, how, run=content.get("storage") or runs_root(home) / plan.name)
    taken = names_there(content.get("storage")) if how.address else ()
    run = new_run(plan.name, root=home, explicit=False, taken=taken)
    with lease.hold(run), Writer(run) as writer:
        (run / "sweep.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        writer.append([sweep_line(content), *(trial_line(trial) for trial in plan.trials)])
    return run, train_over(run, content, plan.trials, slots, how)


def resume_final(source: str, how: Launch, *, runs: Path | None = None) -> tuple[Path, int]:
    """Go on with a final training: its own run folder, or the run (or trial file) it was chosen from."""
    run = newest_final(source, runs=runs)
    refresh(run, read(run).spec.get("storage"))
    how.console.print(f"going on with {run}")
    content = read_mapping(run / "sweep.yaml")
    if content["resources"]["workers"] == 1:
        return run, resume(run, how)
    trials = [parse_trial({**content["trial"], "seed": seed}, file=str(run)) for seed in content["seeds"]]
    slots = placed(content["resources"], trials, how, run=run, fewer=True)
    return run, train_over(run, content, trials, slots, how)


def say_plan(plan: FinalPlan, console: Console) -> None:
    """What will be trained, at which rates, and what was kept as it was."""
    first = plan.trials[0]
    console.print(f"final training of {plan.chosen.configuration_id} ({plan.source})")
    images = f"{first.data.train_size} images, {first.data.val_size} held out for validation"
    console.print(f"{first.epochs} epochs, {len(plan.trials)} seed(s), {images}")
    console.print(f"rates at the start of epochs: {rates(first)}")
    for note in plan.notes:
        console.print(f"note: {note}")


def rates(trial: TrialConfig) -> str:
    """The rate in the first step of a few epochs, and in the last step of all."""
    steps = trial.data.steps_per_epoch
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
    """Print what `result` found: test accuracy of every seed, their mean and spread."""
    if not found["seeds"]:
        console.print("no seed reached the test set")
        return
    for trial, accuracy in found["test_accuracy"].items():
        console.print(f"{trial}: test accuracy {100 * accuracy:.2f} %")
    spread = f" ± {100 * found['std']:.2f} (std over {found['seeds']} seeds)" if found["std"] is not None else ""
    console.print(f"test accuracy {100 * found['mean']:.2f} %{spread}")


def newest_final(source: str, *, runs: Path | None = None) -> Path:
    """The run folder of a final training: `source` itself, or the newest that was chosen from it (run or trial file).

    InputError when there is none.
    """
    if not Path(source).is_file():
        run = find_run(source, root=runs)
        if "chosen_from" in read_mapping(run / "sweep.yaml"):
            return run
    name = f"{Path(source).stem if Path(source).is_file() else Path(source).name}-final"
    numbered = re.compile(rf"{re.escape(name)}(-\d+)?")
    homes = {runs_root(runs), *([] if Path(source).is_file() else [find_run(source, root=runs).parent])}
    named = [folder for home in homes for folder in home.glob(f"{name}*") if numbered.fullmatch(folder.name)]
    begun = {folder: read(folder).sweeps[0]["time"] for folder in named if any((folder / "ledger").glob("*.jsonl"))}
    return max(begun, key=lambda folder: begun[folder]) if begun else find_run(name, root=runs)


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
    kept = [f"{key} stays {value}" for key, value in _counts(chosen.schedule)]
    if not kept:
        return []
    change = f"from {chosen.epochs} to {resized.epochs} epochs"
    return [f"{', '.join(kept)} though the training goes {change}; fractions such as 0.5 would follow it"]


def _counts(schedule: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Lengths of a resolved schedule that do not follow the training, by dotted key."""
    for key, value in schedule.items():
        if key in LENGTHS and value is not None and not isinstance(value, float):
            yield key, value
        elif key == "warmup":
            yield "warmup.epochs", value["epochs"]
        elif key == "schedulers":
            for number, inner in enumerate(value):
                yield from ((f"schedulers.{number}.{name}", count) for name, count in _counts(inner))
