"""From a sweep to its trials: every configuration with every seed, checked before anything starts.

trials = expand(load_spec("sweeps/configs/demo.yaml"), file="sweeps/configs/demo.yaml")
trial = configure(spec, {"optimizer.lr": 0.1})         # one point; that of a search, as model_based.py proposes it
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from itertools import combinations, islice
from random import Random
from typing import Any

from ch6dist.catalog.schedules import lr_overrides
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import MISSING, InputError
from ch6dist.trial_file import with_names
from sweeps.spec.axes import Axis, Point
from sweeps.spec.cases import chosen_cases, values_of, with_values
from sweeps.spec.early_stop import check_early_stop
from sweeps.spec.points import different, exhausted, quasi, random
from sweeps.spec.sections import MAX_TRIALS
from sweeps.spec.shorthand import PARTS
from sweeps.spec.sweep_file import Resources, SweepSpec
from sweeps.spec.where import Conditions

SOBOL = "sweeps.spec.sobol"  # by name: scipy.stats takes longer to import than a plan to make


def expand(spec: SweepSpec, *, file: str | None = None) -> list[TrialConfig]:
    """Return every trial that is known before the sweep starts, checked: in the order of the file, seeds together.

    None of a search by a model, which draws while it trains; that every value of its axes can be trained is checked.
    Raises InputError (with `file`) for a configuration that cannot be trained, two that are the same, learning rates
    that a schedule would ignore, early stopping that could stop nothing, and more than MAX_TRIALS.
    """
    try:
        _check_count(spec)
        trials = list(_trials(spec, _points(spec)))
        if spec.early_stop:
            check_early_stop(spec.early_stop, trials)
        return [] if spec.method == "optuna" else trials
    except InputError as error:
        raise (error.in_file(file) if file else error) from None


def stand_in(spec: SweepSpec) -> SweepSpec:
    """Return a sweep whose trials are all known beforehand: of a search by a model one of evenly spread points."""
    if spec.method != "optuna":
        return spec
    return spec.model_copy(update={"method": "quasi", "sampler": None, "batch": None})


def case_names(spec: SweepSpec) -> dict[str, dict[str, str]]:
    """Return of each configuration the names of its cases, by axis; empty where no axis has cases."""
    if all(axis.cases is None for axis in spec.parameters.values()):
        return {}
    return {configure(spec, point).configuration_id: cases_at(spec, point) for point in _points(spec)}


def cases_at(spec: SweepSpec, point: Point) -> dict[str, str]:
    """Return the names of a point's cases, by their axes."""
    return {key: point[key] for key in chosen_cases(spec.parameters, point)}


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
        raise _of_some(error, content, point, values) or _in_sweep(error, spec, point) from None
    ignored = lr_overrides(config.schedule)
    if ignored and _varies(spec.parameters.get("optimizer.lr")):
        allowed = f"no learning-rate axis beside {ignored[0]}, which replaces the learning rate"
        raise InputError("parameters.optimizer.lr", point["optimizer.lr"], allowed)
    if ignored and len({value.get("lr") for value in _mappings(spec.parameters.get("optimizer"))}) > 1:
        allowed = f"one learning rate for all beside {ignored[0]}, which replaces it"
        raise InputError("parameters.optimizer", point["optimizer"], allowed)
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


def _in_sweep(error: InputError, spec: SweepSpec, point: Point) -> InputError:
    """Return a trial's error with the key in the sweep file: an axis's value, or the base trial."""
    if place := _in_case(error, spec, point):
        return InputError(f"{place}.{error.key}", error.value, error.allowed)
    axes = [axis for axis in point if f"{error.key}.".startswith(f"{axis}.")]
    if not axes:
        section = error.key.partition(".")[0]
        cases = chosen_cases(spec.parameters, point)
        beside = [
            f"{axis}={value!r}"
            for axis, value in point.items()
            if any(key.partition(".")[0] == section for key in cases.get(axis, (axis,)))
        ]
        hint = f" (with {', '.join(beside)})" if beside else ""
        if isinstance(error.value, (list, tuple)) and "list" not in error.allowed:
            hint += f"; several values are an axis, as in parameters: {{{error.key}: […]}}"
        return InputError(f"trial.{error.key}", error.value, error.allowed + hint)
    axis = max(axes, key=len)
    values = spec.parameters[axis].values
    where = f"values[{values.index(point[axis])}]" if values else "distribution"
    return InputError(f"parameters.{axis}.{where}{error.key.removeprefix(axis)}", error.value, error.allowed)


def _in_case(error: InputError, spec: SweepSpec, point: Point) -> str:
    """Return the case that set the key of a trial's error, or something beside what is missing; empty without one."""
    section = error.key.rpartition(".")[0]
    for axis, case in chosen_cases(spec.parameters, point).items():
        own = any(f"{error.key}.".startswith(f"{key}.") for key in case)
        if own or (error.value is MISSING and any(key.startswith(f"{section}.") for key in case)):
            return f"parameters.{axis}.cases[{point[axis]}]"
    return ""


def _of_some(
    error: InputError, content: Mapping[str, Any], point: Point, values: Mapping[str, Any]
) -> InputError | None:
    """Return the error for an axis over a parameter that only some of the models, optimizers or schedules have."""
    section, _, name = error.key.partition(".")
    chosen = content.get(section)
    if error.key not in point or error.value != name or not {section, f"{section}.name"} & set(values):
        return None
    if name not in PARTS.get(section, ()) or not isinstance(chosen, Mapping):
        return None
    axis = f"values of the axis {section}" if {section, f"{section}.name"} & set(point) else "their cases"
    example = f"{{name: …, {name}: {point[error.key]}}}"
    where = f"has a where: {{{section}.name: …}} beside its values"
    only = f"what only some have {where}, or goes into {axis}: {example}"
    allowed = f"parameters that {chosen.get('name')} has too; {only}"
    return InputError(f"parameters.{error.key}", point[error.key], allowed)


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
