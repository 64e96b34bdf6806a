"""The path of an optimizer over a problem's loss: everything about every step, as numpy arrays.

    runs = {"Adam": parse_trial({"optimizer": {"name": "Adam", "lr": 0.1}, "epochs": 10})}
    path = run_paths(problem, runs)["Adam"]
    path.parameters, path.gradients, path.states["exp_avg"]       # (steps + 1, 2), (steps, 2), (steps, 2)

All paths of a call share start, batches and their order. Optimizer and schedule are those of a trial, built and
stepped as in training; images and model of the configuration are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.optim import Optimizer

from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.lab.problems import Array, Problem
from ch6dist.optim.optimizers import build_optimizer
from ch6dist.optim.schedules import Schedule, build_schedule

DIVERGED = 1e4  # times the loss at the start: from there on a path is not followed


@dataclass(frozen=True)
class Path:
    """What an optimizer did: a row per step, and a row per epoch."""

    config: TrialConfig
    parameters: Array  # (steps + 1, 2): before each step, and at the end
    gradients: Array  # (steps, 2) of the batch's loss
    adapted: Array  # (steps, 2): the step as taken ÷ −lr; NaN where lr is 0
    batch_losses: Array  # (steps,) before the step
    losses: Array  # (steps + 1,) of all training points
    lrs: Array  # (steps,)
    states: Mapping[str, Array]  # by torch's name, (steps, 2), after the step; a scalar stands for both parameters
    epoch_losses: Array  # (epochs,) means of the batches' losses, weighted by their sizes
    val_losses: Array  # (epochs,) after each epoch
    diverged: bool  # the path ends where the loss was not finite or above 10,000 times that of the start


@dataclass
class _Record:
    """A path while it is made."""

    parameters: list[Array] = field(default_factory=list)
    gradients: list[Array] = field(default_factory=list)
    adapted: list[Array] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    lrs: list[float] = field(default_factory=list)
    states: dict[str, list[Array]] = field(default_factory=dict)
    epoch_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)


def run_paths(problem: Problem, runs: Mapping[str, TrialConfig]) -> dict[str, Path]:
    """Return the path of each named configuration: its optimizer, schedule and number of epochs.

    InputError for a schedule that watches an accuracy, or whose lengths do not fit.
    """
    return {name: _run_path(problem, config) for name, config in runs.items()}


def _run_path(problem: Problem, config: TrialConfig) -> Path:
    monitor = config.schedule.get("monitor", "val_loss")
    if monitor not in ("train_loss", "val_loss"):
        raise InputError("schedule.monitor", monitor, "train_loss or val_loss: nothing is classified here")
    weights = torch.nn.Parameter(torch.tensor(problem.start, dtype=torch.float64))
    optimizer = build_optimizer([weights], config.optimizer)
    schedule = build_schedule(config, optimizer, steps_per_epoch=problem.steps_per_epoch)
    record, limit = _Record(), DIVERGED * float(problem.train.loss(np.array(problem.start)))
    diverged = False
    for epoch in range(config.epochs):
        diverged = _run_epoch(problem, weights, optimizer, schedule, record, epoch=epoch, limit=limit)
        if diverged:
            break
        place = _numbers(weights)
        record.val_losses.append(float(problem.validation.loss(place)))
        schedule.after_epoch({"train_loss": record.epoch_losses[-1], "val_loss": record.val_losses[-1]})
    parameters = np.array([*record.parameters, _numbers(weights)])
    return Path(
        config=config,
        parameters=parameters,
        gradients=np.array(record.gradients),
        adapted=np.array(record.adapted),
        batch_losses=np.array(record.batch_losses),
        losses=problem.train.loss(parameters),
        lrs=np.array(record.lrs),
        states={name: np.array(values) for name, values in record.states.items()},
        epoch_losses=np.array(record.epoch_losses),
        val_losses=np.array(record.val_losses),
        diverged=diverged,
    )


def _run_epoch(
    problem: Problem,
    weights: torch.nn.Parameter,
    optimizer: Optimizer,
    schedule: Schedule,
    record: _Record,
    *,
    epoch: int,
    limit: float,
) -> bool:
    """Take the steps of an epoch and return whether the loss has diverged in it."""
    inputs, targets = torch.from_numpy(problem.train.inputs), torch.from_numpy(problem.train.targets)
    total = 0.0
    batches = problem.batches(epoch)
    for batch, rows in enumerate(batches):
        optimizer.zero_grad()
        loss = ((inputs[rows] @ weights - targets[rows]) ** 2).mean()
        loss.backward()
        before, lr = _numbers(weights), float(optimizer.param_groups[0]["lr"])
        optimizer.step()
        _note(record, before, weights, optimizer, loss=float(loss.detach()), lr=lr)
        schedule.after_step(epoch=epoch, batch=batch)
        total += float(loss.detach()) * len(rows)
        if not float(problem.train.loss(_numbers(weights))) < limit:  # NaN is not below anything
            return True
    record.epoch_losses.append(total / sum(map(len, batches)))
    return False


def _note(
    record: _Record, before: Array, weights: torch.nn.Parameter, optimizer: Optimizer, *, loss: float, lr: float
) -> None:
    """Record a step that has just been taken."""
    assert weights.grad is not None
    record.parameters.append(before)
    record.gradients.append(weights.grad.numpy().copy())
    record.adapted.append((before - _numbers(weights)) / lr if lr else np.full(2, np.nan))
    record.batch_losses.append(loss)
    record.lrs.append(lr)
    for name, value in optimizer.state[weights].items():
        if value is not None:
            numbers = np.asarray(torch.as_tensor(value).detach(), dtype=np.float64)
            record.states.setdefault(name, []).append(np.broadcast_to(numbers, 2).copy())


def _numbers(weights: torch.Tensor) -> Array:
    return weights.detach().numpy().copy()
