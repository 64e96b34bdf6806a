"""The table of schedules: every torch scheduler by class name, its parameters, defaults and bounds; `none`, and ours.

    SCHEDULES["StepLR"].resolve({"step_size": 15})      # {'step_size': 15, 'gamma': 0.1, 'interval': 'epoch'}

A test compares it with torch's signatures. Added are `interval` (how often it steps), `monitor` (the metric that
ReduceLROnPlateau watches) and `recipe`: the name of a lambda preset, instead of the code that LambdaLR and
MultiplicativeLR take. Ours are closed forms that torch has not: WSD, REX and warmup_cosine step per batch and take all
of the training run, or of what a warm-up leaves of it. `catalog/schedules.py` checks the schedule of a trial.
"""

from __future__ import annotations

from ch6dist.catalog.parameters import DERIVED, REQUIRED, Parameter
from ch6dist.catalog.schedule_parts import (
    BOTH,
    CYCLE_MOMENTUM,
    ETA_MIN,
    FINAL,
    MAX_LR,
    PER_BATCH,
    PRESET,
    LambdaEntry,
    ScheduleEntry,
    fraction,
    gamma,
    interval,
    length,
    momentum,
)

_ENTRIES = (
    ScheduleEntry("none", "constant learning rate", slug="none"),
    ScheduleEntry(
        "StepLR",
        "multiplies lr by gamma every step_size steps",
        (length("step_size", REQUIRED, "steps between two decays"), gamma(), interval()),
        slug="step",
        within=BOTH,
    ),
    ScheduleEntry(
        "MultiStepLR",
        "multiplies lr by gamma at each milestone",
        (Parameter("milestones", "durations", REQUIRED, "steps at which it decays"), gamma(), interval()),
        slug="multistep",
        within=BOTH,
    ),
    ScheduleEntry(
        "ExponentialLR",
        "multiplies lr by gamma at every step",
        (gamma(REQUIRED), interval()),
        slug="exponential",
        within=BOTH,
    ),
    ScheduleEntry(
        "ConstantLR",
        "a fraction of lr, then all of it",
        (
            Parameter("factor", "float", 1 / 3, "fraction of the learning rate to begin with", above=0, high=1),
            length("total_iters", 5, "steps with this fraction", until=True),
            interval(),
        ),
        slug="constant",
        within=BOTH,
    ),
    ScheduleEntry(
        "LinearLR",
        "changes lr linearly from one fraction of it to another",
        (
            Parameter("start_factor", "float", 1 / 3, "fraction at the beginning", above=0, high=1),
            fraction("end_factor", 1.0, "fraction at the end"),
            length("total_iters", 5, "steps between the two", until=True),
            interval(),
        ),
        slug="linear",
        within=BOTH,
    ),
    ScheduleEntry(
        "PolynomialLR",
        "decays lr to 0 as (1 − t / total_iters) ^ power",
        (
            length("total_iters", DERIVED, "steps until the learning rate is 0", until=True),
            Parameter("power", "float", 1.0, "exponent", above=0),
            interval(),
        ),
        slug="polynomial",
        within=BOTH,
    ),
    ScheduleEntry(
        "CosineAnnealingLR",
        "half a cosine from lr to eta_min, without restarts (Loshchilov & Hutter 2017)",
        (length("T_max", DERIVED, "steps until eta_min", until=True), ETA_MIN, interval()),
        slug="cosine",
        within=BOTH,
    ),
    ScheduleEntry(
        "CosineAnnealingWarmRestarts",
        "half a cosine that restarts after T_0 epochs, then after T_0 · T_mult, … (Loshchilov & Hutter 2017)",
        (
            length("T_0", REQUIRED, "epochs until the first restart"),
            Parameter("T_mult", "int", 1, "how many times longer each cycle is than the last", low=1),
            ETA_MIN,
            interval("batch"),
        ),
        slug="restarts",
        within=("SequentialLR",),
        fractional=True,
    ),
    ScheduleEntry(
        "OneCycleLR",
        "one cycle: lr rises to max_lr and decays below its start, momentum does the opposite (Smith & Topin 2019)",
        (
            MAX_LR,
            length("total_steps", DERIVED, "steps of the cycle"),
            fraction("pct_start", 0.3, "fraction of the steps in which the learning rate rises"),
            Parameter("anneal_strategy", "choice", "cos", "shape of rise and decay", choices=("cos", "linear")),
            CYCLE_MOMENTUM,
            momentum("base_momentum", 0.85),
            momentum("max_momentum", 0.95),
            Parameter("div_factor", "float", 25.0, "max_lr ÷ first learning rate", low=1),
            Parameter("final_div_factor", "float", 1e4, "first learning rate ÷ last learning rate", low=1),
            Parameter("three_phase", "bool", False, "return to the first learning rate before the last phase"),
            PER_BATCH,
        ),
        slug="onecycle",
        sets_lr=True,
    ),
    ScheduleEntry(
        "CyclicLR",
        "cycles lr between base_lr and max_lr (Smith 2017)",
        (
            Parameter("base_lr", "float", DERIVED, "lowest learning rate", above=0),
            MAX_LR,
            length("step_size_up", 2000, "steps up"),
            length("step_size_down", None, "steps down; as many as up when null", none=True),
            Parameter(
                "mode",
                "choice",
                "triangular",
                "how the amplitude of the cycles changes",
                choices=("triangular", "triangular2", "exp_range"),
            ),
            Parameter("gamma", "float", 1.0, "factor per step on the amplitude in exp_range", above=0, high=1),
            CYCLE_MOMENTUM,
            momentum("base_momentum", 0.8),
            momentum("max_momentum", 0.9),
            PER_BATCH,
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
            interval(choices=("epoch",)),
        ),
        slug="plateau",
    ),
    LambdaEntry(
        "LambdaLR",
        "the first lr times a lambda preset",
        (PRESET, interval()),
        slug="lambda",
        within=BOTH[:1],
    ),
    LambdaEntry(
        "MultiplicativeLR",
        "the last lr times the change of a lambda preset at this step",
        (PRESET, interval()),
        slug="multiplicative",
        within=BOTH,
    ),
    ScheduleEntry(
        "WSD",
        "constant, then a decay as long as decay says: warm-up, stable, decay (Hu et al. 2024)",
        (
            length("decay", 0.1, "steps of the decay at the end"),
            Parameter(
                "shape",
                "choice",
                "sqrt",
                "course of the decay; sqrt is 1 − √ (Hägele et al. 2024)",
                choices=("linear", "cosine", "sqrt"),
            ),
            FINAL,
            PER_BATCH,
        ),
        slug="wsd",
        within=BOTH[:1],
        ours=True,
    ),
    ScheduleEntry(
        "REX",
        "reflected exponential: decays to 0 as (1 − u) / (1 − u / 2), late and steeply (Chen et al. 2021)",
        (PER_BATCH,),
        slug="rex",
        within=BOTH[:1],
        ours=True,
    ),
    ScheduleEntry(
        "warmup_cosine",
        "a linear warm-up, then half a cosine to a final share of lr (Goyal et al. 2017; Loshchilov & Hutter 2017)",
        (FINAL, PER_BATCH),
        slug="warmup-cosine",
        ours=True,
        needs_warmup=True,
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
