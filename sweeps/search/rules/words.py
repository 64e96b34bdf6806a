"""The parts of the sentences that explain a decision: places, rungs, values as people read them."""

from __future__ import annotations

import math

from ch6dist.catalog.wording import format_metric, metric_label
from ch6dist.runs.schema import Metric

ENDED = "it has ended (diverged, failed or stopped)"


class Words:
    """How values of one metric are said: accuracies in per cent, losses as numbers."""

    def __init__(self, metric: Metric) -> None:
        self._name = metric.name
        self._sign = 1.0 if metric.goal == "maximize" else -1.0
        self._label = metric_label(metric.name)

    def value(self, value: float) -> str:
        """Return a value that is larger where it is better, as the metric has it: `13.20 %`, `2.31`."""
        return format_metric(self._sign * value, self._name)

    def place(self, rank: int, count: int, value: float) -> str:
        """Return `12th of 27 by validation accuracy (13.20 %)`; without a finite value, that it ranks last."""
        if not math.isfinite(value):
            return f"ranks last of {count}: {ENDED}, or has no {self._label}"
        return f"{ordinal(rank)} of {count} by {self._label} ({self.value(value)})"

    def alone(self, value: float) -> str:
        """Return `validation accuracy 13.20 %`."""
        return f"{self._label} {self.value(value)}" if math.isfinite(value) else f"no {self._label}"


def at(rung: int) -> str:
    """Return how the sentence about a rung begins: `rung of 3 epochs`."""
    return f"rung of {rung} epoch{'' if rung == 1 else 's'}"


def coming(rung: int, ended: bool) -> str:
    """Return what is said of one that has not come to a rung, and if it has `ended` never will."""
    return f"{at(rung)}: will not come, {ENDED}" if ended else f"{at(rung)}: trains up to it"


def go(count: int) -> str:
    """Return `9 go on`, `1 goes on`, `none goes on`."""
    return f"{count} go on" if count > 1 else f"{count or 'none'} goes on"


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `3rd`, `4th`, `11th`, `21st`."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
