"""Every schedule of the catalog as a trial may give it, with what has no default."""

from __future__ import annotations

from typing import Any

from ch6dist.catalog.schedules import SCHEDULES

_REQUIRED: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": [1]},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingWarmRestarts": {"T_0": 1},
    "LambdaLR": {"recipe": "inverse_sqrt"},
    "MultiplicativeLR": {"recipe": "inverse_sqrt"},
    "warmup_cosine": {"warmup": {"epochs": 1}},
    "SequentialLR": {"milestones": [1], "schedulers": ["LinearLR", "PolynomialLR"]},
    "ChainedScheduler": {"schedulers": ["LinearLR", "PolynomialLR"]},
}
EVERY_SCHEDULE = {name: {"name": name, **_REQUIRED.get(name, {})} for name in SCHEDULES}
