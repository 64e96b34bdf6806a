"""A contest of optimizers as a table for people, and its folder: contest.md, figures, and their numbers as CSV.

text = write_contest(contest_of(results), results.study, folder)        # for a terminal too
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.chapter.contest import PROFILE, TIMES, profile_data
from analysis.chapter.drawing import write_drawing, write_table
from analysis.report.figures import writing
from analysis.report.tables import Table, markdown_text
from analysis.study.contest import Contest
from analysis.study.load import Study
from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.wording import (
    DASH,
    format_count,
    format_count_range,
    format_mean_std,
    format_metric,
    format_seconds,
    metric_label,
)
from ch6dist.storage.atomic import replace_file

NEVER = "not reached"
KEY = """\
- **epochs to the target**: of the fastest tuning trial of a heat; the median over the heats that have ended, and the
  fastest and the slowest of them. It ranks the table.
- **seconds**: of the same trials, training alone. They depend on the machine and on what was trained beside a trial.
- **in time**: heats in which the target was reached. **trials in time**: tuning trials that reached it, of those that
  have ended: how easy the optimizer is to tune. A trial that was stopped early counts as far as it came.
- **best score**: the best of a heat's trials that trained to the end, mean ± standard deviation over the heats. It is
  chosen by itself, so a little high for all. **may be best**: these scores cannot tell it from the leader (Hsu, 95 %).
- **untuned**: the score at the default learning rate, with all else that was tuned as the catalog has it. It is one of
  the tuning trials, so that the **gain** of the best score over it, heat by heat, is never negative."""


def contest_table(contest: Contest, study: Study) -> Table:
    """Return the table for people, fastest first; what no row has is a dash."""
    metric = study.metric
    heads = ["optimizer", "epochs to the target", "seconds", "in time", "trials in time", "best score", "may be best"]
    heads += ["untuned", "untuned epochs", "gain", "diverged"]
    rows = []
    for row in contest.table.to_dict("records"):
        cells = [row["optimizer"], _three(row, "epochs"), _three(row, "seconds")]
        cells += [f"{row['in_time']}/{row['complete']}" + _of(row), f"{row['reached']}/{row['counted']}"]
        cells += [format_mean_std(row["best"], row["best_std"], metric), _yes(row["inside"])]
        cells += [format_mean_std(row["untuned"], row["untuned_std"], metric), _time(row["untuned_epochs"], "epochs")]
        cells += [_gain(row, metric), f"{row['diverged']}/{row['counted']}"]
        rows.append([str(cell) for cell in cells])
    return Table(heads, rows)


def contest_text(contest: Contest, study: Study) -> str:
    """Return the page of a contest as Markdown: question, target, budget, table, warnings, what columns mean."""
    heats, metric = contest.heats, study.metric
    trials, each = format_count_range(heats["trials"]), format_count_range(heats["planned_epochs"])
    budget = (
        f"{heats['optimizer'].nunique()} optimizers × {trials} tuning trials × "
        f"{format_count(heats['heat'].nunique(), 'heat')}; {each} epochs per optimizer and heat"
    )
    target = f"{metric_label(metric)} {format_metric(contest.target, metric)}, {contest.rule}"
    parts = [f"# Which optimizer of {markdown_text(study.title())} is the fastest, each tuned with the same effort?"]
    parts += [f"**{SYNTHETIC}.**"] if study.synthetic else []
    parts += [f"Target: {target}. Budget: {budget}.", contest_table(contest, study).markdown()]
    parts += ["\n".join(f"- Mind: {markdown_text(text)}." for text in contest.warnings)] if contest.warnings else []
    return "\n\n".join([*parts, KEY]) + "\n"


def write_contest(contest: Contest, study: Study, folder: Path) -> str:
    """Write contest.md, figures/ and data/ under `folder`; return the page and the paths, for a terminal."""
    drawn = [(TIMES, contest.heats), (PROFILE, profile_data(contest.heats))]
    drawn = [(drawing, data) for drawing, data in drawn if len(data)]
    text = contest_text(contest, study)
    with writing(folder):
        paths = [write_table("contest", contest.table, folder)]
        paths += [write_drawing(replace(d, synthetic=study.synthetic), data, folder) for d, data in drawn]
        pictures = [f"![{d.title(data)}](figures/{d.name}.png)\n\n{d.caption(data)}" for d, data in drawn]
        replace_file(folder / "contest.md", "\n\n".join([text.rstrip(), *pictures]) + "\n")
    return "\n".join([text, str(folder / "contest.md"), *map(str, paths)])


def _three(row: Mapping[Any, Any], unit: str) -> str:
    """Return `7 (7 to 8)`; the median alone where all are equal."""
    values = [row[name] for name in (unit, f"{unit}_low", f"{unit}_high")]
    middle, low, high = (_time(value, unit) for value in values)
    return middle if low == middle == high else f"{middle} ({low} to {high})"


def _time(value: float, unit: str) -> str:
    if pd.isna(value):
        return DASH
    if math.isinf(value):
        return NEVER
    return f"{value:g}" if unit == "epochs" else format_seconds(value)


def _of(row: Mapping[Any, Any]) -> str:
    """Return how many heats there are, where some have not ended."""
    return f" of {row['heats']}" if row["complete"] < row["heats"] else ""


def _yes(inside: bool | None) -> str:
    return DASH if pd.isna(inside) else "yes" if inside else "no"


def _gain(row: Mapping[Any, Any], metric: str) -> str:
    return format_mean_std(row["gain"], row["gain_std"], metric).replace(" %", " points")
