"""Lengths, derived values, lambda presets and the ends of schedules; and what a run says about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.optim.optimizers import build_optimizer
from ch6dist.optim.schedules import build_schedule, preview

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
