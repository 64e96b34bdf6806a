"""Can this sweep be trusted? Counts, edges, seeds, tuning effort and cost, with warnings.

for fact in health(results):
    fact.name, fact.value, fact.warning
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from analysis.study import stats
from analysis.study.flags import best_at_edge
from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_count_range, format_seconds, is_fraction, status_label
from ch6dist.runs.columns import SIGNS
from ch6dist.runs.early_stops import rule_name
from ch6dist.runs.schema import BROKEN, UNFINISHED, Status

STATUSES = (  # in the order in which they are counted
    Status.FINISHED,
    Status.DIVERGED,
    Status.STOPPED,
    Status.FAILED,
    Status.OUT_OF_MEMORY,
    Status.INTERRUPTED,
    Status.RUNNING,
    Status.PAUSED,
    Status.PLANNED,
)


@dataclass(frozen=True)
class Fact:
    """A line of the health box; `warning` says what to be careful about, and is empty if nothing is wrong."""

    name: str
    value: str
    warning: str = ""


def health(results: Results) -> list[Fact]:
    """Return the lines of the health box, in reading order."""
    study, board = results.study, results.board
    facts = [_trials(study), *_budget(study), *_divergence(study), *_inside(study), *_failed(study), *_stopped(study)]
    if len(board):
        facts += [_seeds(board), *_edges(board), *_effort(board), *_learning(board)]
    return [*facts, *_cost(study), *_noise_floor(study, board)]


def _trials(study: Study) -> Fact:
    waiting = int(study.trials["status"].isin(UNFINISHED).sum())
    kinds = []
    for kind, name in (("train", "training run"), ("range_test", "range test")):
        counts = Counter(study.trials.loc[study.trials["type"] == kind, "status"])
        by_status = ", ".join(f"{counts[status]} {status_label(status)}" for status in STATUSES if counts[status])
        kinds += [f"{format_count(counts.total(), name)} ({by_status})"] if counts else []
    warning = f"{waiting} of {len(study.trials)} have not ended: all numbers are preliminary" if waiting else ""
    return Fact("Trials", "; ".join(kinds) or "none yet", warning)


def _budget(study: Study) -> list[Fact]:
    train = study.trials[study.trials["type"] == "train"]
    planned = int(train["epochs"].sum())
    rows = study.history[study.history["trial"].isin(train["trial"])]
    shared = int(rows["shared"].notna().sum())
    done = len(rows) - shared
    copied = f"; {shared} more are those of another trial" if shared else ""
    return [Fact("Epochs", f"{done} of {planned} planned ({done / planned:.0%}){copied}")] if planned else []


def _divergence(study: Study) -> list[Fact]:
    train = study.trials[study.trials["type"] == "train"]
    diverged = int((train["status"] == Status.DIVERGED).sum())
    text = f"{diverged} of {format_count(len(train), 'training run')} (a result: they rank last)"
    return [Fact("Diverged", text)] if len(train) else []


def _inside(study: Study) -> list[Fact]:
    """Return in how many of the trials that capture something is wrong inside the training, in any epoch."""
    signs = study.history.groupby("trial", observed=True)[list(SIGNS)].max().dropna(how="all")
    if signs.empty:
        return []
    counts = {name: int((signs[name] > 0).sum()) for name in SIGNS if signs[name].notna().any()}
    text = ", ".join(f"{name.replace('_', ' ')} in {count}" for name, count in counts.items())
    warning = "`sweeps show` lists the epochs; captures have the steps and the layers" if any(counts.values()) else ""
    return [Fact("Inside the training", f"of {format_count(len(signs), 'trial')} that captured, {text}", warning)]


def _failed(study: Study) -> list[Fact]:
    broken = study.trials[study.trials["status"].isin(BROKEN)]
    if broken.empty:
        return []
    reasons = "; ".join(
        f"{reason or 'no reason given'} ({n}×)" for reason, n in Counter(broken["reason"]).most_common(3)
    )
    return [Fact("Failed", f"{len(broken)}: {reasons}", "these are not results: fix the cause, then `sweeps rerun`")]


def _stopped(study: Study) -> list[Fact]:
    stopped = study.trials[study.trials["status"] == Status.STOPPED]
    if stopped.empty:
        return []
    by_rule = int(stopped["by_rule"].sum())
    names = " and ".join(dict.fromkeys(filter(None, (rule_name(run.ledger.spec) for run in study.runs))))
    who = [f"{by_rule} by {names or 'a rule'}"] if by_rule else []
    who += [f"{len(stopped) - by_rule} by a person"] if by_rule < len(stopped) else []
    warning = "early stopping removes slow starters: only trials with the full budget are ranked"
    text = f"{len(stopped)} ({len(stopped) / len(study.trials):.0%}): {', '.join(who)}"
    return [Fact("Stopped early", text, warning)]


def _seeds(board: pd.DataFrame) -> Fact:
    seeds = board["seeds"]
    warning = "one seed does not show the spread: use 3 or more" if seeds.min() == 1 else ""
    uneven = "configurations have unequal numbers of seeds" if seeds.nunique() > 1 else ""
    return Fact("Seeds per configuration", format_count_range(seeds), warning or uneven)


def _edges(board: pd.DataFrame) -> list[Fact]:
    labels = list(board.loc[best_at_edge(board), "label"])
    warning = "the best learning rate may lie outside the grid: extend it"
    return [Fact("Best learning rate at the edge", ", ".join(labels), warning)] if labels else []


def _effort(board: pd.DataFrame) -> list[Fact]:
    tried = board.groupby("optimizer").size()
    if len(tried) < 2:
        return []
    counts = ", ".join(f"{optimizer}: {n}" for optimizer, n in tried.items())
    if tried.min() < tried.max():
        return [
            Fact("Configurations tried", counts, "unequal tuning effort favours optimizers that were tried more often")
        ]
    same = len({frozenset(lrs) for _, lrs in board.groupby("optimizer")["lr"]}) == 1
    note = " on one shared grid of learning rates, which favours optimizers whose good ones lie inside" if same else ""
    return [Fact("Configurations tried", f"{int(tried.min())} per optimizer{note}")]


def _learning(board: pd.DataFrame) -> list[Fact]:
    n = int(board["score"].notna().sum())
    if not n:
        return []
    improving = int(board["flags"].str.contains("still_improving").sum())
    at_chance = int(board["flags"].str.contains("not_learning").sum())
    warning = "train longer before choosing between them" if improving > n / 2 else ""
    facts = [Fact("Still improving at the end", f"{improving} of {format_count(n, 'configuration')}", warning)]
    return facts + (
        [Fact("At chance at the end", f"{at_chance} of {format_count(n, 'configuration')} (not_learning)")]
        if at_chance
        else []
    )


def _cost(study: Study) -> list[Fact]:
    if study.history.empty:
        return []
    total = float(study.trained[["seconds", "eval_seconds"]].sum().sum())
    lanes = study.trained.loc[study.trained["lanes"] > 0, "lanes"]
    warning = (
        f"trials shared a device, {lanes.min():.0f} to {lanes.max():.0f} at a time: compare seconds with care"
        if lanes.nunique() > 1
        else ""
    )
    return [Fact("Device time", format_seconds(total), warning)]


def _noise_floor(study: Study, board: pd.DataFrame) -> list[Fact]:
    scored = board[board["score"].notna()]
    images = study.trials.loc[study.trials["type"] == "train", "val_size"].max()
    if scored.empty or not images or not is_fraction(study.metric):
        return []
    deviation = stats.binomial_std(float(scored.iloc[0]["score"]), images=int(images))
    text = f"{100 * deviation:.2f} points (binomial standard deviation of one accuracy on {images} images)"
    return [Fact("Noise floor", text)]
