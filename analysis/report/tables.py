"""The leaderboard and the final training runs as Markdown, CSV, JSON, and cells for HTML.

Files for machines (CSV, JSON) hold fractions and seconds; tables for people hold per cent and mean ± std.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.study.finals import seeds_notes
from analysis.study.leaderboard import LATE_EPOCHS, ranking_rule
from analysis.study.load import Study
from analysis.study.results import Results
from ch6dist.catalog import wording as text
from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.labels import explain
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import metric_label, short_number

MAX_ROWS = 100  # of the leaderboard on a page or in an article; the CSV holds all
_LISTS = ["trials", "scores"]  # columns of the JSON, not of the CSV
# what begins markup in Markdown (and, on GitHub, mathematics); _ within a word does not
MARKUP = re.compile(r"[\\`*\[\]<>|$~]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
TEXT_HEADS = {  # of columns of text, which stand on the left
    *("run", "question", "swept", "best configuration", "optimizer", "schedule", "setting", "drawn", "configuration"),
    *("case", "each seed", "flags", "choice", "name", "stands for"),
}
_PARTS = ["run", "optimizer", "scheduler", "setting", "drawn"]  # whole in CSV and JSON, also where labels number them

# what the columns of the leaderboard and of the final training runs are sorted by; the others by their text
_KEYS = {
    "rank": "rank",
    "lr": "lr",
    "wd": "weight_decay",
    "95 % t interval": "low",
    "best epoch": "best",
    "epochs to target": "epochs_to_target",
    "time to target": "seconds_to_target",
    "late-epoch std": "late_epoch_std",
    "diverged": "diverged",
    "per epoch": "seconds_per_epoch",
}
_FINAL_KEYS = {
    "epochs": "epochs",
    "test accuracy, mean ± std": "test_accuracy",
    "95 % t interval": "low",
    "seeds": "n",
    "diverged": "diverged",
}


@dataclass(frozen=True)
class Table:
    """A table of text."""

    heads: list[str]
    rows: list[list[str]]
    keys: list[list[float | None]] = field(default_factory=list)  # what a column of numbers is sorted by; None: text

    def markdown(self) -> str:
        """Return the table as Markdown, aligned so that it is readable in a terminal too."""
        cells = [self.heads, *[[markdown_text(cell) for cell in row] for row in self.rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.heads))]
        lines = ["| " + " | ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
        return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def markdown_text(text: str) -> str:
    """Return text as Markdown that shows it: a line, without markup of its own."""
    return MARKUP.sub(r"\\\g<0>", one_line(text))


def names_table(study: Study, *tables: Table) -> Table:
    """Return what the numbered parts of labels in other tables stand for; it has no rows where there are none."""
    cells = [cell for table in tables for row in table.rows for cell in row]
    return Table(["name", "stands for"], [list(pair) for pair in explain(cells, study.numbered).items()])


def leaderboard_table(results: Results, *, rows: int | None = None) -> Table:
    """Return the leaderboard for people, all or its first `rows`, without columns that say nothing in this study."""
    study, board, leader = results.study, results.board.head(rows or len(results.board)), results.verdict.leader
    metric = study.metric
    columns: dict[str, Callable[[pd.Series], str]] = {"rank": lambda row: _whole(row["rank"])}
    columns |= {"run": lambda row: row["run"]} if len(study.runs) > 1 else {}
    columns |= {"case": lambda row: row["case"]} if board["case"].any() else {}
    columns |= {"optimizer": lambda row: row["optimizer"]}
    columns |= {"schedule": lambda row: row["scheduler"]} if (board["scheduler"] != "none").any() else {}
    columns |= {"setting": lambda row: row["setting"]} if board["setting"].any() else {}
    columns |= {"drawn": lambda row: row["drawn"]} if board["drawn"].any() else {}
    columns |= {"lr": lambda row: row["lr_text"]}
    columns |= {
        f"{metric_label(metric)}, mean ± std": lambda row: text.format_mean_std(row["score"], row["std"], metric),
        **({"wd": lambda row: short_number(row["weight_decay"])} if _varies_within(board, "weight_decay") else {}),
        **({"seeds": _seeds} if board["confirmed"].any() else {}),
        "95 % t interval": lambda row: text.format_interval(row["low"], row["high"], metric),
        "best epoch": lambda row: text.format_metric(row["best"], metric),
        "epochs to target": lambda row: _to_target(row, "epochs_to_target"),
        "time to target": lambda row: _to_target(row, "seconds_to_target"),
        "late-epoch std": lambda row: text.format_metric(row["late_epoch_std"], metric),
        "diverged": lambda row: f"{row['diverged']:.0f}/{row['seeds']:.0f}",
        "per epoch": lambda row: text.format_seconds(row["seconds_per_epoch"]),
        "flags": lambda row: _flags(row, leader),
    }
    keys = _KEYS | {f"{metric_label(metric)}, mean ± std": "score"}
    return _table(board, columns, keys)


def finals_table(finals: pd.DataFrame, study: Study) -> Table:
    """Return the final training runs for people: test accuracy over seeds, and of each seed."""
    columns: dict[str, Callable[[pd.Series], str]] = {
        "run": lambda row: row["run"],
        "configuration": lambda row: row["label"],
        "epochs": lambda row: _whole(row["epochs"]),
        "test accuracy, mean ± std": lambda row: text.format_mean_std(
            row["test_accuracy"], row["std"], "test_accuracy"
        ),
        "95 % t interval": lambda row: text.format_interval(row["low"], row["high"], "test_accuracy"),
        "seeds": lambda row: f"{row['n']}/{row['seeds']}",
        "each seed": lambda row: ", ".join(text.format_metric(score, "test_accuracy") for score in row["per_seed"]),
        "diverged": lambda row: f"{row['diverged']}/{row['seeds']}",
    }
    return _table(finals, columns, _FINAL_KEYS)


def legend(study: Study, board: pd.DataFrame) -> str:
    """Return what the columns mean, for the note below a leaderboard."""
    target = board["target"].dropna()
    lines = [
        f"Ranked by: {ranking_rule(study)}.",
        f"Late-epoch std: standard deviation over the last {LATE_EPOCHS} epochs of a trial, mean over seeds.",
        "“best epoch” is a maximum over noisy values, so optimistic; ± is the standard deviation over seeds.",
    ]
    if len(target):
        best = text.format_metric(target.iloc[0], study.metric)
        lines.append(f"Target: {best} (the leader's score minus two points); time is training time without evaluation.")
    if board["inside"].notna().any():
        lines.append("≈ best: cannot be told from the leader (Hsu's comparison with the best, 95 %).")
    return " ".join(lines)


def leaderboard_markdown(results: Results) -> str:
    """Return what `analysis table` prints and leaderboard.md holds."""
    study, board, finals = results.study, results.board, results.finals
    parts = [f"**{SYNTHETIC}.**"] if study.synthetic else []
    shown = [leaderboard_table(results)] if len(board) else []
    parts += [text for table in shown for text in (table.markdown(), legend(study, board))]
    if len(finals):
        shown.append(finals_table(finals, study))
        parts += ["Final training runs (the test set, read once):", shown[-1].markdown()]
        parts += [markdown_text(note) for note in seeds_notes(study)]
    names = names_table(study, *shown)
    parts += ["What the numbers in names stand for:", names.markdown()] if names.rows else []
    return "\n\n".join(parts or ["No training runs to rank."]) + "\n"


def leaderboard_csv(study: Study, board: pd.DataFrame) -> str:
    """Return the leaderboard as CSV, in fractions and seconds; a column `synthetic` marks synthetic data."""
    frame = whole_names(board, study).drop(columns=_LISTS).assign(metric=study.metric)
    return (frame.assign(synthetic=True) if study.synthetic else frame).to_csv(index=False)


def leaderboard_json(results: Results) -> str:
    """Return one JSON document with all numbers of the table."""
    study, board, finals = results.study, results.board, results.finals
    document = {
        "runs": [run.name for run in study.runs],
        "synthetic": study.synthetic,
        "metric": study.metric,
        "goal": study.goal,
        "rule": ranking_rule(study),
        "leaderboard": records(whole_names(board, study)),
        "finals": records(whole_names(finals, study)),
        "numbered": study.numbered,
    }
    return json.dumps(document, indent=2, allow_nan=False)


def whole_names(frame: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return a table with the whole texts of the parts of labels; its column `label` has the numbers."""
    parts = [column for column in _PARTS if column in frame]
    return frame.assign(**{part: frame[part].replace(study.numbered) for part in parts}).drop(
        columns="lr_text", errors="ignore"
    )


