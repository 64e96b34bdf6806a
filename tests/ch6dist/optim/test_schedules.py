"""Schedules give the learning rates of the literature and of torch, resume exactly, and refuse invalid settings."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch

from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedule_warnings import unreached
from ch6dist.catalog.schedules import SCHEDULES
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.optim.closed_forms import LAMBDA_FACTORS
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedules import Schedule, build_schedule, preview

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("error")  # torch warns where schedulers are stepped wrongly

EPOCHS, STEPS = 4, 3
COSINE = {"name": "CosineAnnealingLR"}
PLATEAU = {"name": "ReduceLROnPlateau", "patience": 0}
SAMPLES: list[Any] = [
    "none",
    {"name": "StepLR", "step_size": 2},
    {"name": "StepLR", "step_size": {"epochs": 1.5}, "interval": "batch"},
    {"name": "MultiStepLR", "milestones": [0.25, 0.5]},
    {"name": "ExponentialLR", "gamma": 0.9},
    {"name": "ConstantLR", "total_iters": 2},
    {"name": "LinearLR", "interval": "batch"},
    {"name": "PolynomialLR", "power": 2},
    COSINE,
    {**COSINE, "interval": "batch", "warmup": {"epochs": 1}},
    {**COSINE, "T_max": 2},
    {**COSINE, "T_max": 1.0},
    {"name": "CosineAnnealingWarmRestarts", "T_0": 1, "T_mult": 2},
    {"name": "CosineAnnealingWarmRestarts", "T_0": 2, "interval": "epoch"},
    {"name": "CosineAnnealingWarmRestarts", "T_0": 2, "warmup": {"epochs": 1}},
    "OneCycleLR",
    {"name": "OneCycleLR", "max_lr": 0.02, "three_phase": True, "cycle_momentum": False},
    {"name": "CyclicLR", "step_size_up": 2, "mode": "triangular2"},
    {"name": "CyclicLR", "step_size_up": 0.25, "step_size_down": 1, "mode": "exp_range", "gamma": 0.9},
    PLATEAU,
    {**PLATEAU, "monitor": "train_accuracy", "warmup": {"epochs": 2}},
    *({"name": "LambdaLR", "recipe": r, **({"step_size": 2} if r == "step_power" else {})} for r in LAMBDA_FACTORS),
    {"name": "MultiplicativeLR", "recipe": "linear_to_zero", "warmup": {"epochs": 1}},
    [
        {"name": "LinearLR", "epochs": 1},
        {**COSINE, "epochs": 2},
        {"name": "MultiplicativeLR", "recipe": "inverse_sqrt"},
    ],
    {"name": "ChainedScheduler", "schedulers": [COSINE, {"name": "ExponentialLR", "gamma": 0.9}]},
    {"name": "WSD", "decay": 0.5},
    {"name": "WSD", "decay": {"epochs": 1}, "shape": "cosine", "final": 0.1, "warmup": {"epochs": 1}},
    "REX",
    [{"name": "LinearLR", "interval": "batch", "epochs": 1}, {"name": "REX", "epochs": 1}, {"name": "WSD", "decay": 3}],
    {"name": "warmup_cosine", "final": 0.1, "warmup": {"epochs": 2}},
]
IDS = [f"{n}-{sample['name'] if isinstance(sample, dict) else sample}"[:32] for n, sample in enumerate(SAMPLES)]


def trial_of(schedule: Any, *, optimizer: Any = "SGD", epochs: int = EPOCHS, **rest: Any) -> TrialConfig:
    return parse_trial({"schedule": schedule, "optimizer": optimizer, "epochs": epochs, **rest})


def lr_curve(schedule: Any, *, lr: float, epochs: int, steps: int = 1, **optimizer: Any) -> list[float]:
    trial = trial_of(schedule, optimizer={"name": "SGD", "lr": lr, **optimizer}, epochs=epochs)
    return [lr for lr, _ in preview(trial, steps_per_epoch=steps)]


class Training:
    """Two parameters under a trial's optimizer and schedule; `log` holds lr, momentum and loss of every step."""

    def __init__(self, trial: TrialConfig) -> None:
        self.weights = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        self.optimizer = build_optimizer([self.weights], trial.optimizer)
        self.schedule: Schedule = build_schedule(trial, self.optimizer, steps_per_epoch=STEPS)
        self.log: list[tuple[float, float | None, float]] = []

    def run(self, epochs: range) -> None:
        for epoch in epochs:
            for batch in range(STEPS):
                self.optimizer.zero_grad()
                loss = ((self.weights - 0.1 * batch) ** 2).sum()
                loss.backward()
                self.log.append((self.optimizer.param_groups[0]["lr"], momentum_of(self.optimizer), loss.item()))
                self.optimizer.step()
                self.schedule.after_step(epoch=epoch, batch=batch)
            self.schedule.after_epoch({"val_loss": 1.0, "train_accuracy": 0.5})

    def save(self) -> bytes:
        state = {"w": self.weights.detach(), "o": self.optimizer.state_dict(), "s": self.schedule.state_dict()}
        torch.save(state, file := io.BytesIO())
        return file.getvalue()

    def load(self, saved: bytes) -> None:
        state = torch.load(io.BytesIO(saved), weights_only=True)
        with torch.no_grad():
            self.weights.copy_(state["w"])
        self.optimizer.load_state_dict(state["o"])
        self.schedule.load_state_dict(state["s"])


