"""Which configuration is best: the one rule behind `top`, `best`, the leaderboard and the final training.

A trial's score is the mean of the sweep's metric over its last min(5, a third of its epochs, at least 1) epochs; a
configuration's is the mean over its seeds. A configuration with a diverged seed ranks below all without, by k of n.
One that still runs, was stopped, or has a broken seed or one without a score is listed last, has no rank and cannot
win. NaN never wins. In a sweep that stops trials early or has a budget, these stand between what has a score and what
diverged, the further they came the higher; they have no rank either.

After a confirmation (`sweeps confirm`) the configurations of its set come first, by their fresh seeds alone; so does a
default that was trained beside them and is better, on its fresh seeds, than one of the set. A fresh seed that diverged
ranks like any other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ch6dist.runs.confirmations import Key, counted_confirmations, is_counted, key_of
from ch6dist.runs.early_stops import rule_name, stopped_by_rule
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import BROKEN, ENDED, UNFINISHED, Line, Metric, Status

RULE = "mean {metric} over the last {k} epochs, then over seeds; diverged seeds rank last"
CONFIRMED_FIRST = "what was confirmed stands above all else, by its fresh seeds alone"  # said beside the rule
RANKED_ROWS = 5  # of each trial, the last ones: all that a ranking looks at


@dataclass(frozen=True)
class Ranked:
    """One configuration in the ranking, best first."""

    configuration: str
    score: float | None  # over the seeds that have one
    scores: tuple[float, ...]  # one per such seed, in the order of `trials`
    trials: tuple[str, ...]  # the seeds that rank it: those of the sweep; once it is confirmed, the fresh ones
    eligible: bool  # every seed diverged or has a finite score, at least one a score
    diverged: int
    note: str  # why it is not eligible, or how many seeds diverged
    latest: float | None  # newest value of the metric, over the seeds that have rows: while they still train
    reached: int = 0  # epochs that each of the seeds that rank it has
    confirmed: bool = False  # ranked by its fresh seeds, before all that are not
    fresh: tuple[float, ...] = ()  # scores of fresh seeds, once their confirmation counts, in the order of:
    fresh_trials: tuple[str, ...] = ()
    every: tuple[str, ...] = ()  # all trials of the configuration, those that do not rank it too

    @property
    def complete(self) -> bool:
        """Return whether it has a rank: every seed diverged, or has a finite score."""
        return self.eligible or self.diverged == len(self.trials)


def last_k(epochs: int) -> int:
    """Return how many last epochs a score averages: 5, or a third of the training, at least 1."""
    return max(1, min(RANKED_ROWS, epochs // 3))


def trial_score(rows: Sequence[Line], metric: str, *, epochs: int) -> float | None:
    """Return the mean of `metric` over the last `last_k(epochs)` rows; None unless all are there and finite."""
    count = last_k(epochs)
    values = [row.get(metric) for row in rows if row.get("epoch", 0) > epochs - count]
    numbers = [float(v) for v in values if v is not None and math.isfinite(v)]
    return sum(numbers) / count if len(numbers) == count else None


def rank(ledger: Ledger, metric: Metric | None = None) -> list[Ranked]:
    """Rank the configurations of the `train` trials of a ledger, best first.

    Args:
        metric: left out, that of the ledger's sweep.
    """
    metric = metric or Metric.of(ledger.spec)
    rows, counted = ledger.rows_by_trial(), counted_confirmations(ledger)
    groups: dict[str, list[str]] = {}
    for trial, line in ledger.trials.items():
        if line["config"]["type"] == "train":
            groups.setdefault(line["configuration"], []).append(trial)
    sign = -1.0 if metric.goal == "maximize" else 1.0
    ranked = [_rank_one(ledger, rows, trials, metric.name, counted) for trials in groups.values()]
    if counted:
        ranked = _with_defaults(ranked, sign)

    searched = bool(rule_name(ledger.spec) or ledger.spec.get("budget"))

    def order(item: Ranked) -> tuple[Any, ...]:
        """Return what a configuration is sorted by: the scored before those that were stopped, by how far they came."""
        share = item.diverged / len(item.trials)
        value = item.latest if item.score is None else item.score  # without a score, only among the incomplete
        place = math.inf if value is None else sign * value
        block = (0 if item.eligible else 2 if item.complete else 1) if searched else int(not item.complete)
        behind = -item.reached if block == 1 and searched else 0
        return (block, behind, share, not item.confirmed, place, item.configuration)

    return sorted(ranked, key=order)


def _with_defaults(ranked: Sequence[Ranked], sign: float) -> list[Ranked]:
    """Confirm each default that is better on its fresh seeds than one of the set: it was trained as they were."""
    worst = max((sign * item.score for item in ranked if item.confirmed and item.score is not None), default=-math.inf)

    def beats(item: Ranked) -> bool:
        whole = item.eligible and not item.diverged and len(item.fresh) == len(item.fresh_trials) > 0
        return whole and not item.confirmed and sign * _mean(item.fresh) < worst

    return [by_fresh_seeds(item) if beats(item) else item for item in ranked]


def by_fresh_seeds(item: Ranked) -> Ranked:
    """Return a configuration, all of whose fresh seeds have a score, with these as what ranks it."""
    return replace(item, score=_mean(item.fresh), scores=item.fresh, trials=item.fresh_trials, confirmed=True)


def by_seeds(item: Ranked, ledger: Ledger, trials: Sequence[str], metric: Metric) -> Ranked:
    """Return a configuration with the scores of the given seeds of it as its own."""
    scores = _scores(ledger, ledger.rows_by_trial(), trials, metric.name)
    return replace(item, score=_mean(scores) if scores else None, scores=scores, trials=tuple(trials))


def rule(epochs: int, metric: str) -> str:
    """Return the name of the rule, printed beside every ranking."""
    return RULE.format(metric=metric, k=last_k(epochs)).replace("last 1 epochs", "last epoch")


def _rank_one(ledger: Ledger, rows: dict[str, list[Line]], every: list[str], metric: str, counted: set[Key]) -> Ranked:
    fresh = [trial for trial in every if is_counted(ledger.trials[trial], counted)]
    waiting = [trial for trial in every if key_of(ledger.trials[trial]) and trial not in fresh]
    confirmed = any(ledger.trials[trial].get("confirms") == "set" for trial in fresh)
    own = [trial for trial in every if not key_of(ledger.trials[trial])]
    trials = fresh if confirmed else own or every
    counts = Counter(ledger.status(trial) for trial in trials)
    scores = _scores(ledger, rows, trials, metric)
    newest = [row[metric] for trial in trials for row in rows[trial][-1:] if row.get(metric) is not None]
    return Ranked(
        configuration=ledger.trials[every[0]]["configuration"],
        score=_mean(scores) if scores else None,
        scores=scores,
        trials=tuple(trials),
        eligible=bool(scores) and len(scores) + counts[Status.DIVERGED] == len(trials),
        diverged=counts[Status.DIVERGED],
        note=_note(ledger, trials, counts, metric, scored=len(scores), waiting=waiting),
        latest=_mean(newest) if newest else None,
        reached=min(rows[trial][-1]["epoch"] if rows[trial] else 0 for trial in trials),
        confirmed=confirmed,
        fresh=scores if confirmed else _scores(ledger, rows, fresh, metric),
        fresh_trials=tuple(fresh),
        every=tuple(every),
    )


def _scores(ledger: Ledger, rows: dict[str, list[Line]], trials: Sequence[str], metric: str) -> tuple[float, ...]:
    """Return the score of each trial that has one."""
    found = (
        trial_score(rows[trial], metric, epochs=ledger.trials[trial]["config"]["epochs"])
        for trial in trials
        if ledger.status(trial) == Status.FINISHED
    )
    return tuple(score for score in found if score is not None)


def _note(
    ledger: Ledger,
    trials: Sequence[str],
    counts: Mapping[Status, int],
    metric: str,
    *,
    scored: int,
    waiting: Sequence[str],
) -> str:
    """Return how many of the seeds that rank a configuration have none, and how far its confirmation is."""
    if not waiting and scored == len(trials):
        return ""
    number, by_rule = len(trials), [trial for trial in trials if stopped_by_rule(ledger, trial)]
    paused = [trial for trial in trials if ledger.status(trial) == Status.PAUSED]
    notes = [
        f"{count} of {number} {word}"
        for count, word in [
            (counts[Status.DIVERGED], "diverged"),
            (len(by_rule), f"stopped by {rule_name(ledger.spec) or 'the rule'} {_after(ledger, by_rule)}"),
            (counts[Status.STOPPED] - len(by_rule), "stopped early"),
            (sum(counts[status] for status in BROKEN), "failed"),
            (len(paused), f"paused {_after(ledger, paused)}"),
            (sum(counts[s] for s in UNFINISHED) - len(paused), "not finished"),
            (counts[Status.FINISHED] - scored, f"without a finite {metric}"),
        ]
        if count
    ]
    if waiting:
        ended = sum(ledger.status(trial) in ENDED for trial in waiting)
        notes.append(f"{ended} of {len(waiting)} fresh seeds have ended, not ranked by them yet")
    return ", ".join(notes)


def _after(ledger: Ledger, trials: Sequence[str]) -> str:
    """Return after how many of their epochs trials were stopped."""
    epochs = [ledger.trials[trial]["config"]["epochs"] for trial in trials[:1]]
    after = sorted({ledger.statuses[trial]["epoch"] for trial in trials})
    return f"after {' and '.join(map(str, after))} of {epochs[0]} epochs" if epochs else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
