"""What figures that rank say of the verdict: what is in the set of the best, and how small a difference the seeds tell.

data.assign(**yardstick_columns(results))    # the same in every row: metric, goal, resolution
inside(results, board)                       # True: in the set of the best
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.study.results import Results


def inside(results: Results, rows: pd.DataFrame) -> pd.Series:
    """Return whether each row of a leaderboard is in the set of the best; none is where no seeds were repeated."""
    return rows["inside"].eq(True) & (results.verdict.state == "compared")


def yardstick_columns(results: Results) -> dict[str, Any]:
    """Return what a figure says of metric and yardstick: `resolution` is in the unit of the metric, None if unknown."""
    study, verdict = results.study, results.verdict
    return {"metric": study.metric, "goal": study.goal, "resolution": verdict.resolution}
