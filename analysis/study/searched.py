"""What a sweep's search did: epochs asked for, trained and saved, rungs, rounds of seeds; what it left without a score.

found = searched(study)                 # one Searched per run whose sweep searches
left_out(study)                         # the sentence under every figure that compares scores; empty without a search
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.study.load import Run, Study
from ch6dist.catalog.wording import format_count, format_seconds
from ch6dist.runs.confirmations import key_of
from ch6dist.runs.early_stops import over_budget, rule_name, rungs
from ch6dist.runs.schema import BROKEN, UNFINISHED, Status

DRAWN = ("random", "quasi", "optuna")  # methods that draw configurations, one after another
MODEL = "optuna"
ROUND = "round of seed"  # begins the reason of a trial that a race has added


@dataclass(frozen=True)
class Rung:
    """How many trials came to a rung, and how many went on beyond it."""

    epochs: int
    came: int
    went_on: int


@dataclass(frozen=True)
class Seeds:
    """A seed that was added where it decides: how many configurations got it, and why these."""

    seed: int
    configurations: int
    why: str


@dataclass(frozen=True)
class Searched:
    """What the search of one run did; epochs are those of training runs, confirmations and final ones left out."""

    run: str
    method: str
    rule: str  # of early stopping; empty: none
    rungs: tuple[Rung, ...]  # none for the median rule, which decides after every epoch
    rounds: tuple[Seeds, ...]
    budget: dict[str, Any] | None
    over_budget: str  # the bound that was reached, in words; empty: none
    trials: int
    configurations: int
    asked: int  # epochs, had every trial trained in full
    trained: int
    shared: int  # taken over from another trial
    stopped: int  # epochs that the rule left out
    open: int  # epochs of trials that are not finished
    lost: int  # epochs that trials lacked which diverged, failed or were stopped by a person
    spent_seconds: float  # of training and evaluation, of the epochs that were trained


def searched(study: Study) -> list[Searched]:
    """Return what each run's search did, of the runs whose sweep stops early, races, draws, has a budget or shares."""
    found = ((run, _searched(study, run)) for run in study.runs)
    return [item for run, item in found if item.shared or _searches(run)]


def left_out(study: Study) -> str:
    """Return how many configurations have no score since a search stopped them, or has not finished; else nothing."""
    trials = study.trials[(study.trials["type"] == "train") & ~study.trials["final"]]
    total, ended = trials["configuration"].nunique(), trials.loc[trials["by_rule"], "configuration"].nunique()
    waits = trials.loc[trials["status"] == Status.PAUSED, "configuration"].nunique()
    names = " and ".join(dict.fromkeys(filter(None, (rule_name(run.ledger.spec) for run in study.runs))))
    found = [f"{ended:,} stopped early by {names or 'a rule'}"] if ended else []
    found += [f"{waits:,} that are paused"] if waits else []
    if not found:
        return ""
    chosen = ", and what is left was chosen, so it looks better than all that was tried" if ended else ""
    whose = f"of {format_count(total, 'configuration')}, {' and '.join(found)}"
    return f"Left out: {whose}. Their last values are no scores{chosen}."


def _searches(run: Run) -> bool:
    spec = run.ledger.spec
    seeds = spec.get("seeds")
    races = isinstance(seeds, dict) and bool(seeds.get("up_to"))
    return bool(rule_name(spec) or spec.get("budget") or races or spec.get("method") in DRAWN)


def _searched(study: Study, run: Run) -> Searched:
    spec = run.ledger.spec
    trials = _own_trials(study, run)
    rows = study.history[study.history["trial"].isin(trials["trial"])]
    missing = trials["epochs"] - _reached(study, trials)
    ended = trials["status"].isin([Status.DIVERGED, Status.STOPPED, *BROKEN]) & ~trials["by_rule"]
    return Searched(
        run=run.name,
        method=str(spec.get("method", "grid")),
        rule=rule_name(spec),
        rungs=rungs_of(spec, study, compared_trials(study, run)),
        rounds=_rounds(run),
        budget=dict(spec["budget"]) if spec.get("budget") else None,
        over_budget=over_budget(run.ledger),
        trials=len(trials),
        configurations=trials["configuration"].nunique(),
        asked=int(trials["epochs"].sum()),
        trained=int(rows["shared"].isna().sum()),
        shared=int(rows["shared"].notna().sum()),
        stopped=int(missing[trials["by_rule"]].sum()),
        open=int(missing[trials["status"].isin(UNFINISHED)].sum()),
        lost=int(missing[ended].sum()),
        spent_seconds=float(rows.loc[rows["shared"].isna(), ["seconds", "eval_seconds"]].sum().sum()),
    )


