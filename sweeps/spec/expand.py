"""From a sweep to its trials: every configuration with every seed, checked before anything starts.

trials = expand(load_spec("sweeps/configs/demo.yaml"), file="sweeps/configs/demo.yaml")
tests = expand(spec)                            # with an axis `from: range_test`: the first stage
trials = expand(spec, bounds=bounds)            # the second: sweeps/search/range_stage.py has the bounds of the tests
trial = configure(spec, {"optimizer.lr": 0.1})         # one point; that of a search, as model_based.py proposes it
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, islice
from random import Random
from typing import Any

from ch6dist.catalog.parameters import as_number
from ch6dist.catalog.schedules import lr_overrides
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.trial_file import with_names
from sweeps.spec.axes import Axis, Point
from sweeps.spec.cases import chosen_cases, values_of, with_values
from sweeps.spec.early_stop import check_early_stop
from sweeps.spec.places import in_sweep, of_some
from sweeps.spec.points import different, exhausted, quasi, random
from sweeps.spec.range_axis import LR, Bounds
from sweeps.spec.sections import MAX_TRIALS
from sweeps.spec.stages import as_range_test, check_bounded, placing, range_axis, range_tests, stated, with_positions
from sweeps.spec.sweep_file import Resources, SweepSpec
from sweeps.spec.where import Conditions

SOBOL = "sweeps.spec.sobol"  # by name: scipy.stats takes longer to import than a plan to make


def expand(
    spec: SweepSpec, *, file: str | None = None, bounds: Mapping[str, Bounds] | None = None
) -> list[TrialConfig]:
    """Return every trial that is known before the sweep starts, checked: in the order of the file, seeds together.

    None of a search by a model, which draws while it trains; that every value of its axes can be trained is checked.
    Where learning rates come from range tests, these are the trials of the first stage, and with `bounds` those of the
    second, as far as their bounds are known. Before there are bounds the second is checked with those that the file
    states.

    Args:
        bounds: by the configuration id of the range tests.

    Raises InputError (with `file`) for a configuration that cannot be trained, two that are the same, learning rates
    that a schedule would ignore, early stopping that could stop nothing, and more than MAX_TRIALS.
    """
    try:
        _check_count(_positioned(spec))
        trials = list(_trials(spec, _placed_points(spec, bounds)))
        if spec.early_stop and bounds is None:
            check_early_stop(spec.early_stop, trials)
        if bounds is None and range_axis(spec.parameters):
            return _range_tests(spec)
        return [] if spec.method == "optuna" else trials
    except InputError as error:
        raise (error.in_file(file) if file else error) from None


def stand_in(spec: SweepSpec) -> SweepSpec:
    """Return a sweep whose trials are all known beforehand: of a search by a model one of evenly spread points."""
    if spec.method != "optuna":
        return spec
    return spec.model_copy(update={"method": "quasi", "sampler": None, "batch": None})


def forecast(spec: SweepSpec, *, file: str | None = None) -> list[TrialConfig]:
    """Return the trials of all stages, for a plan: what is not known yet as the file states it, or evenly spread.

    Raises InputError as `expand` does.
    """
    first = expand(spec, file=file) or expand(stand_in(spec), file=file)
    return first if range_axis(spec.parameters) is None else [*first, *_trials(spec, _placed_points(spec, None))]


def case_names(spec: SweepSpec, bounds: Mapping[str, Bounds] | None = None) -> dict[str, dict[str, str]]:
    """Return of each configuration the names of its cases, by axis; empty where no axis has cases.

    Args:
        bounds: as for `expand`. A range test is of no case: several may share it.
    """
    if all(axis.cases is None for axis in spec.parameters.values()):
        return {}
    points = _placed_points(spec, bounds)
    return {configure(spec, point).configuration_id: cases_at(spec, point) for point in points}


def range_test_of(spec: SweepSpec, trial: TrialConfig) -> TrialConfig:
    """Return the range test, with the trial's seed, that gives a training run its bounds."""
    return as_range_test(trial, data_seed=int(as_number(spec.trial.get("data", {}).get("seed")) or 0))


def cases_at(spec: SweepSpec, point: Point) -> dict[str, str]:
    """Return the names of a point's cases, by their axes."""
    return {key: point[key] for key in chosen_cases(spec.parameters, point)}


def left_out(spec: SweepSpec) -> int:
    """Return how many combinations of a grid are none of its configurations, as they differ only where nothing acts."""
    conditions = conditions_of(_positioned(spec))
    if spec.method != "grid" or not conditions.conditional:
        return 0
    return math.prod(len(axis.listed) for axis in conditions.axes.values()) - sum(1 for _ in conditions.points())


def conditions_of(spec: SweepSpec) -> Conditions:
    """Return which axes of a sweep apply where."""
    return Conditions(spec.parameters, spec.trial)


def _trials(spec: SweepSpec, points: Iterator[Point]) -> Iterator[TrialConfig]:
    seen: dict[str, Point] = {}
    for point in points:
        config = configure(spec, point)
        first = seen.setdefault(config.trial_id, point)
        if first is not point:
            raise InputError("parameters", point, f"each configuration once; this one is the same as {first!r}")
        yield config
        for seed in spec.seeds.values[1:]:
            yield config.model_copy(update={"seed": seed})


def _positioned(spec: SweepSpec) -> SweepSpec:
    """Return a sweep whose points say where between bounds a learning rate lies, where these come from range tests."""
    axes = with_positions(spec.parameters, drawn=spec.method != "grid")
    return spec.model_copy(update={"parameters": axes})


