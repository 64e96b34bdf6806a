"""Safe ranges of the learning rate, as numbers: how good each learning rate is, and which are as good as the best.

    table = point_summary(data)                                          # one row per configuration
    best = best_by_lr(table, goal="maximize")                            # one row per line and learning rate
    safe_ranges(best, metric="val_accuracy", goal="maximize")            # one row per line

A line holds the configurations that differ in nothing but the learning rate, and in what a search drew: then several
may share a learning rate, and the best of them counts. `data` has one row per trial.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from ch6dist.catalog.wording import is_fraction
from ch6dist.runs.schema import Status

LINE = ["run", "scheduler", "setting", "optimizer"]
SAFE_WITHIN = 0.01  # a learning rate is safe if it scores within one point of the line's best


def point_summary(data: pd.DataFrame) -> pd.DataFrame:
    """Return one row per configuration: mean score of the n finished seeds, number of seeds, of diverged, stopped."""
    diverged = (data["status"] == Status.DIVERGED).astype(int)
    counted = data.assign(diverged=diverged, stopped=(data["status"] == Status.STOPPED).astype(int))
    groups = counted.groupby([*LINE, "panel", "lr", "drawn"], sort=True)
    table = groups.agg(
        mean=("score", "mean"),
        n=("score", "count"),
        seeds=("trial", "size"),
        diverged=("diverged", "sum"),
        stopped=("stopped", "sum"),
    )
    return table.reset_index()


def best_by_lr(table: pd.DataFrame, *, goal: str) -> pd.DataFrame:
    """Return the best configuration of each line and learning rate: one without a diverged seed, if there is one."""
    sign = 1 if goal == "maximize" else -1
    order = table.assign(worth=sign * table["mean"]).sort_values(
        ["diverged", "worth"], ascending=[True, False], kind="stable"
    )
    return order.drop_duplicates([*LINE, "lr"]).sort_index().drop(columns="worth")


def safe_ranges(table: pd.DataFrame, *, metric: str, goal: str) -> pd.DataFrame:
    """Return one row per line: best learning rate, the safe range around it, its width in decades, edge.

    `edge` is low or high if the best learning rate is the lowest or highest tried, else empty. A learning rate with a
    diverged seed is neither the best nor safe.
    """
    records = [
        {**dict(zip(LINE, key, strict=True)), "panel": line["panel"].iloc[0], **_safe_range(line, metric, goal)}
        for key, line in table.groupby(LINE, sort=False)
    ]
    return pd.DataFrame(records)


def _safe_range(line: pd.DataFrame, metric: str, goal: str) -> dict[str, Any]:
    line = line.sort_values("lr").reset_index(drop=True)
    sign = 1 if goal == "maximize" else -1
    usable = (sign * line["mean"]).where(line["diverged"] == 0)
    if not usable.notna().any():
        return {"best_lr": math.nan, "best": math.nan, "safe_low": math.nan, "safe_high": math.nan, "edge": ""}
    top = int(np.nanargmax(usable))
    margin = SAFE_WITHIN if is_fraction(metric) else 2 * SAFE_WITHIN * abs(usable[top])
    safe = (usable >= usable[top] - margin).tolist()
    low = high = top
    while low > 0 and safe[low - 1]:
        low -= 1
    while high < len(line) - 1 and safe[high + 1]:
        high += 1
    lrs = line["lr"]
    edge = "" if len(line) < 2 else "low" if top == 0 else "high" if top == len(line) - 1 else ""
    return {
        "best_lr": lrs[top],
        "best": line["mean"][top],
        "safe_low": lrs[low],
        "safe_high": lrs[high],
        "decades": math.log10(lrs[high] / lrs[low]),
        "edge": edge,
    }
