"""The rows of a ledger while it is read: which of them count, and how many of each trial are kept.

rows = Rows(last=5)
rows.take(line)                     # every row, in the order in which it was written
rows.forget("…", before=2)          # the trial has begun its second attempt
rows.in_order(), rows.seconds()
"""

from __future__ import annotations

from collections import defaultdict

from ch6dist.runs.schema import Line


class Rows:
    """The rows of each trial by step, of each step the last line; with `last`, those of so many largest steps."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.by_trial: dict[str, dict[int, Line]] = defaultdict(dict)
        self.own: dict[str, dict[int, float]] = defaultdict(dict)  # seconds by step, of all rows; with `last` only
        self.shared: dict[str, dict[int, float]] = defaultdict(dict)  # the same of rows that another trial has trained

    def take(self, row: Line) -> None:
        """Add a row, and drop the one of the smallest step if there are too many.

        A step that is among the largest at the end was so ever since it was seen: it is never dropped on the way.
        """
        trial, step = row["trial"], row["step"]
        rows = self.by_trial[trial]
        rows[step] = row
        if self.last is not None:
            (self.shared if row.get("shared") else self.own)[trial][step] = _seconds(row)
            (self.own if row.get("shared") else self.shared)[trial].pop(step, None)
            if len(rows) > self.last:
                del rows[min(rows)]

    def forget(self, trial: str, *, before: int) -> None:
        """Drop the rows of a trial's attempts before this one."""
        rows = self.by_trial[trial]
        newer = {step for step, row in rows.items() if row.get("attempt", before) >= before}
        for by_step in (rows, self.own[trial], self.shared[trial]):
            for step in by_step.keys() - newer:
                del by_step[step]

    def in_order(self) -> list[Line]:
        """Return the rows in order of trials, then of steps."""
        return [rows[step] for _, rows in sorted(self.by_trial.items()) for step in sorted(rows)]

    def seconds(self, *, shared: bool = True) -> dict[str, float]:
        """Return what the rows of each trial took, training and evaluation, also of those that are not kept.

        Args:
            shared: with what another trial has trained for it; without, it is what the run has spent on it.
        """
        if self.last is not None:
            parts = (self.own, self.shared) if shared else (self.own,)
            return {trial: sum(sum(part[trial].values()) for part in parts) for trial in self.by_trial}
        return {
            trial: sum(_seconds(row) for row in rows.values() if shared or not row.get("shared"))
            for trial, rows in self.by_trial.items()
        }


def _seconds(row: Line) -> float:
    return (row.get("seconds") or 0.0) + (row.get("eval_seconds") or 0.0)
