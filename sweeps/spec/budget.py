"""The `budget` of a sweep file: what a sweep may spend before it begins nothing more."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError
from ch6dist.sections import Frozen

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"\s*([0-9.]+(?:e[0-9]+)?)\s*(s|min|h|d)\s*", re.IGNORECASE)
TIMES = "a time above zero with its unit, such as 90 min or 2 h"


class Budget(Frozen):
    """What a sweep may spend; when a bound is reached, running trials finish their epoch and then wait."""

    device_hours: float | None = Field(
        None, gt=0, description="hours of training and evaluation, summed over devices (on a CPU: over packs)"
    )
    trials: int | None = Field(None, ge=1, description="how many trials may begin")
    wall_time: str | None = Field(None, description="how long drivers may be at work, with its unit: `90 min`, `2 h`")

    @field_validator("device_hours", mode="before")
    @classmethod
    def _hours(cls, given: Any) -> Any:
        return given if given is None or as_number(given) is None else as_number(given)

    @field_validator("wall_time", mode="before")
    @classmethod
    def _wall_time(cls, given: Any) -> Any:
        if given is not None:
            seconds_of(given)
        return given

    @property
    def wall_seconds(self) -> float | None:
        """Return the wall time in seconds."""
        return None if self.wall_time is None else seconds_of(self.wall_time)

    @model_validator(mode="after")
    def _bounds_something(self) -> Budget:
        if self.device_hours is None and self.trials is None and self.wall_time is None:
            raise InputError("", {}, "at least one of device_hours, trials and wall_time")
        return self


def seconds_of(given: Any) -> float:
    """Return a time such as `90 min`, `2 h` or `45 s` as seconds. InputError for anything else."""
    found = DURATION.fullmatch(str(given))
    try:
        seconds = float(found.group(1)) * UNITS[found.group(2).lower()] if found else 0.0
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise InputError("", given, TIMES)
    return seconds
