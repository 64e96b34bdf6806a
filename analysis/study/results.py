"""A study and what follows from it: the leaderboard, the final training runs, the verdict. Figures and pages take it.

results = analyse(load_study([Path("runs/optimizer-lr")]))
results.verdict.members
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.study.axes import Axes, axes_of
from analysis.study.finals import finals
from analysis.study.leaderboard import leaderboard
from analysis.study.load import Study, without_finals
from analysis.study.scores import trial_scores
from ch6dist.runs.ranking import rank
from ch6dist.runs.schema import Metric
from ch6dist.verdict.candidates import verdict_on
from ch6dist.verdict.verdict import Verdict


@dataclass(frozen=True)
class Results:
    """What a report shows of a study."""

    study: Study
    board: pd.DataFrame  # of leaderboard.COLUMNS, best first
    finals: pd.DataFrame  # one row per final configuration
    verdict: Verdict

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The score of every training run that is not a final one: scores.COLUMNS."""
        return trial_scores(self.study)

    @cached_property
    def axes(self) -> Axes:
        """What the sweep varied."""
        return axes_of(self.study)


def analyse(study: Study) -> Results:
    """Return everything that a report shows of a study."""
    ledger, metric = without_finals(study), Metric(study.metric, study.goal)
    ranked = rank(ledger, metric)
    verdict = verdict_on(ledger, ranked, metric)
    return Results(study, leaderboard(study, ranked, verdict), finals(study), verdict)
