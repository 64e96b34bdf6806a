"""The leaderboard as numbers, and which configurations a figure shows.

    board = leaderboard(study)          # one row per configuration, seeds pooled, in the order of ch6dist.ranking
    chosen(board, k=5)                  # the best of each optimizer, and the worst as contrast
    finals(study)                       # final trainings: test accuracy over seeds

Fractions and seconds, not per cent and text: tables.py writes them for people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from analysis.study import stats
from analysis.study.load import Study, without_finals
from ch6dist.runs.ranking import Ranked, rank, rule
from ch6dist.runs.schema import Line, Metric, Status

LATE_EPOCHS = 5  # wobble and slope look at these last epochs
IMPROVING = 0.001  # a rise per epoch (0.1 points) above which a training had not converged
TARGET_BELOW_BEST = 0.02  # the default target: the leader's score minus two points
ALPHA = 1 - stats.CONFIDENCE
GROUP = ["run", "optimizer", "scheduler", "setting"]  # what one line of a rate figure shares
# fmt: off
COLUMNS = [
    "rank", "run", "optimizer", "scheduler", "setting", "lr", "weight_decay", "score", "std", "low", "high",
    "n", "best", "last", "target", "epochs_to_target", "seconds_to_target", "reached", "wobble", "val_size", "diverged",
    "seeds", "seconds_per_epoch", "lanes", "train_accuracy", "val_accuracy", "difference", "difference_low",
    "difference_high", "p_holm", "close", "eligible", "flags", "note", "slope", "configuration", "trials",
    "scores",
]
# fmt: on

TEXT_COLUMNS = (*GROUP, "close", "eligible", "flags", "note", "configuration", "trials", "scores")


def leaderboard(study: Study) -> pd.DataFrame:
    """(configurations, COLUMNS), best first, by the one rule of ch6dist.runs.ranking."""
    ranked = rank(without_finals(study), Metric(study.metric, study.goal))
    target = target_of(ranked, study)
    train = study.trials[study.trials["type"] == "train"].drop_duplicates("configuration").set_index("configuration")
    about = train[[*GROUP, "lr", "weight_decay", "val_size"]].to_dict("index")
    records = [{**about[item.configuration], **_entry(item, study, target)} for item in ranked]
    _number(records)
    _compare(records, ranked)
    return _flagged(_board(records), study)


def target_of(ranked: Sequence[Ranked], study: Study) -> float | None:
    """The accuracy whose first reaching is timed: the leader's score minus two points; None where that is no feat."""
    if not ranked or ranked[0].score is None or not study.metric.endswith("accuracy"):
        return None
    target = ranked[0].score - TARGET_BELOW_BEST
    return target if target > 1 / (study.classes or math.inf) else None


def ranking_rule(study: Study) -> str:
    """The rule's name, for the sweep's epochs."""
    epochs = study.trials.loc[(study.trials["type"] == "train") & ~study.trials["final"], "epochs"]
    words = sorted({rule(int(number), study.metric) for number in epochs})
    return "; ".join(words)


def chosen(board: pd.DataFrame, *, k: int = 5) -> pd.DataFrame:
    """The rows a figure of curves shows, with a column `role`: best | contrast.

    The best configuration of each optimizer, then of each optimizer and schedule, then the next of the leaderboard, k
    in all; and the worst finished one as contrast.
    """
    usable = board[board["score"].notna()]
    first = pd.concat([usable.drop_duplicates("optimizer"), usable.drop_duplicates(GROUP), usable])
    best = first[~first.index.duplicated()].head(k).sort_index()
    others = usable[usable["diverged"] == 0].drop(best.index, errors="ignore").tail(1)
    return pd.concat([best.assign(role="best"), others.assign(role="contrast")])


def finals(study: Study) -> pd.DataFrame:
    """Final trainings, one row per configuration: test accuracy per seed, mean, std, t interval; best first."""
    trials = study.trials[study.trials["final"]]
    records = []
    for _, group in trials.groupby("configuration", sort=False):
        scores = [_last(study.rows[trial], "test_accuracy") for trial in group["trial"]]
        known = [score for score in scores if score is not None]
        mean, std = stats.mean_std(known)
        interval = stats.t_interval(known)
        row = group.iloc[0]
        records.append(
            {
                **row[["run", "optimizer", "scheduler", "setting", "lr", "epochs", "val_size"]].to_dict(),
                "test_accuracy": mean,
                "std": std,
                "low": interval.low if interval else None,
                "high": interval.high if interval else None,
                "n": len(known),
                "seeds": len(group),
                "per_seed": scores,
                "diverged": int((group["status"] == Status.DIVERGED).sum()),
                "trials": list(group["trial"]),
            }
        )
    return pd.DataFrame(records).sort_values("test_accuracy", ascending=False) if records else pd.DataFrame()