def test_samples_hold_every_schedule() -> None:
    seen = {trial_of(sample).schedule["name"] for sample in SAMPLES}
    assert seen == SCHEDULES.keys()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_resume_at_any_epoch_is_exact(sample: Any, optimizer: str) -> None:
    trial = trial_of(sample, optimizer={"name": optimizer, "lr": 0.01})
    whole, saved = Training(trial), []
    for epoch in range(EPOCHS):
        saved.append(whole.save())
        whole.run(range(epoch, epoch + 1))
    for epoch, state in enumerate(saved):
        resumed = Training(trial)
        resumed.load(state)
        resumed.run(range(epoch, EPOCHS))
        assert resumed.log == whole.log[epoch * STEPS :]
        assert torch.equal(resumed.weights, whole.weights)
    if trial.schedule.get("monitor") != "train_accuracy":  # preview's accuracy is another constant
        assert preview(trial, steps_per_epoch=STEPS) == [entry[:2] for entry in whole.log]


@pytest.mark.parametrize("sample", SAMPLES, ids=IDS)
def test_resolved_schedule_resolves_to_itself(sample: Any) -> None:
    trial = trial_of(sample, optimizer="Adam")
    again = parse_trial(trial.model_dump())
    assert (again, again.trial_id) == (trial, trial.trial_id)


@pytest.mark.parametrize("more", [COSINE, {"name": "PolynomialLR"}, {"name": "LambdaLR", "recipe": "linear_to_zero"}])
def test_longer_training_stretches_what_follows_the_trial(more: dict[str, Any]) -> None:
    short, long = (lr_curve({**more, "interval": "batch"}, lr=0.1, epochs=epochs, steps=5) for epochs in (4, 12))
    assert long[::3] == pytest.approx(short)


# Golden values: executed with torch 2.13.0 and 2.15.0 outside this code, or printed in the book.


def test_step_lr() -> None:
    step30 = lr_curve({"name": "StepLR", "step_size": 30}, lr=0.1, epochs=100, steps=2)[::2]
    assert step30 == pytest.approx([0.1] * 30 + [0.01] * 30 + [0.001] * 30 + [1e-4] * 10)
    step15 = lr_curve({"name": "StepLR", "step_size": 15}, lr=0.1, epochs=50)
    assert [i for i in range(1, 50) if step15[i] != step15[i - 1]] == [15, 30, 45]
    mnist = lr_curve({"name": "StepLR", "step_size": 5, "gamma": 0.5}, lr=0.001, epochs=20)
    assert mnist[::5] == pytest.approx([0.001, 0.0005, 0.00025, 0.000125])


def test_multi_step_lr() -> None:
    found = lr_curve({"name": "MultiStepLR", "milestones": [30, 80]}, lr=0.1, epochs=100)
    assert found == pytest.approx([0.1] * 30 + [0.01] * 50 + [0.001] * 20)


