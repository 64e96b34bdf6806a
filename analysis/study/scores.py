"""The score of every trial, and its curve, as arrays: what figures over thousands of trials are made of.

scores = trial_scores(study)                    # one row per training run that is ranked
curves(study, "val_accuracy", trials)           # (trials, epochs), NaN where there is nothing
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.study.load import Study
from ch6dist.runs.ranking import last_k
from ch6dist.runs.schema import Status

COLUMNS = ["trial", "configuration", "label", "optimizer", "scheduler", "seed", "epochs", "status", "score"]
Floats = NDArray[np.float64]


def trial_scores(study: Study) -> pd.DataFrame:
    """Return (trials, COLUMNS) of all training runs but final ones; `score` is NaN unless the trial finished.

    A score is what ch6dist.runs.ranking.trial_score makes of the same rows.
    """
    trials = study.trials[(study.trials["type"] == "train") & ~study.trials["final"]]
    epochs = trials["epochs"].to_numpy(dtype=np.int64)
    kept = np.array([last_k(int(number)) for number in epochs], dtype=np.int64)
    history = study.history
    place, row = _places(history, trials["trial"])
    values = history[study.metric].to_numpy(dtype=np.float64)[row]
    late = (history["epoch"].to_numpy()[row] > (epochs - kept)[place]) & np.isfinite(values)
    counts = np.bincount(place[late], minlength=len(trials))
    sums = np.bincount(place[late], weights=values[late], minlength=len(trials))
    whole = (counts == kept) & (trials["status"] == Status.FINISHED).to_numpy()
    scores = np.where(whole, sums / np.maximum(counts, 1), np.nan)
    return trials.assign(score=scores)[COLUMNS].reset_index(drop=True)


def curves(study: Study, column: str, trials: Iterable[str], *, epochs: int) -> Floats:
    """Return a column of the rows by epoch, (trials, epochs), in the order of `trials`; NaN where there is nothing."""
    history, names = study.history, pd.Series(list(trials), dtype="object")
    place, row = _places(history, names)
    epoch = history["epoch"].to_numpy()[row]
    fits = (epoch >= 1) & (epoch <= epochs)
    found = np.full((len(names), epochs), np.nan)
    found[place[fits], epoch[fits] - 1] = history[column].to_numpy(dtype=np.float64)[row[fits]]
    return found


def as_worst(scores: pd.DataFrame, *, sign: int) -> pd.Series:
    """Return the score of every ended trial, NaN for the others; a diverged one has the worst score that is there."""
    worst = (sign * scores["score"]).min() * sign
    diverged = (scores["status"] == Status.DIVERGED) & pd.notna(worst)
    return scores["score"].mask(diverged, worst)


def _places(history: pd.DataFrame, trials: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each row of these trials the position of its trial among them, and its own position; both (rows,)."""
    categories = history["trial"].cat.categories
    of_category = pd.Index(trials).get_indexer(pd.Index(categories, dtype="object"))
    place = of_category[history["trial"].cat.codes.to_numpy()]
    row = np.flatnonzero(place >= 0)
    return place[row], row
