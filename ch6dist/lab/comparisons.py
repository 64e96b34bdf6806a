"""Which paths the laboratory makes: the optimizers that were chosen, and the comparisons of the book.

plan = plan_runs(chosen=[], epochs=10, lr=0.1)       # none chosen: all of the catalog
plan.runs["SGD momentum 0.9"]                        # the configuration of a path
plan.comparisons["flavours"]                         # names of the paths of a comparison
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ch6dist.catalog.lab import LR
from ch6dist.catalog.naming import optimizer_label, schedule_label
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.text import number_text
from ch6dist.config import TrialConfig, parse_trial

Settings = Mapping[str, Any]

SGD: Settings = {"name": "SGD"}
MOMENTUM: Settings = {"name": "SGD", "momentum": 0.9}
NESTEROV: Settings = {"name": "SGD", "momentum": 0.9, "nesterov": True}
ADAM: Settings = {"name": "Adam"}
BETA1S = (0.0, 0.5, 0.9, 0.99)
BETA2S = (0.5, 0.9, 0.99, 0.999)
EPSILONS = (1e-8, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Plan:
    """The paths to make, by name, and those of each comparison."""

    runs: dict[str, TrialConfig] = field(default_factory=dict)
    comparisons: dict[str, list[str]] = field(default_factory=dict)


def plan_runs(*, chosen: Sequence[TrialConfig], epochs: int, lr: float | None) -> Plan:
    """Return the paths of all comparisons; a configuration that several need is one path.

    Args:
        chosen: configurations beside those of the book; none: every optimizer of the catalog.
        epochs: of every path.
        lr: learning rate of every path; None: the one of the book, or the optimizer's own default if that is larger.
    """
    plan = Plan()
    everything = [*(chosen or catalog(epochs=epochs, lr=lr))]
    plan.comparisons["optimizers"] = _add(plan, everything)
    for name, settings in _book(lr or LR.default).items():
        trials = (trial_of(optimizer, epochs=epochs, lr=lr, schedule=schedule) for optimizer, schedule in settings)
        plan.comparisons[name] = _add(plan, trials)
    return plan


def catalog(*, epochs: int, lr: float | None) -> list[TrialConfig]:
    """Return every generic optimizer by its defaults, and SGD with momentum and with Nesterov momentum."""
    all_of_them = [SGD, MOMENTUM, NESTEROV, *({"name": name} for name in OPTIMIZERS if name != "SGD")]
    return [trial_of(optimizer, epochs=epochs, lr=lr) for optimizer in all_of_them]


def trial_of(
    optimizer: Settings, *, epochs: int, lr: float | None, schedule: Any = "none", file: str | None = None
) -> TrialConfig:
    """Return the configuration of a path; InputError for what is not allowed, with `file` in front.

    Args:
        lr: for an optimizer without a learning rate of its own; None: as in `plan_runs`.
    """
    filled = {"lr": default_lr(str(optimizer.get("name"))) if lr is None else lr, **optimizer}
    return parse_trial({"optimizer": filled, "schedule": schedule, "epochs": epochs}, file=file)


def default_lr(optimizer: str) -> float:
    """Return the learning rate of the book, or the optimizer's own default where that is larger: Adadelta's 1."""
    own = OPTIMIZERS[optimizer].parameter("lr").default if optimizer in OPTIMIZERS else 0.0
    return float(max(LR.default, own))


def name_of(trial: TrialConfig) -> str:
    """Return the name of a path: optimizer, learning rate where it is not the usual one, schedule."""
    lr = trial.optimizer["lr"]
    parts = [optimizer_label(trial.optimizer)]
    parts += [f"lr {number_text(lr)}"] if lr != default_lr(trial.optimizer["name"]) else []
    parts += [schedule_label(trial.schedule)] if trial.schedule["name"] != "none" else []
    return ", ".join(parts)


def _add(plan: Plan, trials: Iterable[TrialConfig]) -> list[str]:
    names: list[str] = []
    for trial in trials:
        name = name_of(trial)
        plan.runs.setdefault(name, trial)
        if name not in names:
            names.append(name)
    return names


def _book(lr: float) -> dict[str, list[tuple[Settings, Any]]]:
    """Return optimizer and schedule of each path of the book, and of those of Adam's parameters.

    CyclicLR is the book's, torch's defaults with it: it cycles the momentum too, against the learning rate.
    """
    cycle = {
        "name": "CyclicLR",
        "base_lr": lr / 4,
        "max_lr": lr,
        "step_size_up": 10,
        "mode": "triangular2",
    }
    schedules = ["none", {"name": "StepLR", "step_size": 4, "gamma": 0.5}, cycle]
    return {
        "adam": [(SGD, "none"), (ADAM, "none")],
        "flavours": [(SGD, "none"), (MOMENTUM, "none"), (NESTEROV, "none")],
        "schedules": [(optimizer, schedule) for optimizer in (MOMENTUM, NESTEROV) for schedule in schedules],
        "beta1": [({**ADAM, "betas": [beta, 0.999]}, "none") for beta in BETA1S],
        "beta2": [({**ADAM, "betas": [0.9, beta]}, "none") for beta in BETA2S],
        "eps": [({**ADAM, "eps": eps}, "none") for eps in EPSILONS],
    }
