"""The table of schedules: every torch scheduler by class name, its parameters, defaults and bounds, and `none`.

    SCHEDULES["StepLR"].resolve({"step_size": 15})      # {'step_size': 15, 'gamma': 0.1, 'interval': 'epoch'}

A test compares it with torch's signatures. Added are `interval` (how often it steps), `monitor` (the metric that
ReduceLROnPlateau watches) and `recipe`: the name of a lambda preset, instead of the code that LambdaLR and
MultiplicativeLR take. `catalog/schedules.py` checks the schedule of a trial.
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


@dataclass(frozen=True, kw_only=True)
class LambdaEntry(ScheduleEntry):
    """LambdaLR or MultiplicativeLR: the lambda preset (`recipe`) decides which further parameters there are."""

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do as Entry.resolve, with the parameters of the preset that `given` names too. Raises InputError."""
        if "recipe" not in given:
            return super().resolve(given)  # it is required
        preset = LAMBDA_PRESETS[self.parameter("recipe").parse(given["recipe"])]
        return Entry(f"{self.name} with {preset.name}", "", (*self.parameters, *preset.parameters)).resolve(given)


def _interval(default: str = "epoch", *, choices: tuple[str, ...] = ("epoch", "batch")) -> Parameter:
    return Parameter("interval", "choice", default, "how often the schedule steps", choices=choices)


def _length(name: str, default: Any, meaning: str, *, none: bool = False, until: bool = False) -> Parameter:
    return Parameter(name, "duration", default, meaning, none=none, until=until)


def _gamma(default: Any = 0.1) -> Parameter:
    return Parameter("gamma", "float", default, "factor on the learning rate", above=0)


def _fraction(name: str, default: float, meaning: str) -> Parameter:
    return Parameter(name, "float", default, meaning, low=0, high=1)


def _momentum(name: str, default: float) -> Parameter:
    return Parameter(name, "float", default, "momentum (or beta1) at one end of its cycle", low=0, below=1)


_ETA_MIN = Parameter("eta_min", "float", 0.0, "learning rate at the end", low=0)
_CYCLE_MOMENTUM = Parameter("cycle_momentum", "bool", DERIVED, "momentum decreases while the learning rate increases")
_MAX_LR = Parameter("max_lr", "float", DERIVED, "highest learning rate", above=0)

LAMBDA_PRESETS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "step_power",
            "gamma ^ ⌊t / step_size⌋",
            (
                _length("step_size", REQUIRED, "steps between two decays"),
                Parameter("gamma", "float", 0.1, "factor of a decay", above=0, high=1),
            ),
        ),
        Entry(
            "inverse_sqrt",
            "1 / √(1 + t / timescale) (Vaswani et al. 2017)",
            (_length("timescale", 1, "steps after which the learning rate is 0.71 times its start"),),
        ),
        Entry(
            "linear_to_zero",
            "1 − t / total_iters",
            (_length("total_iters", DERIVED, "steps until the learning rate is 0", until=True),),
        ),
    )
}
_PRESET = Parameter("recipe", "choice", REQUIRED, "lambda preset", choices=tuple(LAMBDA_PRESETS))