def _entry(item: Ranked, study: Study, target: float | None) -> dict[str, Any]:
    rows = [study.rows[trial] for trial in item.trials]
    finished = [r for r, t in zip(rows, item.trials, strict=True) if study.ledger.status(t) == Status.FINISHED]
    interval = stats.t_interval(item.scores)
    extremum = max if study.sign > 0 else min
    return {
        "score": item.score,
        "std": stats.mean_std(item.scores)[1],
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "n": len(item.scores),
        "best": _mean(extremum(values) for r in finished if (values := _values(r, study.metric))),
        "last": _mean(_last(r, study.metric) for r in finished),
        "wobble": _mean(_late_std(_values(r, study.metric)) for r in finished),
        "diverged": item.diverged,
        "seeds": len(item.trials),
        "seconds_per_epoch": _mean(row.get("seconds") for r in rows for row in r),
        "lanes": _mean(row.get("lanes") for r in rows for row in r),
        "train_accuracy": _mean(_last(r, "train_accuracy") for r in finished),
        "val_accuracy": _mean(_last(r, "val_accuracy") for r in finished),
        "slope": _mean(stats.slope(_values(r, study.metric)[-LATE_EPOCHS:]) for r in finished),
        "eligible": item.eligible,
        "note": item.note,
        "configuration": item.configuration,
        "trials": list(item.trials),
        **_time_to_target(item, study, target),
        "scores": list(item.scores),
    }


def _board(records: list[dict[str, Any]]) -> pd.DataFrame:
    numeric = [column for column in COLUMNS if column not in TEXT_COLUMNS]
    board = pd.DataFrame(records, columns=pd.Index(COLUMNS))
    return board.astype(dict.fromkeys(numeric, "float64"))  # a column of None alone is one of NaN


def _time_to_target(item: Ranked, study: Study, target: float | None) -> dict[str, Any]:
    """Median over ended seeds of the epoch, and of the training seconds, at which the target was first reached."""
    ended = [t for t in item.trials if study.ledger.status(t) in (Status.FINISHED, Status.DIVERGED)]
    if target is None or not ended:
        return {"target": target, "epochs_to_target": None, "seconds_to_target": None, "reached": 0}
    epochs, seconds = [], []
    for trial in ended:
        rows = study.rows[trial]
        position = stats.first_reaching([row.get(study.metric) for row in rows], target=target)
        epochs.append(math.inf if position is None else rows[position]["epoch"])
        spent = [] if position is None else [row.get("seconds") or 0.0 for row in rows[: position + 1]]
        seconds.append(sum(spent) if spent else math.inf)
    reached = sum(math.isfinite(epoch) for epoch in epochs)
    return {
        "target": target,
        "epochs_to_target": median(epochs),
        "seconds_to_target": median(seconds),
        "reached": reached,
    }


def _number(records: list[dict[str, Any]]) -> None:
    """Places for what can have one: complete configurations, and those whose seeds diverged, behind them."""
    for place, record in enumerate(records, start=1):
        record["rank"] = place if record["eligible"] or record["diverged"] else None


def _compare(records: list[dict[str, Any]], ranked: Sequence[Ranked]) -> None:
    """Each configuration without a diverged seed against the leader: Welch interval, p adjusted by Holm."""
    leader = records[0] if records and ranked[0].eligible and not ranked[0].diverged else None
    compared = []
    for record in records[1:] if leader else []:
        assert leader is not None
        if record["eligible"] and not record["diverged"]:
            difference = stats.welch(record["scores"], leader["scores"])
            if difference:
                compared.append((record, difference))
    adjusted = stats.holm([difference.p for _, difference in compared])
    for (record, difference), p in zip(compared, adjusted, strict=True):
        record |= {"difference": difference.mean, "difference_low": difference.low, "difference_high": difference.high}
        record |= {"p_holm": p, "close": p > ALPHA}


def _flagged(board: pd.DataFrame, study: Study) -> pd.DataFrame:
    edges = set(best_at_edge(board))
    flags = []
    for index, row in board.iterrows():
        found = {
            "lr_edge": index in edges,
            "not_learning": _not_learning(row, study),
            "still_improving": study.sign * row["slope"] > IMPROVING if study.metric.endswith("accuracy") else False,
            "single_run": row["n"] == 1,
        }
        flags.append(" ".join(name for name, is_so in found.items() if is_so))
    return board.assign(flags=flags)


def best_at_edge(board: pd.DataFrame) -> list[int]:
    """Index of the best row of each group whose rate is the first or the last tried there."""
    found = []
    for _, group in board[board["lr"].notna()].groupby(GROUP, sort=False):
        best = group[group["score"].notna() & (group["diverged"] == 0)]
        if group["lr"].nunique() > 1 and len(best) and best.iloc[0]["lr"] in (group["lr"].min(), group["lr"].max()):
            found.append(int(best.index[0]))
    return found


def _not_learning(row: pd.Series, study: Study) -> bool:
    """Whether what finished ended at chance: `finished` says that a training ran, not that it learned."""
    accuracy, images = row["val_accuracy"], row["val_size"]
    if study.classes is None or not images or pd.isna(accuracy):
        return False
    return stats.at_chance(float(accuracy), classes=study.classes, images=int(images))


def _values(rows: Sequence[Line], column: str) -> list[float]:
    return [float(value) for row in rows if (value := row.get(column)) is not None]


def _last(rows: Sequence[Line], column: str) -> float | None:
    values = _values(rows, column)
    return values[-1] if values else None


def _late_std(values: Sequence[float]) -> float | None:
    late = values[-LATE_EPOCHS:]
    return float(np.std(late, ddof=1)) if len(late) > 2 else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None
