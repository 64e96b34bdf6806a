"""The leaderboard and the final trainings as Markdown, CSV, JSON, and cells for HTML.

Files for machines (CSV, JSON) hold fractions and seconds; what people read holds per cent and mean ± std.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import text
from analysis.study.leaderboard import LATE_EPOCHS, ranking_rule
from analysis.study.load import Study
from analysis.text import metric_name, short_number
from ch6dist.catalog.datasets import SYNTHETIC

_INTERNAL = ["trials", "scores"]  # lists: in the JSON, not in the CSV


@dataclass(frozen=True)
class Table:
    """A table for people."""

    heads: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Aligned, so that it reads in a terminal too."""
        cells = [self.heads, *[[cell.replace("|", "\\|") for cell in row] for row in self.rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.heads))]
        lines = ["| " + " | ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
        return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def leaderboard_table(study: Study, board: pd.DataFrame) -> Table:
    """The leaderboard for people; a column that says nothing in this study is left out."""
    metric = study.metric
    columns: dict[str, Callable[[pd.Series], str]] = {"rank": lambda row: _whole(row["rank"])}
    columns |= {"run": lambda row: row["run"]} if len(study.runs) > 1 else {}
    columns |= {"optimizer": lambda row: row["optimizer"]}
    columns |= {"schedule": lambda row: row["scheduler"]} if (board["scheduler"] != "none").any() else {}
    columns |= {"setting": lambda row: row["setting"]} if board["setting"].any() else {}
    columns |= {"lr": lambda row: short_number(row["lr"])}
    columns |= {"wd": lambda row: short_number(row["weight_decay"])} if board["weight_decay"].fillna(0).any() else {}
    columns |= {
        f"{metric_name(metric)}, mean ± std": lambda row: text.mean_std(row["score"], row["std"], metric),
        "95 % t interval": lambda row: text.interval(row["low"], row["high"], metric),
        "best epoch": lambda row: text.value(row["best"], metric),
        "epochs to target": lambda row: _to_target(row, "epochs_to_target"),
        "time to target": lambda row: _to_target(row, "seconds_to_target"),
        "wobble": lambda row: text.value(row["wobble"], metric),
        "diverged": lambda row: f"{row['diverged']:.0f}/{row['seeds']:.0f}",
        "per epoch": lambda row: text.seconds(row["seconds_per_epoch"]),
        "flags": _flags,
    }
    return _table(board, columns)


def finals_table(finals: pd.DataFrame, study: Study) -> Table:
    """Final trainings for people: the test accuracy of each seed, and over seeds."""
    columns: dict[str, Callable[[pd.Series], str]] = {
        "run": lambda row: row["run"],
        "configuration": text.configuration,
        "epochs": lambda row: _whole(row["epochs"]),
        "test accuracy, mean ± std": lambda row: text.mean_std(row["test_accuracy"], row["std"], "test_accuracy"),
        "95 % t interval": lambda row: text.interval(row["low"], row["high"], "test_accuracy"),
        "seeds": lambda row: f"{row['n']}/{row['seeds']}",
        "each seed": lambda row: ", ".join(text.value(score, "test_accuracy") for score in row["per_seed"]),
        "diverged": lambda row: f"{row['diverged']}/{row['seeds']}",
    }
    return _table(finals, columns)


def legend(study: Study, board: pd.DataFrame) -> str:
    """What the columns mean: printed under every leaderboard."""
    target = board["target"].dropna()
    compared = int(board["p_holm"].notna().sum())
    lines = [
        f"Ranked by: {ranking_rule(study)}.",
        f"Wobble: standard deviation over the last {LATE_EPOCHS} epochs of a run, mean over seeds.",
        "“best epoch” is a maximum over noise, so optimistic; ± is the standard deviation over seeds.",
    ]
    if len(target):
        told = text.value(target.iloc[0], study.metric)
        lines.append(f"Target: {told} (the leader's score minus two points); time is training time without evaluation.")
    if compared:
        lines.append(f"Compared with the leader by Welch's t, p adjusted by Holm for {compared} comparisons.")
    return " ".join(lines)


def leaderboard_markdown(study: Study, board: pd.DataFrame, finals: pd.DataFrame) -> str:
    """What `analysis table` prints and leaderboard.md holds."""
    parts = [f"**{SYNTHETIC}.**"] if study.synthetic else []
    if len(board):
        parts += [leaderboard_table(study, board).markdown(), legend(study, board)]
    if len(finals):
        parts += ["Final trainings (the test set, read once):", finals_table(finals, study).markdown()]
    return "\n\n".join(parts or ["No trainings yet."]) + "\n"


def leaderboard_csv(study: Study, board: pd.DataFrame) -> str:
    """Fractions and seconds, one line per configuration; a column `synthetic` marks made-up data."""
    frame = board.drop(columns=_INTERNAL).assign(metric=study.metric)
    return (frame.assign(synthetic=True) if study.synthetic else frame).to_csv(index=False)


def leaderboard_json(study: Study, board: pd.DataFrame, finals: pd.DataFrame) -> str:
    """One JSON document with everything the table is made of."""
    document = {
        "runs": [run.name for run in study.runs],
        "synthetic": study.synthetic,
        "metric": study.metric,
        "goal": study.goal,
        "rule": ranking_rule(study),
        "leaderboard": _records(board),
        "finals": _records(finals),
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _table(frame: pd.DataFrame, columns: dict[str, Callable[[pd.Series], str]]) -> Table:
    return Table(list(columns), [[cell(row) for cell in columns.values()] for _, row in frame.iterrows()])


def _flags(row: pd.Series) -> str:
    words = [*row["flags"].split(), *([row["note"]] if row["note"] else [])]
    return ", ".join([*(["≈ best"] if row["close"] is True else []), *(word.replace("_", " ") for word in words)])


def _to_target(row: pd.Series, column: str) -> str:
    """The median over seeds, and how many reached it where not all did."""
    number = row[column]
    if number is None or math.isnan(number):
        return text.NONE
    told = _whole(number) if column.startswith("epochs") else text.seconds(number)
    told = "missed" if math.isinf(number) else told
    return told if row["reached"] in (0, row["seeds"]) else f"{told} ({row['reached']:.0f}/{row['seeds']:.0f})"


def _whole(number: float | None) -> str:
    return f"{number:g}" if text.known(number) else text.NONE


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """A value that JSON knows: no NaN, no infinity, no numpy scalar."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
