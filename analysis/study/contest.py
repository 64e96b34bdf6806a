"""A contest of optimizers: each tuned with the same effort, who reaches a target first, and what does the tuning gain?

    contest = contest_of(results)               # target: what untuned Adam ends with
    contest.table                               # one row per optimizer, fastest first
    contest.heats                               # one row per optimizer and heat

The protocol is that of AlgoPerf with external tuning (Dahl et al. 2023, arXiv 2306.07179): in each heat, all trials of
one seed, an optimizer's fastest tuning trial counts; over the heats their median. One that never reaches the target
has an infinite time, and ranks last. Epochs decide: seconds depend on the machine and on what was trained beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from analysis.study import stats
from analysis.study.by_seconds import comparable_by_seconds
from analysis.study.contestants import COUNTED, competing, stated_target, target_of_default
from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, is_fraction
from ch6dist.errors import UsageError
from ch6dist.runs.schema import Metric, Status
from ch6dist.verdict.candidates import noise_of_chance
from ch6dist.verdict.contenders import Candidate
from ch6dist.verdict.verdict import judge

# fmt: off
HEAT_COLUMNS = [
    "optimizer", "heat", "trials", "counted", "planned_epochs", "complete", "epochs", "seconds", "fastest", "trial",
    "reached", "diverged", "stopped", "best", "untuned", "untuned_epochs", "ratio",
]
TABLE_COLUMNS = [
    "optimizer", "trials", "heats", "complete", "epochs", "epochs_low", "epochs_high", "seconds", "seconds_low",
    "seconds_high", "in_time", "best", "best_std", "best_n", "inside", "untuned_label", "untuned", "untuned_std",
    "untuned_epochs", "gain", "gain_std", "counted", "reached", "share", "diverged", "stopped",
]
# fmt: on


@dataclass(frozen=True)
class Contest:
    """What a contest has come to."""

    target: float  # in the unit of the metric
    rule: str  # where the target comes from, in words
    heats: pd.DataFrame  # (optimizers × heats, HEAT_COLUMNS), in the order of `table`, then of heats
    table: pd.DataFrame  # (optimizers, TABLE_COLUMNS), fastest first
    warnings: tuple[str, ...]  # why it is not (yet) a fair one, a sentence each


def contest_of(results: Results, *, target: float | None = None) -> Contest:
    """Return the contest of the optimizers of a sweep; fresh seeds of a confirmation and final trainings are left out.

    Args:
        target: value of the metric to reach; None: the mean score, over the seeds, of Adam's default configuration.

    Raises InputError for a target that the metric cannot have, UsageError where nobody competes, or no target is known.
    """
    study = results.study
    trials = competing(results)
    if trials["contestant"].nunique() < 2:
        found = ", ".join(trials["contestant"].unique()) or "no training run yet"
        raise UsageError(f"no contest: {study.title()} has {found}", "a contest needs two optimizers or more")
    warnings: list[str] = []
    if target is None:
        chosen, rule, warnings = target_of_default(trials, study)
    else:
        chosen, rule = stated_target(target, study)
    trials = _with_times(trials, study, chosen)
    heats = _with_ratios(pd.DataFrame(_heats(trials, study), columns=pd.Index(HEAT_COLUMNS)))
    table = _ordered(pd.DataFrame(_rows(heats, trials, study), columns=pd.Index(TABLE_COLUMNS)), study)
    place = {name: i for i, name in enumerate(table["optimizer"])}
    heats = heats.sort_values(["optimizer", "heat"], key=lambda c: c.map(place) if c.name == "optimizer" else c)
    return Contest(chosen, rule, heats.reset_index(drop=True), table, (*warnings, *_warnings(heats, trials, study)))


def _with_times(trials: pd.DataFrame, study: Study, target: float) -> pd.DataFrame:
    """Return the trials with epoch and training seconds at which each first reached the target; infinite: never."""
    epochs, seconds, values = [], [], []
    for trial in trials["trial"]:
        curve = study.sign * study.rows.array(trial, study.metric)
        at = stats.first_reaching(curve.tolist(), target=study.sign * target)
        spent = study.rows.array(trial, "seconds")[: None if at is None else at + 1]
        epochs.append(math.inf if at is None else float(study.rows.array(trial, "epoch")[at]))
        seconds.append(math.inf if at is None else float(spent.sum()))  # NaN: seconds are missing
        values.append(-math.inf if at is None else float(curve[at]))
    return trials.assign(to_target=epochs, seconds_to_target=seconds, value_there=values)


def _heats(trials: pd.DataFrame, study: Study) -> list[dict[str, Any]]:
    return [
        {"optimizer": name, "heat": seed, **_heat(group, study)}
        for (name, seed), group in trials.groupby(["contestant", "seed"], sort=True)
    ]


def _heat(group: pd.DataFrame, study: Study) -> dict[str, Any]:
    """Return what a contestant's tuning trials of one seed have come to; without a time until all have ended."""
    counted = group[group["status"].isin(COUNTED)]
    complete = len(counted) == len(group)
    order = counted.sort_values(["to_target", "value_there"], ascending=[True, False], kind="stable")
    fastest, untuned, scores = order.head(1), group[group["untuned"]].head(1), counted["score"].dropna()
    best = study.sign * (study.sign * scores).max() if len(scores) else math.nan
    known, in_time = complete and len(fastest) > 0, bool(complete and np.isfinite(fastest["to_target"]).any())
    ended = untuned["status"].isin(COUNTED).any()
    return {
        "trials": len(group),
        "counted": len(counted),
        "planned_epochs": int(group["epochs"].sum()),
        "complete": complete,
        "epochs": fastest["to_target"].iloc[0] if known else math.nan,
        "seconds": fastest["seconds_to_target"].iloc[0] if known else math.nan,
        "fastest": fastest["label"].iloc[0] if in_time else "",
        "trial": fastest["trial"].iloc[0] if in_time else "",
        "reached": int(np.isfinite(counted["to_target"]).sum()),
        "diverged": int((counted["status"] == Status.DIVERGED).sum()),
        "stopped": int((counted["status"] == Status.STOPPED).sum()),
        "best": best if complete else math.nan,
        "untuned": untuned["score"].iloc[0] if len(untuned) else math.nan,
        "untuned_epochs": untuned["to_target"].iloc[0] if ended else math.nan,
    }


