"""Who competes in a contest of optimizers, which of its trials are untuned, and the target that all have to reach.

    trials = competing(results)                         # one row per tuning trial, with its contestant
    target, rule, warnings = target_of_default(trials, results.study)

A contestant is an optimizer with what sets it apart by name: SGD with momentum 0.9 is another one than SGD, while AdamW
with three weight decays is one. Its untuned configuration has all that was tuned, the learning rate at least, as the
catalog does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.lookup import RESERVED, known
from ch6dist.catalog.wording import format_count, is_fraction
from ch6dist.errors import InputError, UsageError
from ch6dist.runs.schema import Status

YARDSTICK = "Adam"  # whose default configuration gives the target, where none is stated
COUNTED = (Status.FINISHED, Status.DIVERGED, Status.STOPPED)  # statuses of a trial that has had its turn


def competing(results: Results) -> pd.DataFrame:
    """Return the trials that compete, in the order of the sweep: their scores, `contestant`, whether `untuned`."""
    lines, scores = results.study.ledger.trials, results.scores
    kept = scores[~scores["trial"].isin([trial for trial, line in lines.items() if line.get("confirms")])]
    kept = kept.assign(contestant=kept["configuration"].map(results.axes.optimizers)).reset_index(drop=True)
    untuned = []
    for _, group in kept.drop_duplicates("configuration").groupby("contestant"):
        pairs = zip(group["configuration"].tolist(), group["trial"].tolist(), strict=True)
        untuned.append(_untuned({name: lines[trial]["config"]["optimizer"] for name, trial in pairs}))
    return kept.assign(untuned=kept["configuration"].isin([name for name in untuned if name]))


def _untuned(configs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the first configuration of a contestant that has all that was tuned, lr at least, as the catalog does."""
    resolved = {key: _resolved(given) for key, given in configs.items()}
    tuned = {
        name for one in resolved.values() for name in one if len({repr(o.get(name)) for o in resolved.values()}) > 1
    }
    for key, given in configs.items():
        defaults = _resolved({"name": given["name"]})
        if all(resolved[key].get(name) == defaults.get(name) for name in {"lr", *tuned}):
            return key
    return None


def _resolved(optimizer: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in optimizer.items() if key not in RESERVED}
    return known("optimizer", optimizer).resolve(given)


def stated_target(target: float, study: Study) -> tuple[float, str]:
    """Return a target and where it comes from; InputError for one that the metric cannot have."""
    allowed = "a fraction above 0 and below 1, such as 0.25" if is_fraction(study.metric) else "a number"
    if not math.isfinite(target) or (is_fraction(study.metric) and not 0 < target < 1):
        raise InputError("--target", target, f"{allowed} ({study.metric})")
    return target, "as stated"


def target_of_default(trials: pd.DataFrame, study: Study) -> tuple[float, str, list[str]]:
    """Return the mean score of the yardstick's default configuration, what that is, and a warning while it may move.

    Raises UsageError where it has no score.
    """
    lines, default = study.ledger.trials, _resolved({"name": YARDSTICK})
    configs = [lines[trial]["config"]["optimizer"] for trial in trials["trial"]]
    its = trials[[given["name"] == YARDSTICK and _resolved(given) == default for given in configs]]
    its = its[its["configuration"].isin(its["configuration"].head(1))]
    scores = its["score"].dropna()
    if scores.empty:
        raise UsageError(
            f"no target: {YARDSTICK} with its defaults (lr {default['lr']:g}) has no score in {study.title()}",
            f"state one: --target {0.25 if is_fraction(study.metric) else 'VALUE'}",
        )
    waiting = int((~its["status"].isin(COUNTED)).sum())
    moving = [f"the target is the mean of {len(scores)} of {len(its)} seeds, and may still move"] if waiting else []
    rule = f"the mean score of untuned {YARDSTICK} (lr {default['lr']:g}) over {format_count(len(scores), 'seed')}"
    return float(scores.mean()), rule, moving
