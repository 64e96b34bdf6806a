"""Optuna behind `propose` and `write_journal` of model_based.py: a study made anew from what was told.

Each point is asked of a fresh sampler, seeded by the sweep's seed and the number of points known by then. Points of the
same batch stand in the study as running trials, from which the samplers keep a distance.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError
from ch6dist.storage.atomic import replace_file
from sweeps.search.model_based import Told
from sweeps.spec.axes import Axis, Point
from sweeps.spec.expand import conditions_of
from sweeps.spec.sweep_file import SweepSpec

LEFT = 1000  # points among which one is drawn where the sampler wants none
ORDERED = 3  # listed numbers from which on their order is used


def propose(spec: SweepSpec, told: Sequence[Told], count: int) -> list[Point]:
    """Return points as model_based.propose says."""
    with _quiet():
        space, sampler = Space(spec), SAMPLERS[spec.sampler or "tpe"]
        study = _study(spec)
        study.add_trials(sampler.trials(space, told, maximize=spec.metric.goal == "maximize"))
        known = {_key(one.point) for one in told}
        points: list[Point] = []
        for _ in range(count):
            points.append(_ask(spec, study, space, known))
            known.add(_key(points[-1]))
        return points


def _ask(spec: SweepSpec, study: optuna.Study, space: Space, known: set[str]) -> Point:
    """Return a point that is not known, which is left in the study as a running trial.

    So is a known one that the sampler wants again: it turns elsewhere then.
    """
    sampler = SAMPLERS[spec.sampler or "tpe"]
    for attempt in range(sampler.tries):
        study.sampler = sampler.make(space, _seed(spec.seed, len(known), attempt))
        trial = study.ask()
        point = space.suggest(trial)
        study.tell(trial, state=TrialState.FAIL)  # no part of what is known, but as the running trial of its point
        if _key(point) not in known:
            break
        study.add_trial(create_trial(state=TrialState.RUNNING, **space.parameters(point)))
    else:
        point = _one_left(spec, space, known)
    study.add_trial(create_trial(state=TrialState.RUNNING, **space.parameters(point)))
    return point


def _one_left(spec: SweepSpec, space: Space, known: set[str]) -> Point:
    """Return one of the points that are left, by chance: the sampler wants none of them. InputError without one."""
    whole = space.conditions.whole(at_most=LEFT)
    unknown = (point for point in (whole.points() if whole else ()) if _key(point) not in known)
    left = list(islice(unknown, LEFT))
    if not left:
        allowed = f"at most {len(known)}: the axes {', '.join(spec.parameters)} hold no more different points"
        raise InputError("trials", spec.trials, allowed)
    return Random(_seed(spec.seed, len(known), -1)).choice(left)


def write_journal(path: Path, spec: SweepSpec, told: Sequence[Told]) -> None:
    """Write the journal as model_based.write_journal says."""
    with _quiet():
        lines = Lines()
        study = _study(spec, storage=JournalStorage(lines))
        space = Space(spec, named=True)
        study.add_trials(_shown(space, one) for one in told if space.holds(one.point))
        replace_file(path, lines.text())


class Lines(BaseJournalBackend):
    """The lines of a journal, in memory: a file would be synced after each of them."""

    def __init__(self) -> None:
        """Begin without a line."""
        self.lines: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the lines from a number on."""
        return self.lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines."""
        self.lines += logs

    def text(self) -> str:
        """Return the file: with one name for all writers, so that the lines of a longer one begin with the same."""
        return "".join(f"{json.dumps({**line, 'worker_id': 'ch6dist'})}\n" for line in self.lines)


class Space:
    """The axes of a sweep as Optuna's parameters.

    Listed numbers are the places in their order, other listed values a choice among their places; in a space of names,
    for people, all are what the file says.
    """

    def __init__(self, spec: SweepSpec, *, named: bool = False) -> None:
        """Take the axes of a sweep."""
        self.conditions = conditions_of(spec)
        self.choices = {key: _labels(axis) if named else _places(axis) for key, axis in spec.parameters.items()}
        self.distributions = {
            key: _distribution(axis, self.choices[key], named=named) for key, axis in spec.parameters.items()
        }

    def suggest(self, trial: optuna.Trial) -> Point:
        """Return the point of a trial: the axes one after another, as far as they apply."""
        point: Point = {}
        for key in self.conditions.order:
            if self.conditions.applies(key, point):
                point[key] = self._value(key, _suggested(trial, key, self.distributions[key]))
        return {key: point[key] for key in self.conditions.axes if key in point}

    def holds(self, point: Point) -> bool:
        """Return whether a point lies on the axes of the sweep, which may have changed since it was drawn."""
        applying = self.conditions.applying({key: point.get(key) for key in self.conditions.axes})
        return set(applying) == set(point) and all(self._lies_on(key, value) for key, value in point.items())

    def parameters(self, point: Point) -> dict[str, Any]:
        """Return a point that it holds as the arguments of a trial."""
        params = {key: self._parameter(key, value) for key, value in point.items()}
        return {"params": params, "distributions": {key: self.distributions[key] for key in params}}

    def _value(self, key: str, parameter: Any) -> Any:
        axis = self.conditions.axes[key]
        if axis.listed:
            return axis.listed[self.choices[key].index(parameter)]
        return parameter if axis.distribution == "int_uniform" else axis.rounded(parameter)

    def _parameter(self, key: str, value: Any) -> Any:
        axis = self.conditions.axes[key]
        return self.choices[key][_place(axis, value)] if axis.listed else value

    def _lies_on(self, key: str, value: Any) -> bool:
        axis = self.conditions.axes[key]
        if axis.listed:
            return any(_key(value) == _key(one) for one in axis.listed)
        (low, high), number = axis.bounds, as_number(value)
        return number is not None and low <= number <= high


def _place(axis: Axis, value: Any) -> int:
    return [_key(one) for one in axis.listed].index(_key(value))


def _places(axis: Axis) -> list[int]:
    """Return a number for each listed value: its place in the order of numbers, or in the list."""
    numbers = [as_number(value) for value in axis.listed]
    if not _is_ordered(axis):
        return list(range(len(numbers)))
    order = sorted(range(len(numbers)), key=lambda place: numbers[place] or 0)
    return [order.index(place) for place in range(len(numbers))]


def _labels(axis: Axis) -> list[Any]:
    """Return what a person reads for each listed value, all different."""
    plain = [
        value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value, ensure_ascii=False)
        for value in axis.listed
    ]
    return [f"{label} ({place})" if label in plain[:place] else label for place, label in enumerate(plain)]


def _is_ordered(axis: Axis) -> bool:
    return len(axis.listed) >= ORDERED and all(as_number(value) is not None for value in axis.listed)


def _distribution(axis: Axis, choices: Sequence[Any], *, named: bool) -> BaseDistribution:
    if axis.listed:
        ordered = _is_ordered(axis) and not named
        return IntDistribution(0, len(choices) - 1) if ordered else CategoricalDistribution(choices)
    low, high = axis.bounds
    if axis.distribution == "int_uniform":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=axis.distribution == "log_uniform")


def _suggested(trial: optuna.Trial, key: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(key, distribution.low, distribution.high, log=distribution.log)


def _tpe(space: Space, seed: int) -> BaseSampler:
    # in groups: axes that apply together are drawn together, others by themselves
    return TPESampler(seed=seed, multivariate=True, group=space.conditions.conditional, constant_liar=True)


def _gp(space: Space, seed: int) -> BaseSampler:
    return GPSampler(seed=seed)


def _told_to_tpe(space: Space, told: Sequence[Told], *, maximize: bool) -> Iterator[FrozenTrial]:
    """Yield trials: TPE ranks pruned ones behind all others, the later pruned before, those without a value last."""
    for one in told:
        if one.state == "broken" or not space.holds(one.point):
            continue
        known = space.parameters(one.point)
        if one.state == "finished" and _is_finite(one.value):
            yield create_trial(value=one.value, **known)
        elif one.state == "stopped" and (values := _finite(one.values)):
            yield create_trial(state=TrialState.PRUNED, intermediate_values=values, **known)
        elif one.state == "diverged":
            yield create_trial(state=TrialState.PRUNED, **known)


def _told_to_gp(space: Space, told: Sequence[Told], *, maximize: bool) -> Iterator[FrozenTrial]:
    """Yield complete trials, as a Gaussian process knows no others: a diverged one as bad as the worst one."""
    values = {place: value for place, one in enumerate(told) if (value := _last(one)) is not None}
    worst = (min if maximize else max)(values.values(), default=None)
    for place, one in enumerate(told):
        value = worst if one.state == "diverged" else values.get(place)
        if value is not None and space.holds(one.point):
            yield create_trial(value=value, **space.parameters(one.point))


@dataclass(frozen=True)
class Sampler:
    """A sampler of Optuna, and what it is told."""

    make: Callable[[Space, int], BaseSampler]
    trials: Callable[..., Iterator[FrozenTrial]]
    tries: int  # for a point that is not known, until one is drawn by chance


SAMPLERS = {"tpe": Sampler(_tpe, _told_to_tpe, tries=40), "gp": Sampler(_gp, _told_to_gp, tries=20)}


def _shown(space: Space, one: Told) -> FrozenTrial:
    """Return a point as a trial for people."""
    finished = one.state == "finished" and _is_finite(one.value)
    state = TrialState.COMPLETE if finished else TrialState.PRUNED if one.state == "stopped" else TrialState.FAIL
    trial = create_trial(
        state=state,
        value=one.value if finished else None,
        intermediate_values=_finite(one.values),
        user_attrs={"name": one.name, "state": one.state},
        **space.parameters(one.point),
    )
    trial.datetime_start, trial.datetime_complete = (datetime.fromtimestamp(at, tz=UTC) for at in one.span)
    return trial


def _study(spec: SweepSpec, **options: Any) -> optuna.Study:
    return optuna.create_study(study_name=spec.name, direction=spec.metric.goal, **options)


def _seed(seed: int | None, known: int, attempt: int) -> int:
    return Random(f"{seed} {known} {attempt}").getrandbits(32)


def _key(value: Any) -> str:
    """Return a point or a value as text that is equal for equal ones, read from a ledger or not."""
    return json.dumps(value, sort_keys=True)


def _last(one: Told) -> float | None:
    """Return the value of a point: of one that was stopped the last one by epoch."""
    if one.state == "stopped" and (values := _finite(one.values)):
        return values[max(values)]
    return one.value if one.state == "finished" and _is_finite(one.value) else None


def _finite(values: Mapping[int, float]) -> dict[int, float]:
    return {epoch: value for epoch, value in values.items() if _is_finite(value)}


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from writing to the terminal, for the time of the block."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
