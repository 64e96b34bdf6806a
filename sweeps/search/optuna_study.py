"""The next points of a search, by Optuna: a study made anew from what was told.

Each point is asked of a fresh sampler, seeded by the sweep's seed and the number of points known by then. Points of the
same batch stand in the study as running trials, from which the samplers keep a distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeps.search.model_based import Told
from sweeps.search.one_left import one_left, seed_of
from sweeps.search.optuna_space import Space, finite, is_finite, key_of, new_study, quiet
from sweeps.spec.axes import Point
from sweeps.spec.sweep_file import SweepSpec


def propose(spec: SweepSpec, told: Sequence[Told], count: int) -> list[Point]:
    """Return points as model_based.propose says."""
    with quiet():
        space, sampler = Space(spec), SAMPLERS[spec.sampler or "tpe"]
        study = new_study(spec)
        study.add_trials(sampler.trials(space, told, maximize=spec.metric.goal == "maximize"))
        known = {key_of(one.point) for one in told}
        points: list[Point] = []
        for _ in range(count):
            points.append(_ask(spec, study, space, known))
            known.add(key_of(points[-1]))
        return points


def _ask(spec: SweepSpec, study: optuna.Study, space: Space, known: set[str]) -> Point:
    """Return a point that is not known, which is left in the study as a running trial.

    So is a known one that the sampler wants again: it turns elsewhere then.
    """
    sampler = SAMPLERS[spec.sampler or "tpe"]
    for attempt in range(sampler.tries):
        study.sampler = sampler.make(space, seed_of(spec.seed, len(known), attempt))
        trial = study.ask()
        point = space.suggest(trial)
        study.tell(trial, state=TrialState.FAIL)  # no part of what is known, but as the running trial of its point
        if key_of(point) not in known:
            break
        study.add_trial(create_trial(state=TrialState.RUNNING, **space.parameters(point)))
    else:
        point = one_left(spec, space, known)
    study.add_trial(create_trial(state=TrialState.RUNNING, **space.parameters(point)))
    return point


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
        if one.state == "finished" and is_finite(one.value):
            yield create_trial(value=one.value, **known)
        elif one.state == "stopped" and (values := finite(one.values)):
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


def _last(one: Told) -> float | None:
    """Return the value of a point: of one that was stopped the last one by epoch."""
    if one.state == "stopped" and (values := finite(one.values)):
        return values[max(values)]
    return one.value if one.state == "finished" and is_finite(one.value) else None