def test_exponential_and_cosine() -> None:
    exponential = lr_curve({"name": "ExponentialLR", "gamma": 0.95}, lr=0.1, epochs=100)
    assert [exponential[i] for i in (1, 10, 99)] == pytest.approx([0.095, 0.0598737, 6.23214e-4], rel=1e-6)
    cosine = lr_curve(COSINE, lr=0.1, epochs=100)
    assert [cosine[i] for i in (50, 99)] == pytest.approx([0.05, 2.4672e-5], rel=1e-5)


def test_plateau_falls_when_bad_epochs_exceed_patience() -> None:
    found = lr_curve({"name": "ReduceLROnPlateau", "patience": 4}, lr=0.01, epochs=13)
    assert found == pytest.approx([0.01] * 6 + [0.001] * 5 + [1e-4] * 2)


def test_cyclic_modes() -> None:
    cyclic = {"name": "CyclicLR", "base_lr": 1e-4, "max_lr": 1e-3, "step_size_up": 2}
    triangular = lr_curve(cyclic, lr=1, epochs=1, steps=8)
    assert triangular == pytest.approx([1e-4, 5.5e-4, 1e-3, 5.5e-4] * 2)
    halved = lr_curve({**cyclic, "mode": "triangular2"}, lr=1, epochs=1, steps=12)
    assert [halved[i] for i in (2, 6, 10)] == pytest.approx([1e-3, 5.5e-4, 3.25e-4])
    shrunk = lr_curve({**cyclic, "mode": "exp_range", "gamma": math.sqrt(0.5)}, lr=1, epochs=1, steps=7)
    assert shrunk == pytest.approx([1e-4, 4.18198e-4, 5.5e-4, 2.59099e-4, 1e-4, 1.7955e-4, 2.125e-4], rel=1e-5)


def test_cyclic_triangular2_peaks() -> None:
    cyclic = {"name": "CyclicLR", "base_lr": 0.001, "max_lr": 0.01, "step_size_up": 500, "mode": "triangular2"}
    found = lr_curve(cyclic, lr=1, epochs=8, steps=352)
    assert found[:2501:500] == pytest.approx([0.001, 0.01, 0.001, 0.0055, 0.001, 0.00325])


def test_warmup_then_cosine() -> None:
    found = lr_curve({**COSINE, "warmup": {"epochs": 5}}, lr=0.01, epochs=50)
    assert found[:6] == pytest.approx([0.001, 0.0028, 0.0046, 0.0064, 0.0082, 0.01])
    assert found[6:8] == pytest.approx([0.00998782, 0.00995134], rel=1e-6)
    assert found[49] == pytest.approx(1.218e-5, rel=1e-3)


def test_one_cycle_with_its_momentum() -> None:
    trial = trial_of({"name": "OneCycleLR", "max_lr": 0.01}, optimizer={"name": "SGD", "momentum": 0.9}, epochs=10)
    found = preview(trial, steps_per_epoch=100)
    assert [found[0], found[299], found[999]] == [
        pytest.approx((4e-4, 0.95)),
        pytest.approx((0.01, 0.85)),
        pytest.approx((4e-8, 0.95)),
    ]
    three = lr_curve({"name": "OneCycleLR", "max_lr": 0.01, "three_phase": True}, lr=1, epochs=1, steps=100)
    assert (three.index(max(three)), three[58], three[99]) == (29, pytest.approx(4e-4), pytest.approx(4e-8))


def test_warm_restarts_count_fractions_of_an_epoch_from_zero() -> None:
    found = lr_curve({"name": "CosineAnnealingWarmRestarts", "T_0": 4}, lr=0.1, epochs=8, steps=10)
    expected = [0.05 * (1 + math.cos(math.pi * (step / 10 % 4) / 4)) for step in range(80)]
    assert found == pytest.approx(expected)
    assert found[40] == 0.1


def test_warmup_before_plateau_counts_metrics_from_its_end() -> None:
    found = lr_curve({**PLATEAU, "patience": 1, "warmup": {"epochs": 2}}, lr=0.1, epochs=7)
    assert found == pytest.approx([0.01, 0.055, 0.1, 0.1, 0.1, 0.01, 0.01])


# Golden values of ours: the papers' formulas, evaluated by hand.


