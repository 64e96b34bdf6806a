"""Can this sweep be trusted at all? Counts, edges, seeds, effort and cost, with a word where care is needed.

for fact in health(study, board):
    fact.name, fact.value, fact.warning
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from analysis.study import stats
from analysis.study.leaderboard import best_at_edge
from analysis.study.load import Study
from analysis.text import configuration, is_share, seconds, status_words
from ch6dist.runs.schema import BROKEN, Status

SHOWN = (  # how trials stand, in the order in which they are counted
    Status.FINISHED,
    Status.DIVERGED,
    Status.STOPPED,
    Status.FAILED,
    Status.OUT_OF_MEMORY,
    Status.INTERRUPTED,
    Status.RUNNING,
    Status.PLANNED,
)


@dataclass(frozen=True)
class Fact:
    """One line of the health box; `warning` says what it means for the reader, and is empty when all is well."""

    name: str
    value: str
    warning: str = ""


def health(study: Study, board: pd.DataFrame) -> list[Fact]:
    """The health box, in the order it is read."""
    facts = [_trials(study), *_budget(study), _divergence(study), *_broken(study), *_stopped(study)]
    if len(board):
        facts += [_seeds(board), *_edges(board), *_effort(board), *_learning(board)]
    return [*facts, *_cost(study), *_noise(study, board)]


def _trials(study: Study) -> Fact:
    waiting = int(study.trials["status"].isin([Status.PLANNED, Status.RUNNING, Status.INTERRUPTED]).sum())
    told = []
    for kind, words in (("train", "trainings"), ("range_test", "range tests")):
        counts = Counter(study.trials.loc[study.trials["type"] == kind, "status"])
        by_status = ", ".join(f"{counts[status]} {status_words(status)}" for status in SHOWN if counts[status])
        told += [f"{counts.total()} {words} ({by_status})"] if counts else []
    warning = f"{waiting} of {len(study.trials)} have not ended: everything here is provisional" if waiting else ""
    return Fact("Trials", "; ".join(told) or "none yet", warning)


def _budget(study: Study) -> list[Fact]:
    train = study.trials[study.trials["type"] == "train"]
    planned = int(train["epochs"].sum())
    done = sum(study.rows[trial][-1]["epoch"] for trial in train["trial"] if study.rows[trial])
    return [Fact("Epochs", f"{done} of {planned} planned ({done / planned:.0%})")] if planned else []


def _divergence(study: Study) -> Fact:
    train = study.trials[study.trials["type"] == "train"]
    diverged = int((train["status"] == Status.DIVERGED).sum())
    return Fact("Diverged", f"{diverged} of {len(train)} trainings (a result: they rank last)")


def _broken(study: Study) -> list[Fact]:
    broken = study.trials[study.trials["status"].isin(BROKEN)]
    if broken.empty:
        return []
    reasons = "; ".join(
        f"{reason or 'no reason given'} ({n}×)" for reason, n in Counter(broken["reason"]).most_common(3)
    )
    return [Fact("Failed", f"{len(broken)}: {reasons}", "these are no results: mend the cause and `sweeps rerun`")]


def _stopped(study: Study) -> list[Fact]:
    stopped = int((study.trials["status"] == Status.STOPPED).sum())
    warning = "early stopping censors slow starters: only trials with the full budget are ranked"
    return [Fact("Stopped early", f"{stopped} ({stopped / len(study.trials):.0%})", warning)] if stopped else []


def _seeds(board: pd.DataFrame) -> Fact:
    low, high = int(board["seeds"].min()), int(board["seeds"].max())
    warning = "one seed says nothing about its spread: use 3 or more" if low == 1 else ""
    uneven = "" if low == high else "configurations have unequal numbers of seeds"
    return Fact("Seeds per configuration", f"{low}" if low == high else f"{low} to {high}", warning or uneven)


def _edges(board: pd.DataFrame) -> list[Fact]:
    rows = [row for _, row in board.loc[best_at_edge(board)].iterrows()]
    told = ", ".join(configuration(row) for row in rows)
    warning = "the best rate may lie outside of what was tried: extend it"
    return [Fact("Best rate at the edge", told, warning)] if rows else []


def _effort(board: pd.DataFrame) -> list[Fact]:
    tried = board.groupby("optimizer").size()
    if len(tried) < 2:
        return []
    told = ", ".join(f"{optimizer}: {n}" for optimizer, n in tried.items())
    if tried.min() < tried.max():
        return [Fact("Configurations tried", told, "unequal tuning effort favours what was tried more often")]
    same = len({frozenset(rates) for _, rates in board.groupby("optimizer")["lr"]}) == 1
    note = " on one shared grid of rates: it favours those whose good rates lie inside" if same else ""
    return [Fact("Configurations tried", f"{int(tried.min())} per optimizer{note}")]


def _learning(board: pd.DataFrame) -> list[Fact]:
    n = int(board["score"].notna().sum())
    if not n:
        return []
    improving = int(board["flags"].str.contains("still_improving").sum())
    idle = int(board["flags"].str.contains("not_learning").sum())
    warning = "train longer before choosing between them" if improving > n / 2 else ""
    facts = [Fact("Still improving at the end", f"{improving} of {n} configurations", warning)]
    return facts + ([Fact("At chance at the end", f"{idle} of {n} configurations (not_learning)")] if idle else [])


def _cost(study: Study) -> list[Fact]:
    rows = [row for lines in study.rows.values() for row in lines]
    if not rows:
        return []
    total = sum((row.get("seconds") or 0) + (row.get("eval_seconds") or 0) for row in rows)
    lanes = sorted({row["lanes"] for row in rows if row.get("lanes")})
    told = f"trials shared a device, {lanes[0]} to {lanes[-1]} at a time: compare seconds with care" if lanes else ""
    return [Fact("Device time", seconds(total), told if len(lanes) > 1 else "")]


def _noise(study: Study, board: pd.DataFrame) -> list[Fact]:
    scored = board[board["score"].notna()]
    images = study.trials.loc[study.trials["type"] == "train", "val_size"].max()
    if scored.empty or not images or not is_share(study.metric):
        return []
    deviation = stats.binomial_std(float(scored.iloc[0]["score"]), images=int(images))
    told = f"{100 * deviation:.2f} points (binomial deviation of one accuracy on {images} images)"
    return [Fact("Floor of the noise", told)]
