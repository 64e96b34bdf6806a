"""A preview is what a trial would train with: golden values, what it spends, and what it does not hide."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import pytest
import torch

from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.optim.optimizers import build_optimizer
from ch6dist.optim.schedules import build_schedule
from ch6dist.optim.trial_previews import preview_trials
from ch6dist.previews import Preview
from tests.support.schedules import EVERY_SCHEDULE

torch.set_num_threads(1)
COSINE = {"name": "CosineAnnealingLR"}
PLATEAU = {"name": "ReduceLROnPlateau"}
CYCLIC = {"name": "CyclicLR", "base_lr": 0.001, "max_lr": 0.01, "step_size_up": 500, "mode": "triangular2"}
WARMUP = {**COSINE, "warmup": {"epochs": 5, "start_factor": 0.1}}


def trial_of(schedule: Any, *, epochs: int, steps: int = 1, lr: float = 0.1, **optimizer: Any) -> TrialConfig:
    """A trial of so many steps per epoch."""
    data = {"name": "synthetic_mnist", "train_size": steps, "val_size": 10, "batch_size": 1}
    chosen = {"name": "SGD", "lr": lr, **optimizer}
    return parse_trial({"schedule": schedule, "optimizer": chosen, "epochs": epochs, "data": data})


def previewed(schedule: Any, **trial: Any) -> Preview:
    (found,) = preview_trials([trial_of(schedule, **trial)], files=[None])
    return found


def lrs_of(schedule: Any, **trial: Any) -> list[float]:
    return [used.lr for used in previewed(schedule, **trial).lrs]


# Shares by hand: sums of the schedules' formulas over the steps 0 … n − 1.
@pytest.mark.parametrize(
    ("schedule", "epochs", "steps", "share"),
    [
        ("none", 7, 3, 1),
        ({"name": "StepLR", "step_size": 30}, 100, 1, (30 + 3 + 0.3 + 0.01) / 100),
        ({"name": "MultiStepLR", "milestones": [30, 80]}, 100, 2, (30 + 5 + 0.2) / 100),
        ({"name": "ExponentialLR", "gamma": 0.95}, 100, 1, (1 - 0.95**100) / 0.05 / 100),
        (COSINE, 100, 1, 1 / 2 + 1 / 200),
        ({**COSINE, "interval": "batch"}, 10, 5, 1 / 2 + 1 / 100),
        ({"name": "PolynomialLR"}, 10, 3, 11 / 20),
        ({"name": "LambdaLR", "recipe": "linear_to_zero", "interval": "batch"}, 2, 5, 11 / 20),
        ({**PLATEAU, "patience": 4}, 13, 1, (6 + 0.5 + 0.02) / 13),
        ({"name": "CyclicLR", "base_lr": 0.05, "step_size_up": 2}, 2, 4, 0.75),
        ({"name": "CyclicLR", "base_lr": 0.1, "max_lr": 0.3, "step_size_up": 2}, 2, 4, 2.0),
    ],
)
def test_a_schedule_spends_its_mean_learning_rate_over_the_configured_one(
    schedule: Any, epochs: int, steps: int, share: float
) -> None:
    for lr in (0.1, 1.0) if not isinstance(schedule, dict) or schedule["name"] != "CyclicLR" else (0.1,):
        found = previewed(schedule, epochs=epochs, steps=steps, lr=lr)
        assert found.budget == pytest.approx(share, rel=1e-9)
        assert found.configured_lr == lr


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_schedule_has_a_preview_with_every_optimizer(optimizer: str) -> None:
    trials = [trial_of(schedule, epochs=4, steps=3, name=optimizer) for schedule in EVERY_SCHEDULE.values()]
    found = preview_trials(trials, files=[None] * len(trials))
    assert len({(one.schedule, one.setting) for one in found}) == len(EVERY_SCHEDULE), "no two have one label"
    for one in found:
        assert len(one.lrs) == 12
        assert all(math.isfinite(used.lr) and used.lr >= 0 for used in one.lrs)
        assert all((used.momentum is None) == (one.momentum_name is None) for used in one.lrs)
    assert {one.momentum_name for one in found} == {
        "beta1" if "betas" in trials[0].optimizer else "momentum" if "momentum" in trials[0].optimizer else None
    }


def test_a_range_test_has_a_preview_of_its_own_steps() -> None:
    trial = parse_trial({"type": "range_test", "range_test": {"steps": 50, "end_lr": 2}, "optimizer": "Adam"})
    (found,) = preview_trials([trial], files=["t.yaml"])
    assert (found.schedule, found.setting, found.configured_lr, found.budget) == ("range test", "Adam", None, None)
    assert (len(found.lrs), found.lrs[-1].lr) == (50, pytest.approx(2))


def test_labels_that_are_too_long_for_others_are_whole_here() -> None:
    sequence = [
        {"name": "LinearLR", "start_factor": 0.123, "epochs": 2},
        {"name": "CosineAnnealingWarmRestarts", "T_0": 3, "T_mult": 2, "eta_min": 1e-5, "epochs": 4},
        {"name": "MultiStepLR", "milestones": [0.8, 0.9], "gamma": 0.25},
    ]
    found = preview_trials([trial_of(s, epochs=10) for s in (sequence, "none")], files=[None, None])
    assert "LinearLR start_factor 0.123" in found[0].schedule
    assert "MultiStepLR 0.8-0.9 ×0.25" in found[0].schedule
    assert found[1].schedule == "constant"


def test_the_first_row_is_the_learning_rate_that_the_first_step_uses() -> None:
    """Written down after the scheduler's step, every value would stand one epoch too early."""
    for schedule, first, second in (
        ({"name": "ExponentialLR", "gamma": 0.5}, 0.1, 0.05),
        ({"name": "StepLR", "step_size": 1}, 0.1, 0.01),
        (WARMUP, 0.01, 0.028),
    ):
        assert lrs_of(schedule, epochs=10)[:2] == pytest.approx([first, second])


