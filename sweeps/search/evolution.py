"""The next points of a search, by an evolution strategy (CMA-ES): a batch of the sweep is a generation.

The strategy is a normal distribution over the unit cube of the axes, those of a `log_uniform` in the logarithm. What a
generation came to moves, widens and turns it, and nothing else does. So it is made anew from what was told, and each
point is drawn from it by a seed of its own. What is told is the point that was trained, to four digits.

Source: Hansen, The CMA evolution strategy: a tutorial (arXiv 1604.00772), by the package cmaes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from cmaes import CMA
from numpy.typing import NDArray

from sweeps.search.model_based import Told
from sweeps.search.one_left import one_left, seed_of
from sweeps.search.optuna_space import Space, finite, is_finite, key_of
from sweeps.spec.axes import Axis, Point
from sweeps.spec.sweep_file import SweepSpec

WIDTH = 0.3  # standard deviation at the start, of an axis of length 1; as in the tutorial
TRIES = 40  # for a point that is not known, until one is drawn by chance


def propose(spec: SweepSpec, told: Sequence[Told], count: int) -> list[Point]:
    """Return points as model_based.propose says."""
    space = Space(spec)
    strategy = _strategy(spec, space, told)
    known = {key_of(one.point) for one in told}
    points: list[Point] = []
    for _ in range(count):
        points.append(_ask(spec, strategy, space, known))
        known.add(key_of(points[-1]))
    return points


def _ask(spec: SweepSpec, strategy: CMA, space: Space, known: set[str]) -> Point:
    """Return a point that is not known."""
    for attempt in range(TRIES):
        strategy.reseed_rng(seed_of(spec.seed, len(known), attempt))
        shares = strategy.ask().tolist()
        point = {key: axis.at(share) for (key, axis), share in zip(spec.parameters.items(), shares, strict=True)}
        if key_of(point) not in known:
            return point
    return one_left(spec, space, known)


def _strategy(spec: SweepSpec, space: Space, told: Sequence[Told]) -> CMA:
    """Return the strategy after all whole generations; a new one where it has come to its end on the way."""
    assert spec.batch is not None
    strategy = _begin(spec)
    for first in range(0, len(told) - spec.batch + 1, spec.batch):
        _tell(strategy, spec, space, told[first : first + spec.batch])
        if strategy.should_stop():  # too narrow, too wide, or too long and thin to be of use
            strategy = _begin(spec)
    return strategy


def _begin(spec: SweepSpec) -> CMA:
    axes = len(spec.parameters)
    cube = np.array([[0.0, 1.0]] * axes)
    return CMA(mean=np.full(axes, 0.5), sigma=WIDTH, bounds=cube, population_size=spec.batch)


def _tell(strategy: CMA, spec: SweepSpec, space: Space, generation: Sequence[Told]) -> None:
    """Tell a generation by its ranks: those of which nothing is known stand in the middle of them.

    These lie on the strategy's mean, and so move nothing. A generation of which less than half is known is passed over.
    """
    places = _places(spec, space, generation)
    if 2 * len(places) < len(generation):
        return
    half = (len(places) + 1) // 2
    nothing = [strategy.mean.copy()] * (len(generation) - len(places))
    ranked = [*places[:half], *nothing, *places[half:]]
    with np.errstate(over="ignore"):  # of a strategy far narrower than its points are apart, which comes to its end
        strategy.tell([(place, float(rank)) for rank, place in enumerate(ranked)])


def _places(spec: SweepSpec, space: Space, generation: Sequence[Told]) -> list[NDArray[np.float64]]:
    """Return where in the cube the known points of a generation lie, the best one first."""
    sign = -1 if spec.metric.goal == "maximize" else 1
    ranks = [(rank, one.point) for one in generation if (rank := _rank(one, sign)) and space.holds(one.point)]
    return [_place(spec, point) for _, point in sorted(ranks, key=lambda ranked: ranked[0])]


def _rank(one: Told, sign: int) -> tuple[int, int, float] | None:
    """Return the rank of a point, the smallest of the best one; None where nothing is known of it.

    Stopped ones stand behind the finished ones, of them the later stopped before; diverged ones are the last.
    """
    if one.state == "finished" and one.value is not None and is_finite(one.value):
        return (0, 0, sign * one.value)
    if one.state == "stopped" and (values := finite(one.values)):
        return (1, -max(values), sign * values[max(values)])
    return (2, 0, 0.0) if one.state == "diverged" else None


def _place(spec: SweepSpec, point: Point) -> NDArray[np.float64]:
    return np.array([_share(axis, point[key]) for key, axis in spec.parameters.items()])


def _share(axis: Axis, value: float) -> float:
    """Return the share of an axis that lies below a value: the opposite of `axis.at`."""
    low, high = axis.bounds
    if axis.distribution == "log_uniform":
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
