"""The schedule of a trial: steps torch's schedulers after each batch or epoch, and notes what they override.

    schedule = build_schedule(trial, optimizer, steps_per_epoch=352)
    for epoch in range(trial.epochs):
        for batch in range(352):
            …; optimizer.step(); schedule.after_step(epoch=epoch, batch=batch)
        schedule.after_epoch({"val_loss": …, …})
    preview(trial, steps_per_epoch=352)     # [(lr, momentum) of every step], without training

Resume: build both again, then optimizer.load_state_dict and schedule.load_state_dict: the learning rates are the same.
The `last_epoch` argument of torch cannot do that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler, ReduceLROnPlateau

from ch6dist.catalog.lookup import schedule_of
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedule_notes import schedule_notes
from ch6dist.optim.torch_schedulers import Span, arguments, build_scheduler, build_warmup, fill_cycle
from ch6dist.trial_sections import RangeTestConfig

UNCHANGING = {"train_loss": 1.0, "train_accuracy": 1.0, "val_loss": 1.0, "val_accuracy": 1.0}


class Schedule:
    """A torch scheduler and when it steps. `notes`: what it overrides or derives, a line each.

    `known_epochs`: how many epochs, from the first, have learning rates that depend on no metric; None: all.
    """

    known_epochs: int | None = None

    def __init__(self, scheduler: LRScheduler, *, interval: str) -> None:
        self.interval, self._scheduler = interval, scheduler
        self.notes: tuple[str, ...] = ()

    def after_step(self, *, epoch: int, batch: int) -> None:
        """Call after each optimizer step; `epoch` and `batch` (of the epoch) are those of the step, both from 0."""
        if self.interval == "batch":
            self._scheduler.step()

    def after_epoch(self, metrics: Mapping[str, float]) -> None:
        """Call after each epoch's validation, with at least the monitored metric, equal on every rank."""
        if self.interval == "epoch":
            self._scheduler.step()

    def run_ahead(self, metrics: Sequence[Mapping[str, float]], *, steps_per_epoch: int) -> None:
        """Step as a training of as many epochs as there are `metrics` would: every step, without training.

        Only from the first step on, and before a gradient is there.
        """
        if metrics:
            self._scheduler.optimizer.step()  # nothing moves, and torch knows that optimizers step before schedulers
        for epoch, measured in enumerate(metrics):
            for batch in range(steps_per_epoch):
                self.after_step(epoch=epoch, batch=batch)
            self.after_epoch(measured)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs beside the optimizer's state; loads with `torch.load(weights_only=True)`."""
        return {"scheduler": self._scheduler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from `state_dict`; the optimizer's own state is loaded beside it."""
        self._scheduler.load_state_dict(dict(state["scheduler"]))  # a copy: torch takes entries out of what it is given


class _FractionalSchedule(Schedule):
    """CosineAnnealingWarmRestarts per batch: it is stepped with the epoch and its fraction, from 0."""

    def __init__(self, scheduler: LRScheduler, *, steps_per_epoch: int) -> None:
        super().__init__(scheduler, interval="batch")
        self._steps_per_epoch = steps_per_epoch

    def after_step(self, *, epoch: int, batch: int) -> None:
        # the only scheduler whose step() takes an epoch without being deprecated; typed as int, documented as float
        self._scheduler.step(epoch + (batch + 1) / self._steps_per_epoch)  # type: ignore[arg-type]


class _PlateauSchedule(Schedule):
    """ReduceLROnPlateau, which torch cannot put behind a warm-up: metrics count from the warm-up's end."""

    def __init__(self, plateau: ReduceLROnPlateau, warmup: LRScheduler, *, warmup_epochs: int, monitor: str) -> None:
        super().__init__(plateau, interval="epoch")
        self._plateau, self._warmup, self._warmup_epochs, self._monitor = plateau, warmup, warmup_epochs, monitor
        # the first metric is the best so far; patience + 1 worse ones change the epoch after them
        self.known_epochs = warmup_epochs + plateau.patience + 2

    def after_epoch(self, metrics: Mapping[str, float]) -> None:
        if self._warmup.last_epoch < self._warmup_epochs:
            self._warmup.step()
        else:
            self._plateau.step(metrics[self._monitor])

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "warmup": self._warmup.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._warmup.load_state_dict(dict(state["warmup"]))


def build_schedule(trial: TrialConfig, optimizer: Optimizer, *, steps_per_epoch: int) -> Schedule:
    """Build the schedule of `trial` over `optimizer`, and set the first learning rate (and momentum).

    InputError where the lengths fit no training of `trial.epochs` × `steps_per_epoch` steps.
    """
    if trial.type == "range_test":
        schedule = Schedule(_range_test(trial.range_test, optimizer), interval="batch")
    else:
        span = Span(epochs=trial.epochs, steps_per_epoch=steps_per_epoch, length=trial.epochs)
        schedule = _build(trial, optimizer, span)
    schedule.notes = schedule_notes(trial, steps_per_epoch=steps_per_epoch)
    return schedule


class _StandIn(torch.optim.Optimizer):
    """What a schedule sees of an optimizer that is not torch's: a preview runs none of its code."""

    def __init__(self, parameters: list[torch.nn.Parameter], config: Mapping[str, Any]) -> None:
        given = {key: config[key] for key in ("lr", "momentum", "betas") if config.get(key) is not None}
        super().__init__(parameters, {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})

    def step(self, closure: Any = None) -> Any:
        """Do nothing."""


def preview(trial: TrialConfig, *, steps_per_epoch: int) -> list[tuple[float, float | None]]:
    """Return learning rate and momentum used in every step of `trial`, without training.

    A plateau sees a metric that never changes.
    """
    parameters, foreign = [torch.nn.Parameter(torch.zeros(()))], trial.optimizer["name"] not in OPTIMIZERS
    optimizer = _StandIn(parameters, trial.optimizer) if foreign else build_optimizer(parameters, trial.optimizer)
    schedule = build_schedule(trial, optimizer, steps_per_epoch=steps_per_epoch)
    optimizer.step()  # without gradients nothing moves, and torch knows that optimizers step before schedulers
    used = []
    num_steps = trial.range_test.steps if trial.type == "range_test" else trial.epochs * steps_per_epoch
    for step in range(num_steps):
        epoch, batch = divmod(step, steps_per_epoch)
        used.append((float(optimizer.param_groups[0]["lr"]), momentum_of(optimizer)))
        schedule.after_step(epoch=epoch, batch=batch)
        if batch == steps_per_epoch - 1:
            schedule.after_epoch(UNCHANGING)
    return used


def _build(trial: TrialConfig, optimizer: Optimizer, span: Span) -> Schedule:
    config = trial.schedule
    entry = schedule_of(config)
    if config["name"] == "ReduceLROnPlateau":
        return _plateau(config, optimizer, span)
    if entry.sets_lr:
        config = fill_cycle(config, trial.optimizer)
    scheduler = build_scheduler(config, optimizer, span)
    interval = config.get("schedulers", [config])[0].get("interval", "epoch")
    if entry.fractional and interval == "batch":
        return _FractionalSchedule(scheduler, steps_per_epoch=span.steps_per_epoch)
    return Schedule(scheduler, interval=interval)


def _plateau(config: Mapping[str, Any], optimizer: Optimizer, span: Span) -> _PlateauSchedule:
    warmup: LRScheduler = ConstantLR(optimizer, factor=1.0)
    epochs = 0
    if "warmup" in config:
        warmup, epochs = build_warmup(config, optimizer, span), config["warmup"]["epochs"]
    plateau = ReduceLROnPlateau(optimizer, **arguments(schedule_of(config), config, span))
    return _PlateauSchedule(plateau, warmup, warmup_epochs=epochs, monitor=config["monitor"])


def _range_test(test: RangeTestConfig, optimizer: Optimizer) -> LRScheduler:
    """Return the scheduler of a range test: lr = start · (end / start) ^ (i / (n − 1)) in step i of n, or linear."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0  # LambdaLR multiplies: with 1 the factor is the learning rate
    return LambdaLR(optimizer, _range_lr(test))


def _range_lr(test: RangeTestConfig) -> Callable[[int], float]:
    def lr(step: int) -> float:
        share = min(1.0, step / (test.steps - 1))
        if test.mode == "linear":
            return test.start_lr + (test.end_lr - test.start_lr) * share
        return float(test.start_lr * (test.end_lr / test.start_lr) ** share)

    return lr
