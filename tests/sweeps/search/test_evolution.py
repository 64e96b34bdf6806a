"""A search by an evolution strategy: its batches are generations, of which the ranks alone count."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.errors import InputError
from sweeps.search.model_based import Told, propose, write_journal
from sweeps.spec.axes import Point
from sweeps.spec.sweep_file import SweepSpec
from tests.support.bad_sweeps import searched
from tests.support.sweep_files import spec_of

CMA = pytest.importorskip("cmaes").CMA
seed_of = pytest.importorskip("sweeps.search.one_left").seed_of

LR, MOMENTUM = "optimizer.lr", "optimizer.momentum"
PLANE = {
    LR: {"distribution": "log_uniform", "min": 1e-4, "max": 1},
    MOMENTUM: {"distribution": "uniform", "min": 0, "max": 0.99},
}
FEW = {
    LR: {"distribution": "uniform", "min": 0.1, "max": 0.1003},
    MOMENTUM: {"distribution": "uniform", "min": 0.9, "max": 0.9003},
}
FEW_POINTS = 16  # to four digits


def search(parameters: dict[str, Any] = PLANE, **changes: Any) -> SweepSpec:
    return spec_of(searched("optuna", **{"sampler": "cmaes", "trials": 60, "parameters": parameters, **changes}))


def height(point: Point) -> float:
    """Return what is to be found: largest, 0, at lr 10^-1.5 and momentum 0.8."""
    return -((math.log10(point[LR]) + 1.5) ** 2) - 4 * (point[MOMENTUM] - 0.8) ** 2


def trained(spec: SweepSpec, count: int, value: Any = height) -> list[Told]:
    told: list[Told] = []
    while len(told) < count:
        told += [Told(point, value(point)) for point in propose(spec, told, min(spec.batch or 0, count - len(told)))]
    return told


@pytest.mark.parametrize("broken", [0, 1, 4])
def test_the_next_generation_is_what_the_package_itself_draws_after_the_same_results(broken: int) -> None:
    """Broken ones stand on the mean, where they move nothing, between the better and the worse half of the others."""
    spec = search()
    told = trained(spec, 24)
    told = [*told[:8], *(replace(one, state="broken") for one in told[8 : 8 + broken]), *told[8 + broken :]]
    model = CMA(mean=np.full(2, 0.5), sigma=0.3, bounds=np.array([[0, 1], [0, 1]]), population_size=8)
    for first in (0, 8, 16):
        known = [one for one in told[first : first + 8] if one.state == "finished"]
        values = [-(one.value or 0) for one in known]
        nothing = [(model.mean.copy(), sorted(values)[(len(values) - 1) // 2] + 1e-9)] * (8 - len(known))
        model.tell([*((cube(one.point), value) for one, value in zip(known, values, strict=True)), *nothing])
    for place, point in enumerate(propose(spec, told, 8)):
        model.reseed_rng(seed_of(spec.seed, 24 + place, 0))
        assert cube(point) == pytest.approx(model.ask(), abs=2e-4)  # a point has four digits


def cube(point: Point) -> Any:
    """Return where a point lies between the ends of the axes, each from 0 to 1."""
    return np.array([1 + math.log10(point[LR]) / 4, point[MOMENTUM] / 0.99])


@pytest.mark.parametrize("known", [0, 8, 20, 24])
def test_fewer_points_are_the_first_of_more(known: int) -> None:
    spec = search()
    told = trained(spec, known)
    assert propose(spec, told, 3) == propose(spec, told, 8)[:3]


def test_a_batch_says_nothing_until_it_is_whole() -> None:
    spec = search()
    told = trained(spec, 20)
    better = [*told[:16], *(replace(one, value=9.0) for one in told[16:])]
    assert propose(spec, better, 4) == propose(spec, told, 4)
    assert propose(spec, [*told[:12], *better[12:]], 4) == propose(spec, told, 4)


def test_values_count_by_their_order_alone_and_by_the_goal_of_the_metric() -> None:
    spec = search()
    told = trained(spec, 24)
    then = propose(spec, told, 8)
    assert propose(spec, [replace(one, value=math.exp(one.value or 0)) for one in told], 8) == then
    loss = search(metric={"name": "val_loss"})
    assert propose(loss, [replace(one, value=-(one.value or 0)) for one in told], 8) == then
    assert propose(loss, told, 8) != then


def test_stopped_points_stand_behind_the_finished_ones_the_later_stopped_before_and_diverged_ones_last() -> None:
    spec = search()
    told = trained(spec, 8)
    ends: list[dict[str, Any]] = [
        {"state": "diverged", "value": None, "values": {1: 99.0}},
        {"state": "stopped", "value": None, "values": {1: 0.1, 2: math.nan}},
        {"state": "stopped", "value": None, "values": {1: 0.9}},
        {"state": "stopped", "value": None, "values": {1: 0.0, 3: 0.05}},
        *({"value": value} for value in (-4.0, -3.0, -2.0, -1.0)),
    ]
    ended = [replace(one, **end) for one, end in zip(told, ends, strict=True)]
    ranked = [replace(one, value=float(place)) for one, place in zip(told, (0, 1, 2, 3, 4, 5, 6, 7), strict=True)]
    assert propose(spec, ended, 8) == propose(spec, ranked, 8)


def test_of_a_broken_point_and_of_one_beside_the_axes_nothing_counts_not_even_where_it_lay() -> None:
    spec = search()
    told = trained(spec, 16)
    first: Point = told[3].point

    def then(**change: Any) -> list[Point]:
        return propose(spec, [*told[:3], replace(told[3], **change), *told[4:]], 8)

    broken = then(state="broken", value=None)
    assert then(point={**first, LR: 0.9}, state="broken", value=None) == broken
    assert then(point={**first, LR: 5.0}) == broken
    assert then(value=math.nan) == broken
    assert then(state="stopped", value=None) == broken
    assert then() != broken


def test_a_generation_of_which_less_than_half_is_known_is_passed_over() -> None:
    spec = search()
    told = trained(spec, 16)

    def then(broken: int, value: float) -> list[Point]:
        late = [replace(one, value=value * (place + 1)) for place, one in enumerate(told[8 + broken :])]
        return propose(spec, [*told[:8], *(replace(one, state="broken") for one in told[8 : 8 + broken]), *late], 8)

    assert then(5, 1.0) == then(5, -1.0)
    assert then(4, 1.0) != then(4, -1.0)


def test_where_trials_diverge_a_search_keeps_away() -> None:
    """Beyond a learning rate of 0.01 all diverge, and the top of the hill lies there: medians of later batches."""
    for seed in range(3):
        spec = search(seed=seed)
        told: list[Told] = []
        while len(told) < 56:
            points = propose(spec, told, 8)
            told += [
                Told(point, None, "diverged") if point[LR] > 0.01 else Told(point, height(point)) for point in points
            ]
        late = sorted(one.point[LR] for one in told[-16:])
        assert 0.001 < late[8] < 0.012


def test_a_search_finds_every_point_once_and_goes_on_where_it_has_come_together() -> None:
    """Few points to four digits: the strategy is soon narrower than they are apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(5):
            spec = search(FEW, trials=FEW_POINTS, batch=4, seed=seed)
            told = trained(spec, FEW_POINTS, lambda point: point[LR] + point[MOMENTUM])
            assert len({json.dumps(one.point, sort_keys=True) for one in told}) == FEW_POINTS
            with pytest.raises(
                InputError, match=r"trials: 16 .* at most 16: the axes optimizer.lr, .* no more different"
            ):
                propose(spec, told, 1)


