"""Run folders as one Study: the pooled ledger, a table of trials, and the metric.

    study = load_study([Path("runs/optimizer-lr")])
    study.trials        # one row per trial: run, optimizer, scheduler, lr, seed, status, …
    study.history       # one row per epoch of every trial (range tests: per step), as numbers (history.py)
    study.rows["…"]     # the rows of a trial as dicts, in order of steps: for a few trials; history for many

Several runs are pooled: their name is put in front of each trial id, so that one ranking holds all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from analysis.study.history import Columns, TrialRows
from ch6dist.catalog.datasets import is_synthetic
from ch6dist.catalog.labels import Labels, label_all
from ch6dist.catalog.lookup import known_dataset
from ch6dist.catalog.text import one_line
from ch6dist.errors import InputError, UsageError
from ch6dist.runs.early_stops import stopped_by_rule
from ch6dist.runs.ledger import Ledger, observe
from ch6dist.runs.ranking import RANKED_ROWS, trial_score
from ch6dist.runs.schema import Line, Metric, TrialLine

REPORT_APART = "they cannot be ranked together: write a report for each"
# fmt: off
TRIAL_COLUMNS = [
    "trial", "run", "configuration", "label", "case", "type", "final", "status", "by_rule", "reason", "seed", "epochs",
    "optimizer", "scheduler", "setting", "drawn", "lr", "lr_text", "weight_decay", "dataset", "val_size",
]
# fmt: on


@dataclass(frozen=True)
class Run:
    """One run folder and its ledger."""

    name: str
    folder: Path
    ledger: Ledger

    @property
    def head(self) -> Line:
        """Return the head line of the newest driver; empty if there is none yet."""
        return self.ledger.sweeps[-1] if self.ledger.sweeps else {}


@dataclass(frozen=True)
class Study:
    """What a report is about: one run, or several pooled."""

    runs: tuple[Run, ...]
    ledger: Ledger  # pooled; of the rows only those that a ranking looks at
    trials: pd.DataFrame  # TRIAL_COLUMNS
    history: pd.DataFrame  # history.COLUMNS, in the order of `trials`, then of steps
    metric: str
    goal: str  # maximize | minimize
    numbered: dict[str, str]  # what the numbered parts of labels stand for

    @property
    def metric_notes(self) -> list[str]:
        """Return, for each run whose sweep gives its metric another goal, that it is ranked by the metric's own."""
        notes = ((run.name, Metric.note(run.ledger.spec)) for run in self.runs)
        return [f"{note} ({name})" if len(self.runs) > 1 else note for name, note in notes if note]

    @cached_property
    def synthetic(self) -> bool:
        """Return whether any trial was trained on synthetic data: then every table and figure says so."""
        return bool(self.trials["dataset"].map(is_synthetic).any())

    @property
    def sign(self) -> int:
        """Return +1 if the metric is maximized, -1 if it is minimized."""
        return 1 if self.goal == "maximize" else -1

    @cached_property
    def classes(self) -> int | None:
        """Number of classes of the data set; None if the training runs use several data sets or it is unknown."""
        configs = [line["config"] for line in self.ledger.trials.values()]
        used = {config["data"]["name"]: config["data"] for config in configs if config["type"] == "train"}
        entries = [known_dataset(data) for data in used.values()]
        return entries[0].classes if len(entries) == 1 and entries[0] else None

    def title(self) -> str:
        """Return the names of the runs."""
        return ", ".join(run.name for run in self.runs)

    def values(self, trial: str, column: str) -> list[float]:
        """Return a column of a trial's rows, in order of steps, without the missing values."""
        found = self.rows.array(trial, column)
        return [float(value) for value in found[~np.isnan(found)].tolist()]

    def last(self, trial: str, column: str) -> float | None:
        """Return the last value of a column of a trial's rows that is not missing, or None."""
        return next(reversed(self.values(trial, column)), None)

    @cached_property
    def trained(self) -> pd.DataFrame:
        """Return the rows of `history` that were trained: those that a trial shares with another, once. For costs."""
        return self.history[self.history["shared"].isna()] if self.history["shared"].notna().any() else self.history

    @cached_property
    def rows(self) -> TrialRows:
        """Return the rows of every trial, as a mapping from trial id that makes them when asked."""
        return TrialRows(self.history)

    def score(self, trial: str, *, epochs: int) -> float | None:
        """Return the score by which a trial of so many epochs is ranked; None unless its last epochs are all there."""
        return trial_score(self._ranked_rows[trial], self.metric, epochs=epochs)

    @cached_property
    def _ranked_rows(self) -> dict[str, list[Line]]:
        return self.ledger.rows_by_trial()


def load_study(folders: Sequence[Path]) -> Study:
    """Read run folders and return them as one study.

    Raises:
        InputError: a run is named twice.
        UsageError: the runs cannot be ranked together, because they differ in metric or data set.
    """
    names = _names(folders)
    runs, tables = zip(*map(_read, names, folders), strict=True)
    metric = _metric(runs)
    pooled = runs[0].ledger if len(runs) == 1 else _pool(runs)
    found = _labels(pooled, runs)
    trials = _trials(pooled, runs, found)
    _check_one_dataset(trials)
    history = tables[0] if len(runs) == 1 else _pool_tables(runs, tables)
    return Study(runs, pooled, trials, history, metric.name, metric.goal, found.numbered)