def falls(losses: list[float], *, patience: int) -> list[int]:
    """The epochs, from 0, that train with another learning rate than the one before."""
    trial = trial_of({**PLATEAU, "patience": patience, "factor": 0.5}, epochs=len(losses))
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(()))], trial.optimizer)
    schedule = build_schedule(trial, optimizer, steps_per_epoch=1)
    optimizer.step()
    used = []
    for epoch, loss in enumerate(losses):
        used.append(optimizer.param_groups[0]["lr"])
        schedule.after_step(epoch=epoch, batch=0)
        schedule.after_epoch({"val_loss": loss})
    return [epoch for epoch in range(1, len(used)) if used[epoch] != used[epoch - 1]]


@pytest.mark.parametrize("patience", [0, 1, 4, 5])
def test_a_plateau_acts_after_patience_plus_one_bad_epochs_and_its_first_epoch_is_never_bad(patience: int) -> None:
    assert falls([1.0] * 20, patience=patience) == list(range(patience + 2, 20, patience + 1))
    stagnates_just_so_long = [1.0, 0.9, *[0.9] * patience, 0.8, *[0.8] * patience, 0.7]
    assert falls(stagnates_just_so_long, patience=patience) == []
    assert falls([1.0, 0.9, *[0.9] * (patience + 1), 0.8], patience=patience) == [patience + 3]


def test_fifty_losses_whose_longest_stagnation_is_patience_change_nothing() -> None:
    """As in an example that shows reductions with patience 5, where there are none."""
    losses = [1.0 - 0.01 * (epoch - epoch % 5) for epoch in range(50)]  # four bad epochs in every five
    assert falls(losses, patience=5) == falls(losses, patience=4) == []
    assert len(falls(losses, patience=3)) == 9
    never = previewed({**PLATEAU, "patience": 5}, epochs=7)
    assert {used.lr for used in never.lrs} == {0.1}
    assert any("patience 5 is never exceeded in time" in note for note in never.notes)
    assert not any("never" in note for note in previewed({**PLATEAU, "patience": 5}, epochs=8).notes)


def test_a_warmup_begins_below_its_target_reaches_it_never_exceeds_it_and_ends_at_zero() -> None:
    found = lrs_of({**WARMUP, "T_max": 45}, epochs=51, lr=0.01)
    assert found[:8] == pytest.approx([0.001, 0.0028, 0.0046, 0.0064, 0.0082, 0.01, 0.00998782, 0.00995134], rel=1e-6)
    assert found[49] == pytest.approx(1.218e-5, rel=1e-3)
    assert found[50] == pytest.approx(0, abs=1e-15)
    assert max(found) == pytest.approx(0.01, rel=1e-12)
    assert all(later / earlier < 3 for earlier, later in pairwise(found) if earlier > 1e-12)


