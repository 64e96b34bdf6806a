"""Lengths, derived values, lambda presets and the ends of schedules; and what a run says about them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.optim.optimizers import build_optimizer
from ch6dist.optim.schedules import build_schedule, preview
from tests.support.paths import ROOT

torch.set_num_threads(1)
COSINE = {"name": "CosineAnnealingLR"}


def lr_curve(schedule: Any, *, lr: float, epochs: int, steps: int = 1) -> list[float]:
    trial = parse_trial({"schedule": schedule, "optimizer": {"name": "SGD", "lr": lr}, "epochs": epochs})
    return [lr for lr, _ in preview(trial, steps_per_epoch=steps)]


def test_cosine_stays_at_its_end_and_one_cycle_too() -> None:
    cosine = lr_curve({**COSINE, "T_max": 100}, lr=0.1, epochs=131)
    assert cosine[100:] == pytest.approx([0.0] * 31, abs=1e-12)  # torch alone: 0.0206 in epoch 130
    cycle = lr_curve({"name": "OneCycleLR", "total_steps": 50}, lr=0.01, epochs=2, steps=50)
    assert cycle[49:] == pytest.approx([4e-8] * 51)  # torch alone: 9e-8, then ValueError


def test_a_preset_gives_the_same_lrs_to_both_its_classes() -> None:
    for recipe, more in (("step_power", {"step_size": 2}), ("inverse_sqrt", {}), ("linear_to_zero", {})):
        for around in ({}, {"warmup": {"epochs": 3}}):
            both = [{"name": name, "recipe": recipe, **more, **around} for name in ("LambdaLR", "MultiplicativeLR")]
            assert lr_curve(both[0], lr=0.1, epochs=9) == pytest.approx(lr_curve(both[1], lr=0.1, epochs=9))
    book = lr_curve({"name": "LambdaLR", "recipe": "step_power", "step_size": 2}, lr=0.01, epochs=5)
    assert book == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])
    assert lr_curve({"name": "LambdaLR", "recipe": "linear_to_zero"}, lr=1, epochs=4) == [1, 0.75, 0.5, 0.25]
    assert lr_curve({"name": "LambdaLR", "recipe": "inverse_sqrt"}, lr=1, epochs=4)[3] == pytest.approx(0.5)


def test_derived_lengths_follow_epochs_and_steps() -> None:
    per_epoch, per_batch = ({"name": "PolynomialLR", "interval": interval} for interval in ("epoch", "batch"))
    assert lr_curve(per_epoch, lr=1, epochs=4, steps=5)[::5] == pytest.approx([1, 0.75, 0.5, 0.25])
    assert lr_curve(per_batch, lr=1, epochs=4, steps=5) == pytest.approx(np.linspace(1, 0, 21)[:20])
    quarter = {"name": "StepLR", "step_size": 0.25, "interval": "batch"}
    assert lr_curve(quarter, lr=1, epochs=4, steps=5) == pytest.approx(np.repeat([1, 0.1, 0.01, 0.001], 5))


def test_a_length_of_1_0_is_the_whole_training_and_of_1_one_step() -> None:
    whole = lr_curve(COSINE, lr=1, epochs=8)
    assert lr_curve({**COSINE, "T_max": 1.0}, lr=1, epochs=8) == pytest.approx(whole)
    assert lr_curve({**COSINE, "T_max": 0.9999}, lr=1, epochs=8) == pytest.approx(whole, abs=1e-3)
    assert lr_curve({**COSINE, "T_max": 1}, lr=1, epochs=8) == pytest.approx([1] + [0] * 7)
    restarts = {"name": "CosineAnnealingWarmRestarts", "T_0": 1.0, "interval": "epoch"}
    assert lr_curve(restarts, lr=1, epochs=8) == pytest.approx(whole)
    linear = {"name": "LambdaLR", "recipe": "linear_to_zero"}
    assert lr_curve({**linear, "total_iters": 1.0}, lr=1, epochs=4) == pytest.approx(lr_curve(linear, lr=1, epochs=4))


def test_max_lr_is_the_optimizers_lr_and_base_lr_a_tenth() -> None:
    assert max(lr_curve("OneCycleLR", lr=0.3, epochs=1, steps=100)) == pytest.approx(0.3)
    cyclic = lr_curve({"name": "CyclicLR", "step_size_up": {"epochs": 1}}, lr=0.3, epochs=2, steps=10)
    assert (cyclic[0], cyclic[10]) == (pytest.approx(0.03), pytest.approx(0.3))


def test_notes_say_what_is_overridden() -> None:
    def notes(schedule: Any, **optimizer: Any) -> str:
        trial = parse_trial({"schedule": schedule, "optimizer": {"name": "SGD", **optimizer}, "epochs": 10})
        return "\n".join(build_schedule(trial, build_optimizer(weights, trial.optimizer), steps_per_epoch=5).notes)

    weights = [torch.nn.Parameter(torch.zeros(1))]
    cycle = notes({"name": "OneCycleLR", "max_lr": 0.01}, lr=0.5, momentum=0.9)
    assert "0.0004 → 0.01 → 4e-08; optimizer.lr 0.5 is ignored" in cycle
    assert "momentum cycles 0.85–0.95" in cycle
    assert "momentum" not in notes("OneCycleLR")
    assert "T_max is 8 epochs" in notes({**COSINE, "warmup": {"epochs": 2}})
    assert "stays at eta_min 0 after 4 epochs" in notes({**COSINE, "T_max": 4})
    assert "mini-batches" in notes("none", name="Rprop")
    assert notes("none") == ""


def test_what_torch_would_stumble_over_in_mid_training_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="pct_start"):  # 0 / 0
        lr_curve({"name": "OneCycleLR", "pct_start": 0.25}, lr=0.1, epochs=1, steps=4)
    halving = {"name": "CyclicLR", "mode": "triangular2", "step_size_up": 1}
    with pytest.raises(InputError, match="step_size_up"):  # 2 ** 1024
        lr_curve(halving, lr=0.1, epochs=7, steps=352)


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 6, 7, 10, 12, 17, 100])
def test_warm_restarts_follow_an_exact_recursion_of_whole_numbers(factor: int) -> None:
    """log(1000, 10) is less than 3, log(243, 3) less than 5: torch's restart would be the end of the cycle before."""
    for first in (1, 2, 3, 5, 7):
        epochs = min(first * sum(factor**cycle for cycle in range(5)) + 2, 1500)
        for interval, steps in (("batch", 2), ("epoch", 1)):
            schedule = {"name": "CosineAnnealingWarmRestarts", "T_0": first, "T_mult": factor, "interval": interval}
            expected, since, length = [], 0, first * steps
            for _ in range(epochs * steps):
                expected.append(0.5 * (1 + math.cos(math.pi * since / length)))
                since += 1
                if since == length:
                    since, length = 0, length * factor
            assert lr_curve(schedule, lr=1, epochs=epochs, steps=steps) == pytest.approx(expected, abs=1e-9)


