"""What the documents claim, and what these trainings say to it: holds, does not hold, cannot be told.

A claim is about a difference of two means over seeds, judged by its 95 % Welch interval: it holds where the interval
lies on the claim's side of zero. With one seed nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.article.choose import (
    Config,
    Test,
    choose,
    has_schedule,
    is_adam,
    is_constant,
    is_momentum,
    is_nesterov,
    is_plain_sgd,
)
from analysis.article.curves import setting, short_labels
from analysis.article.note import CIFAR, schedules_of_one
from analysis.article.sources import Group, Sources, values_at
from analysis.study.stats import mean_std, welch_interval
from ch6dist.catalog.wording import format_mean_std, is_fraction, metric_label, short_number

HOLDS, NOT, OPEN = "holds", "does not hold", "cannot be told"


@dataclass(frozen=True)
class Judged:
    """A claim and what was found."""

    claim: str
    word: str
    found: str  # the numbers
    where: str  # the trainings


@dataclass(frozen=True)
class Claim:
    """A claim of the documents."""

    text: str
    judge: Callable[[Sources], tuple[str, str, str] | None]  # the word, the numbers, the trainings


def judge(sources: Sources) -> list[Judged]:
    """Return what the sources say to each claim that they can be held against."""
    found = [(claim, claim.judge(sources)) for claim in CLAIMS]
    return [Judged(claim.text, *said) for claim, said in found if said]


def difference(
    better: Sequence[float], other: Sequence[float], *, column: str, names: tuple[str, str]
) -> tuple[str, str]:
    """Return the word for "the first is better", and the numbers. Larger is better, but for a loss."""
    sign = 1 if is_fraction(column) else -1
    scale, unit = (100, " points") if is_fraction(column) else (1, "")
    means = [format_mean_std(*mean_std(x), column) for x in (better, other)]
    said = f"{names[0]} {means[0]} (n = {len(better)}), {names[1]} {means[1]} (n = {len(other)})"
    interval = welch_interval(better, other)
    if interval is None:
        return OPEN, f"{said}; one seed tells nothing about the next"
    mean = float(np.mean(better) - np.mean(other))
    bounds = f"{scale * interval.low:+.3g} to {scale * interval.high:+.3g}{unit}"
    text = f"{metric_label(column)}: {said}; difference {scale * mean:+.3g}{unit}, 95 % interval {bounds}"
    low, high = sorted((sign * interval.low, sign * interval.high))
    return (HOLDS if low > 0 else NOT if high < 0 else OPEN), text


def _at(group: Group, column: str, epoch: int) -> list[float]:
    return values_at(group.finished().curves(column), epoch)


def _pair(sources: Sources, first: Test, second: Test) -> tuple[Group, Group] | None:
    found = choose(sources.runs, (first, second), where=lambda config: CIFAR(config) and is_constant(config))
    return (found[0], found[1]) if found else None


def _ends(
    sources: Sources, first: Test, second: Test, *, epoch: int | None = None, column: str = "val_accuracy"
) -> tuple[str, str, str] | None:
    pair = _pair(sources, first, second)
    if pair is None:
        return None
    return _compared(*pair, column=column, epoch=epoch)


def _compared(one: Group, other: Group, *, column: str, epoch: int | None) -> tuple[str, str, str] | None:
    at = epoch or one.epochs
    values = _at(one, column, at), _at(other, column, at)
    if not all(values):
        return None
    names = short_labels((one, other))
    word, numbers = difference(*values, column=column, names=(names[0], names[1]))
    where = f"{one.run.name}: {setting(one)}" + (f"; after epoch {epoch}" if epoch else "")
    return word, numbers, where


def _scheduled(sources: Sources, name: str) -> tuple[str, str, str] | None:
    found = schedules_of_one(sources) or ()
    one = next((group for group in found if has_schedule(name)(group.config)), None)
    constant = next((group for group in found if is_constant(group.config)), None)
    compared = _compared(one, constant, column="val_accuracy", epoch=None) if one and constant else None
    if compared is None or one is None or constant is None:
        return None
    word, numbers, where = compared
    lrs = one.finished().curves("lr").to_numpy()
    if np.nanmin(lrs) == np.nanmax(lrs) == constant.config["optimizer"]["lr"]:
        return OPEN, f"{name} never changed the learning rate here: both are one training. {numbers}", where
    ends = f"learning rates at the ends of epochs {short_number(np.nanmin(lrs))} to {short_number(np.nanmax(lrs))}"
    return word, f"{numbers}; {ends} against {short_number(constant.config['optimizer']['lr'])}", where


def _has_momentum(config: Config) -> bool:
    return is_momentum(config) or is_nesterov(config)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        "Adam lowers the training loss faster than plain SGD: it is lower after three epochs.",
        lambda s: _ends(s, is_adam, is_plain_sgd, epoch=3, column="train_loss"),
    ),
    Claim(
        "Adam lowers the training loss faster than SGD with momentum: it is lower after three epochs.",
        lambda s: _ends(s, is_adam, is_momentum, epoch=3, column="train_loss"),
    ),
    Claim(
        "The better of momentum and Nesterov momentum ends with a better accuracy than Adam.",
        lambda s: _ends(s, _has_momentum, is_adam),
    ),
    Claim("Momentum ends better than plain SGD.", lambda s: _ends(s, is_momentum, is_plain_sgd)),
    Claim(
        "Nesterov momentum is slightly faster than momentum: the training loss is lower after five epochs.",
        lambda s: _ends(s, is_nesterov, is_momentum, epoch=5, column="train_loss"),
    ),
    Claim("Nesterov momentum ends better than momentum.", lambda s: _ends(s, is_nesterov, is_momentum)),
    *(
        Claim(f"{name} ends better than a constant learning rate.", partial(_scheduled, name=name))
        for name in ("StepLR", "MultiStepLR", "ReduceLROnPlateau", "CyclicLR")
    ),
)
