"""From a resolved schedule to torch's schedulers: lengths in steps, derived values, warm-up, sequences, closed forms.

    span = Span(epochs=30, steps_per_epoch=352, length=30)
    scheduler = build_scheduler({"name": "CosineAnnealingLR", "eta_min": 0.0, "interval": "epoch"}, optimizer, span)

torch's CosineAnnealingLR and OneCycleLR raise the learning rate again when stepped past their end; ours stay there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    OneCycleLR,
    SequentialLR,
)

from ch6dist.catalog.lookup import cycles_momentum, schedule_of
from ch6dist.catalog.parameters import DERIVED, Entry
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.catalog.schedules import count_steps, parts
from ch6dist.errors import InputError
from ch6dist.optim.closed_forms import CLOSED_FORMS, LAMBDA_FACTORS, Factor
from ch6dist.optim.own_factor import own_factor

Config = Mapping[str, Any]
OURS = ("interval", "monitor", "recipe")  # parameters that torch does not have


@dataclass(frozen=True)
class Span:
    """The part of a training run in which a schedule works, for turning lengths into steps."""

    epochs: int  # of the whole training run
    steps_per_epoch: int
    length: int  # epochs of this part
    begin: int = 0  # epochs before this part

    def per_epoch(self, config: Config) -> int:
        """Return how often in an epoch a schedule steps."""
        return self.steps_per_epoch if config.get("interval") == "batch" else 1


class HeldCosine(CosineAnnealingLR):
    """CosineAnnealingLR that stays at eta_min after T_max."""

    def step(self, epoch: int | None = None) -> None:
        """Step as torch does, but only up to T_max: beyond it torch's learning rate would rise again."""
        if self.last_epoch < self.T_max:
            super().step(epoch)


class HeldOneCycle(OneCycleLR):
    """OneCycleLR that stays at its last learning rate, that of step total_steps − 1."""

    def step(self, epoch: int | None = None) -> None:
        """Step as torch does, but only up to the last useful step: one more raises the learning rate, two an error."""
        if self.last_epoch < self.total_steps - 1:
            super().step(epoch)


class RestartingMultiplicative(MultiplicativeLR):
    """MultiplicativeLR that starts at its own first learning rate within a sequence; torch's takes the current one."""

    def _get_closed_form_lr(self) -> list[Any]:
        lrs = list(self.base_lrs)
        for t in range(1, self.last_epoch + 1):
            lrs = [lr * factor(t) for lr, factor in zip(lrs, self.lr_lambdas, strict=True)]
        return lrs


class ExactRestarts(CosineAnnealingWarmRestarts):
    """CosineAnnealingWarmRestarts that restarts in the epoch that it should.

    Given an epoch, torch finds its cycle by a rounded logarithm: log(1000, 10) is 2.9999999999999996, and the epoch in
    which the fourth cycle begins is then the end of the third, with eta_min instead of the first learning rate.
    """

    def get_lr(self) -> list[Any]:
        """Return torch's learning rates, with `T_cur` brought into its cycle: 0 ≤ T_cur < T_i."""
        if self.T_mult > 1:
            while self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
            while self.T_cur < 0:
                self.T_i //= self.T_mult
                self.T_cur += self.T_i
        return super().get_lr()


_CLASSES: dict[str, type[LRScheduler]] = {
    "CosineAnnealingLR": HeldCosine,
    "CosineAnnealingWarmRestarts": ExactRestarts,
    "OneCycleLR": HeldOneCycle,
}


def build_scheduler(config: Config, optimizer: Optimizer, span: Span) -> LRScheduler:
    """Build the torch scheduler of a resolved schedule that steps without a metric."""
    if "warmup" in config:
        ahead = config["warmup"]["epochs"]
        rest = _single(config, optimizer, replace(span, length=span.length - ahead, begin=ahead))
        steps = ahead * span.per_epoch(config)
        return SequentialLR(optimizer, [build_warmup(config, optimizer, span), rest], milestones=[steps])
    if config["name"] == "SequentialLR":
        return _sequence(config, optimizer, span)
    if config["name"] == "ChainedScheduler":
        return ChainedScheduler([_single(child, optimizer, span) for child in config["schedulers"]], optimizer)
    return _single(config, optimizer, span)


