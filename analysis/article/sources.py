"""What an article is made of: run folders, laboratories, pictures of networks, previews of schedules.

sources = read_sources(["runs/chapter6-optimizers", "lab", "step_lr.json"])
sources.runs[0].groups
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.chapter.schedules import read_previews
from analysis.lab.load import Visit, load_visit
from analysis.network.load import Network, load_network
from analysis.study.load import load_study
from analysis.study.results import Results, analyse
from ch6dist.catalog.lab import INDEX as LAB_INDEX
from ch6dist.catalog.labels import NUMBERED
from ch6dist.catalog.look import INDEX as NETWORK_INDEX
from ch6dist.errors import InputError
from ch6dist.paths import given_path, shown_path
from ch6dist.previews import Preview
from ch6dist.runs.folders import find_run
from ch6dist.runs.ledger import Ledger, observe
from ch6dist.runs.schema import Status
from ch6dist.storage.files import is_remote


@dataclass(frozen=True)
class Group:
    """The training runs of one configuration, one per seed, that have rows: in the order of their seeds.

    Of a configuration that was confirmed, those of its fresh seeds: the others have chosen it.
    """

    run: Run
    label: str
    config: Mapping[str, Any]
    trials: tuple[str, ...]
    statuses: tuple[str, ...]  # of each
    case: Mapping[str, str] | None = None  # the names of its cases, by axis
    flags: frozenset[str] = frozenset()  # of the leaderboard
    is_fresh: bool = False

    @property
    def epochs(self) -> int:
        """Return the planned epochs."""
        return int(self.config["epochs"])

    @property
    def n(self) -> int:
        """Return the number of seeds."""
        return len(self.trials)

    @property
    def seeds(self) -> str:
        """Return the number of seeds whose values a mean is of, and what became of the others."""
        finished = self.statuses.count(Status.FINISHED)
        if finished == self.n:
            return f"{self.n} fresh" if self.is_fresh else str(self.n)
        diverged = self.statuses.count(Status.DIVERGED)
        return f"{finished} of {self.n}" + (f", {diverged} diverged" if diverged else "")

    def curves(self, column: str) -> pd.DataFrame:
        """Return (epochs, seeds) of a column of the rows, by epoch; NaN where a seed has nothing."""
        rows = self.run.results.study.rows
        found = {
            trial: pd.Series(rows.array(trial, column), index=rows.array(trial, "epoch").astype(int))
            for trial in self.trials
        }
        return pd.DataFrame(found)

    def finished(self) -> Group:
        """Return those that finished."""
        kept = [i for i, status in enumerate(self.statuses) if status == Status.FINISHED]
        trials, statuses = (tuple(each[i] for i in kept) for each in (self.trials, self.statuses))
        return replace(self, trials=trials, statuses=statuses)

    def last(self, column: str) -> np.ndarray:
        """Return the last value of a column of each seed that finished, (seeds,)."""
        values = [self.run.results.study.last(trial, column) for trial in self.finished().trials]
        return np.array([value for value in values if value is not None], dtype=np.float64)


@dataclass(frozen=True)
class Run:
    """A run folder, read."""

    name: str
    folder: Path
    results: Results

    @cached_property
    def ledger(self) -> Ledger:
        """The whole ledger, with all rows: what was captured is read by it."""
        return observe(self.folder)[0]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The configurations that were trained, best first, then those that are not ranked; no final trainings."""
        study = self.results.study
        trained = study.trials[(study.trials["type"] == "train") & ~study.trials["final"]]
        trained = trained[trained["trial"].isin(study.history["trial"])]
        board = self.results.board
        ranked = {trial for trials in board["trials"] for trial in trials}
        known = trained["configuration"].isin(board["configuration"])
        trained = trained[trained["trial"].isin(ranked) | ~known]
        ranks = {name: i for i, name in enumerate(board["configuration"])}
        found = [self._group(part) for _, part in trained.groupby("configuration", sort=False)]
        order = [ranks.get(name, len(ranks)) for name in trained["configuration"].drop_duplicates()]
        return tuple(group for _, group in sorted(zip(order, found, strict=True), key=lambda pair: pair[0]))

    def _group(self, part: pd.DataFrame) -> Group:
        part = part.sort_values("seed")
        study, board = self.results.study, self.results.board
        line = study.ledger.trials[part["trial"].iloc[0]]
        row = board[board["configuration"] == part["configuration"].iloc[0]]
        return Group(
            run=self,
            label=whole_text(str(part["label"].iloc[0]), study.numbered),
            config=line["config"],
            trials=tuple(part["trial"]),
            statuses=tuple(map(str, part["status"])),
            case=line.get("case"),
            flags=frozenset(flag for flags in row["flags"] for flag in flags.split()),
            is_fresh=bool(row["confirmed"].any()),
        )


@dataclass(frozen=True)
class Sources:
    """All that was given, each kind in the order in which it was."""

    runs: tuple[Run, ...] = ()
    visits: tuple[Visit, ...] = ()
    networks: tuple[Network, ...] = ()
    previews: tuple[Preview, ...] = ()


def whole_text(text: str, numbered: Mapping[str, str]) -> str:
    """Return text with the numbered parts of its labels written out: no legend explains them here."""
    return NUMBERED.sub(lambda found: numbered.get(found[0], found[0]), text)


def values_at(table: pd.DataFrame, epoch: int) -> list[float]:
    """Return the values of the seeds at an epoch of `Group.curves`, without missing ones."""
    return [float(value) for value in table[table.index == epoch].to_numpy().ravel() if np.isfinite(value)]


def _run_folder(text: str, root: Path | None) -> Path:
    try:
        return find_run(text, root=root)
    except InputError as error:
        others = "what `ch6dist lab`, `ch6dist look` or `ch6dist preview --json` wrote"
        raise InputError("SOURCE", text, f"{others}, or {error.allowed}") from None


def read_sources(given: Sequence[str], *, root: Path | None = None) -> Sources:
    """Return what was given, each told by what it holds.

    Args:
        given: run folders or their names, folders of `ch6dist lab` and `ch6dist look`, and files of `ch6dist preview
            --json`.
        root: the folder of the runs.

    Raises InputError for what is none of them.
    """
    places = [text if is_remote(text) else str(given_path(Path(text), key="SOURCE").resolve()) for text in given]
    if len(set(places)) < len(places):
        raise InputError("SOURCE", ", ".join(given), "each source once")
    runs, visits, networks, previews = [], [], [], []
    for text in given:
        path = given_path(Path(text), key="SOURCE")
        if path.suffix == ".json" and path.is_file():
            previews += read_previews(str(path))
        elif (path / LAB_INDEX).is_file():
            visits.append(load_visit(path))
        elif (path / NETWORK_INDEX).is_file():
            networks.append(load_network(path))
        else:
            folder = _run_folder(text, root)
            results = analyse(load_study([folder]))
            runs.append(Run(results.study.title(), folder, results))
    names = Counter(run.name for run in runs)
    runs = [run if names[run.name] == 1 else replace(run, name=str(shown_path(run.folder))) for run in runs]
    return Sources(tuple(runs), tuple(visits), tuple(networks), tuple(previews))