def first_seeds(spec: Any) -> set[int] | None:
    """Return the seeds that a race begins with, which its rule compares; None without a race: all."""
    seeds = spec.get("seeds")
    if not isinstance(seeds, dict) or not seeds.get("up_to"):
        return None
    return set(range(int(seeds.get("start") or 1)))


def compared_trials(study: Study, run: Run) -> pd.DataFrame:
    """Return the rows of `Study.trials` that a search compares: not the seeds that a race adds, nor confirmations."""
    trials, seeds = _own_trials(study, run), first_seeds(run.ledger.spec)
    return trials if seeds is None else trials[trials["seed"].isin(seeds)]


def _own_trials(study: Study, run: Run) -> pd.DataFrame:
    """Return the rows of `Study.trials` of a run's training runs, confirmations and final ones left out."""
    prefix = f"{run.name}/" if len(study.runs) > 1 else ""
    own = {prefix + trial for trial, line in run.ledger.trials.items() if key_of(line) is None}
    return study.trials[study.trials["trial"].isin(own) & (study.trials["type"] == "train") & ~study.trials["final"]]


def _reached(study: Study, trials: pd.DataFrame) -> pd.Series:
    """Return how many epochs each of some trials has."""
    ends = study.history.groupby("trial", observed=True)["epoch"].max()
    return trials["trial"].map(dict(ends.items())).fillna(0).astype(int)


def rungs_of(spec: Any, study: Study, trials: pd.DataFrame) -> tuple[Rung, ...]:
    """Return the rungs of a rule, over trials that it compares; none of the median rule."""
    if rule_name(spec) in ("", "median"):
        return ()
    reached = _reached(study, trials)
    came: Counter[int] = Counter()
    beyond: Counter[int] = Counter()
    for epochs, end in zip(trials["epochs"], reached, strict=True):
        for rung in rungs(spec, epochs=int(epochs)):
            came[rung] += end >= rung
            beyond[rung] += end > rung
    return tuple(Rung(rung, came[rung], beyond[rung]) for rung in sorted(came))


def _rounds(run: Run) -> tuple[Seeds, ...]:
    """Return the seeds that a race has added, and why, as its decisions say."""
    why: dict[int, str] = {}
    count: Counter[int] = Counter()
    for line in run.ledger.decisions:
        if line["what"] == "begin" and line["why"].startswith(ROUND) and line["trial"] in run.ledger.trials:
            seed = run.ledger.trials[line["trial"]]["seed"]
            count[seed] += 1
            why.setdefault(seed, line["why"].partition(": ")[2])
    return tuple(Seeds(seed, count[seed], why[seed]) for seed in sorted(count))


def sentences(found: Searched) -> list[str]:
    """Return what a search did, in words."""
    said = [_epochs(found)]
    said += [_at_rung(rung) for rung in found.rungs]
    said += [
        f"Seed {item.seed} was added for {format_count(item.configurations, 'configuration')}: {item.why}."
        for item in found.rounds
    ]
    if found.over_budget:
        said.append(f"The budget of {found.over_budget} is spent; {found.open} epochs wait for a larger one.")
    return said


def _epochs(found: Searched) -> str:
    parts = [
        (found.stopped, f"saved by stopping early ({found.rule})"),
        (found.shared, "shared with another trial"),
        (found.open, "not trained yet"),
        (found.lost, "lost to divergence, failures or a stop"),
    ]
    rest = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    drawn = {"grid": "a grid", MODEL: "a model's draws"}.get(found.method, f"{found.method} draws")
    what = f"{format_count(found.configurations, 'configuration')} of {drawn}, {format_count(found.trials, 'trial')}"
    return (
        f"{what}: {found.asked:,} epochs asked for; {found.trained:,} were trained "
        f"({found.trained / max(1, found.asked):.0%}, {format_seconds(found.spent_seconds)} of device time)"
        + (f", {rest}." if rest else ".")
    )


def _at_rung(rung: Rung) -> str:
    return f"After {format_count(rung.epochs, 'epoch')}: {rung.came:,} trials came, {rung.went_on:,} went on."
