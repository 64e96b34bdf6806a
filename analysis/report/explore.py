"""The numbers of the block "Explore": every configuration with its settings, score and learning curves, rounded.

    data = explore_data(results)            # JSON can hold it; explore.js draws it

A configuration's `values` stand in the order of `axes`: a number, the position of a name in the axis's
`names`, or None.
Curves are lists of epochs and of values of the metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from analysis.study.axes import LEARNING_RATE, OPTIMIZER
from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import is_fraction, metric_label
from ch6dist.runs.schema import Status

MAX_CONFIGURATIONS = 300
MAX_CURVES = 900  # of seeds: a configuration of ten seeds is as much as ten of one
MAX_POINTS = 60  # of a curve
MAX_AXES = 9  # beside the score: more leave a screen no room between two
LOG_RATIO = 30  # of the largest to the smallest positive value from which on an axis is logarithmic

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
    axes = _axes(shown, results)
    return {
        "metric": metric_label(study.metric),
        "percent": is_fraction(study.metric),
        "minimize": study.goal == "minimize",
        "total": len(board),
        "axes": [{key: value for key, value in axis.items() if key != "places"} for axis in axes],
        "groups": _groups(shown),
        "colour_by": _colour_by(shown),
        "optimizers": [one_line(name) for name in sorted(set(study.trials["optimizer"]))],  # as figures colour them
        "configurations": [
            _configuration(row, [axis["places"][at] for axis in axes], study)
            for at, (_, row) in enumerate(shown.iterrows())
        ],
    }


def page_json(data: Mapping[str, Any]) -> str:
    """Return JSON that may stand within a script element: nothing in it can end the element, or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _axes(board: pd.DataFrame, results: Results) -> list[Axis]:
    """Return the axes along which the sweep varied, optimizer and learning rate at least, and the score as the last."""
    table = results.axes.table.reindex(board["configuration"])
    columns = {OPTIMIZER: board["optimizer"], **{name: table[name] for name in results.axes.names[:MAX_AXES]}}
    if LEARNING_RATE not in columns and board["lr"].notna().any():
        columns[LEARNING_RATE] = board["lr"]
    axes = [
        (_numbers if is_numeric_dtype(values) else _names)(one_line(str(name)), values.reset_index(drop=True))
        for name, values in columns.items()
    ]
    score = _numbers(metric_label(results.study.metric), board["score"].reset_index(drop=True))
    return [*axes, {**score, "log": False}]


def _names(label: str, values: pd.Series) -> Axis:
    texts = [one_line(value) for value in values]
    names = list(dict.fromkeys(texts))
    names = sorted(names) if label == OPTIMIZER else names
    return {"label": label, "names": names, "places": [names.index(text) for text in texts]}


def _numbers(label: str, values: pd.Series) -> Axis:
    numbers = [float(value) for value in values.dropna()]
    positive = bool(numbers) and min(numbers) > 0
    log = positive and max(numbers) / min(numbers) >= LOG_RATIO
    return {"label": label, "log": log, "places": [_number(value) for value in values]}


def _groups(board: pd.DataFrame) -> list[str]:
    """Return by what the lines may be coloured: what differs."""
    found = [("run", "run"), ("optimizer", "optimizer"), ("scheduler", "schedule"), ("lr", "learning rate")]
    groups = [label for column, label in found if column == "optimizer" or board[column].nunique() > 1]
    return [*groups, *(["seed"] if board["seeds"].max() > 1 else [])]


def _colour_by(board: pd.DataFrame) -> str:
    """Return the group by which lines are coloured at first: the optimizer, or else what differs."""
    if board["optimizer"].nunique() > 1:
        return "optimizer"
    return "schedule" if board["scheduler"].nunique() > 1 else "optimizer"


def _configuration(row: pd.Series, places: Sequence[float | int | None], study: Study) -> dict[str, Any]:
    seeds = [_seed(trial, study) for trial in row["trials"]]
    return {
        "row": int(str(row.name)),
        "label": one_line(row["label"]),
        "values": list(places),
        "run": one_line(row["run"]),
        "optimizer": one_line(row["optimizer"]),
        "schedule": one_line(row["scheduler"]),
        "lr": _number(row["lr"]),
        "std": _number(row["std"]),
        "n": int(row["n"]),
        "diverged": int(row["diverged"]),
        "mean": _mean_curve([seed["curve"] for seed in seeds if seed["curve"]]),
        "seeds": [{**seed, "curve": _thin(seed["curve"])} for seed in seeds],
    }


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
