"""The numbers of the block "Explore": every configuration with its settings, score and learning curves, rounded.

    data = explore_data(results)            # JSON can hold it; explore.js draws it

A configuration's `values` stand in the order of `axes`: a number, the position of a name in the axis's
`names`, or None.
Curves are lists of epochs and of values of the metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.text import one_line, value_text
from ch6dist.catalog.wording import is_fraction, metric_label
from ch6dist.runs.schema import Status

MAX_CONFIGURATIONS = 300
MAX_CURVES = 900  # of seeds: a configuration of ten seeds is as much as ten of one
MAX_POINTS = 60  # of a curve
MAX_SETTINGS = 6  # axes of settings beyond optimizer, schedule, learning rate and weight decay
SETTING = "setting "  # before the names of settings among the columns of a leaderboard
LOG_RATIO = 30  # of the largest to the smallest positive value from which on an axis is logarithmic
# settings with an axis or a part of their own, and those that are no setting
APART = ("seed", "type", "evaluate_test", "data.root", "schedule", "range_test")
OWN_AXES = ("optimizer.name", "optimizer.lr", "optimizer.weight_decay")

Axis = dict[str, Any]


def explore_data(results: Results) -> dict[str, Any] | None:
    """Return what the block shows; None where no configuration has a row yet."""
    study, board = results.study, results.board
    limit = min(MAX_CONFIGURATIONS, MAX_CURVES // max(1, int(board["seeds"].max()))) if len(board) else 0
    has_rows = set(study.history["trial"].unique()).__contains__
    begun = (place for place, trials in enumerate(board["trials"]) if any(map(has_rows, trials)))
    shown = board.iloc[list(islice(begun, max(1, limit)))]
    if shown.empty:
        return None
    settings = _settings(shown, study)
    axes = _axes(shown, study, settings)
    places = _places(shown.join(settings.add_prefix(SETTING)), axes)
    return {
        "metric": metric_label(study.metric),
        "percent": is_fraction(study.metric),
        "minimize": study.goal == "minimize",
        "total": len(board),
        "axes": [{key: value for key, value in axis.items() if key != "column"} for axis in axes],
        "groups": _groups(shown),
        "optimizers": [one_line(name) for name in sorted(set(study.trials["optimizer"]))],  # as figures colour them
        "configurations": [
            _configuration(row, place, study) for place, (_, row) in zip(places, shown.iterrows(), strict=True)
        ],
    }


def page_json(data: Mapping[str, Any]) -> str:
    """Return JSON that may stand within a script element: nothing in it can end the element, or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _settings(board: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return (configurations, settings that vary for one optimizer), named as in a trial file."""
    configs = [study.ledger.trials[trials[0]]["config"] for trials in board["trials"]]
    flat = [dict(_leaves(config)) for config in configs]
    names: list[str] = []
    for name in dict.fromkeys(name for leaves in flat for name in leaves):
        seen: dict[str, set[str]] = {}
        for leaves in flat:
            seen.setdefault(leaves["optimizer.name"], set()).add(repr(leaves.get(name)))
        if name not in OWN_AXES and any(len(values) > 1 for values in seen.values()):
            names.append(name)
    table = [[leaves.get(name) for name in names[:MAX_SETTINGS]] for leaves in flat]
    return pd.DataFrame(table, index=board.index, columns=pd.Index(names[:MAX_SETTINGS]), dtype=object)


def _leaves(section: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        here = f"{path}.{key}" if path else key
        if here in APART:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, here)
        else:
            yield here, value


def _axes(board: pd.DataFrame, study: Study, settings: pd.DataFrame) -> list[Axis]:
    """Return the axes, in order; `column` is where their values are."""
    axes = [_names("run", "run", board["run"])] if len(study.runs) > 1 else []
    axes.append(_names("optimizer", "optimizer", board["optimizer"]))
    axes += [_names("scheduler", "schedule", board["scheduler"])] if board["scheduler"].nunique() > 1 else []
    for name in settings:
        label = str(name).removeprefix("optimizer.").removeprefix("data.").removeprefix("model.").replace("_", " ")
        values = settings[name].dropna()
        are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        axes.append((_numbers if are_numbers else _names)(f"{SETTING}{name}", label, values))
    axes += [_numbers("lr", "learning rate", board["lr"])] if board["lr"].notna().any() else []
    axes += [_numbers("weight_decay", "weight decay", board["weight_decay"])] * (board["weight_decay"].nunique() > 1)
    return [*axes, {**_numbers("score", metric_label(study.metric), board["score"]), "log": False}]


def _names(column: str, label: str, values: pd.Series) -> Axis:
    texts = list(dict.fromkeys(_name(value) for value in values))
    return {"column": column, "label": label, "names": sorted(texts) if column == "optimizer" else texts}


def _name(value: Any) -> str:
    return one_line(value if isinstance(value, str) else value_text(value))


def _numbers(column: str, label: str, values: pd.Series) -> Axis:
    numbers = [float(value) for value in values.dropna()]
    positive = bool(numbers) and min(numbers) > 0
    return {"column": column, "label": label, "log": positive and max(numbers) / min(numbers) >= LOG_RATIO}


def _groups(board: pd.DataFrame) -> list[str]:
    """Return by what the lines may be coloured: what differs."""
    found = [("run", "run"), ("optimizer", "optimizer"), ("scheduler", "schedule"), ("lr", "learning rate")]
    groups = [label for column, label in found if column == "optimizer" or board[column].nunique() > 1]
    return [*groups, *(["seed"] if board["seeds"].max() > 1 else [])]


def _places(table: pd.DataFrame, axes: Sequence[Axis]) -> list[list[float | int | None]]:
    return [[_place(row, axis) for axis in axes] for _, row in table.iterrows()]


def _configuration(row: pd.Series, places: Sequence[float | int | None], study: Study) -> dict[str, Any]:
    seeds = [_seed(trial, study) for trial in row["trials"]]
    return {
        "row": int(str(row.name)),
        "label": one_line(row["label"]),
        "values": list(places),
        "run": one_line(row["run"]),
        "schedule": one_line(row["scheduler"]),
        "lr": _number(row["lr"]),
        "std": _number(row["std"]),
        "n": int(row["n"]),
        "diverged": int(row["diverged"]),
        "mean": _mean_curve([seed["curve"] for seed in seeds if seed["curve"]]),
        "seeds": [{**seed, "curve": _thin(seed["curve"])} for seed in seeds],
    }


def _place(row: pd.Series, axis: Axis) -> float | int | None:
    value = row[axis["column"]]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return axis["names"].index(_name(value)) if "names" in axis else _number(value)


def _seed(trial: str, study: Study) -> dict[str, Any]:
    line, finished = study.ledger.trials[trial], study.ledger.status(trial) == Status.FINISHED
    score = study.score(trial, epochs=line["config"]["epochs"]) if finished else None
    rows = zip(study.rows.array(trial, "epoch").tolist(), study.rows.array(trial, study.metric).tolist(), strict=True)
    points = {int(epoch): value for epoch, value in rows if math.isfinite(value)}
    return {"seed": line["seed"], "diverged": study.ledger.status(trial) == Status.DIVERGED,
            "score": _number(score), "curve": points}  # fmt: skip


def _mean_curve(curves: Sequence[Mapping[int, float]]) -> list[Sequence[float]]:
    """Return the mean over seeds at the epochs that all have: it ends where the shortest does."""
    common = set.intersection(*(set(curve) for curve in curves)) if curves else set()
    return _thin({epoch: float(np.mean([curve[epoch] for curve in curves])) for epoch in sorted(common)})


def _thin(curve: Mapping[int, float]) -> list[Sequence[float]]:
    """Return epochs and values of a curve, so many evenly spaced points at most, the first and the last among them."""
    epochs = list(curve)
    if len(epochs) > MAX_POINTS:
        epochs = [epochs[i] for i in np.linspace(0, len(epochs) - 1, MAX_POINTS).round().astype(int)]
    return [epochs, [_round(curve[epoch]) for epoch in epochs]]


def _number(value: Any) -> float | None:
    return _round(float(value)) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _round(value: float) -> float:
    return float(f"{value:.4g}")