def _with_ratios(heats: pd.DataFrame) -> pd.DataFrame:
    """Return heats with each time as a multiple of the fastest of its heat; NaN where one has not ended there."""
    groups = heats.groupby("heat")
    fastest, whole = groups["epochs"].transform("min"), groups["complete"].transform("all")
    all_there = groups["epochs"].transform("size") == heats["optimizer"].nunique()
    ratio = np.where(np.isfinite(heats["epochs"]), heats["epochs"] / fastest, math.inf)
    return heats.assign(ratio=np.where(whole & all_there, ratio, math.nan))


def _rows(heats: pd.DataFrame, trials: pd.DataFrame, study: Study) -> list[dict[str, Any]]:
    inside = _set_of_the_best(heats, trials, study)
    rows = []
    for name, group in heats.groupby("optimizer", sort=False):
        done, its = group[group["complete"]], trials[trials["contestant"] == name]
        gains = study.sign * (done["best"] - done["untuned"]).dropna()
        untuned = its.loc[its["untuned"], "label"].head(1).tolist()
        row = {"optimizer": name, "trials": group["trials"].max(), "heats": len(group), "complete": len(done)}
        for unit in ("epochs", "seconds"):
            row |= dict(zip((unit, f"{unit}_low", f"{unit}_high"), _middle(done[unit]), strict=True))
        row |= {"in_time": int(np.isfinite(done["epochs"]).sum()), "inside": inside.get(str(name))}
        row |= _mean_of(done["best"], "best") | {"best_n": int(done["best"].notna().sum())}
        row |= _mean_of(group["untuned"], "untuned") | {"untuned_label": untuned[0] if untuned else ""}
        row |= {"untuned_epochs": _middle(group["untuned_epochs"])[0], **_mean_of(gains, "gain")}
        row |= {key: int(group[key].sum()) for key in ("counted", "reached", "diverged", "stopped")}
        rows.append(row | {"share": row["reached"] / row["counted"] if row["counted"] else math.nan})
    return rows


