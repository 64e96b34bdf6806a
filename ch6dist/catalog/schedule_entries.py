"""The table of schedules: every torch scheduler by class name, its parameters, defaults and bounds, and `none`.

    SCHEDULES["StepLR"].resolve({"step_size": 15})      # {'step_size': 15, 'gamma': 0.1, 'interval': 'epoch'}

A test holds it against torch's signatures. Ours are `interval` (how often it steps), `monitor` (the metric that
ReduceLROnPlateau watches) and `recipe` with its parameters, instead of the code that LambdaLR and MultiplicativeLR
take. `catalog/schedules.py` checks what a trial gives.
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

    slug: str  # in a trial's name
    within: tuple[str, ...] = ()  # the combinations it may be a part of
    sets_rate: bool = False  # sets rate and momentum of the whole training, its own warm-up included
    fractional: bool = False  # alone, and stepped per batch, it takes fractions of an epoch


@dataclass(frozen=True, kw_only=True)
class RecipeEntry(ScheduleEntry):
    """LambdaLR and MultiplicativeLR: the recipe decides which further parameters there are."""

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As Entry.resolve, with the parameters of the recipe that `given` names. Raises InputError."""
        recipe = self.parameter("recipe").parse(given.get("recipe"))
        chosen = RECIPES[recipe]
        return Entry(f"{self.name} with {recipe}", "", (*self.parameters, *chosen.parameters)).resolve(given)


def _interval(default: str = "epoch", *, choices: tuple[str, ...] = ("epoch", "batch")) -> Parameter:
    return Parameter("interval", "choice", default, "how often the schedule steps", choices=choices)


def _length(name: str, default: Any, meaning: str, *, none: bool = False) -> Parameter:
    return Parameter(name, "duration", default, meaning, none=none)


def _gamma(default: Any = 0.1) -> Parameter:
    return Parameter("gamma", "float", default, "factor on the rate", above=0)


def _share(name: str, default: float, meaning: str) -> Parameter:
    return Parameter(name, "float", default, meaning, low=0, high=1)


def _momentum(name: str, default: float) -> Parameter:
    return Parameter(name, "float", default, "momentum (or beta1) at one end of its cycle", low=0, below=1)


_ETA_MIN = Parameter("eta_min", "float", 0.0, "rate at the end", low=0)
_CYCLE_MOMENTUM = Parameter("cycle_momentum", "bool", DERIVED, "momentum falls while the rate rises")
_MAX_LR = Parameter("max_lr", "float", DERIVED, "highest rate", above=0)

RECIPES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "step_power",
            "gamma ^ ⌊t / step_size⌋",
            (
                _length("step_size", REQUIRED, "steps between two falls"),
                Parameter("gamma", "float", 0.1, "factor of a fall", above=0, high=1),
            ),
        ),
        Entry(
            "inverse_sqrt",
            "1 / √(1 + t / timescale) (Vaswani et al. 2017)",
            (_length("timescale", 1, "steps after which the rate is 0.71 of its start"),),
        ),
        Entry(
            "linear_to_zero",
            "1 − t / total_iters",
            (_length("total_iters", DERIVED, "steps until the rate is 0"),),
        ),
    )
}
_RECIPE = Parameter("recipe", "choice", REQUIRED, "factor on the first rate after t steps", choices=tuple(RECIPES))

