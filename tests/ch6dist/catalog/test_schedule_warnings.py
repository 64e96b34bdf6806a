"""What a schedule leaves without effect is said, and nothing is said of schedules that do as they read."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ch6dist.catalog.schedule_warnings import schedule_warnings
from ch6dist.config import parse_trial
from ch6dist.optim.schedules import preview

COSINE = {"name": "CosineAnnealingLR"}
RESTARTS = {"name": "CosineAnnealingWarmRestarts"}
PLATEAU = {"name": "ReduceLROnPlateau"}


def warnings_of(schedule: Any, *, epochs: int = 10, steps: int = 4) -> list[str]:
    resolved = parse_trial({"epochs": epochs, "schedule": schedule}).schedule
    return list(schedule_warnings(resolved, epochs=epochs, steps_per_epoch=steps))


def lrs_of(schedule: Any, *, epochs: int, steps: int = 2) -> list[float]:
    trial = parse_trial({"epochs": epochs, "schedule": schedule, "optimizer": {"name": "SGD", "lr": 0.1}})
    return [lr for lr, _ in preview(trial, steps_per_epoch=steps)]


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ({"name": "StepLR", "step_size": 10}, "StepLR: step_size 10 is never reached: training ends after 10 epochs"),
        (
            {"name": "MultiStepLR", "milestones": [5, 12]},
            "MultiStepLR: milestones 12 is never reached: training ends after 10 epochs",
        ),
        (
            {"name": "StepLR", "step_size": {"epochs": 6}, "interval": "batch", "warmup": {"epochs": 4}},
            "StepLR: step_size 6 epochs is never reached: the schedule has 6 of the 10 epochs",
        ),
        ({**COSINE, "T_max": 200}, "CosineAnnealingLR: T_max 200 is never reached: training ends after 10 epochs"),
        (
            {"name": "PolynomialLR", "total_iters": {"epochs": 8}, "warmup": {"epochs": 4}},
            "PolynomialLR: total_iters 8 epochs is never reached: the schedule has 6 of the 10 epochs",
        ),
        ({"name": "ConstantLR", "total_iters": 1.0}, "ConstantLR: total_iters 1.0 is never reached: training ends"),
        ({**RESTARTS, "T_0": 1.0}, "CosineAnnealingWarmRestarts: T_0 1.0 is never reached: training ends"),
        ("CyclicLR", "CyclicLR: step_size_up 2000 is never reached: training ends after 10 epochs"),
        ({"name": "OneCycleLR", "total_steps": 41}, "OneCycleLR: total_steps 41 is never reached: training ends"),
        (
            {"name": "LambdaLR", "recipe": "step_power", "step_size": 1.0},
            "LambdaLR: step_size 1.0 is never reached: training ends after 10 epochs",
        ),
        (
            {"name": "MultiStepLR", "milestones": [0.25, 0.75], "warmup": {"epochs": 5}},
            "MultiStepLR: milestones 0.25 has passed when the schedule begins, after epoch 5: it begins decayed",
        ),
        (
            {"name": "MultiStepLR", "milestones": [0.5, 0.75], "warmup": {"epochs": 5}},
            "MultiStepLR: milestones 0.5 has passed when the schedule begins, after epoch 5: it begins decayed",
        ),
        (
            {**COSINE, "T_max": 0.3, "warmup": {"epochs": 4}},
            "CosineAnnealingLR: T_max 0.3 has passed when the schedule begins, after epoch 4: its course is over at",
        ),
        (
            [{"name": "StepLR", "step_size": 4, "epochs": 4}, {"name": "StepLR", "step_size": 4}],
            "SequentialLR: schedulers.0.step_size 4 is never reached: the schedule has 4 of the 10 epochs",
        ),
        (PLATEAU, "ReduceLROnPlateau: patience 10 is never exceeded in time: training ends after 10 epochs"),
    ],
)
def test_what_cannot_act_is_named(schedule: Any, text: str) -> None:
    (found,) = warnings_of(schedule)
    assert found.startswith(text)


@pytest.mark.parametrize(
    "schedule",
    [
        "none",
        "OneCycleLR",
        COSINE,
        {**COSINE, "T_max": 1.0},
        {**COSINE, "T_max": 1.0, "warmup": {"epochs": 5}},
        {"name": "MultiStepLR", "milestones": [0.6, 0.9], "warmup": {"epochs": 5}},
        {"name": "MultiStepLR", "milestones": [9]},
        {"name": "StepLR", "step_size": 0.25, "warmup": {"epochs": 5}},
        {**RESTARTS, "T_0": 4, "T_mult": 2},
        {"name": "CyclicLR", "step_size_up": 0.25},
        {"name": "ExponentialLR", "gamma": 0.9},
        {"name": "WSD", "decay": {"epochs": 5}, "warmup": {"epochs": 5}},
        "REX",
        {"name": "warmup_cosine", "warmup": {"epochs": 1}},
        [{"name": "LinearLR", "epochs": 5}, COSINE],
    ],
)
def test_a_schedule_that_acts_has_no_warning(schedule: Any) -> None:
    assert warnings_of(schedule) == []


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("patience", range(10))
def test_a_patience_is_warned_of_where_no_metric_can_exceed_it(patience: int, warmup: int) -> None:
    ahead = {"warmup": {"epochs": warmup}} if warmup else {}
    schedule = {**PLATEAU, "patience": patience, **ahead}
    acts = len(set(lrs_of(schedule, epochs=10)[2 * warmup :])) > 1
    assert bool(warnings_of(schedule)) != acts


PARTS: list[Any] = [
    COSINE,
    {**COSINE, "eta_min": 0.05},
    {**COSINE, "eta_min": 0.01, "T_max": 3},
    {**COSINE, "T_max": 4},
    {"name": "ConstantLR", "factor": 0.1, "total_iters": 4},
    {"name": "ConstantLR", "factor": 1.0},
    {"name": "ConstantLR", "factor": 0.5, "total_iters": 100},
    {"name": "StepLR", "step_size": 2},
    {"name": "StepLR", "step_size": 20},
    {"name": "StepLR", "step_size": 2, "gamma": 1.0},
    {"name": "MultiStepLR", "milestones": [3, 20]},
    {"name": "MultiStepLR", "milestones": [20, 30]},
    {"name": "ExponentialLR", "gamma": 0.9},
    {"name": "ExponentialLR", "gamma": 1.0},
    {"name": "LinearLR", "start_factor": 0.25},
    {"name": "LinearLR", "start_factor": 1.0, "end_factor": 1.0},
    {"name": "LinearLR", "start_factor": 1.0, "end_factor": 0.0, "total_iters": 4},
    {"name": "PolynomialLR", "total_iters": 5, "power": 2.0},
    {"name": "MultiplicativeLR", "recipe": "inverse_sqrt"},
    {"name": "MultiplicativeLR", "recipe": "linear_to_zero", "total_iters": 3},
    {"name": "MultiplicativeLR", "recipe": "step_power", "step_size": 30},
]


def test_a_chain_is_warned_of_exactly_where_it_leaves_the_product_of_its_schedules() -> None:
    warned = 0
    alone = [[lr / 0.1 for lr in lrs_of(part, epochs=8, steps=1)] for part in PARTS]
    for one, two in itertools.permutations(range(len(PARTS)), 2):
        chain = {"name": "ChainedScheduler", "schedulers": [PARTS[one], PARTS[two]]}
        product = [0.1 * a * b for a, b in zip(alone[one], alone[two], strict=True)]
        is_product = lrs_of(chain, epochs=8, steps=1) == pytest.approx(product, abs=1e-12)
        found = [text for text in warnings_of(chain, epochs=8) if "do not multiply" in text]
        assert bool(found) != is_product, chain
        warned += bool(found)
    assert warned > 40


def test_a_chain_keeps_torchs_recursion_and_says_so() -> None:
    """Constant 0.1 for four epochs, then ten times what the cosine has made of it; the product is at most 0.1."""
    chain = {
        "name": "ChainedScheduler",
        "schedulers": [{"name": "ConstantLR", "factor": 0.1, "total_iters": 4}, {**COSINE, "eta_min": 0.05}],
    }
    assert lrs_of(chain, epochs=8, steps=1)[4] == pytest.approx(0.17545410573863018, rel=1e-12)  # torch 2.15 by itself
    (found,) = warnings_of(chain)
    assert found.startswith("ChainedScheduler: schedulers.1 moves the learning rate that the others leave towards")
