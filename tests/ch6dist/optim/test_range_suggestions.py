"""Suggestions lie between the begin of the fall and the smoothed minimum, whatever the noise and the rise beyond."""

from __future__ import annotations

import random

import pytest

from ch6dist.optim.range_test import suggest


def lr_grid(count: int, *, start: float = 1e-6, end: float = 1.0) -> list[float]:
    return [start * (end / start) ** (i / (count - 1)) for i in range(count)]


def noisy(count: int, *, seed: int, start: float = 1e-4, end: float = 10.0, at: float = 0.05, depth: float = 0.1):
    """A loss with the noise of LeNet-5 on CIFAR-100 (0.006), falling by `depth` below `at`, above its start beyond."""
    source, lrs = random.Random(seed), lr_grid(count, start=start, end=end)
    falls = [depth / (1 + (at / 3 / lr) ** 2) for lr in lrs]
    rises = [0.4 * depth * (lr / at) ** 1.5 for lr in lrs]
    return lrs, [4.6 - a + b + source.gauss(0, 0.006) for a, b in zip(falls, rises, strict=True)]


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.98])
@pytest.mark.parametrize(
    "shape", [{}, {"at": 2.0}, {"at": 0.005, "depth": 0.3}, {"start": 1e-7}, {"at": 0.5, "count": 150}]
)
def test_nothing_is_suggested_beyond_the_smoothed_minimum_or_above_the_loss_of_the_start(shape, beta):
    signals = 0
    for seed in range(40):
        lrs, losses = noisy(**{"count": 400, **shape}, seed=seed)
        found = suggest(lrs, losses, beta=beta, factor=4.0)
        if found["no_signal"]:
            continue
        signals += 1
        count = len(found["lr"])
        window = range(count // 10, count - 5)
        lowest = min(window, key=lambda i: found["smoothed"][i])
        level = sum(losses[: count // 10]) / (count // 10)
        for name in ("steepest", "valley", "slide"):
            if found[name] is not None:
                at = lrs.index(found[name])
                assert at <= lowest
                assert found["smoothed"][at] < level
        if found["interval"] is not None:
            assert found["interval"][1] <= lrs[lowest]
    assert signals >= 30


def test_the_interval_begins_where_the_loss_falls_and_not_at_the_first_noise_below_its_start():
    """The loss has made a tenth of its fall at a third of `at` / 3, half of it at `at` / 3 = 0.017."""
    for start in (1e-6, 1e-4):
        begins = []
        for seed in range(60):
            lrs, losses = noisy(400, seed=seed, start=start)
            found = suggest(lrs, losses, beta=0.9, factor=4.0)
            assert not found["no_signal"]
            begins.append(found["interval"][0] if found["interval"] else found["valley"])
        assert min(begins) > 0.001
        assert max(begins) < 0.06


def test_a_rise_after_the_minimum_steeper_on_its_way_down_again_is_not_the_steepest_fall():
    """Down to 1 at point 50, up to 20 at 60, and down from there in one step: fastai's steepest is at point 60."""
    lrs = lr_grid(100)
    losses = [4.0] * 30 + [4 - 0.15 * i for i in range(21)] + [1 + 0.29 * i for i in range(1, 11)] + [2.0] * 39
    found = suggest(lrs, losses, beta=0.0, factor=4.0)
    lowest = lrs[losses.index(min(losses))]
    assert all(lrs[30] <= found[k] <= lowest for k in ("steepest", "valley"))