def _placed_points(spec: SweepSpec, bounds: Mapping[str, Bounds] | None) -> Iterator[Point]:
    """Yield the points of a sweep with their learning rates; none whose bounds are not known yet."""
    place = placing(spec.parameters, _test_of(spec), bounds, drawn=spec.method != "grid")
    return (point for point in map(place, _points(_positioned(spec))) if point is not None)


def _test_of(spec: SweepSpec) -> Callable[[Point], TrialConfig]:
    """Return what makes the range test of a point without its learning rate."""
    axis = range_axis(spec.parameters)
    lr = stated(axis).high if axis else None  # any that suits the schedule: the range test has neither
    return lambda rest: range_test_of(spec, configure(spec, {**rest, LR: lr}))


def _range_tests(spec: SweepSpec) -> list[TrialConfig]:
    tests = range_tests(spec.parameters, _test_of(spec), _points(_positioned(spec)))
    if len(tests) > MAX_TRIALS:
        raise InputError(f"parameters.{LR}.from", f"{len(tests)} range tests", f"at most {MAX_TRIALS} trials")
    return tests


def _points(spec: SweepSpec) -> Iterator[Point]:
    """Return the points of a sweep; those at which a search by a model is checked."""
    conditions, axes, seed = conditions_of(spec), spec.parameters, spec.seed or 0
    if spec.method == "grid":
        return conditions.grid()
    if spec.method == "optuna":
        return _probes(conditions)
    if spec.method == "random":
        drawn = random(axes, rng=Random(seed))
    else:
        drawn = quasi(axes, importlib.import_module(SOBOL).unit_points(len(axes), seed=seed))
    return different(map(conditions.applying, drawn), count=spec.trials or 0)


def _probes(conditions: Conditions) -> Iterator[Point]:
    """Yield points that hold, together, every listed value and the ends of every distribution.

    Each value stands beside those of every other axis of its section, of the axes that decide whether it applies, and
    the first ones of all others.
    """
    ends = {key: axis.ends() for key, axis in conditions.axes.items()}
    firsts = {key: axis.first() for key, axis in ends.items()}
    pairs = [pair for pair in combinations(ends, 2) if len({key.partition(".")[0] for key in pair}) == 1]
    seen: set[str] = set()
    for keys in [*((key,) for key in ends), *pairs]:
        together = {*keys, *(decider for key in keys for decider in conditions.deciding(key))}
        tried = {other: axis if other in together else firsts[other] for other, axis in ends.items()}
        for point in islice(Conditions(tried, conditions.trial).points(), MAX_TRIALS):
            if repr(point) not in seen:
                seen.add(repr(point))
                yield point


def configure(spec: SweepSpec, point: Point) -> TrialConfig:
    """Return the trial of a point, with the first seed: the sweep's trial with the values of the axes put over it.

    Raises InputError, with the key in the sweep file, for what cannot be trained.
    """
    base = {**with_names(spec.trial), "seed": spec.seeds.values[0], "vary": list(spec.seeds.vary)}
    content, values = values_of(base, spec.parameters, point)
    try:
        content = with_values(content, values)
        config = _with_global_batch(parse_trial(content), spec.resources)
    except InputError as error:
        raise of_some(error, content, point, values) or in_sweep(error, spec, point) from None
    ignored = lr_overrides(config.schedule)
    if ignored and _varies(spec.parameters.get("optimizer.lr")):
        allowed = f"no learning-rate axis beside {ignored[0]}, which replaces the learning rate"
        raise InputError("parameters.optimizer.lr", point["optimizer.lr"], allowed)
    if ignored and len({value.get("lr") for value in _mappings(spec.parameters.get("optimizer"))}) > 1:
        allowed = f"one learning rate for all beside {ignored[0]}, which replaces it"
        raise InputError("parameters.optimizer", point["optimizer"], allowed)
    if range_axis(spec.parameters):
        check_bounded(config)
    if config.type == "train" and config.data.val_size == 0 and spec.metric.name.startswith("val_"):
        raise InputError("metric.name", spec.metric.name, "train_accuracy or train_loss (data.val_size is 0)")
    return config


def _with_global_batch(config: TrialConfig, resources: Resources) -> TrialConfig:
    """Return the trial with the global batch size: times the workers where `data.batch_size` is that of each.

    Its id and its schedule are then those of the training run; the sweep keeps what its file says.
    """
    written = config.data.batch_size
    if resources.batch == "per_worker":
        data = config.data.model_copy(update={"batch_size": written * resources.workers})
        return config.model_copy(update={"data": data})
    if written < resources.workers:
        raise InputError("data.batch_size", written, f"at least {resources.workers}, an image for each worker")
    return config


def _mappings(axis: Axis | None) -> list[Mapping[str, Any]]:
    return [value for value in (axis.values if axis else None) or () if isinstance(value, Mapping)]


def _check_count(spec: SweepSpec) -> None:
    """Raise InputError for more trials than a sweep may have, or a search for more points than there are."""
    conditions = conditions_of(spec)
    if spec.trials:
        configurations = spec.trials
    elif conditions.conditional:
        configurations = sum(1 for _ in islice(conditions.points(), MAX_TRIALS + 1))
    else:
        configurations = math.prod(len(axis.listed) for axis in spec.parameters.values())
    if configurations * len(spec.seeds.values) > MAX_TRIALS:
        counted = conditions.conditional and not spec.trials and configurations > MAX_TRIALS
        about = f"{configurations}{' or more' if counted else ''} configurations"
        raise InputError("parameters", f"{about} × {len(spec.seeds.values)} seeds", f"at most {MAX_TRIALS} trials")
    if spec.method == "optuna" and (found := conditions.count(at_most=configurations)) < configurations:
        raise exhausted(configurations, found)


def _varies(axis: Axis | None) -> bool:
    return axis is not None and (axis.values is None or len(axis.values) > 1)