def test_wsd_is_constant_and_then_decays_in_each_shape() -> None:
    wsd, until = {"name": "WSD", "decay": {"epochs": 2}, "final": 0.1}, [1.0] * 9
    found = {
        shape: lr_curve({**wsd, "shape": shape}, lr=1, epochs=4, steps=4) for shape in ("linear", "cosine", "sqrt")
    }
    assert found["linear"] == pytest.approx([*until, *(1 - 0.9 * n / 8 for n in range(1, 8))])
    half = math.sqrt(0.5)
    assert found["cosine"][8:13:2] == pytest.approx([1, 0.1 + 0.45 * (1 + half), 0.55])
    assert found["sqrt"][8:13:2] == pytest.approx([1, 0.55, 0.1 + 0.9 * (1 - half)])
    assert all(curve[:9] == until for curve in found.values())


def test_lengths_of_a_wsd_share_its_trunk_to_the_last_bit() -> None:
    wsd = {"name": "WSD", "warmup": {"epochs": 2}, "decay": {"epochs": 3}}
    curves = {epochs: lr_curve(wsd, lr=0.1, epochs=epochs, steps=7) for epochs in (6, 10, 20, 40)}
    for epochs, curve in curves.items():
        stable = (epochs - 3) * 7
        assert curve[: stable + 1] == curves[40][: stable + 1]
        assert curve[stable + 1] < curves[40][stable] == 0.1
        assert curve[stable:] == pytest.approx(curves[6][21:], rel=1e-12)


def test_rex() -> None:
    found = lr_curve("REX", lr=0.3, epochs=4, steps=5)
    assert found[::5] == pytest.approx([0.3, 0.3 * 0.75 / 0.875, 0.3 * 0.5 / 0.75, 0.3 * 0.25 / 0.625])
    assert found == sorted(found, reverse=True)


def test_warmup_cosine() -> None:
    found = lr_curve({"name": "warmup_cosine", "warmup": {"epochs": 1}, "final": 0.1}, lr=0.2, epochs=5, steps=4)
    assert found[:5] == pytest.approx([0.02, 0.065, 0.11, 0.155, 0.2])
    assert found[8:17:4] == pytest.approx(
        [0.02 + 0.09 * (1 + math.sqrt(0.5)), 0.11, 0.02 + 0.09 * (1 - math.sqrt(0.5))]
    )
    assert found[19] > 0.02


@pytest.mark.parametrize(("mode", "numpy_space"), [("exponential", np.geomspace), ("linear", np.linspace)])
def test_range_test_sets_lr_whatever_the_schedule(mode: str, numpy_space: Any) -> None:
    test = {"start_lr": 1e-6, "end_lr": 1, "steps": 100, "mode": mode}
    adam = {"name": "Adam", "lr": 0.5}
    trial = trial_of("OneCycleLR", optimizer=adam, type="range_test", range_test=test, epochs=1)
    found = preview(trial, steps_per_epoch=7)
    assert [lr for lr, _ in found] == pytest.approx(numpy_space(1e-6, 1, 100), rel=1e-12)
    assert (found[0][0], found[-1][0], {momentum for _, momentum in found}) == (1e-6, 1.0, {0.9})


@pytest.mark.parametrize("size", [1, 3, 4, 5, 6, 12, 0.5, 0.75, {"epochs": 5}])
@pytest.mark.parametrize("interval", ["epoch", "batch"])
@pytest.mark.parametrize("warmup", [0, 2])
@pytest.mark.parametrize("kind", ["StepLR", "MultiStepLR"])
def test_a_length_is_unreached_where_the_learning_rate_never_changes(
    size: Any, interval: str, warmup: int, kind: str
) -> None:
    if kind == "MultiStepLR" and isinstance(size, dict):
        return  # milestones take no lengths in epochs
    lengths = {"step_size": size} if kind == "StepLR" else {"milestones": [size]}
    schedule = {"name": kind, **lengths, "interval": interval}
    trial = parse_trial({"epochs": 6, "schedule": schedule | ({"warmup": {"epochs": warmup}} if warmup else {})})
    lrs = {lr for lr, _ in preview(trial, steps_per_epoch=2)[2 * warmup :]}
    found = list(unreached(trial.schedule, epochs=6, steps_per_epoch=2, begin=warmup, end=6))
    assert found == ([(next(iter(lengths)), size)] if len(lrs) == 1 else [])
