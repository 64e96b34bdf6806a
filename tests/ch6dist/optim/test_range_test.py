"""The curve of a range test: golden numbers, fastai's four rules, noise, divergence, short and invalid curves."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ch6dist.optim.range_test import diverged_at, smooth, suggest

KEYS = {"lr", "smoothed", "steepest", "valley", "slide", "minimum", "interval", "no_signal", "advice", "diverged_at"}
SUGGESTIONS = ("steepest", "valley", "slide", "minimum", "interval")

# 30 temperatures from Godoy, "Deep Learning with PyTorch Step-by-Step", volume II, chapter 6
TEMPERATURES = [5, 11, 15, 6, 5, 3, 3, 0, 0, 3, 4, 2, 1, -1, -2, 2, 2, -2, -1, -1, 3, 4, -1, 2, 6, 4, 9, 11, 9, -2]


def lr_grid(count: int, *, start: float = 1e-6, end: float = 1.0) -> list[float]:
    return [start * (end / start) ** (i / (count - 1)) for i in range(count)]


def curve(count: int, start: float, end: float, depth: float, wiggle: float) -> tuple[list[float], list[float]]:
    """A fall by `depth` around a learning rate of 0.01, a rise towards 1, and a wiggle that is no random number."""
    lrs = lr_grid(count, start=start, end=end)
    losses = [
        4.6
        - depth / (1 + math.exp(-2 * (math.log10(lr) + 2)))
        + (lr / 0.5) ** 3
        + wiggle * math.sin(1.7 * i + 0.3 * i * i % 5)
        for i, lr in enumerate(lrs)
    ]
    return lrs, losses


def test_smoothing_gives_the_books_corrected_average():
    smoothed = smooth(TEMPERATURES, beta=1 - 2 / (19 + 1))
    assert [smoothed[i] for i in (0, 1, 18, 29)] == pytest.approx([5, 8.157895, 1.399098, 3.618993], abs=1e-6)


# steepest, valley, slide and minimum of fastai 2.7's own functions on these curves
@pytest.mark.parametrize(
    ("shape", "beta", "expected"),
    [
        (
            (100, 1e-6, 1.0, 2.0, 0.0),
            0.0,
            (0.008697490026177835, 0.0006135907273413172, 0.004328761281083059, 0.016297508346206448),
        ),
        (
            (100, 1e-6, 1.0, 2.0, 0.02),
            0.9,
            (0.03053855508833417, 0.00247707635599171, 0.011497569953977363, 0.032745491628777296),
        ),
        (
            (60, 1e-5, 0.9, 3.0, 0.03),
            0.9,
            (0.022845911019961678, 0.0027235549923643274, 0.008688752387509147, 0.034228782305619564),
        ),
        (
            (200, 1e-7, 1.0, 1.0, 0.01),
            0.0,
            (0.006593188271333545, 0.0037399373024788007, 0.04247571552536901, 0.014314589375234795),
        ),
    ],
)
def test_suggestions_are_fastais(shape, beta, expected):
    lrs, losses = curve(*shape)
    found = suggest(lrs, losses, beta=beta, factor=4.0)
    assert [found[k] for k in ("steepest", "valley", "slide", "minimum")] == pytest.approx(expected, rel=1e-9)
    assert not found["no_signal"]
    assert found["diverged_at"] is None


def test_a_straight_fall_is_read_off_by_hand():
    """100 points, loss 4 → 1 between points 30 and 70, flat elsewhere: every answer can be counted out."""
    lrs = lr_grid(100)
    losses = [4 - 3 * min(1.0, max(0.0, (i - 30) / 40)) for i in range(100)]
    found = suggest(lrs, losses, beta=0.0, factor=4.0)
    assert found["minimum"] == pytest.approx(lrs[70] / 10)
    assert found["interval"] == pytest.approx([lrs[32], lrs[70] / 10])  # 5 % of 3 is two steps of 0.075
    assert 30 <= min(range(100), key=lambda i: abs(lrs[i] - found["steepest"])) < 70
    # 41 falling points end at 70: a third and a half third in
    assert found["valley"] == pytest.approx(lrs[70 - 41 + 13 + 6])
    assert found["lr"] == lrs
    assert found["smoothed"] == pytest.approx(losses)


def test_a_curve_that_only_falls_suggests_lrs_inside_the_range():
    lrs = lr_grid(100)
    found = suggest(lrs, [4.6 - 0.03 * i for i in range(100)], beta=0.9, factor=4.0)
    assert found["minimum"] == pytest.approx(lrs[94] / 10)  # the last five are not looked at
    assert lrs[10] <= found["interval"][0] <= found["interval"][1]
    assert all(lrs[0] <= found[k] <= lrs[-1] for k in ("steepest", "valley", "slide"))


def test_interval_is_null_where_the_fall_starts_above_the_minimum_rule():
    """A fall within less than a decade: the learning rate at its onset is above a tenth of that at its end."""
    lrs = lr_grid(100)
    losses = [4.6 if i < 60 else 1.0 for i in range(100)]
    found = suggest(lrs, losses, beta=0.0, factor=4.0)
    assert found["interval"] is None
    assert found["minimum"] == pytest.approx(lrs[60] / 10)
    assert not found["no_signal"]


@pytest.mark.parametrize("count", [60, 100, 300])
def test_flat_noise_gives_no_signal(count):
    """A loss that only trembles between 4.59 and 4.62, as an SGD that never learns leaves it."""
    signals = 0
    for seed in range(200):
        source = random.Random(seed)
        losses = [source.uniform(4.59, 4.62) for _ in range(count)]
        found = suggest(lr_grid(count), losses, beta=0.9, factor=4.0)
        signals += not found["no_signal"]
        assert found["no_signal"] == all(found[k] is None for k in SUGGESTIONS)
    assert signals <= 4  # of 200


def test_a_constant_loss_gives_no_signal():
    found = suggest(lr_grid(100), [math.log(100)] * 100, beta=0.9, factor=4.0)
    assert found["no_signal"]
    assert found["diverged_at"] is None


def test_divergence_is_the_first_smoothed_loss_above_the_multiple():
    assert diverged_at([4.0, 2.0, 7.9, 8.1, 1.0], factor=4.0) == 3
    assert diverged_at([4.0, 2.0, 8.0], factor=4.0) is None
    assert diverged_at([], factor=4.0) is None


def test_a_diverged_curve_ends_where_it_diverged():
    """The loss falls to 1, then jumps to 21: the average is 0.9·1 + 2.1 = 3, then 0.9·3 + 2.1 = 4.8 > 4·1."""
    lrs = lr_grid(120)
    losses = [max(1.0, 4 - 0.1 * i) for i in range(110)] + [21.0] * 10
    found = suggest(lrs, losses, beta=0.9, factor=4.0)
    assert found["diverged_at"] == 112
    assert len(found["lr"]) == len(found["smoothed"]) == 112
    assert found["smoothed"][-2:] == pytest.approx([3.0, 4.8], rel=1e-3)
    again = suggest(lrs[:112], losses[:112], beta=0.9, factor=4.0)
    assert again == found, "what comes after the divergence changes nothing"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_curve_before_it(bad):
    lrs, losses = curve(100, 1e-6, 1.0, 3.0, 0.0)
    losses[80] = bad
    found = suggest(lrs, losses, beta=0.9, factor=4.0)
    assert found["diverged_at"] == 81
    assert len(found["lr"]) == len(found["smoothed"]) == 80
    assert all(map(math.isfinite, found["smoothed"]))
    assert found["minimum"] is not None


def test_nan_from_the_first_step_leaves_an_empty_curve():
    found = suggest(lr_grid(10), [math.nan] * 10, beta=0.9, factor=4.0)
    assert found == {
        **dict.fromkeys(SUGGESTIONS),
        "lr": [],
        "smoothed": [],
        "no_signal": True,
        "advice": "the curve has 0 points: lower start_lr",
        "diverged_at": 1,
    }


@pytest.mark.parametrize("count", range(8))
def test_a_curve_too_short_says_so(count):
    lrs = [10.0 ** (i - 8) for i in range(count)]
    found = suggest(lrs, [4.0 - 0.1 * i for i in range(count)], beta=0.9, factor=4.0)
    assert set(found) == KEYS
    assert all(found[k] is None for k in SUGGESTIONS) == found["no_signal"]
    assert found["no_signal"] or count == 7


def test_a_short_curve_with_a_fall_has_every_suggestion_but_slide():
    found = suggest(lr_grid(20), [4.0] * 5 + [4.0 - 0.2 * i for i in range(15)], beta=0.0, factor=4.0)
    assert not found["no_signal"]
    assert found["slide"] is None
    assert None not in (found["steepest"], found["valley"], found["minimum"])


@given(
    losses=st.lists(st.floats(0, 100) | st.just(math.nan) | st.just(math.inf), max_size=80),
    beta=st.floats(0, 0.99),
    factor=st.floats(1.5, 10),
)
def test_whatever_the_curve_the_answer_has_its_shape(losses, beta, factor):
    lrs = lr_grid(80)[: len(losses)]
    found = suggest(lrs, losses, beta=beta, factor=factor)
    assert set(found) == KEYS
    assert found["lr"] == lrs[: len(found["lr"])]
    assert len(found["lr"]) == len(found["smoothed"])
    assert all(map(math.isfinite, found["smoothed"]))
    assert found["diverged_at"] is None or len(found["lr"]) <= found["diverged_at"] <= len(losses)
    assert all(found[k] in lrs for k in ("steepest", "valley", "slide") if found[k] is not None)
    assert found["interval"] is None or found["interval"][0] <= found["interval"][1]
    if found["no_signal"]:
        assert all(found[k] is None for k in SUGGESTIONS)


@given(losses=st.lists(st.floats(0.1, 10), min_size=1, max_size=60), beta=st.floats(0, 0.99))
def test_a_moving_average_stays_between_the_extremes(losses, beta):
    smoothed = smooth(losses, beta=beta)
    assert len(smoothed) == len(losses)
    assert smoothed[0] == pytest.approx(losses[0])
    assert min(losses) - 1e-9 <= min(smoothed) <= max(smoothed) <= max(losses) + 1e-9


@given(scale=st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_lrs_without_a_threshold_scale_with_the_losses(scale):
    """Powers of two scale without rounding; `slide` compares slopes with a number and is left out."""
    lrs, losses = curve(100, 1e-6, 1.0, 2.0, 0.01)
    ours = suggest(lrs, losses, beta=0.9, factor=4.0)
    scaled = suggest(lrs, [scale * loss for loss in losses], beta=0.9, factor=4.0)
    assert all(ours[k] == scaled[k] for k in ("steepest", "valley", "minimum", "interval", "no_signal"))
