"""Range tests beside the training runs that differ from them only in learning rate, schedule, epochs and seed.

    for match in matches(results):
        match.tests         # rows of study.trials: the range tests of one configuration
        match.span          # where they say that learning rates work, or None
        match.scores        # one row per schedule and learning rate: mean and std over seeds, n, diverged
        sentence(match)     # "the best learning rate of Adam, 1e-3, lies inside the span of its range tests"

The numbers of images may differ: a range test of a few hundred steps does not see all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.study.results import Results
from ch6dist.catalog.labels import SEPARATOR
from ch6dist.catalog.wording import short_number
from ch6dist.runs.range_spans import Span, median_span, span_of
from ch6dist.runs.schema import Status

SAME = ("model", "label_smoothing", "precision")  # of a configuration, beside data and optimizer
SAME_DATA = ("name", "augment", "batch_size")
NAMED = ("optimizer", "setting", "drawn")  # parts of a label of a range test, beside the run
SCORES = ["schedule", "lr", "mean", "std", "n", "diverged", "seeds"]


@dataclass(frozen=True)
class Match:
    """The range tests of one configuration, and the scores of the training runs that they speak about."""

    label: str
    optimizer: str
    tests: pd.DataFrame  # rows of Study.trials
    span: Span | None
    scores: pd.DataFrame  # SCORES, by schedule, then learning rate
    metric: str
    goal: str

    @property
    def best(self) -> pd.Series | None:
        """The row of the best mean score, of those without a diverged seed where there is one; None without a score."""
        scored = self.scores[self.scores["mean"].notna()]
        if scored.empty:
            return None
        kept = scored[scored["diverged"] == scored["diverged"].min()]
        return kept.loc[kept["mean"].idxmin() if self.goal == "minimize" else kept["mean"].idxmax()]


def matches(results: Results) -> list[Match]:
    """Return the configurations of range tests that have training runs at two learning rates or more."""
    study = results.study
    if not (study.trials["type"] == "range_test").any():
        return []
    trials = study.trials.assign(same=[_same(line["config"]) for line in study.ledger.trials.values()])
    trained = trials[(trials["type"] == "train") & ~trials["final"] & trials["lr"].notna()]
    trained = trained.merge(results.scores[["trial", "score"]], on="trial")
    found = []
    for _, tests in trials[trials["type"] == "range_test"].groupby("configuration", sort=False):
        beside = trained[trained["same"] == tests["same"].iloc[0]]
        if beside["lr"].nunique() < 2 or not beside["score"].notna().any():
            continue
        artifacts = [study.ledger.artifacts.get((trial, "range_test")) for trial in tests["trial"]]
        first, spans = tests.iloc[0], [span_of(line["value"] if line else None) for line in artifacts]
        match = Match(
            label=first["label"],
            optimizer=first["optimizer"],
            tests=tests,
            span=median_span(spans),
            scores=_scores(beside),
            metric=study.metric,
            goal=study.goal,
        )
        found.append(match)
    return _shorter(found)


def _shorter(found: Sequence[Match]) -> list[Match]:
    """Return matches without the name of a run in their labels, where these stay different."""
    short = [SEPARATOR.join(filter(None, match.tests.iloc[0][list(NAMED)])) for match in found]
    pairs = zip(found, short, strict=True)
    return [replace(match, label=label) if short.count(label) == 1 else match for match, label in pairs]


def sentence(match: Match) -> str:
    """Return in words whether the best learning rate lies where the range tests say that training works."""
    best = match.best
    if best is None:
        return f"no training run of {match.label} has a score"
    lr, tried, several = float(best["lr"]), match.scores["lr"], len(match.tests) > 1
    tests = "range tests" if several else "range test"
    if match.span is None:
        return f"the {tests} of {match.label} found nothing; its best learning rate is {short_number(lr)}"
    low, high = match.span
    shown = f"{short_number(low)} to {short_number(high)}"
    edge = " (the lowest tried)" if lr == tried.min() else " (the highest tried)" if lr == tried.max() else ""
    head = f"the best learning rate of {match.label}, {short_number(lr)}{edge}, lies"
    if low <= lr <= high:
        return f"{head} inside the span of its {tests}, {shown}"
    side, factor = ("below", low / lr) if lr < low else ("above", lr / high)
    return f"{head} {side} the span of its {tests}, {shown}, by a factor of {factor:.2g}"


def _scores(trained: pd.DataFrame) -> pd.DataFrame:
    counted = trained.assign(diverged=(trained["status"] == Status.DIVERGED).astype(int), schedule=trained["scheduler"])
    table = counted.groupby(["schedule", "lr"], sort=True).agg(
        mean=("score", "mean"),
        std=("score", "std"),
        n=("score", "count"),
        diverged=("diverged", "sum"),
        seeds=("trial", "size"),
    )
    return table.reset_index()[SCORES]


def _same(config: Mapping[str, Any]) -> str:
    """Return what is the same for a range test and the training runs that it speaks about."""
    optimizer = {key: value for key, value in config["optimizer"].items() if key != "lr"}
    data = {key: config["data"].get(key) for key in SAME_DATA}
    return json.dumps([data, optimizer, *(config.get(key) for key in SAME)], sort_keys=True)
