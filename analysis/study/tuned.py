"""The best configuration at each level of an axis of a sweep, everything else tuned: of how many, with which outcome.

axes = axes_of(results.study)           # by configuration: a column per axis that the sweep varies
best_per_level(results.board, axes["optimizer"])
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.study.load import Study
from ch6dist.catalog.text import value_text

MAX_LEVELS = 16  # an axis with more values was drawn by a search, or is no axis for a figure of levels
APART = ("type", "seed", "evaluate_test", "range_test", "schedule", "data.root", "data.seed", "optimizer.lr")
NAMES = {"optimizer": "optimizer", "scheduler": "schedule", "run": "run"}


def axes_of(study: Study) -> pd.DataFrame:
    """Return (configurations, axes): the level of each axis that training runs vary, but the learning rate, as text.

    First optimizer, schedule and run, as the labels call them; then every other key with two values or more: of an
    optimizer's parameters only those that vary within one optimizer. An axis that divides the configurations as an
    earlier one does is left out.
    """
    trials = study.trials[(study.trials["type"] == "train") & ~study.trials["final"]].drop_duplicates("configuration")
    table = trials.set_index("configuration")[list(NAMES)].rename(columns=NAMES)
    configs = [study.ledger.trials[trial]["config"] for trial in trials["trial"]]
    seen: dict[str, list[Any]] = defaultdict(lambda: [None] * len(configs))
    for position, config in enumerate(configs):
        for path, value in _leaves(config):
            seen[path][position] = value_text(value)
    names = [config["optimizer"]["name"] for config in configs]
    others = {path: values for path, values in seen.items() if _varies(path, values, names)}
    table = table.assign(**{_axis_name(path): values for path, values in others.items()})
    kept, parts = [], set()
    for axis in table:
        part = tuple(pd.factorize(table[axis])[0])
        if 1 < table[axis].nunique() <= MAX_LEVELS or axis == "optimizer":
            kept += [] if part in parts else [axis]
            parts.add(part)
    return table[kept]


def best_per_level(board: pd.DataFrame, levels: pd.Series) -> pd.DataFrame:
    """Return the best row of a leaderboard at each level, with `level` and what it was the best of.

    `candidates`: complete configurations, each seed with a score or diverged; `tried` and `lost`: their seeds and those
    that diverged. The best is one without a diverged seed; a level without any has a row without a score, one without
    a candidate has none.
    """
    rows = board.assign(level=board["configuration"].map(levels))
    eligible = rows["eligible"].eq(True)
    rows = rows[rows["level"].notna() & (eligible | (rows["diverged"] == rows["seeds"]))]
    groups = rows.groupby("level", sort=False)
    counts = groups.agg(candidates=("seeds", "size"), tried=("seeds", "sum"), lost=("diverged", "sum"))
    whole = rows["diverged"] == 0
    rest = rows[~whole].assign(score=math.nan, low=math.nan, high=math.nan)
    rest = rest.assign(scores=pd.Series([[]] * len(rest), index=rest.index, dtype=object))
    first = pd.concat([rows[whole], rest]).drop_duplicates("level")
    return first.join(counts.astype(int), on="level").reset_index(drop=True)


def _leaves(section: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        here = f"{path}.{key}" if path else key
        if here in APART:
            continue
        if isinstance(value, Mapping) and set(value) != {"epochs"}:
            yield from _leaves(value, here)
        elif not isinstance(value, list) or not any(isinstance(item, (Mapping, list)) for item in value):
            yield here, value


def _varies(path: str, values: list[Any], optimizers: list[str]) -> bool:
    if path == "optimizer.name" or len(set(values)) < 2:
        return False
    if not path.startswith("optimizer."):
        return True
    within = defaultdict(set)
    for value, optimizer in zip(values, optimizers, strict=True):
        within[optimizer].add(value)
    return any(len(found) > 1 for found in within.values())


def _axis_name(path: str) -> str:
    section, _, key = path.rpartition(".")
    return key.replace("_", " ") if section in ("", "optimizer", "data", "model") else path.replace("_", " ")
