"""The metrics by which configurations are ranked and plateaus are watched, and which end of each is best.

goal_of("val_loss")                     # 'minimize'
check_goal("val_loss", "maximize")      # InputError: goal: 'maximize' is not allowed; allowed: minimize …
"""

from __future__ import annotations

from typing import Literal, get_args

from ch6dist.errors import InputError

MetricName = Literal[
    "val_accuracy", "val_loss", "train_accuracy", "train_loss", "val_top5_accuracy", "val_coarse_accuracy"
]
Measure = Literal["top5", "coarse"]  # beside the accuracy, where a trial asks for it
TOP = 5  # classes that `top5` looks at
Goal = Literal["maximize", "minimize"]
DEFAULT_METRIC: MetricName = "val_accuracy"


def goal_of(metric: str) -> Goal:
    """Return which end of a metric is best: a loss is minimized, anything else maximized."""
    return "minimize" if metric.endswith("_loss") else "maximize"


def measure_of(metric: str) -> str:
    """Return what a trial has to ask for to have a metric; empty where every trial has it."""
    return next((measure for measure in get_args(Measure) if metric.endswith(f"_{measure}_accuracy")), "")


def check_goal(metric: str, goal: object) -> Goal:
    """Return the goal of a metric; InputError if `goal` is another one."""
    right = goal_of(metric)
    if goal != right:
        raise InputError("goal", goal, f"{right}, which follows from {metric}; it may be left out")
    return right