def test_a_strategy_that_has_come_together_begins_anew_where_points_by_chance_follow() -> None:
    """As late in a long search: where it has come together all points are known, and by chance others are drawn."""
    spec = search(trials=1000)
    near = [{LR: 0.03 + (place * 3 % 8) * 1e-5, MOMENTUM: 0.8 + place * 1e-4} for place in range(8)]
    told = [Told(point, height(point)) for point in near] * 20
    together = [cube(point) for point in propose(spec, told, 8)]
    assert max(abs(place - cube(near[0])).max() for place in together) < 0.01
    told += [Told(axes_at(spec, share, 1 - share), -share) for share in np.linspace(0.05, 0.95, 8).tolist()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        places = np.array([cube(point) for point in propose(spec, told, 40)])
    assert (places.std(axis=0) > 0.15).all()  # about as wide as at the start, and not out to the edges
    assert ((places > 0) & (places < 1)).all()


def axes_at(spec: SweepSpec, *shares: float) -> Point:
    return {key: axis.at(share) for (key, axis), share in zip(spec.parameters.items(), shares, strict=True)}


STATES = st.sampled_from(["finished", "finished", "stopped", "diverged", "broken"])
NUMBERS = st.floats() | st.sampled_from([0.0, 1e300, -1e-300])
UNIT = st.floats(0, 1)


@settings(deadline=None, max_examples=40)
@given(
    lot=st.lists(st.tuples(UNIT, UNIT, STATES, NUMBERS), max_size=60),
    batch=st.integers(4, 9),
    axes=st.sampled_from([PLANE, FEW]),
)
def test_whatever_is_told_the_next_points_are_new_and_on_the_axes_and_the_same_again(
    lot: list[Any], batch: int, axes: dict[str, Any]
) -> None:
    spec = search(axes, batch=batch)
    points = [axes_at(spec, *one[:2]) for one in lot]
    known = {
        json.dumps(point): Told(point, value, state, {2: value})
        for point, (_, _, state, value) in zip(points, lot, strict=True)
    }
    told = list(known.values())
    count = 4 if axes is PLANE else min(4, FEW_POINTS - len(told))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = propose(spec, told, count)
    assert len(points) == count
    assert len(known.keys() | {json.dumps(point) for point in points}) == len(told) + count
    assert all(axes[key]["min"] <= value <= axes[key]["max"] for point in points for key, value in point.items())
    assert propose(spec, told, count) == points


def test_the_journal_is_that_of_any_sampler(tmp_path: Path) -> None:
    spec = search()
    told = trained(spec, 10)
    write_journal(tmp_path / "cmaes.log", spec, told)
    write_journal(tmp_path / "tpe.log", search(sampler="tpe"), told)
    assert (tmp_path / "cmaes.log").read_text().count("datetime_complete") == 10
    assert (tmp_path / "cmaes.log").read_text() == (tmp_path / "tpe.log").read_text()