def without_finals(study: Study) -> Ledger:
    """Return the pooled ledger without final training runs, which are reported apart and not ranked."""
    final = set(study.trials.loc[study.trials["final"], "trial"])
    kept = {trial: line for trial, line in study.ledger.trials.items() if trial not in final}
    return replace(study.ledger, trials=kept)


def _names(folders: Sequence[Path]) -> list[str]:
    """Return a name for each run that no other has, a line of text: a folder may be called anything."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("RUN", ", ".join(str(folder) for folder in folders), "each run once")
    last = [folder.resolve().name for folder in folders]
    short, whole = ([one_line(str(name)) for name in names] for names in (last, folders))
    if len(set(short)) == len(short):
        return short
    return whole if len(set(whole)) == len(whole) else [f"{name} ({n})" for n, name in enumerate(whole, start=1)]


def _read(name: str, folder: Path) -> tuple[Run, pd.DataFrame]:
    columns = Columns()
    ledger, _ = observe(folder, last=RANKED_ROWS, take=columns.take)
    return Run(name, folder, ledger), columns.table(ledger)


def _metric(runs: Sequence[Run]) -> Metric:
    found = {}
    for run in runs:
        if any(line["config"]["type"] == "train" for line in run.ledger.trials.values()):
            found[Metric.of(run.ledger.spec)] = run.name
    if len(found) > 1:
        text = ", ".join(f"{run}: {metric.name} ({metric.goal})" for metric, run in found.items())
        raise UsageError(f"the runs rank by different metrics ({text})", REPORT_APART)
    return next(iter(found), Metric())


def _check_one_dataset(trials: pd.DataFrame) -> None:
    found = sorted(set(trials.loc[trials["type"] == "train", "dataset"]))
    if trials["run"].nunique() > 1 and len(found) > 1:
        raise UsageError(f"the runs use different data sets ({', '.join(found)})", REPORT_APART)


def _pool(runs: Sequence[Run]) -> Ledger:
    pooled = Ledger()
    for run in runs:
        content = run.ledger
        pooled.sweeps += content.sweeps
        pooled.rows += [{**row, "trial": f"{run.name}/{row['trial']}"} for row in content.rows]
        for trial, line in content.trials.items():
            configuration = f"{run.name}/{line['configuration']}"
            named = {**line, "configuration": configuration, "run": run.name}
            pooled.trials[f"{run.name}/{trial}"] = cast(TrialLine, named)
        pooled.spent |= {f"{run.name}/{trial}": seconds for trial, seconds in content.spent.items()}
        pooled.seconds |= {f"{run.name}/{trial}": seconds for trial, seconds in content.seconds.items()}
        pooled.statuses |= {f"{run.name}/{trial}": line for trial, line in content.statuses.items()}
        pooled.artifacts |= {(f"{run.name}/{trial}", name): line for (trial, name), line in content.artifacts.items()}
    return pooled


def _pool_tables(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the tables of several runs as one, the run's name before each trial."""
    named = []
    for run, table in zip(runs, tables, strict=True):
        # a run may have no trial yet: an empty list alone would be no text
        names: dict[str, Any] = {
            column: pd.Index([f"{run.name}/{trial}" for trial in table[column].cat.categories], dtype="str")
            for column in ("trial", "shared")
        }
        named.append(table.assign(**{c: table[c].cat.rename_categories(new) for c, new in names.items()}))
    joined = {column: union_categoricals([table[column] for table in named]) for column in ("trial", "shared")}
    return pd.concat(named, ignore_index=True).assign(**joined)


def _labels(pooled: Ledger, runs: Sequence[Run]) -> Labels:
    """Return a label per trial, in order: that of its configuration."""
    firsts: dict[str, TrialLine] = {}
    for line in pooled.trials.values():
        firsts.setdefault(line["configuration"], line)
    names = [cast(Line, line)["run"] for line in firsts.values()] if len(runs) > 1 else []
    cases = [line.get("case") for line in firsts.values()]
    found = label_all([line["config"] for line in firsts.values()], runs=names, cases=cases)
    labels = dict(zip(firsts, found.labels, strict=True))
    return Labels(tuple(labels[line["configuration"]] for line in pooled.trials.values()), found.numbered)


def _trials(pooled: Ledger, runs: Sequence[Run], found: Labels) -> pd.DataFrame:
    records: list[dict[str, Any]] = []
    for (trial, line), label in zip(pooled.trials.items(), found.labels, strict=True):
        config, newest = line["config"], cast(Line, pooled.statuses.get(trial, {}))
        records.append(
            {
                "trial": trial,
                "run": cast(Line, line).get("run", runs[0].name),
                "configuration": line["configuration"],
                "label": str(label),
                "case": label.case,
                "type": config["type"],
                "final": bool(config.get("evaluate_test")),
                "status": str(pooled.status(trial)),
                "by_rule": stopped_by_rule(pooled, trial),
                "reason": newest.get("reason") or "",
                "seed": line["seed"],
                "epochs": config["epochs"],
                "optimizer": label.optimizer,
                "scheduler": label.schedule,
                "setting": label.setting,
                "drawn": label.drawn,
                "lr": config["optimizer"].get("lr"),
                "lr_text": label.lr,
                "weight_decay": config["optimizer"].get("weight_decay"),
                "dataset": config["data"]["name"],
                "val_size": config["data"]["val_size"],
            }
        )
    return pd.DataFrame(records, columns=pd.Index(TRIAL_COLUMNS)).astype({"final": bool, "by_rule": bool})
