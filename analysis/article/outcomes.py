"""What a table says of one configuration's trainings: how they end, when they converge, how much they wobble."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.article.sources import Group
from analysis.study.stats import mean_std
from ch6dist.catalog.wording import DASH, format_mean_std, format_seconds
from ch6dist.runs.schema import Status

NEAR_BEST = 0.95  # of a run's best validation accuracy: from there on it has converged
LATE = 5  # epochs over which the wobble of a run is taken
CONVERGED = (
    f"Converged: the first epoch whose validation accuracy reaches {100 * NEAR_BEST:.0f} % of the run's own best, the "
    f"median over seeds. Wobble: standard deviation of the last {LATE} epochs within a run, the mean over seeds."
)


def end(group: Group, column: str) -> str:
    """Return a column after the last epoch, mean ± std over the seeds that finished."""
    return mean_text(group.last(column).tolist(), column)


def mean_text(values: Sequence[float], column: str) -> str:
    """Return mean ± std of a value per seed."""
    mean, std = mean_std([float(value) for value in values])
    return format_mean_std(mean, std, column)


def _of_seeds(group: Group, measure: Callable[[np.ndarray], float]) -> np.ndarray:
    table = group.finished().curves("val_accuracy")
    return np.array([measure(table[trial].dropna().to_numpy()) for trial in table if table[trial].notna().any()])


def converged(group: Group) -> str:
    """Return the first epoch near the best of its own run, the median over seeds; or that it still improves."""
    chance = 2 / (group.run.results.study.classes or np.inf)  # below it nothing was learnt that could converge
    found = _of_seeds(group, lambda y: 1 + int(np.argmax(y >= NEAR_BEST * y.max())) if y.max() > chance else np.nan)
    epoch = _number(float(np.median(found))) if len(found) else DASH
    return f"{epoch}, still improving" if "still_improving" in group.flags and epoch != DASH else epoch


def best_epoch(group: Group) -> str:
    """Return the epoch of the best validation accuracy, the median over seeds."""
    found = _of_seeds(group, lambda y: 1 + int(np.argmax(y)))
    return _number(float(np.median(found))) if len(found) else DASH


def wobble(group: Group) -> str:
    """Return the standard deviation of the last epochs within a run, the mean over seeds."""
    found = _of_seeds(group, lambda y: float(np.std(y[-LATE:], ddof=1)) if len(y) >= LATE else np.nan)
    return f"{100 * np.mean(found):.2f} points" if len(found) and np.isfinite(found).all() else DASH


def fallen(group: Group) -> str:
    """Return in how many epochs validation accuracy fell, the mean over seeds."""
    found = _of_seeds(group, lambda y: int((np.diff(y) < 0).sum()))
    return f"{np.mean(found):.1f} of {group.epochs}" if len(found) else DASH


def pace(group: Group) -> str:
    """Return the training time of an epoch, the mean over epochs and seeds."""
    seconds = group.curves("seconds")
    return format_seconds(float(np.nanmean(seconds.to_numpy()))) if seconds.notna().to_numpy().any() else DASH


def total_time(group: Group) -> float:
    """Return the seconds of a training, evaluation included, the mean over seeds."""
    seconds = group.run.results.study.ledger.seconds
    return float(np.mean([seconds.get(trial, np.nan) for trial in group.trials]))


def standing(group: Group) -> str:
    """Return what the verdict of its sweep says of a configuration."""
    verdict, board = group.run.results.verdict, group.run.results.board
    found = board[board["trials"].map(lambda trials: group.trials[0] in trials)]
    if found.empty:
        return DASH
    configuration = found.iloc[0]["configuration"]
    if not group.finished().n:
        return "diverged" if Status.DIVERGED in group.statuses else "not finished"
    if configuration == verdict.leader:
        return "leads" if group.n > 1 else "first, by one seed"
    inside = any(member.configuration == configuration for member in verdict.members)
    return "cannot be told from the leader" if inside else "behind the leader"


def _number(value: float) -> str:
    return f"{value:g}" if np.isfinite(value) else DASH
