"""The final training: the chosen configuration, over its full budget, over several seeds, and the test set once.

    plan = plan_final("runs/optimizer-lr", epochs=60, seeds=3, all_data=True)
    run, status = train_final(plan, Launch(), workers=2)

It is a sweep of one configuration: a run folder, a ledger and a resume like any other. Its seeds are none of the
sweep's: the winner was chosen by what it reached with those, so they would say more than the configuration can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from ch6dist.catalog.described import keep_to
from ch6dist.catalog.text import list_text
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.optim.schedules import preview
from ch6dist.paths import given_path, shown_path
from ch6dist.runs.folders import check_name, find_run
from ch6dist.runs.ledger import Ledger, find_trial, observe, read
from ch6dist.runs.moved_fractions import refuse_moved_fractions
from ch6dist.runs.provenance import sweep_of_one
from ch6dist.runs.ranking import RANKED_ROWS
from ch6dist.yamlfile import read_mapping
from sweeps.launch.execute import Launch
from sweeps.launch.finals import default_name, newest_final
from sweeps.launch.resized import kept_counts, without_validation
from sweeps.launch.run import resume, start
from sweeps.status.best import best, remarks

KEPT = ("resources", "checkpoints", "storage", "max_retries", "on_finish")  # taken over from the sweep


@dataclass(frozen=True)
class FinalPlan:
    """What a final training trains, and what it changed of the chosen configuration."""

    name: str  # of its run folder
    named: bool  # by the person: the name must be free, else it is numbered
    home: Path | None  # the folder of its sweep; None for a trial file
    of: str  # the name of the run or of the trial file
    chosen: TrialConfig  # as the sweep had it
    trials: tuple[TrialConfig, ...]  # one per seed
    source: str  # where the choice comes from, as text
    notes: tuple[str, ...]
    settings: dict[str, Any]  # of the sweep it was chosen from, those in KEPT
    run: Path | None  # that it was chosen from, which has the code of its own, if any
    chosen_by: tuple[int, ...]  # seeds that took part in the choice; empty for a trial file, which does not say


@dataclass(frozen=True)
class _Choice:
    """The configuration to train, and where it comes from."""

    trial: TrialConfig
    source: str
    path: Path  # of the run folder, or of the trial file
    spec: dict[str, Any]  # of its sweep; empty for a trial file
    seeds: tuple[int, ...] = ()  # of its sweep, and those by which that was chosen itself
    remarks: tuple[str, ...] = ()  # why it is not the leader, that nothing was learned


def plan_final(
    source: str,
    *,
    runs: Path | None = None,
    name: str | None = None,
    trial: str | None = None,
    epochs: int | None = None,
    seeds: int = 1,
    all_data: bool = False,
) -> FinalPlan:
    """Read the choice (the best of a RUN, one trial of it, or a trial.yaml) and resize it.

    Args:
        name: of the run folder, which must be free; left out: that of the choice and `-final`, numbered.
        seeds: how many; they begin after the largest of RUN, or with that of a trial.yaml.
    """
    if name is not None:
        check_name(name, key="--name")
    choice = _choice(source, runs, trial)
    chosen = choice.trial
    if chosen.type != "train":
        raise UsageError(f"{source} is a range test", "a final training needs a trial of type train")
    content = chosen.model_dump() | {"evaluate_test": True, "epochs": chosen.epochs if epochs is None else epochs}
    notes = list(choice.remarks)
    if all_data:
        data = content["data"]
        content["data"] = data | {"train_size": data["train_size"] + data["val_size"], "val_size": 0}
        schedule, changed = without_validation(content["schedule"])
        content["schedule"] = schedule
        notes += ["the plateau schedule watches the training metric: there is no validation split"] if changed else []
    first = max(choice.seeds) + 1 if choice.seeds else chosen.seed
    resized = [parse_trial(content | {"seed": seed}) for seed in range(first, first + seeds)]
    notes += kept_counts(chosen, resized[0])
    settings = {key: choice.spec[key] for key in KEPT if key in choice.spec}
    return FinalPlan(
        name=name or default_name(choice.path),
        named=name is not None,
        home=choice.path.parent if choice.spec else None,
        of=choice.path.name,
        chosen=chosen,
        trials=tuple(resized),
        source=choice.source,
        notes=tuple(notes),
        settings=settings,
        run=choice.path if choice.spec else None,
        chosen_by=choice.seeds,
    )


def train_final(
    plan: FinalPlan, how: Launch, *, workers: int | None = None, runs: Path | None = None
) -> tuple[Path, int]:
    """Train the plan in a new run folder; return the folder and the exit status.

    Args:
        workers: processes that train one seed together; on a cluster they may be on several hosts. Left out: one.
        runs: the folder that is to hold the run folder; left out: the one that holds its sweep.
    """
    question = f"How well does the chosen configuration do on the test set? ({plan.source})"
    # the chosen trial's batch is the global one already
    resources = {**plan.settings.get("resources", {}), "workers": workers or 1, "batch": "global"}
    if resources["workers"] > 1:
        resources |= {"span_hosts": how.address is not None}
        if resources.get("gpus") not in (0, 1):  # a worker trains on one device
            resources["gpus"] = "auto"
    spec = sweep_of_one(plan.name, plan.trials, question=question)
    spec |= {**plan.settings, "chosen_from": plan.source, "final_of": plan.of, "resources": resources}
    spec |= {"chosen_by_seeds": list(plan.chosen_by)} if plan.chosen_by else {}
    named, home = plan.name if plan.named else None, runs or plan.home
    return start(spec, plan.trials, how, name=named, runs=home, chosen_from=plan.run)


def resume_final(source: str, how: Launch, *, workers: int | None = None, runs: Path | None = None) -> tuple[Path, int]:
    """Resume a final training: its own run folder, or the run (or trial file) it was chosen from.

    Args:
        workers: processes that train one seed together; left out: as many as before.
    """
    run = newest_final(source, runs=runs)
    how.console.print(f"resuming {shown_path(run)}")
    return run, resume(run, how, changes=[f"resources.workers={workers}"] if workers else [])


def say_plan(plan: FinalPlan, console: Console) -> None:
    """Print what will be trained, at which learning rates, and what was kept as it was."""
    first = plan.trials[0]
    console.print(f"final training of {plan.chosen.configuration_id} ({plan.source})")
    images = f"{first.data.train_size:,} images, {first.data.val_size:,} held out for validation"
    console.print(f"{format_count(first.epochs, 'epoch')}, {format_count(len(plan.trials), 'seed')}, {images}")
    console.print(_which_seeds(plan))
    console.print(f"learning rates at the start of epochs: {learning_rates(first)}")
    for note in plan.notes:
        console.print(f"note: {note}")


def _which_seeds(plan: FinalPlan) -> str:
    """Return which seeds are trained, and why these."""
    seeds = list_text("seed", [trial.seed for trial in plan.trials])
    if not plan.chosen_by:
        return f"{seeds}, from the trial file; a score by which a sweep chose it with the same seed is optimistic"
    used = list_text("seed", plan.chosen_by)
    return f"{seeds}: new, for an unbiased estimate, as the configuration was chosen by its scores with {used}"


def learning_rates(trial: TrialConfig) -> str:
    """Return the learning rate in the first step of a few epochs, and in the last step of all."""
    steps = trial.data.steps_per_epoch
    table = preview(trial, steps_per_epoch=steps)
    epochs = sorted({1, trial.epochs // 4 or 1, trial.epochs // 2 or 1, 3 * trial.epochs // 4 or 1, trial.epochs})
    parts = [f"{epoch}: {table[(epoch - 1) * steps][0]:.4g}" for epoch in epochs]
    return ", ".join([*parts, f"last step: {table[-1][0]:.4g}"])


def result(run: Path) -> dict[str, Any]:
    """Return test accuracy per seed, their mean and standard deviation."""
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
    first = next(iter(found["test_accuracy"]))
    console.print(f"by class: ch6dist look {found['run']} {first} --split test -o FOLDER", soft_wrap=True)


def _choice(source: str, runs: Path | None, trial: str | None) -> _Choice:
    if given_path(source).is_file():
        if trial:
            raise InputError("--trial", trial, "nothing beside a trial.yaml: it is the choice")
        return _Choice(parse_trial(read_mapping(source), file=source), f"from {source}", Path(source), {})
    run = find_run(source, root=runs)
    ledger, _ = observe(run, last=RANKED_ROWS)
    keep_to(ledger.sweeps)
    notes: tuple[str, ...] = ()
    if trial:
        name = find_trial(ledger, trial)
        config, why = ledger.trials[name]["config"], f"trial {name} of {run.name}"
    else:
        found = best(run, ledger)
        fresh = f" over {format_count(found['seeds'], 'fresh seed')}" if found["confirmed"] else ""
        why = f"best of {run.name}: {found['configuration']}, {found['score']:.4g}{fresh} by {found['rule']}"
        config, notes = found["trial"], remarks(found)
    chosen = parse_trial({**config, "capture": None}, file=str(run))  # as in a trial file of `best`
    refuse_moved_fractions(run, ledger.sweeps, [chosen])
    return _Choice(chosen, why, run, ledger.spec, _seeds(ledger), notes)


def _seeds(ledger: Ledger) -> tuple[int, ...]:
    """Return the seeds of a run; of a final training, also those by which its configuration was chosen."""
    trained = {line["seed"] for line in ledger.trials.values()}
    return tuple(sorted(trained | set(ledger.spec.get("chosen_by_seeds", ()))))