def _middle(values: pd.Series) -> tuple[float, float, float]:
    """Return median, smallest and largest of what is known; infinite ones count, NaN do not."""
    known = values.dropna().tolist()
    return (float(median(known)), min(known), max(known)) if known else (math.nan, math.nan, math.nan)


def _mean_of(values: pd.Series, name: str) -> dict[str, float]:
    mean, std = stats.mean_std(values.dropna().tolist())
    return {name: mean, f"{name}_std": std}


def _set_of_the_best(heats: pd.DataFrame, trials: pd.DataFrame, study: Study) -> dict[str, bool]:
    """Return whether each contestant may be the best by its best score per heat; none where that cannot be told."""
    chance = 1 / study.classes if study.classes and is_fraction(study.metric) else None
    images = study.trials.set_index("trial").loc[trials["trial"].iloc[0], "val_size"]
    candidates = []
    for name, group in heats.groupby("optimizer", sort=False):
        scores = group["best"].dropna().tolist()
        gain = sum(scores) / len(scores) - chance if scores and chance is not None else None
        candidates.append(
            Candidate(
                str(name),
                tuple(scores),
                diverged=int((group["complete"] & group["best"].isna()).sum()),
                missing="" if group["complete"].all() else "not finished",
                gain=gain,
                at_chance=bool(gain is not None and chance and images and gain <= noise_of_chance(chance, images)),
            )
        )
    verdict = judge(candidates, metric=Metric(study.metric, study.goal), margin=None)
    if verdict.state != "compared":
        return {}
    out = dict.fromkeys((*verdict.diverged, *verdict.at_chance), False)
    return out | {member.configuration: member.inside for member in verdict.compared}


def _ordered(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the rows by median epochs, then by heats in time, then by best score; who has no time yet comes last."""
    keys = table.assign(none=table["epochs"].isna(), late=-table["in_time"], low=-study.sign * table["best"])
    order = keys.sort_values(["none", "epochs", "late", "low", "optimizer"], kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _warnings(heats: pd.DataFrame, trials: pd.DataFrame, study: Study) -> list[str]:
    """Return why the contest is not fair, or not over, a sentence each."""
    found = _unequal(heats)
    if left := int((~heats["complete"]).sum()):
        waiting = format_count(len(trials) - int(heats["counted"].sum()), "trial")
        found.append(
            f"{left} of {len(heats)} heats, each optimizer's counted, have not ended ({waiting} left or failed): "
            "they have no time and no score yet"
        )
    tests = study.trials[(study.trials["type"] == "range_test") & ~study.trials["status"].isin(COUNTED)]
    if len(tests):
        found.append(f"{format_count(len(tests), 'range test')} not ended: more training runs will follow from them")
    if heats["heat"].nunique() == 1:
        found.append("one heat says nothing about chance: take more seeds")
    if heats["complete"].any() and not np.isfinite(heats["epochs"]).any():
        found.append("nobody has reached the target: take a lower one (--target), or more epochs")
    fastest = [trial for trial in heats["trial"] if trial]
    if len(comparable_by_seconds(study, fastest)) < len(fastest):
        found.append("seconds are no comparison: lanes or devices differ, or seconds are missing")
    return found


def _unequal(heats: pd.DataFrame) -> list[str]:
    """Return what some optimizers have more of than others, as a sentence; nothing where the effort is the same."""
    for key, what in (("trials", "tuning trials"), ("planned_epochs", "planned epochs")):
        if heats[key].nunique() > 1:
            most = heats.sort_values(key, ascending=False, kind="stable").iloc[0]
            least = heats.sort_values(key, kind="stable").iloc[0]
            return [
                f"budgets are not equal: {most['optimizer']} has {most[key]} {what} in heat {most['heat']}, "
                f"{least['optimizer']} {least[key]} in heat {least['heat']}"
            ]
    counts = heats.groupby("optimizer").size()
    if counts.nunique() > 1:
        return [f"budgets are not equal: {counts.idxmax()} has {counts.max()} heats, {counts.idxmin()} {counts.min()}"]
    return []
