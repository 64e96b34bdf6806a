"""A point by chance, for a search whose model wants none but known ones."""

from __future__ import annotations

from itertools import islice
from random import Random

from ch6dist.errors import InputError
from sweeps.search.optuna_space import Space, key_of
from sweeps.spec.axes import Point
from sweeps.spec.points import random
from sweeps.spec.sweep_file import SweepSpec

LEFT = 1000  # points among which one is drawn


def one_left(spec: SweepSpec, space: Space, known: set[str]) -> Point:
    """Return one of the points that are left, by chance: the sampler wants none of them. InputError without one."""
    rng, conditions = Random(seed_of(spec.seed, len(known), -1)), space.conditions
    whole = conditions.whole(at_most=LEFT)
    if whole is None:
        points = islice(map(conditions.applying, random(conditions.axes, rng=rng)), LEFT)
        left = list(islice((point for point in points if key_of(point) not in known), 1))
    else:
        left = list(islice((point for point in whole.points() if key_of(point) not in known), LEFT))
    if not left:
        allowed = f"at most {len(known)}: the axes {', '.join(spec.parameters)} hold no more different points"
        raise InputError("trials", spec.trials, allowed)
    return rng.choice(left)


def seed_of(seed: int | None, known: int, attempt: int) -> int:
    """Return the seed, of 32 bits, of an attempt to draw the point that follows `known` ones."""
    return Random(f"{seed} {known} {attempt}").getrandbits(32)
