"""Flags of a leaderboard's rows: lr_edge, not_learning, still_improving, single_run."""

from __future__ import annotations

import pandas as pd

from analysis.study import stats
from analysis.study.load import Study

GROUP = ["run", "optimizer", "scheduler", "setting"]  # configurations that differ in nothing but the learning rate
IMPROVING = 0.001  # a rise per epoch (0.1 points) above which a training run had not converged


def flags(board: pd.DataFrame, study: Study) -> list[str]:
    """Return the flags of each row of a leaderboard, separated by spaces.

    lr_edge: the best of its group has the lowest or highest learning rate tried; not_learning: at chance at the end;
    still_improving: the metric still rose over the last epochs; single_run: one score only.
    """
    edges = set(best_at_edge(board))
    rows = []
    for index, row in board.iterrows():
        found = {
            "lr_edge": index in edges,
            "not_learning": _not_learning(row, study),
            "still_improving": study.metric.endswith("accuracy") and study.sign * row["slope"] > IMPROVING,
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


def _not_learning(row: pd.Series, study: Study) -> bool:
    accuracy, images = row["val_accuracy"], row["val_size"]
    if study.classes is None or not images or pd.isna(accuracy):
        return False
    return stats.at_chance(float(accuracy), classes=study.classes, images=int(images))
