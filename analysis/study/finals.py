"""Final training runs: the test accuracy of each configuration over its seeds, and whether these were chosen by."""

from __future__ import annotations

import pandas as pd

from analysis.study import stats
from analysis.study.load import Study
from ch6dist.catalog.text import list_text
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


def seeds_notes(study: Study) -> list[str]:
    """Return a sentence per final training of a chosen configuration: whether its seeds took part in the choice."""
    trained = study.trials[study.trials["final"]].groupby("run", sort=False)["seed"].unique()
    specs = {run.name: run.ledger.spec for run in study.runs}
    return [
        _seeds_note(str(run), sorted(map(int, seeds)), specs[str(run)].get("chosen_by_seeds"))
        for run, seeds in trained.items()
        if "chosen_from" in specs[str(run)]
    ]


def _seeds_note(run: str, seeds: list[int], chosen_by: list[int] | None) -> str:
    trained = f"{run} was trained with {list_text('seed', seeds)}"
    if chosen_by is None:
        return f"{trained}; by which seeds it was chosen is not recorded: if by the same, its result is optimistic."
    if both := sorted(set(seeds) & set(chosen_by)):
        return f"{trained}; {list_text('seed', both)} took part in the choice, so its result is optimistic."
    used = list_text("seed", chosen_by)
    return f"{trained}, none of which took part in the choice ({used}): its result is an unbiased estimate."
