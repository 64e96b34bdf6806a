"""Remove checkpoints that may not stay: `keep` names those of an ended trial, `total` limits all of them.

    retention = Retention(open_folder(checkpoints), read(run), keep=["best"], ended_limit_bytes=left, …)
    retention.take(report["lines"])     # after they were written; removes what has to go, and writes that it is gone

Checkpoints of unfinished trials are never touched. When ended trials leave more than fits, the worst by the ranking
(ch6dist/runs/ranking.py, over the trials that have ended) go first, those of the best configuration last. Bytes are
counted from artifact lines; the folder is listed once, when a driver begins.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import cast

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import EPOCH, LINES, checkpoint_name
from ch6dist.runs.ranking import rank
from ch6dist.runs.schema import ENDED, Line, Metric, StatusLine
from ch6dist.storage.files import Folder

FOLDER = "checkpoints"
NAMES = ("last", "best")
SCORED_ROWS = 5  # the most that a score averages (ranking.last_k)
SLACK = 0.9  # of what fits: trials are ranked once for a tenth of the space, not for every one that ends


class Retention:
    """Counts what ended trials have left, and removes what may not stay."""

    def __init__(
        self,
        checkpoints: Folder,
        ledger: Ledger,
        *,
        keep: Collection[str],
        ended_limit_bytes: int | None,
        write: Callable[[Sequence[Line]], None],
        remove: Callable[[list[str]], None],
    ) -> None:
        """
        Args:
            checkpoints: the folder of the run's checkpoints.
            ledger: of the run as it is now.
            keep: `checkpoints.keep` of the sweep.
            ended_limit_bytes: `checkpoints.total` less what the running trials need (plan/disk.py); None: no limit.
            write: appends lines to the ledger.
            remove: removes files by their names in the run folder, once the ledger that says so is safe.
        """
        self.checkpoints, self.keep, self.ended_limit_bytes = checkpoints, set(keep), ended_limit_bytes
        self.write, self.remove = write, remove
        self.metric = Metric.of(ledger.spec)
        self.trials = ledger.trials
        self.ended: dict[str, StatusLine] = {}  # newest status of each
        self.rows: dict[str, deque[Line]] = {}  # the newest few of each trial
        self.held: dict[str, dict[str, int]] = {}  # bytes of what ended trials still have, by trial and name
        self.unread: dict[str, int] = {}  # bytes of files that no line of the ledger names
        self.used_bytes = 0
        self._count(ledger)

    def take(self, lines: Sequence[Line]) -> None:
        """Take lines that have just been written; remove what may not stay of the trials that they end."""
        for line in lines:
            if line["kind"] == "row":
                self._keep_row(line)
            elif line["kind"] == "artifact" and line["name"] in NAMES and line.get("path") and "bytes" in line:
                self._hold(line["trial"], line["name"], line["bytes"])
            elif line["kind"] == "status" and line["status"] not in ENDED and line["trial"] in self.ended:
                self._go_on(line["trial"])
        ended = [line for line in lines if line["kind"] == "status" and line["status"] in ENDED]
        if ended:
            self._remove_ended(ended)

    def _go_on(self, trial: str) -> None:
        """Forget that a trial had ended: the sweep was extended, and its checkpoints are a running one's."""
        del self.ended[trial]
        self.used_bytes -= sum(self.held.pop(trial, {}).values())

    def _remove_ended(self, ended: Iterable[Line]) -> None:
        gone, lines_files = [], []
        for line in ended:
            trial = line["trial"]
            self.ended[trial] = cast(StatusLine, line)
            for name in NAMES:
                if name not in self.held.get(trial, {}):  # no artifact line: the trial diverged, or its worker died
                    self._hold(trial, name, self.checkpoints.size(self._name(trial, name)))
            gone += [self._drop(trial, name, "keep") for name in self._held(trial) if name not in self.keep]
            lines_files.append(self._name(trial, LINES))
        self._let_go(gone + self._make_room(), lines_files)

    def _make_room(self) -> list[Line]:
        """Drop files that are never read again, then trials, worst first, until the rest fits with some slack."""
        if self.ended_limit_bytes is None or self.used_bytes <= self.ended_limit_bytes:
            return []
        gone: list[Line] = []
        self.used_bytes -= sum(self.unread.values())
        self._let_go([], self.unread)
        self.unread = {}
        for trial in self._worst_first():
            if self.used_bytes <= SLACK * self.ended_limit_bytes:
                break
            gone += [self._drop(trial, name, "total") for name in self._held(trial)]
        return gone

    def _worst_first(self) -> list[str]:
        """Return the ended trials that have left something: first those without a rank, such as range tests."""
        asked = {self.trials[trial]["configuration"] for trial in self.held}  # the others need no rank
        trials = {t: self.trials[t] for t in self.ended if self.trials[t]["configuration"] in asked}
        rows = [row for trial in trials for row in self.rows.get(trial, ())]
        ranking = rank(Ledger(trials=trials, statuses=self.ended, rows=rows), self.metric)
        ranked = [trial for item in reversed(ranking) for trial in item.every]
        return [trial for trial in [*(self.held.keys() - set(ranked)), *ranked] if trial in self.held]

    def _let_go(self, gone: Sequence[Line], more: Iterable[str] = ()) -> None:
        """Write to the ledger what goes, then remove it: a file too many is found again, one too few is missed."""
        if gone:
            self.write(list(gone))
        names = [self._name(line["trial"], line["name"]) for line in gone]
        self.remove([f"{FOLDER}/{name}" for name in [*names, *more]])

    def _drop(self, trial: str, name: str, rule: str) -> Line:
        self.used_bytes -= self.held[trial].pop(name)
        if not self.held[trial]:
            del self.held[trial]
        place = {"kind": "artifact", "trial": trial, "attempt": self.ended[trial]["attempt"], "name": name}
        return {**place, "path": None, "reason": f"removed by checkpoints.{rule}", "time": time.time()}

    def _hold(self, trial: str, name: str, count: int | None) -> None:
        if count is not None:
            held = self.held.setdefault(trial, {})
            self.used_bytes += count - held.get(name, 0)
            held[name] = count

    def _held(self, trial: str) -> list[str]:
        return list(self.held.get(trial, ()))

    def _name(self, trial: str, name: str) -> str:
        return checkpoint_name(trial, name, attempt=self.ended[trial].get("attempt", 1))

    def _count(self, ledger: Ledger) -> None:
        """Count what the run has left so far: the only listing of its checkpoints."""
        self.ended = {trial: line for trial, line in ledger.statuses.items() if line["status"] in ENDED}
        for row in ledger.rows:
            self._keep_row(row)
        kept = {self._name(trial, name): (trial, name) for trial in self.ended for name in NAMES}
        gone = {key for key, line in ledger.artifacts.items() if "path" in line and line["path"] is None}
        attempts = {trial: ledger.attempt(trial) for trial in ledger.trials}
        for file, count in self.checkpoints.sizes().items():
            trial = file.partition("/")[0]
            if file.partition("/")[2].rpartition("/")[2].startswith(EPOCH):
                continue  # others begin there; the driver removes it when the last has ended
            if file in kept and kept[file] not in gone:
                self._hold(*kept[file], count)
            elif file in kept or trial in self.ended or not _is_attempt(file, trial, attempts.get(trial, 1)):
                self.unread[file] = count
        self.used_bytes += sum(self.unread.values())
        self._let_go(self._make_room())

    def _keep_row(self, row: Line) -> None:
        """Keep the newest few rows of a trial; those of a repeated epoch replace the earlier ones."""
        kept = self.rows.setdefault(row["trial"], deque(maxlen=SCORED_ROWS))
        while kept and (kept[-1].get("attempt", 1) < row.get("attempt", 1) or kept[-1]["step"] >= row["step"]):
            kept.pop()
        kept.append(row)


def _is_attempt(file: str, trial: str, attempt: int) -> bool:
    """Return whether a file belongs to this attempt of a trial."""
    return any(file == checkpoint_name(trial, name, attempt=attempt) for name in (*NAMES, LINES))