def test_one_cycle_ignores_the_optimizers_learning_rate_and_momentum_and_says_so() -> None:
    cycle = {"name": "OneCycleLR", "max_lr": 0.01}
    found = previewed(cycle, epochs=10, steps=100, lr=1e-4, momentum=0.9)
    first, last = found.lrs[0], found.lrs[-1]
    assert (first.lr, first.momentum) == (pytest.approx(4e-4), pytest.approx(0.95)), "max_lr ÷ 25, not 1e-4 and 0.9"
    assert last.lr == pytest.approx(0.01 / 25 / 1e4), "the first learning rate of the cycle over 1e4, not 1e-4 over it"
    notes = " ".join(found.notes)
    assert "optimizer.lr 0.0001 is ignored" in notes
    assert "momentum cycles 0.85–0.95, whatever optimizer.momentum (0.9) says" in notes
    assert found.budget == pytest.approx(sum(used.lr for used in found.lrs) / 1000 / 1e-4)


@pytest.mark.parametrize(("epochs", "steps"), [(10, 100), (3, 7), (1, 50)])
def test_one_cycle_ends_with_the_last_step_of_the_trial_whatever_its_length(epochs: int, steps: int) -> None:
    found = lrs_of({"name": "OneCycleLR", "max_lr": 0.01}, epochs=epochs, steps=steps)
    assert found[-1] == min(found) == pytest.approx(4e-8)
    held = lrs_of({"name": "OneCycleLR", "max_lr": 0.01, "total_steps": steps}, epochs=epochs, steps=steps)
    assert held[steps - 1 :] == pytest.approx([4e-8] * (len(held) - steps + 1)), "it never rises again, nor raises"


def test_cycles_leave_an_optimizer_without_momentum_as_it_is_and_say_what_they_do_to_others() -> None:
    plain = previewed(CYCLIC, epochs=4, steps=500)
    assert {used.momentum for used in plain.lrs} == {0.0}, "torch's default would make it 0.9"
    assert "momentum cycles" not in " ".join(plain.notes)
    cycled = previewed(CYCLIC, epochs=4, steps=500, momentum=0.9)
    seen = [used.momentum for used in cycled.lrs if used.momentum is not None]
    assert (min(seen), max(seen)) == (pytest.approx(0.8), pytest.approx(0.9))
    assert any("momentum cycles 0.8–0.9" in note for note in cycled.notes)
    for without in ("Adagrad", "Adadelta", "ASGD", "Adafactor", "Rprop"):
        assert {used.momentum for used in previewed(CYCLIC, epochs=1, name=without).lrs} == {None}
        with pytest.raises(InputError, match="cycle_momentum"):
            trial_of({**CYCLIC, "cycle_momentum": True}, epochs=1, name=without)


def test_a_cycle_counts_batches_unless_it_is_given_epochs() -> None:
    steps = 391  # of an epoch of CIFAR-100: 500 batches are 1.28 epochs
    found = lrs_of(CYCLIC, epochs=7, steps=steps, lr=1)
    assert [found[n] for n in range(0, 2501, 500)] == pytest.approx([0.001, 0.01, 0.001, 0.0055, 0.001, 0.00325])
    by_epoch = lrs_of({**CYCLIC, "step_size_up": {"epochs": 2}}, epochs=4, steps=steps, lr=1)
    assert by_epoch.index(max(by_epoch)) == 2 * steps


@pytest.mark.parametrize("interval", ["epoch", "batch"])
def test_a_cosine_never_rises_again(interval: str) -> None:
    found = lrs_of({**COSINE, "T_max": {"epochs": 10}, "interval": interval}, epochs=14, steps=2)
    assert all(later <= earlier for earlier, later in pairwise(found))
    assert found[20:] == pytest.approx([0.0] * 8, abs=1e-15)
    note = " ".join(previewed({**COSINE, "T_max": 10}, epochs=14).notes)
    assert "stays at eta_min 0 after 10 epochs" in note


def test_previews_are_one_json_document_of_plain_numbers() -> None:
    document = json.loads(json.dumps(previewed(COSINE, epochs=3).model_dump()), parse_constant=pytest.fail)
    assert document["lrs"][0] == {"step": 1, "lr": 0.1, "momentum": 0.0}