def build_warmup(config: Config, optimizer: Optimizer, span: Span) -> LinearLR:
    """Return the linear rise in front of a schedule, in the schedule's own steps."""
    warmup, steps = config["warmup"], config["warmup"]["epochs"] * span.per_epoch(config)
    return LinearLR(optimizer, start_factor=warmup["start_factor"], end_factor=1.0, total_iters=steps)


def fill_cycle(config: Config, optimizer: Config) -> dict[str, Any]:
    """Return OneCycleLR's or CyclicLR's mapping with what follows from the optimizer's learning rate and momentum."""
    max_lr = config.get("max_lr", optimizer["lr"])
    filled = {"cycle_momentum": cycles_momentum(optimizer), **config, "max_lr": max_lr}
    if config["name"] == "CyclicLR":
        filled.setdefault("base_lr", max_lr / 10)
    return filled


def arguments(entry: Entry, config: Config, span: Span) -> dict[str, Any]:
    """Return what torch's constructor takes: lengths in steps, left-out lengths from the span, nothing of ours."""
    # T_0 counts epochs even when the schedule is stepped by fractions of them
    per_epoch = 1 if getattr(entry, "fractional", False) else span.per_epoch(config)
    found: dict[str, Any] = {}
    for p in entry.parameters:
        value = config.get(p.name)
        if p.name in OURS or (p.name not in config and (p.default is not DERIVED or p.kind != "duration")):
            continue
        if p.name not in config:
            found[p.name] = span.length * per_epoch
        elif p.kind == "duration" and value is not None:
            begin = span.begin if p.until else 0
            found[p.name] = max(1, count_steps(value, epochs=span.epochs, per_epoch=per_epoch, begin=begin))
        elif p.kind == "durations":  # what lies before the beginning has taken place: torch counts it in
            found[p.name] = [
                count_steps(item, epochs=span.epochs, per_epoch=per_epoch, begin=span.begin) for item in value or ()
            ]
        else:
            found[p.name] = value
    return found


def _single(config: Config, optimizer: Optimizer, span: Span) -> LRScheduler:
    name = config["name"]
    if name == "none":
        return ConstantLR(optimizer, factor=1.0)
    if "recipe" in config:
        factor = LAMBDA_FACTORS[config["recipe"]](**arguments(LAMBDA_PRESETS[config["recipe"]], config, span))
        if name == "LambdaLR":
            return LambdaLR(optimizer, factor)
        return RestartingMultiplicative(optimizer, _ratio(factor))
    entry, steps = schedule_of(config), span.length * span.per_epoch(config)
    given = arguments(entry, config, span)
    if entry.ours:
        form = CLOSED_FORMS[name] if name in CLOSED_FORMS else partial(own_factor, config)
        return LambdaLR(optimizer, form(**given, length=steps))
    _check_steps(name, given, steps=steps)
    scheduler: LRScheduler = _CLASSES.get(name, getattr(lr_scheduler, name))(optimizer, **given)
    return scheduler


def _check_steps(name: str, given: dict[str, Any], *, steps: int) -> None:
    """Raise InputError for lengths that make torch fail with an arithmetic error in the middle of a training run."""
    if name == "OneCycleLR" and given["pct_start"] * given["total_steps"] == 1:  # 0 / 0
        raise InputError(
            "schedule.pct_start", given["pct_start"], f"not just the first of {given['total_steps']} steps"
        )
    if name == "CyclicLR" and given["mode"] == "triangular2":  # 2.0 ** 1024 overflows
        up = given["step_size_up"]
        if steps > 1000 * (up + (given["step_size_down"] or up)):
            raise InputError(
                "schedule.step_size_up", up, f"more: at most 1000 cycles in the {steps} steps of the training"
            )


def _sequence(config: Config, optimizer: Optimizer, span: Span) -> SequentialLR:
    every = parts(config, epochs=span.epochs)
    children = [
        _single(child, optimizer, replace(span, length=end - begin, begin=begin)) for child, begin, end in every
    ]
    per_epoch = span.per_epoch(config["schedulers"][0])
    return SequentialLR(optimizer, children, milestones=[begin * per_epoch for _, begin, _ in every[1:]])


def _ratio(factor: Factor) -> Factor:
    """Return what a lambda preset changes from step t − 1 to t; 0 stays 0."""
    return lambda t: factor(t) / factor(t - 1) if factor(t - 1) > 0 else 0.0