def test_schedulers_are_known_by_torchs_public_base_alone() -> None:
    assert issubclass(torch.optim.lr_scheduler.ReduceLROnPlateau, torch.optim.lr_scheduler.LRScheduler)
    sources = sorted(path for part in ("ch6dist", "sweeps") for path in (ROOT / part).rglob("*.py"))
    assert len(sources) > 50
    assert [str(path) for path in sources if "_LRScheduler" in path.read_text(encoding="utf-8")] == []


def test_a_run_resumed_at_a_restart_has_its_learning_rate() -> None:
    schedule = {"name": "CosineAnnealingWarmRestarts", "T_0": 1, "T_mult": 10}
    trial = parse_trial({"schedule": schedule, "optimizer": {"name": "SGD", "lr": 0.1}, "epochs": 113})
    optimizers = [build_optimizer([torch.nn.Parameter(torch.zeros(1))], trial.optimizer) for _ in range(2)]
    first, second = (build_schedule(trial, optimizer, steps_per_epoch=3) for optimizer in optimizers)
    optimizers[0].step()
    for epoch, batch in np.ndindex(111, 3):
        first.after_step(epoch=epoch, batch=batch)
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    second.load_state_dict(first.state_dict())
    for batch in range(4):
        found = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        assert found == [pytest.approx(0.05 * (1 + math.cos(math.pi * batch / 3000)))] * 2
        first.after_step(epoch=111 + batch // 3, batch=batch % 3)
        second.after_step(epoch=111 + batch // 3, batch=batch % 3)


WARMUP = {"warmup": {"epochs": 5}}


@pytest.mark.parametrize("interval", ["epoch", "batch"])
@pytest.mark.parametrize(
    ("schedule", "same"),
    [
        ({"name": "MultiStepLR", "milestones": [0.6, 0.8]}, {"milestones": [1, 3]}),
        ({"name": "MultiStepLR", "milestones": [0.5, 0.7]}, {"milestones": [0, 2]}),
        ({"name": "MultiStepLR", "milestones": [0.3, 0.5, 0.9]}, {"milestones": [-2, 0, 4]}),
        ({**COSINE, "T_max": 1.0}, {"T_max": 5}),
        ({**COSINE, "T_max": 0.8}, {"T_max": 3}),
        ({"name": "PolynomialLR", "total_iters": 0.9}, {"total_iters": 4}),
        ({"name": "LinearLR", "total_iters": 0.7}, {"total_iters": 2}),
        ({"name": "ConstantLR", "total_iters": 0.7}, {"total_iters": 2}),
        ({"name": "LambdaLR", "recipe": "linear_to_zero", "total_iters": 1.0}, {"total_iters": 5}),
        ({"name": "MultiplicativeLR", "recipe": "linear_to_zero", "total_iters": 0.9}, {"total_iters": 4}),
        ({"name": "StepLR", "step_size": 0.2}, {"step_size": 2}),
        ({"name": "LambdaLR", "recipe": "step_power", "step_size": 0.3}, {"step_size": 3}),
        ({"name": "LambdaLR", "recipe": "inverse_sqrt", "timescale": 0.5}, {"timescale": 5}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
def test_a_fraction_is_one_of_the_whole_training_run_wherever_the_schedule_begins(
    schedule: dict[str, Any], same: dict[str, Any], interval: str
) -> None:
    """`same` says in epochs after the beginning, epoch 5 of 10, what the fraction means."""
    steps = 3
    per_epoch = steps if interval == "batch" else 1
    after_warmup = lr_curve({**schedule, "interval": interval, **WARMUP}, lr=1, epochs=10, steps=steps)
    constant = {"name": "ConstantLR", "factor": 1.0, "interval": interval}
    second = lr_curve([{**constant, "epochs": 5}, {**schedule, "interval": interval}], lr=1, epochs=10, steps=steps)
    assert second[5 * steps :] == pytest.approx(after_warmup[5 * steps :])
    counted = {
        key: [n * per_epoch for n in value] if isinstance(value, list) else value * per_epoch
        for key, value in same.items()
    }
    if min(counted.get("milestones", [1])) > 0:
        whole = lr_curve({**schedule, "interval": interval, **WARMUP, **counted}, lr=1, epochs=10, steps=steps)
        assert after_warmup == pytest.approx(whole)
    else:  # a milestone that has passed has taken place
        passed = [
            0.1 ** sum(m <= step // (steps // per_epoch) for m in counted["milestones"]) for step in range(5 * steps)
        ]
        assert after_warmup[5 * steps :] == pytest.approx(passed)


@pytest.mark.parametrize("interval", ["epoch", "batch"])
def test_a_warm_up_is_a_linear_schedule_before_the_other_wherever_it_is_written(interval: str) -> None:
    """torch has the parts of a warm-up; nothing depends on what is built first, and the learning rate is a number."""
    cosine, steps = {**COSINE, "interval": interval}, 3
    found = lr_curve({**cosine, "warmup": {"epochs": 5, "start_factor": 0.2}}, lr=0.01, epochs=20, steps=steps)
    assert lr_curve({"warmup": {"start_factor": 0.2, "epochs": 5}, **cosine}, lr=0.01, epochs=20, steps=steps) == found
    rise = {"name": "LinearLR", "start_factor": 0.2, "total_iters": 5 * (steps if interval == "batch" else 1)}
    sequence = [{**rise, "interval": interval, "epochs": 5}, cosine]
    assert lr_curve(sequence, lr=0.01, epochs=20, steps=steps) == pytest.approx(found, rel=1e-12)
    assert (found[0], max(found)) == (pytest.approx(0.002), pytest.approx(0.01))
    assert {type(lr) for lr in found} == {float}


def test_restarts_after_a_warmup_count_their_first_cycle_as_a_part_of_the_whole_training_run() -> None:
    schedule = {"name": "CosineAnnealingWarmRestarts", "T_0": 0.2, **WARMUP}
    assert lr_curve(schedule, lr=1, epochs=10)[5:] == pytest.approx([1, 0.5, 1, 0.5, 1])


def test_milestones_after_a_warmup_of_half_the_training_decay_at_half_and_three_quarters() -> None:
    lrs = lr_curve({"name": "MultiStepLR", "milestones": [0.5, 0.75], **WARMUP}, lr=1, epochs=10)
    assert lrs == pytest.approx([0.1, 0.28, 0.46, 0.64, 0.82, 0.1, 0.1, 0.1, 0.01, 0.01])