_ENTRIES = (
    ScheduleEntry("none", "the rate stays as it is", slug="none"),
    ScheduleEntry(
        "StepLR",
        "the rate falls by gamma every step_size",
        (_length("step_size", REQUIRED, "steps between two falls"), _gamma(), _interval()),
        slug="step",
        within=BOTH,
    ),
    ScheduleEntry(
        "MultiStepLR",
        "the rate falls by gamma at each milestone",
        (Parameter("milestones", "durations", REQUIRED, "where it falls"), _gamma(), _interval()),
        slug="multistep",
        within=BOTH,
    ),
    ScheduleEntry(
        "ExponentialLR",
        "the rate falls by gamma at every step",
        (_gamma(REQUIRED), _interval()),
        slug="exponential",
        within=BOTH,
    ),
    ScheduleEntry(
        "ConstantLR",
        "a share of the rate, then all of it",
        (
            Parameter("factor", "float", 1 / 3, "share", above=0, high=1),
            _length("total_iters", 5, "steps with the share"),
            _interval(),
        ),
        slug="constant",
        within=BOTH,
    ),
    ScheduleEntry(
        "LinearLR",
        "the rate goes linearly from one share to another",
        (
            Parameter("start_factor", "float", 1 / 3, "share at the beginning", above=0, high=1),
            _share("end_factor", 1.0, "share at the end"),
            _length("total_iters", 5, "steps between the two"),
            _interval(),
        ),
        slug="linear",
        within=BOTH,
    ),
    ScheduleEntry(
        "PolynomialLR",
        "the rate falls to 0 as (1 − t / total_iters) ^ power",
        (
            _length("total_iters", DERIVED, "steps until the rate is 0"),
            Parameter("power", "float", 1.0, "exponent", above=0),
            _interval(),
        ),
        slug="polynomial",
        within=BOTH,
    ),
    ScheduleEntry(
        "CosineAnnealingLR",
        "half a cosine from the rate to eta_min, without restarts (Loshchilov & Hutter 2017)",
        (_length("T_max", DERIVED, "steps until eta_min"), _ETA_MIN, _interval()),
        slug="cosine",
        within=BOTH,
    ),
    ScheduleEntry(
        "CosineAnnealingWarmRestarts",
        "half a cosine that begins anew after T_0 epochs, then T_0 · T_mult, … (Loshchilov & Hutter 2017)",
        (
            _length("T_0", REQUIRED, "epochs until the first restart"),
            Parameter("T_mult", "int", 1, "how much longer each run is than the last", low=1),
            _ETA_MIN,
            _interval("batch"),
        ),
        slug="restarts",
        within=("SequentialLR",),
        fractional=True,
    ),
    ScheduleEntry(
        "OneCycleLR",
        "the rate rises to max_lr and falls below its start, the momentum inversely (Smith & Topin 2019)",
        (
            _MAX_LR,
            _length("total_steps", DERIVED, "steps of the cycle"),
            _share("pct_start", 0.3, "share of the steps in which the rate rises"),
            Parameter("anneal_strategy", "choice", "cos", "shape of rise and fall", choices=("cos", "linear")),
            _CYCLE_MOMENTUM,
            _momentum("base_momentum", 0.85),
            _momentum("max_momentum", 0.95),
            Parameter("div_factor", "float", 25.0, "max_lr ÷ first rate", low=1),
            Parameter("final_div_factor", "float", 1e4, "first rate ÷ last rate", low=1),
            Parameter("three_phase", "bool", False, "back to the first rate before the last phase"),
            _interval("batch", choices=("batch",)),
        ),
        slug="onecycle",
        sets_rate=True,
    ),
    ScheduleEntry(
        "CyclicLR",
        "the rate goes up and down between base_lr and max_lr (Smith 2017)",
        (
            Parameter("base_lr", "float", DERIVED, "lowest rate", above=0),
            _MAX_LR,
            _length("step_size_up", 2000, "steps up"),
            _length("step_size_down", None, "steps down; as many as up when null", none=True),
            Parameter(
                "mode",
                "choice",
                "triangular",
                "how the height of the cycles changes",
                choices=("triangular", "triangular2", "exp_range"),
            ),
            Parameter("gamma", "float", 1.0, "factor per step on the height in exp_range", above=0, high=1),
            _CYCLE_MOMENTUM,
            _momentum("base_momentum", 0.8),
            _momentum("max_momentum", 0.9),
            _interval("batch", choices=("batch",)),
        ),
        slug="cyclic",
        sets_rate=True,
    ),
    ScheduleEntry(
        "ReduceLROnPlateau",
        "the rate falls by factor when the monitored metric got no better for more than patience epochs",
        (
            Parameter(
                "monitor",
                "choice",
                "val_loss",
                "the metric",
                choices=("val_loss", "train_loss", "val_accuracy", "train_accuracy"),
            ),
            Parameter("mode", "choice", DERIVED, "whether less or more is better", choices=("min", "max")),
            Parameter("factor", "float", 0.1, "factor on the rate", above=0, below=1),
            Parameter("patience", "int", 10, "epochs without progress that are borne", low=0),
            Parameter("threshold", "float", 1e-4, "least change that counts as progress", low=0),
            Parameter("threshold_mode", "choice", "rel", "change relative or absolute", choices=("rel", "abs")),
            Parameter("cooldown", "int", 0, "epochs after a fall that do not count", low=0),
            Parameter("min_lr", "float", 0.0, "lowest rate", low=0),
            Parameter("eps", "float", 1e-8, "least change of the rate that is made", low=0),
            _interval(choices=("epoch",)),
        ),
        slug="plateau",
    ),
    RecipeEntry("LambdaLR", "the first rate times a recipe", (_RECIPE, _interval()), slug="lambda", within=BOTH[:1]),
    RecipeEntry(
        "MultiplicativeLR",
        "the last rate times what a recipe changes at this step",
        (_RECIPE, _interval()),
        slug="multiplicative",
        within=BOTH,
    ),
    ScheduleEntry(
        "SequentialLR",
        "schedules one after the other",
        (Parameter("milestones", "durations", REQUIRED, "epochs at which the next one begins"),),
        slug="sequence",
    ),
    ScheduleEntry("ChainedScheduler", "schedules at once: their factors multiply", slug="chain"),
)

SCHEDULES: dict[str, ScheduleEntry] = {entry.name: entry for entry in _ENTRIES}
