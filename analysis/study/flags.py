"""Flags of a leaderboard's rows: lr_edge, not_learning, still_improving, single_run."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from analysis.study.load import Study
from ch6dist.catalog.wording import is_fraction

GROUP = ["run", "optimizer", "scheduler", "setting"]  # configurations that differ in nothing but the learning rate
IMPROVING = 0.001  # a rise per epoch (0.1 points) above which a training run had not converged
FALLING = 0.002  # the same of a loss, as a share of it
ALPHA = 0.05  # of flat curves with noise that is independent from epoch to epoch, so many are called still_improving


def flags(board: pd.DataFrame, study: Study, *, at_chance: Collection[str]) -> list[str]:
    """Return the flags of each row of a leaderboard, separated by spaces.

    lr_edge: the best of its group has the lowest or highest learning rate tried; not_learning: at chance at the end;
    still_improving: the metric still improved over the last third of the epochs, by a one-sided t test of the slope
    (5 %) and by enough to matter; single_run: one score only.

    Args:
        at_chance: the configurations at chance.
    """
    edges = set(best_at_edge(board))
    rows = []
    for index, row in board.iterrows():
        found = {
            "lr_edge": index in edges,
            "not_learning": row["configuration"] in at_chance,
            "still_improving": _still_improving(row, study),
            "single_run": row["n"] == 1,
        }
        rows.append(" ".join(name for name, is_set in found.items() if is_set))
    return rows


def best_at_edge(board: pd.DataFrame) -> list[int]:
    """Return the index of each group's best row if its learning rate is the lowest or the highest tried there."""
    found = []
    for _, group in board[board["lr"].notna()].groupby(GROUP, sort=False):
        best = group[group["score"].notna() & (group["diverged"] == 0)]
        if group["lr"].nunique() > 1 and len(best) and best.iloc[0]["lr"] in (group["lr"].min(), group["lr"].max()):
            found.append(int(best.index[0]))
    return found


def _still_improving(row: pd.Series, study: Study) -> bool:
    enough = IMPROVING if is_fraction(study.metric) else FALLING * abs(row["score"])
    return bool(row["slope_p"] < ALPHA and study.sign * row["slope"] > enough)
