"""Which configuration is best: the one rule behind `top`, `best`, the leaderboard and the final training.

A trial's score is the mean of the sweep's metric over its last min(5, a third of its epochs, at least 1) epochs; a
configuration's is the mean over its seeds. A configuration with a diverged seed ranks below all without, by k of n.
One that still runs, was stopped, or has a broken seed or one without a score is listed last and cannot win. NaN never
wins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import BROKEN, Line, Metric, Status

RULE = "mean {metric} over the last {k} epochs, then over seeds; diverged seeds rank last"
RANKED_ROWS = 5  # of each trial, the last ones: all that a ranking looks at


@dataclass(frozen=True)
class Ranked:
    """One configuration in the ranking, best first."""

    configuration: str
    score: float | None  # over the seeds that have one
    scores: tuple[float, ...]  # one per such seed, in the order of `trials`
    trials: tuple[str, ...]  # every seed's trial
    eligible: bool  # every seed diverged or has a finite score, at least one a score
    diverged: int
    note: str  # why it is not eligible, or how many seeds diverged
    latest: float | None  # newest value of the metric, over the seeds that have rows: while they still train


def last_k(epochs: int) -> int:
    """Return how many last epochs a score averages: 5, or a third of the training, at least 1."""
    return max(1, min(RANKED_ROWS, epochs // 3))


def trial_score(rows: Sequence[Line], metric: str, *, epochs: int) -> float | None:
    """Return the mean of `metric` over the last `last_k(epochs)` rows; None unless all are there and finite."""
    values = [row.get(metric) for row in rows if row.get("epoch", 0) > epochs - last_k(epochs)]
    numbers = [float(v) for v in values if v is not None and math.isfinite(v)]
    return sum(numbers) / len(numbers) if len(numbers) == last_k(epochs) else None


def rank(ledger: Ledger, metric: Metric | None = None) -> list[Ranked]:
    """Rank the configurations of the `train` trials of a ledger, best first.

    Args:
        metric: left out, that of the ledger's sweep.
    """
    metric = metric or Metric.of(ledger.spec)
    rows = ledger.rows_by_trial()
    groups: dict[str, list[str]] = {}
    for trial, line in ledger.trials.items():
        if line["config"]["type"] == "train":
            groups.setdefault(line["configuration"], []).append(trial)
    ranked = [_rank_one(ledger, rows, trials, metric.name) for trials in groups.values()]
    sign = -1.0 if metric.goal == "maximize" else 1.0

    def order(item: Ranked) -> tuple[Any, ...]:
        share = item.diverged / len(item.trials)
        complete = item.eligible or share == 1
        value = item.latest if item.score is None else item.score  # without a score, only among the incomplete
        return (not complete, share, math.inf if value is None else sign * value, item.configuration)

    return sorted(ranked, key=order)


def rule(epochs: int, metric: str) -> str:
    """Return the name of the rule, printed beside every ranking."""
    return RULE.format(metric=metric, k=last_k(epochs)).replace("last 1 epochs", "last epoch")


def _rank_one(ledger: Ledger, rows: dict[str, list[Line]], trials: list[str], metric: str) -> Ranked:
    line = ledger.trials[trials[0]]
    counts = Counter(ledger.status(trial) for trial in trials)
    scores = []
    for trial in trials:
        if ledger.status(trial) == Status.FINISHED:
            score = trial_score(rows[trial], metric, epochs=line["config"]["epochs"])
            scores += [] if score is None else [score]
    newest = [row[metric] for trial in trials for row in rows[trial][-1:] if row.get(metric) is not None]
    broken = sum(counts[status] for status in BROKEN)
    waiting = sum(counts[s] for s in (Status.PLANNED, Status.RUNNING, Status.INTERRUPTED))
    notes = [
        f"{count} of {len(trials)} {word}"
        for count, word in [
            (counts[Status.DIVERGED], "diverged"),
            (counts[Status.STOPPED], "stopped early"),
            (broken, "failed"),
            (waiting, "not finished"),
            (counts[Status.FINISHED] - len(scores), f"without a finite {metric}"),
        ]
        if count
    ]
    return Ranked(
        configuration=line["configuration"],
        score=sum(scores) / len(scores) if scores else None,
        scores=tuple(scores),
        trials=tuple(trials),
        eligible=bool(scores) and len(scores) + counts[Status.DIVERGED] == len(trials),
        diverged=counts[Status.DIVERGED],
        note=", ".join(notes),
        latest=sum(newest) / len(newest) if newest else None,
    )
