"""Final training runs as numbers: the test accuracy of each configuration over its seeds."""

from __future__ import annotations

import pandas as pd

from analysis.study import stats
from analysis.study.load import Study
from ch6dist.runs.schema import Status


def finals(study: Study) -> pd.DataFrame:
    """Return one row per final configuration: test accuracy per seed, mean, std, t interval; best first."""
    records = []
    for _, group in study.trials[study.trials["final"]].groupby("configuration", sort=False):
        per_seed = [study.last(trial, "test_accuracy") for trial in group["trial"]]
        measured = [accuracy for accuracy in per_seed if accuracy is not None]
        mean, std = stats.mean_std(measured)
        low, high = stats.t_interval(measured) or (None, None)
        row = group.iloc[0]
        records.append(
            {
                **row[
                    ["label", "run", "optimizer", "scheduler", "setting", "drawn", "lr", "epochs", "val_size"]
                ].to_dict(),
                "test_accuracy": mean,
                "std": std,
                "low": low,
                "high": high,
                "n": len(measured),
                "seeds": len(group),
                "per_seed": per_seed,
                "diverged": int((group["status"] == Status.DIVERGED).sum()),
                "trials": list(group["trial"]),
            }
        )
    return pd.DataFrame(records).sort_values("test_accuracy", ascending=False) if records else pd.DataFrame()
