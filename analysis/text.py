"""Numbers and configurations as people read them: per cent, mean ± std, short names."""

from __future__ import annotations

import math

import pandas as pd

NONE = "–"
_PLAIN_SCHEDULES = {"none", ""}


def configuration(row: pd.Series, *, lr: bool = True, run: bool = False) -> str:
    """`SGD Nesterov 0.9 · StepLR · lr 0.03` from a row with optimizer, scheduler, setting, lr (and run)."""
    parts = [row["run"]] if run else []
    parts += [row["optimizer"]]
    parts += [] if row["scheduler"] in _PLAIN_SCHEDULES else [row["scheduler"]]
    parts += [row["setting"]] if row["setting"] else []
    return " · ".join(str(part) for part in [*parts, *([f"lr {short_number(row['lr'])}"] if lr else [])])


def value(number: float | None, metric: str) -> str:
    """A metric's value: `71.23 %` for an accuracy, four digits for a loss, a dash for none."""
    if not known(number):
        return NONE
    assert number is not None
    return f"{100 * number:.2f} %" if is_share(metric) else f"{number:.4g}"


def mean_std(mean: float | None, std: float | None, metric: str) -> str:
    """`71.23 ± 0.40 %`; without a spread (one run) the number alone."""
    if not known(mean) or not known(std):
        return value(mean, metric)
    assert mean is not None  # for the type checker: `known` said so
    assert std is not None
    return f"{100 * mean:.2f} ± {100 * std:.2f} %" if is_share(metric) else f"{mean:.4g} ± {std:.2g}"


def interval(low: float | None, high: float | None, metric: str) -> str:
    """`70.2–72.3 %`."""
    if not known(low) or not known(high):
        return NONE
    assert low is not None
    assert high is not None
    return f"{100 * low:.1f}–{100 * high:.1f} %" if is_share(metric) else f"{low:.4g} to {high:.4g}"


def points(difference: float | None, metric: str) -> str:
    """The size of a difference or a spread: `1.20 points` of an accuracy, or plain; a dash for none."""
    if not known(difference):
        return NONE
    assert difference is not None
    return f"{100 * abs(difference):.2f} points" if is_share(metric) else f"{abs(difference):.3g}"


def seconds(number: float | None) -> str:
    """`0.42 s`, `41 s`, `12 min`, `3.4 h`."""
    if not known(number):
        return NONE
    assert number is not None
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60)):
        if number < limit:
            return f"{number / size:.3g} {unit}"
    return f"{number / 3600:.3g} h"


def known(number: float | None) -> bool:
    """Whether there is a finite number."""
    return number is not None and math.isfinite(number)


def short_number(value: float | None) -> str:
    """A learning rate in few characters: 0.1, 0.03, 3e-3, 1.2e-5; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def is_share(metric: str) -> bool:
    """Whether a metric is a fraction, written in per cent for people."""
    return metric.endswith("accuracy")


def metric_name(metric: str) -> str:
    """`val_accuracy` in words."""
    words = {"val": "validation", "train": "training"}
    return " ".join(words.get(part, part) for part in metric.split("_"))


def status_words(status: str) -> str:
    """`out_of_memory` as a person writes it."""
    return str(status).replace("_", " ")
