"""Scrambled Sobol points: spread more evenly over the unit cube than random ones, in every direction.

    for point in islice(unit_points(3, seed=0), 16):     # 16 times 3 numbers from 0 to 1

Imported by its name where it is used (expand.py): scipy.stats takes longer to import than a plan to make.
Source: Sobol 1967; scrambled as Matousek 1998, by scipy.stats.qmc.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import qmc

FIRST = 5  # log2 of the points that are made at once


def unit_points(dimensions: int, *, seed: int) -> Iterator[tuple[float, ...]]:
    """Yield the points of a sequence without end, each of `dimensions` numbers in [0, 1).

    Point i depends on `dimensions`, `seed` and i alone.
    """
    engine = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng(seed))
    power = FIRST
    block = engine.random_base2(power)
    while True:
        yield from (tuple(map(float, point)) for point in block)
        block = engine.random_base2(power)  # as many as there were: their number stays a power of two
        power += 1
