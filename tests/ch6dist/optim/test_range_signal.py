"""Noise is called a signal in no more than a twentieth of curves; a fall above it is; and advice fits the curve."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from ch6dist.optim.range_signal import signal_of
from ch6dist.optim.range_test import suggest

CURVES = 400
SLACK = 0.03  # 2.8 standard deviations of a share of 5 % in 400 curves


def lr_grid(count: int, *, start: float = 1e-6, end: float = 1.0) -> list[float]:
    return [start * (end / start) ** (i / (count - 1)) for i in range(count)]


def noise(count: int, *, correlation: float, seed: int, size: float = 0.01) -> list[float]:
    """Return AR(1) noise around a loss of 4.6: each value `correlation` times the last one, and something new."""
    source, value, losses = random.Random(seed), 0.0, []
    for index in range(count + 50):
        value = correlation * value + source.gauss(0, size)
        losses += [4.6 + value] if index >= 50 else []
    return losses


@pytest.mark.parametrize(
    ("count", "correlation"),
    [
        *((count, correlation) for count in (16, 20, 33, 50, 100, 200) for correlation in (-0.3, 0.0, 0.3, 0.5)),
        (10, 0.0),
        *((count, 0.8) for count in (100, 200)),
    ],
)
def test_noise_alone_is_called_a_signal_in_a_twentieth_of_curves_at_most(count: int, correlation: float) -> None:
    lrs = lr_grid(count)
    curves = [noise(count, correlation=correlation, seed=seed) for seed in range(CURVES)]
    called = sum(not signal_of(lrs, losses, diverged=False).advice for losses in curves)
    assert called / CURVES <= 0.05 + SLACK


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_the_share_does_not_depend_on_the_smoothing(smoothing: float, correlation: float) -> None:
    curves = [noise(100, correlation=correlation, seed=seed) for seed in range(CURVES)]
    found = [suggest(lr_grid(100), losses, beta=smoothing, factor=4.0) for losses in curves]
    assert sum(not one["no_signal"] for one in found) / CURVES <= 0.05 + SLACK


@pytest.mark.parametrize("count", [60, 100, 300])
@pytest.mark.parametrize("explodes", [False, True])
def test_a_fall_by_fifteen_deviations_of_a_block_over_a_fifth_of_the_range_is_found(count: int, explodes: bool) -> None:
    """Down between 50 % and 70 % of the steps; then up again far above the start, where the loss explodes."""
    size = 0.01
    depth = 15 * size / math.sqrt(count // 16)
    found = 0
    for seed in range(100):
        losses = noise(count, correlation=0.0, seed=seed, size=size)
        for i in range(count):
            fall = min(1.0, max(0.0, (i / count - 0.5) / 0.2))
            losses[i] += 40 * depth * max(0.0, i / count - 0.8) * explodes - depth * fall
        found += not signal_of(lr_grid(count), losses, diverged=False).advice
    assert found >= 90


def test_the_noise_is_the_deviation_of_a_blocks_mean() -> None:
    found = [signal_of(lr_grid(320), noise(320, correlation=0, seed=s), diverged=False).noise for s in range(200)]
    assert statistics.fmean(found) == pytest.approx(0.01 / math.sqrt(20), rel=0.1)


def flat(count: int) -> list[float]:
    return noise(count, correlation=0.0, seed=3)


def test_advice_is_more_steps_or_a_narrower_range_where_a_decade_has_few() -> None:
    found = signal_of(lr_grid(100, start=1e-7, end=10), flat(100), diverged=False)
    assert "take more steps (12 per decade now) or a narrower range" in found.advice
    assert "times its noise, 7 are needed" in found.advice


def test_advice_is_a_larger_batch_where_a_decade_has_many() -> None:
    found = signal_of(lr_grid(400, start=1e-3), flat(400), diverged=False)
    assert found.advice.endswith("take a larger batch, or more steps")


def test_advice_is_a_higher_end_where_the_loss_is_lowest_there() -> None:
    losses = [*flat(96), *(loss - 0.008 for loss in flat(6))]
    assert "it is lowest at the end, so raise end_lr" in signal_of(lr_grid(102), losses, diverged=False).advice
    assert "end_lr" not in signal_of(lr_grid(102), losses, diverged=True).advice


def test_advice_is_a_lower_start_where_the_loss_only_rises_or_diverges_at_once() -> None:
    rising = [loss + 0.05 * i for i, loss in enumerate(flat(60))]
    assert signal_of(lr_grid(60), rising, diverged=True).advice == "the loss only rises: lower start_lr"
    assert "lower start_lr" in signal_of(lr_grid(3), [4.6, 9.0, 17.0], diverged=True).advice
    assert "take more steps" in signal_of(lr_grid(5), flat(5), diverged=False).advice
