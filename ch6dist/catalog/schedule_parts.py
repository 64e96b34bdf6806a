"""What entries of the table of schedules are made of: their types, parameters that several have, and lambda presets.

ScheduleEntry("StepLR", "…", (length("step_size", REQUIRED, "steps between decays"), gamma(), interval()), slug="step")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ch6dist.catalog.parameters import DERIVED, REQUIRED, Entry, Parameter

BOTH = ("SequentialLR", "ChainedScheduler")


@dataclass(frozen=True, kw_only=True)
class ScheduleEntry(Entry):
    """A schedule: its parameters, its short name, and what it may be combined with."""

    slug: str  # stands for it in a trial's name
    within: tuple[str, ...] = ()  # the combinations it may be a part of
    sets_lr: bool = False  # sets learning rate and momentum of the whole training run, its own warm-up included
    fractional: bool = False  # alone, and stepped per batch, it takes fractions of an epoch
    ours: bool = False  # a closed form of ours; torch has no such scheduler
    needs_warmup: bool = False  # it is not what its name says without a `warmup`


@dataclass(frozen=True, kw_only=True)
class LambdaEntry(ScheduleEntry):
    """LambdaLR or MultiplicativeLR: the lambda preset (`recipe`) decides which further parameters there are."""

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do as Entry.resolve, with the parameters of the preset that `given` names too. Raises InputError."""
        if "recipe" not in given:
            return super().resolve(given)  # it is required
        preset = LAMBDA_PRESETS[self.parameter("recipe").parse(given["recipe"])]
        return Entry(f"{self.name} with {preset.name}", "", (*self.parameters, *preset.parameters)).resolve(given)


def interval(default: str = "epoch", *, choices: tuple[str, ...] = ("epoch", "batch")) -> Parameter:
    """Return the parameter that says after what a schedule steps."""
    return Parameter("interval", "choice", default, "how often the schedule steps", choices=choices)


def length(name: str, default: Any, meaning: str, *, none: bool = False, until: bool = False) -> Parameter:
    """Return a length; with `until` its fraction is a moment of the training run."""
    return Parameter(name, "duration", default, meaning, none=none, until=until)


def gamma(default: Any = 0.1) -> Parameter:
    """Return the factor of a decay."""
    return Parameter("gamma", "float", default, "factor on the learning rate", above=0)


def fraction(name: str, default: float, meaning: str) -> Parameter:
    """Return a number from 0 to 1."""
    return Parameter(name, "float", default, meaning, low=0, high=1)


def momentum(name: str, default: float) -> Parameter:
    """Return one end of the cycle of momentum."""
    return Parameter(name, "float", default, "momentum (or beta1) at one end of its cycle", low=0, below=1)


ETA_MIN = Parameter("eta_min", "float", 0.0, "learning rate at the end", low=0)
FINAL = fraction("final", 0.0, "share of the learning rate that it reaches at the end")
PER_BATCH = interval("batch", choices=("batch",))
CYCLE_MOMENTUM = Parameter("cycle_momentum", "bool", DERIVED, "momentum decreases while the learning rate increases")
MAX_LR = Parameter("max_lr", "float", DERIVED, "highest learning rate", above=0)

LAMBDA_PRESETS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "step_power",
            "gamma ^ ⌊t / step_size⌋",
            (
                length("step_size", REQUIRED, "steps between two decays"),
                Parameter("gamma", "float", 0.1, "factor of a decay", above=0, high=1),
            ),
        ),
        Entry(
            "inverse_sqrt",
            "1 / √(1 + t / timescale) (Vaswani et al. 2017)",
            (length("timescale", 1, "steps after which the learning rate is 0.71 times its start"),),
        ),
        Entry(
            "linear_to_zero",
            "1 − t / total_iters",
            (length("total_iters", DERIVED, "steps until the learning rate is 0", until=True),),
        ),
    )
}
PRESET = Parameter("recipe", "choice", REQUIRED, "lambda preset", choices=tuple(LAMBDA_PRESETS))
