"""The leaderboard as numbers, and which configurations a figure shows.

    board = leaderboard(study, ranked, verdict)  # one row per configuration, seeds pooled, in the order of `ranked`
    chosen(board, k=5)                  # the best of each optimizer, and the worst as contrast

Fractions and seconds, not per cent and text: report/tables.py formats them for people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from analysis.study import stats
from analysis.study.flags import GROUP, flags
from analysis.study.load import Study, without_finals
from ch6dist.runs.confirmations import counted_confirmations
from ch6dist.runs.ranking import CONFIRMED_FIRST, Ranked, rule
from ch6dist.runs.schema import Status
from ch6dist.verdict.candidates import at_chance
from ch6dist.verdict.verdict import Verdict

LATE_EPOCHS = 5  # late_epoch_std is taken over these last epochs, the slope over at least as many
OF_THE_VERDICT = ("behind", "allowed", "inside", "p_best", "loss", "equivalent")
TARGET_BELOW_BEST = 0.02  # the default target: the leader's score minus two points
# fmt: off
COLUMNS = [
    "rank", "label", "run", "case", "optimizer", "scheduler", "setting", "drawn", "lr", "lr_text", "weight_decay",
    "score", "std", "low", "high", "n", "best", "last", "target", "epochs_to_target", "seconds_to_target", "reached",
    "late_epoch_std", "val_size", "diverged", "seeds", "seconds_per_epoch", "lanes", "train_accuracy", "val_accuracy",
    "behind", "allowed", "inside", "p_best", "loss", "equivalent", "eligible", "flags", "note", "slope", "slope_p",
    "confirmed", "configuration", "trials", "scores",
]
# fmt: on
NAMES = (*GROUP, "label", "case", "drawn", "lr_text")
TEXT_COLUMNS = (
    *NAMES,
    "inside",
    "equivalent",
    "eligible",
    "flags",
    "note",
    "confirmed",
    "configuration",
    "trials",
    "scores",
)


def leaderboard(study: Study, ranked: Sequence[Ranked], verdict: Verdict) -> pd.DataFrame:
    """Return (configurations, COLUMNS), in the order of `ranked`, which is that of ch6dist.runs.ranking.

    What the verdict says of a configuration (behind … equivalent) is empty for those that it does not compare.
    """
    target = target_of(ranked, study)
    train = study.trials[study.trials["type"] == "train"].drop_duplicates("configuration").set_index("configuration")
    parameters = train[[*NAMES, "lr", "weight_decay", "val_size"]].to_dict("index")
    records = [{**parameters[item.configuration], **_scores(item, study, target)} for item in ranked]
    for position, record in enumerate(records, start=1):
        record["rank"] = position if record["eligible"] or record["diverged"] == record["seeds"] else None
    said = {member.configuration: member for member in verdict.compared}
    for record in records:
        if member := said.get(record["configuration"]):
            record |= {name: getattr(member, name) for name in OF_THE_VERDICT}
    numeric = [column for column in COLUMNS if column not in TEXT_COLUMNS]
    board = pd.DataFrame(records, columns=pd.Index(COLUMNS)).astype(dict.fromkeys(numeric, "float64"))
    return board.assign(flags=flags(board, study, at_chance=at_chance(study.ledger, ranked)))


def target_of(ranked: Sequence[Ranked], study: Study) -> float | None:
    """Return the target accuracy (leader's score − two points), or None if it is not above chance."""
    if not ranked or ranked[0].score is None or not study.metric.endswith("accuracy"):
        return None
    target = ranked[0].score - TARGET_BELOW_BEST
    return target if target > 1 / (study.classes or math.inf) else None


def ranking_rule(study: Study) -> str:
    """Return the ranking rule as a sentence, with the number of epochs that a score averages."""
    epochs = study.trials.loc[(study.trials["type"] == "train") & ~study.trials["final"], "epochs"]
    rules = sorted({rule(int(number), study.metric) for number in epochs})
    first = [CONFIRMED_FIRST] if counted_confirmations(without_finals(study)) else []
    return "; ".join([*rules, *first, *study.metric_notes])


def chosen(board: pd.DataFrame, *, k: int = 5) -> pd.DataFrame:
    """Return the rows a figure of curves shows, with a column `role`: best | contrast.

    The best configuration of each optimizer, then of each optimizer and schedule, then the next of the leaderboard, k
    in all; and the worst that finished as contrast.
    """
    usable = board[board["score"].notna()]
    first = pd.concat([usable.drop_duplicates("optimizer"), usable.drop_duplicates(GROUP), usable])
    best = first[~first.index.duplicated()].head(k).sort_index()
    others = usable[usable["diverged"] == 0].drop(best.index, errors="ignore").tail(1)
    return pd.concat([best.assign(role="best"), others.assign(role="contrast")])


def _scores(item: Ranked, study: Study, target: float | None) -> dict[str, Any]:
    """Return the columns of a configuration that follow from its trials alone."""
    finished = [trial for trial in item.trials if study.ledger.status(trial) == Status.FINISHED]
    curves = [study.values(trial, study.metric) for trial in finished]
    low, high = stats.t_interval(item.scores) or (None, None)
    extremum = max if study.sign > 0 else min
    return {
        "confirmed": item.confirmed,
        "score": item.score,
        "std": stats.mean_std(item.scores)[1],
        "low": low,
        "high": high,
        "n": len(item.scores),
        "best": _mean(extremum(curve) for curve in curves if curve),
        "last": _mean(curve[-1] for curve in curves if curve),
        "late_epoch_std": _mean(_late_std(curve) for curve in curves),
        "diverged": item.diverged,
        "seeds": len(item.trials),
        "seconds_per_epoch": _mean_of_rows(study, item.trials, "seconds"),
        "lanes": _mean_of_rows(study, item.trials, "lanes"),
        "train_accuracy": _mean(study.last(trial, "train_accuracy") for trial in finished),
        "val_accuracy": _mean(study.last(trial, "val_accuracy") for trial in finished),
        **_slope([curve[-late_epochs(len(curve)) :] for curve in curves], study.sign),
        "eligible": item.eligible,
        "note": item.note,
        "configuration": item.configuration,
        "trials": list(item.trials),
        **_time_to_target(item, study, target),
        "scores": list(item.scores),
    }


def _time_to_target(item: Ranked, study: Study, target: float | None) -> dict[str, Any]:
    """Return the median over ended seeds of the epoch and the training seconds at which the target was first reached.

    A seed that ended without reaching it counts as infinite.
    """
    ended = [t for t in item.trials if study.ledger.status(t) in (Status.FINISHED, Status.DIVERGED)]
    if target is None or not ended:
        return {"target": target, "epochs_to_target": None, "seconds_to_target": None, "reached": 0}
    epochs, seconds = [], []
    for trial in ended:
        position = stats.first_reaching(study.rows.array(trial, study.metric).tolist(), target=target)
        epochs.append(math.inf if position is None else study.rows.array(trial, "epoch").tolist()[position])
        spent = study.rows.array(trial, "seconds")[: None if position is None else position + 1]
        seconds.append(math.inf if position is None else float(np.nansum(spent)))
    return {
        "target": target,
        "epochs_to_target": median(epochs),
        "seconds_to_target": median(seconds),
        "reached": sum(math.isfinite(epoch) for epoch in epochs),
    }


def late_epochs(epochs: int) -> int:
    """Return over how many last epochs it is judged whether a training still improves: a third, at least five."""
    return max(LATE_EPOCHS, epochs // 3)


def _slope(curves: Sequence[Sequence[float]], sign: int) -> dict[str, float]:
    slope, p = stats.common_slope([[sign * value for value in curve] for curve in curves])
    return {"slope": sign * slope, "slope_p": p}


def _late_std(curve: Sequence[float]) -> float | None:
    late = curve[-LATE_EPOCHS:]
    return float(np.std(late, ddof=1)) if len(late) > 2 else None


def _mean_of_rows(study: Study, trials: Sequence[str], column: str) -> float | None:
    values = np.concatenate([study.rows.array(trial, column) for trial in trials])
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None