_ENTRIES = (
    ScheduleEntry("none", "constant learning rate", slug="none"),
    ScheduleEntry(
        "StepLR",
        "multiplies lr by gamma every step_size steps",
        (_length("step_size", REQUIRED, "steps between two decays"), _gamma(), _interval()),
        slug="step",
        within=BOTH,
    ),
    ScheduleEntry(
        "MultiStepLR",
        "multiplies lr by gamma at each milestone",
        (Parameter("milestones", "durations", REQUIRED, "steps at which it decays"), _gamma(), _interval()),
        slug="multistep",
        within=BOTH,
    ),
    ScheduleEntry(
        "ExponentialLR",
        "multiplies lr by gamma at every step",
        (_gamma(REQUIRED), _interval()),
        slug="exponential",
        within=BOTH,
    ),
    ScheduleEntry(
        "ConstantLR",
        "a fraction of lr, then all of it",
        (
            Parameter("factor", "float", 1 / 3, "fraction of the learning rate to begin with", above=0, high=1),
            _length("total_iters", 5, "steps with this fraction", until=True),
            _interval(),
        ),
        slug="constant",
        within=BOTH,
    ),
    ScheduleEntry(
        "LinearLR",
        "changes lr linearly from one fraction of it to another",
        (
            Parameter("start_factor", "float", 1 / 3, "fraction at the beginning", above=0, high=1),
            _fraction("end_factor", 1.0, "fraction at the end"),
            _length("total_iters", 5, "steps between the two", until=True),
            _interval(),
        ),
        slug="linear",
        within=BOTH,
    ),
    ScheduleEntry(
        "PolynomialLR",
        "decays lr to 0 as (1 − t / total_iters) ^ power",
        (
            _length("total_iters", DERIVED, "steps until the learning rate is 0", until=True),
            Parameter("power", "float", 1.0, "exponent", above=0),
            _interval(),
        ),
        slug="polynomial",
        within=BOTH,
    ),
    ScheduleEntry(
        "CosineAnnealingLR",
        "half a cosine from lr to eta_min, without restarts (Loshchilov & Hutter 2017)",
        (_length("T_max", DERIVED, "steps until eta_min", until=True), _ETA_MIN, _interval()),
        slug="cosine",
        within=BOTH,
    ),
    ScheduleEntry(
        "CosineAnnealingWarmRestarts",
        "half a cosine that restarts after T_0 epochs, then after T_0 · T_mult, … (Loshchilov & Hutter 2017)",
        (
            _length("T_0", REQUIRED, "epochs until the first restart"),
            Parameter("T_mult", "int", 1, "how many times longer each cycle is than the last", low=1),
            _ETA_MIN,
            _interval("batch"),
        ),
        slug="restarts",
        within=("SequentialLR",),
        fractional=True,
    ),
    ScheduleEntry(
        "OneCycleLR",
        "one cycle: lr rises to max_lr and decays below its start, momentum does the opposite (Smith & Topin 2019)",
        (
            _MAX_LR,
            _length("total_steps", DERIVED, "steps of the cycle"),
            _fraction("pct_start", 0.3, "fraction of the steps in which the learning rate rises"),
            Parameter("anneal_strategy", "choice", "cos", "shape of rise and decay", choices=("cos", "linear")),
            _CYCLE_MOMENTUM,
            _momentum("base_momentum", 0.85),
            _momentum("max_momentum", 0.95),
            Parameter("div_factor", "float", 25.0, "max_lr ÷ first learning rate", low=1),
            Parameter("final_div_factor", "float", 1e4, "first learning rate ÷ last learning rate", low=1),
            Parameter("three_phase", "bool", False, "return to the first learning rate before the last phase"),
            _interval("batch", choices=("batch",)),
        ),
        slug="onecycle",
        sets_lr=True,
    ),
    ScheduleEntry(
        "CyclicLR",
        "cycles lr between base_lr and max_lr (Smith 2017)",
        (
            Parameter("base_lr", "float", DERIVED, "lowest learning rate", above=0),
            _MAX_LR,
            _length("step_size_up", 2000, "steps up"),
            _length("step_size_down", None, "steps down; as many as up when null", none=True),
            Parameter(
                "mode",
                "choice",
                "triangular",
                "how the amplitude of the cycles changes",
                choices=("triangular", "triangular2", "exp_range"),
            ),
            Parameter("gamma", "float", 1.0, "factor per step on the amplitude in exp_range", above=0, high=1),
            _CYCLE_MOMENTUM,
            _momentum("base_momentum", 0.8),
            _momentum("max_momentum", 0.9),
            _interval("batch", choices=("batch",)),
        ),
        slug="cyclic",
        sets_lr=True,
    ),
    ScheduleEntry(
        "ReduceLROnPlateau",
        "multiplies lr by factor when the monitored metric has not improved for more than patience epochs",
        (
            Parameter(
                "monitor",
                "choice",
                "val_loss",
                "the monitored metric",
                choices=("val_loss", "train_loss", "val_accuracy", "train_accuracy"),
            ),
            Parameter("mode", "choice", DERIVED, "whether smaller or larger is better", choices=("min", "max")),
            Parameter("factor", "float", 0.1, "factor on the learning rate", above=0, below=1),
            Parameter("patience", "int", 10, "epochs without improvement before a decay", low=0),
            Parameter("threshold", "float", 1e-4, "smallest change that counts as an improvement", low=0),
            Parameter("threshold_mode", "choice", "rel", "relative or absolute threshold", choices=("rel", "abs")),
            Parameter("cooldown", "int", 0, "epochs after a decay that do not count", low=0),
            Parameter("min_lr", "float", 0.0, "lowest learning rate", low=0),
            Parameter("eps", "float", 1e-8, "smallest change of the learning rate that is made", low=0),
            _interval(choices=("epoch",)),
        ),
        slug="plateau",
    ),
    LambdaEntry(
        "LambdaLR",
        "the first lr times a lambda preset",
        (_PRESET, _interval()),
        slug="lambda",
        within=BOTH[:1],
    ),
    LambdaEntry(
        "MultiplicativeLR",
        "the last lr times the change of a lambda preset at this step",
        (_PRESET, _interval()),
        slug="multiplicative",
        within=BOTH,
    ),
    ScheduleEntry(
        "SequentialLR",
        "schedules one after another",
        (Parameter("milestones", "durations", REQUIRED, "epochs at which the next one begins"),),
        slug="sequence",
    ),
    ScheduleEntry("ChainedScheduler", "schedules at once; factors multiply unless a cosine has eta_min", slug="chain"),
)

SCHEDULES: dict[str, ScheduleEntry] = {entry.name: entry for entry in _ENTRIES}