def _table(
    frame: pd.DataFrame, columns: dict[str, Callable[[pd.Series], str]], keys: Mapping[str, str] | None = None
) -> Table:
    """Return a table; `keys` are the columns of the frame by which those of the table are sorted."""
    rows = [row for _, row in frame.iterrows()]
    sorted_by = [(keys or {}).get(head) for head in columns]
    return Table(
        list(columns),
        [[cell(row) for cell in columns.values()] for row in rows],
        [[_key(row[name]) if name else None for name in sorted_by] for row in rows],
    )


def _key(value: Any) -> float | None:
    """Return a number that JavaScript can read: infinity is the largest, what is missing has none."""
    return None if value is None or math.isnan(value) else max(-sys.float_info.max, min(sys.float_info.max, value))


def _varies_within(board: pd.DataFrame, column: str) -> bool:
    """Return whether a setting was varied for one optimizer: what only differs between them are their defaults."""
    return bool((board.groupby("optimizer")[column].nunique(dropna=False) > 1).any())


def _flags(row: pd.Series, leader: str | None) -> str:
    flags = [*row["flags"].split(), *([row["note"]] if row["note"] else [])]
    near = ["≈ best"] if row["inside"] is True and row["configuration"] != leader else []
    return ", ".join([*near, *(flag.replace("_", " ") for flag in flags)])


def _seeds(row: pd.Series) -> str:
    return f"{row['n']:.0f}" + (" fresh" if row["confirmed"] else "")


def _to_target(row: pd.Series, column: str) -> str:
    """Return the median over seeds, and how many seeds reached the target if not all did."""
    number = row[column]
    if number is None or math.isnan(number):
        return text.DASH
    median = _whole(number) if column.startswith("epochs") else text.format_seconds(number)
    median = "missed" if math.isinf(number) else median
    return median if row["reached"] in (0, row["seeds"]) else f"{median} ({row['reached']:.0f}/{row['seeds']:.0f})"


def _whole(number: float | None) -> str:
    return f"{number:g}" if text.is_finite(number) else text.DASH


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON can hold them."""
    return [{str(key): json_value(value) for key, value in row.items()} for row in frame.to_dict("records")]


def json_value(value: Any) -> Any:
    """Return a value that JSON can hold: no NaN, no infinity, no numpy scalar."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [json_value(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
