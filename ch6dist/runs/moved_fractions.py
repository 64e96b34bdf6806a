"""Runs made before a fraction in a schedule was always one of the whole training run: they are read, not continued.

refuse_moved_fractions(run, ledger.sweeps, trials)      # UsageError: their schedules now mean something else

Up to format 1 a fraction behind a warm-up or in a sequence was counted from where its schedule began. The ids of such
trials are still the same, so that a part trained now would stand beside one trained then as if they were equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ch6dist.catalog.schedule_warnings import has_moved_fractions
from ch6dist.config import TrialConfig
from ch6dist.errors import UsageError
from ch6dist.runs.schema import SweepLine

SINCE_FORMAT = 2  # of which no run has a fraction of the old meaning


def refuse_moved_fractions(run: Path, heads: Sequence[SweepLine], trials: Iterable[TrialConfig]) -> None:
    """Raise UsageError if a run has an older format and one of its trials, to be trained now, would be another.

    Args:
        heads: the head lines of the run's drivers; one that continued it is no reason to take it for new.
    """
    if min((head.get("format", 0) for head in heads), default=SINCE_FORMAT) >= SINCE_FORMAT:
        return
    for trial in trials:
        if trial.type == "train" and has_moved_fractions(trial.schedule, epochs=trial.epochs):
            message = (
                f"{run} was made by an older ch6dist, which counted the fractions in the {trial.schedule['name']} of "
                f"{trial.trial_id} from where its schedule begins, not from the start of the training"
            )
            raise UsageError(message, "make a new run")
