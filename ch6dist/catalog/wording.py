"""Numbers and names as text for people: per cent, mean ± std, one line."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeGuard

from ch6dist.catalog.text import number_text

DASH = "–"


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless there is one: `1 seed`, `1,200 seeds`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def metric_label(metric: str) -> str:
    """Return the name of a metric for people: `validation accuracy` for `val_accuracy`."""
    names = {"val": "validation", "train": "training"}
    return " ".join(names.get(part, part) for part in metric.split("_"))


def status_label(status: str) -> str:
    """Return the name of a status for people: `out of memory` for `out_of_memory`."""
    return str(status).replace("_", " ")


def format_metric(number: float | None, metric: str) -> str:
    """Return a metric's value: `71.23 %` for an accuracy, four digits for a loss, a dash if it is missing."""
    if not is_finite(number):
        return DASH
    return f"{100 * number:.2f} %" if is_fraction(metric) else f"{number:.4g}"


def format_mean_std(mean: float | None, std: float | None, metric: str) -> str:
    """Return `71.23 ± 0.40 %`; the mean alone if there is no standard deviation (one seed)."""
    if not is_finite(mean) or not is_finite(std):
        return format_metric(mean, metric)
    return f"{100 * mean:.2f} ± {100 * std:.2f} %" if is_fraction(metric) else f"{mean:.4g} ± {std:.2g}"


def format_interval(low: float | None, high: float | None, metric: str) -> str:
    """Return an interval of a metric: `70.2 to 72.3 %`; a dash if it is missing."""
    if not is_finite(low) or not is_finite(high):
        return DASH
    return f"{100 * low:.1f} to {100 * high:.1f} %" if is_fraction(metric) else f"{low:.4g} to {high:.4g}"


def format_difference(difference: float | None, metric: str) -> str:
    """Return the size of a difference, without its sign: `1.20 points` of an accuracy; a dash if it is missing."""
    if not is_finite(difference):
        return DASH
    return f"{100 * abs(difference):.2f} points" if is_fraction(metric) else f"{abs(difference):.3g}"


def format_probability(p: float | None) -> str:
    """Return a probability in per cent, never rounded to certainty or impossibility; a dash if it is missing."""
    if not is_finite(p):
        return DASH
    return "< 1 %" if p < 0.01 else "> 99 %" if p > 0.99 else f"{100 * p:.0f} %"


def format_seconds(seconds: float | None, *, digits: int = 3) -> str:
    """Return a duration: `0.42 s`, `41 s`, `12 min`, `3.4 h`; a dash if it is missing."""
    if not is_finite(seconds):
        return DASH
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{_rounded(seconds / size, digits)} {unit}"
    return f"{_rounded(seconds / 3600, digits)} h"


def _rounded(number: float, digits: int) -> str:
    return f"{float(f'{number:.{digits}g}'):g}"  # 110, not 1.1e+02


def format_count_range(counts: Iterable[float]) -> str:
    """Return `3` if all counts are equal, else `2 to 3`."""
    low, high = min(counts := list(counts)), max(counts)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def short_number(number: float | None) -> str:
    """Return a learning rate in few characters: 0.1, 0.03, 3e-3, 1.2e-5; a dash if it is missing."""
    if not is_finite(number):
        return DASH
    digits = 3 if number == 0 or 0.01 <= abs(number) < 1000 else 2
    return number_text(float(f"{number:.{digits}g}"))


def is_finite(number: float | None) -> TypeGuard[float]:
    """Return whether there is a number and it is finite."""
    return number is not None and math.isfinite(number)


DEFAULT_MARGIN = 0.005  # half a point; of fractions only: no size of a loss is small everywhere


def is_fraction(metric: str) -> bool:
    """Return whether a metric is a fraction, written in per cent for people."""
    return metric.endswith("accuracy")
