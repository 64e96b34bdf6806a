"""The points that axes span: every combination, or random or evenly spread draws.

axes = {"optimizer.lr": Axis(values=(0.1, 0.01)), "epochs": Axis(values=(5, 10))}
list(grid(axes))                                             # 4 points, {"optimizer.lr": 0.1, "epochs": 5} first
list(different(random(axes, rng=Random(0)), count=3))        # 3 different points
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

from ch6dist.errors import InputError
from sweeps.spec.axes import Axis, Point

DRAWS_PER_POINT = 1000  # draws for a point that was not drawn before, until the axes count as exhausted


def grid(axes: Mapping[str, Axis]) -> Iterator[Point]:
    """Yield every combination of the axes' values; the last axis changes fastest."""
    for values in itertools.product(*(axis.listed for axis in axes.values())):
        yield dict(zip(axes, values, strict=True))


def random(axes: Mapping[str, Axis], *, rng: Random) -> Iterator[Point]:
    """Yield random points without end. With an equal `rng` they are the same."""
    while True:
        yield {key: axis.draw(rng) for key, axis in axes.items()}


def quasi(axes: Mapping[str, Axis], shares: Iterable[Sequence[float]]) -> Iterator[Point]:
    """Yield a point for each of `shares`: points of the unit cube, with a dimension for each axis."""
    for given in shares:
        yield {key: axis.at(share) for (key, axis), share in zip(axes.items(), given, strict=True)}


def different(points: Iterable[Point], *, count: int) -> Iterator[Point]:
    """Yield the first `count` different ones of `points`, which have no end; a larger count begins with the same.

    Raises InputError when no new one comes.
    """
    seen: set[str] = set()
    drawn = iter(points)
    for _ in range(count):
        point = next((point for point in itertools.islice(drawn, DRAWS_PER_POINT) if repr(point) not in seen), None)
        if point is None:
            raise exhausted(count, len(seen))
        seen.add(repr(point))
        yield point


def exhausted(trials: int, points: int) -> InputError:
    """Return the error for more `trials` than the axes hold `points`."""
    return InputError("trials", trials, f"at most {points}: the axes hold no more different points")
