"""What a schedule overrides, derives or leaves without effect, a line each, for the log: nothing is dropped silently.

schedule_notes(trial, steps_per_epoch=352)
# ('OneCycleLR sets the learning rate: 0.0004 → 0.01 → 4e-08; optimizer.lr 0.1 is ignored', 'momentum cycles …')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ch6dist.catalog.lookup import schedule_of
from ch6dist.catalog.optimizer_notes import optimizer_notes
from ch6dist.catalog.parameters import DERIVED
from ch6dist.catalog.schedule_warnings import schedule_warnings
from ch6dist.config import TrialConfig
from ch6dist.optim.torch_schedulers import Span, arguments, fill_cycle

Config = Mapping[str, Any]


def schedule_notes(trial: TrialConfig, *, steps_per_epoch: int) -> tuple[str, ...]:
    """Return the notes of a trial's schedule and optimizer; empty when everything is as it was given."""
    if trial.type == "range_test":
        test = trial.range_test
        lrs = f"{test.start_lr:g} → {test.end_lr:g} in {test.steps} steps"
        notes = [f"the range test sets the learning rate: {lrs}; optimizer.lr and schedule are ignored"]
    else:
        sets_lr = schedule_of(trial.schedule).sets_lr
        notes = list(_cycle(trial) if sets_lr else _lengths(trial, steps_per_epoch))
        notes += schedule_warnings(trial.schedule, epochs=trial.epochs, steps_per_epoch=steps_per_epoch)
    return (*notes, *optimizer_notes(trial.optimizer))


def _cycle(trial: TrialConfig) -> Iterator[str]:
    config, lr = fill_cycle(trial.schedule, trial.optimizer), trial.optimizer["lr"]
    top = config["max_lr"]
    if config["name"] == "OneCycleLR":
        start = top / config["div_factor"]
        lrs = f"{start:g} → {top:g} → {start / config['final_div_factor']:g}"
    else:
        lrs = f"{config['base_lr']:g} – {top:g}"
    fate = f"optimizer.lr {lr:g} is ignored" if "max_lr" in trial.schedule else "max_lr is optimizer.lr"
    yield f"{config['name']} sets the learning rate: {lrs}; {fate}"
    if config["cycle_momentum"]:
        name = "beta1" if "betas" in trial.optimizer else "momentum"
        given = trial.optimizer["betas"][0] if name == "beta1" else trial.optimizer["momentum"]
        cycle = f"{config['base_momentum']:g}–{config['max_momentum']:g}"
        yield f"{name} cycles {cycle}, whatever optimizer.{name.replace('beta1', 'betas')} ({given:g}) says"


def _lengths(trial: TrialConfig, steps_per_epoch: int) -> Iterator[str]:
    schedule = trial.schedule
    ahead = 0
    if "warmup" in schedule:
        ahead, lr = schedule["warmup"]["epochs"], trial.optimizer["lr"]
        start = schedule["warmup"]["start_factor"] * lr
        yield f"warm-up: {start:g} → {lr:g} in {ahead} epochs; {schedule['name']} counts from there"
    if "schedulers" in schedule:
        return
    span = Span(epochs=trial.epochs, steps_per_epoch=steps_per_epoch, length=trial.epochs - ahead, begin=ahead)
    entry = schedule_of(schedule)
    steps = arguments(entry, schedule, span)
    unit = {"batch": "steps", "epoch": "epochs"}[schedule.get("interval", "epoch")]
    for p in entry.parameters:
        if p.default is DERIVED and p.kind == "duration" and p.name not in schedule:
            yield f"{schedule['name']}: {p.name} is {steps[p.name]} {unit}, to the end of the training"
    whole = span.length * span.per_epoch(schedule)
    if "decay" in steps:
        yield f"{schedule['name']}: the learning rate decays in the last {steps['decay']} of its {whole} {unit}"
    if steps.get("T_max", whole) < whole:
        yield f"{schedule['name']} stays at eta_min {schedule['eta_min']:g} after {steps['T_max']} {unit}"
