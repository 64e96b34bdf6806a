"""A contest of three optimizers by hand: what tests of its numbers and of its page read."""

from __future__ import annotations

from typing import Any

from tests.support.ledgers import HandTrial, trial

FLAT = [0.05] * 6


def three() -> list[HandTrial]:
    """Adam 0.001 (its default) scores 0.50, 0.52, 0.48, the means of its last two epochs: the target is 0.50.

    epochs to it   heat 0          heat 1           heat 2
    Adam           5, lr 0.01: 3   5, lr 0.01: —    —, lr 0.01: 6      3, 5, 6: median 5
    SGD            —, lr 0.1: —    —, lr 0.1: 3     —, lr 0.1: 2       ∞, 3, 2: median 3
    RMSprop        never                                               ∞
    """
    curves: dict[tuple[str, float], list[Any]] = {
        ("Adam", 0.001): [[0.1, 0.2, 0.3, 0.4, x, x] for x in (0.50, 0.52, 0.48)],
        ("Adam", 0.01): [[0.1, 0.2, 0.5, 0.4, 0.3, 0.3], FLAT, [0.1, 0.2, 0.3, 0.4, 0.44, 0.54]],
        ("SGD", 0.001): [FLAT, FLAT, FLAT],
        ("SGD", 0.1): [[0.1, None], [0.1, 0.3, 0.5, 0.5, 0.5, 0.5], [0.1, 0.5, 0.5, 0.5, 0.5, 0.5]],
        ("RMSprop", 0.01): [[0.2] * 6] * 3,
        ("RMSprop", 0.1): [[0.25] * 6] * 3,
    }
    return [
        trial(name, lr=lr, seed=seed, curve=curve, seconds=3.0 if name == "Adam" else 2.0, epochs=6,
              status="diverged" if None in curve else "finished")
        for (name, lr), per_seed in curves.items()
        for seed, curve in enumerate(per_seed)
    ]  # fmt: skip
