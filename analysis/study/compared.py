"""The verdict as columns, for figures that show configurations beside it.

table = compared(results.verdict)            # by configuration: inside, p_best
data.assign(**yardstick_columns(results))  # the same in every row: metric, goal, resolution, and what it rests on
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.study.results import Results
from ch6dist.verdict.verdict import Verdict

MEMBER_COLUMNS = ["inside", "p_best"]


def compared(verdict: Verdict) -> pd.DataFrame:
    """Return (compared configurations, MEMBER_COLUMNS): whether each is in the set of the best, and P(best).

    Without repeated seeds nothing is compared, and the table is empty.
    """
    members = verdict.compared if verdict.state == "compared" else ()
    return pd.DataFrame(
        [(member.inside, member.p_best) for member in members],
        index=pd.Index([member.configuration for member in members], dtype="object"),
        columns=pd.Index(MEMBER_COLUMNS),
    )


def yardstick_columns(results: Results) -> dict[str, Any]:
    """Return what a figure says of metric and yardstick: `resolution` is in the unit of the metric, None if unknown."""
    study, verdict = results.study, results.verdict
    return {"metric": study.metric, "goal": study.goal, "resolution": verdict.resolution}
