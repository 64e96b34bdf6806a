"""The best configuration at each level of an axis of a sweep, everything else tuned: of how many, with which outcome.

levels = results.axes.levels()          # by configuration: a column per axis that the sweep varied
best_per_level(results.board, levels["optimizer"])
"""

from __future__ import annotations

import math

import pandas as pd


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
