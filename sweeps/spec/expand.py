"""From a sweep to its trials: every configuration with every seed, checked before anything starts.

trials = expand(load_spec("sweeps/configs/demo.yaml"), file="sweeps/configs/demo.yaml")
tests = expand(spec)                            # with an axis `from: range_test`: the first stage
trials = expand(spec, bounds=bounds)            # the second: sweeps/search/range_stage.py has the bounds of the tests
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from ch6dist.catalog.parameters import as_number
from ch6dist.catalog.schedules import lr_overrides
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import MISSING, InputError
from ch6dist.trial_file import with_names
from ch6dist.yamlfile import with_dotted
from sweeps.spec.axes import Axis, Point, grid, random
from sweeps.spec.cases import chosen_cases, with_case_names
from sweeps.spec.early_stop import check_early_stop
from sweeps.spec.range_axis import LR, Bounds
from sweeps.spec.sections import MAX_TRIALS
from sweeps.spec.shorthand import PARTS
from sweeps.spec.stages import as_range_test, check_bounded, placing, range_axis, range_tests, stated, with_positions
from sweeps.spec.sweep_file import Resources, SweepSpec


def expand(
    spec: SweepSpec, *, file: str | None = None, bounds: Mapping[str, Bounds] | None = None
) -> list[TrialConfig]:
    """Return every trial, checked: configurations in the order of the file, the seeds of each together.

    Where learning rates come from range tests, these are the trials of the first stage, and with `bounds` those of the
    second, as far as their bounds are known. Before there are bounds the second is checked with those that the file
    states.

    Args:
        bounds: by the configuration id of the range tests.

    Raises InputError (with `file`) for a configuration that cannot be trained, two that are the same, learning rates
    that a schedule would ignore, early stopping that could stop nothing, and more than MAX_TRIALS.
    """
    try:
        _check_count(spec)
        trials = list(_trials(spec, bounds))
        if spec.early_stop and bounds is None:
            check_early_stop(spec.early_stop, trials)
        return trials if bounds is not None else _range_tests(spec) or trials
    except InputError as error:
        raise (error.in_file(file) if file else error) from None


def forecast(spec: SweepSpec, *, file: str | None = None) -> list[TrialConfig]:
    """Return the trials of all stages, for a plan: learning rates to come lie between the bounds that the file states.

    Raises InputError as `expand` does.
    """
    first = expand(spec, file=file)
    return first if range_axis(spec.parameters) is None else [*first, *_trials(spec, None)]


def case_names(spec: SweepSpec, bounds: Mapping[str, Bounds] | None = None) -> dict[str, dict[str, str]]:
    """Return of each configuration the names of its cases, by axis; empty where no axis has cases.

    Args:
        bounds: as for `expand`. A range test is of no case: several may share it.
    """
    axes = [key for key, axis in spec.parameters.items() if axis.cases is not None]
    found = _configurations(spec, bounds) if axes else ()
    return {config.configuration_id: {axis: point[axis] for axis in axes} for config, point in found}


def range_test_of(spec: SweepSpec, trial: TrialConfig) -> str:
    """Return the configuration id of the range tests that give a training run its bounds."""
    return as_range_test(trial, data_seed=_data_seed(spec)).configuration_id


def _configurations(spec: SweepSpec, bounds: Mapping[str, Bounds] | None) -> Iterator[tuple[TrialConfig, Point]]:
    """Yield every configuration with the first seed, and its point; none whose bounds are not known yet."""
    base, place = _base(spec), placing(spec.parameters, _test_of(spec), bounds, drawn=spec.method != "grid")
    for point in map(place, _points(_positioned(spec))):
        if point is not None:
            yield _configure(spec, base, point), point


def _base(spec: SweepSpec) -> dict[str, Any]:
    """Return the trial that points are put over, with the first seed."""
    return {**with_names(spec.trial), "seed": spec.seeds.values[0], "vary": list(spec.seeds.vary)}


def _positioned(spec: SweepSpec) -> SweepSpec:
    """Return a sweep whose points say where between bounds a learning rate lies, where these come from range tests."""
    axes = with_positions(spec.parameters, drawn=spec.method != "grid")
    return spec.model_copy(update={"parameters": axes})


def _test_of(spec: SweepSpec) -> Callable[[Point], TrialConfig]:
    """Return what makes the range test of a point without its learning rate."""
    base, axis = _base(spec), range_axis(spec.parameters)
    lr = stated(axis).high if axis else None  # any that suits the schedule: the range test has neither
    return lambda rest: as_range_test(_configure(spec, base, {**rest, LR: lr}), data_seed=_data_seed(spec))


def _data_seed(spec: SweepSpec) -> int:
    return int(as_number(spec.trial.get("data", {}).get("seed")) or 0)


def _range_tests(spec: SweepSpec) -> list[TrialConfig]:
    if range_axis(spec.parameters) is None:
        return []
    tests = range_tests(spec.parameters, _test_of(spec), _points(_positioned(spec)))
    if len(tests) > MAX_TRIALS:
        raise InputError("parameters.optimizer.lr.from", f"{len(tests)} range tests", f"at most {MAX_TRIALS} trials")
    return tests


def _trials(spec: SweepSpec, bounds: Mapping[str, Bounds] | None) -> Iterator[TrialConfig]:
    seen: dict[str, Point] = {}
    for config, point in _configurations(spec, bounds):
        first = seen.setdefault(config.trial_id, point)
        if first is not point:
            raise InputError("parameters", point, f"each configuration once; this one is the same as {first!r}")
        yield config
        for seed in spec.seeds.values[1:]:
            yield config.model_copy(update={"seed": seed})


def _points(spec: SweepSpec) -> Iterator[Point]:
    if spec.method == "grid":
        return grid(spec.parameters)
    return random(spec.parameters, count=spec.trials or 0, rng=Random(spec.seed))


def _configure(spec: SweepSpec, base: Mapping[str, Any], point: Point) -> TrialConfig:
    """Return the base trial with a point's values, outer keys first: `optimizer.lr` goes into what `optimizer` set."""
    content: Mapping[str, Any] = base
    cases = chosen_cases(spec.parameters, point)
    values = {key: value for key, value in point.items() if key not in cases}
    for case in cases.values():
        content = with_case_names(content, case)
        values |= case
    try:
        for key in sorted(values, key=lambda key: key.count(".")):
            content = with_dotted(content, key, values[key])
        config = _with_global_batch(parse_trial(content), spec.resources)
    except InputError as error:
        raise _of_some(error, content, point, values) or _in_sweep(error, spec, point) from None
    ignored = lr_overrides(config.schedule)
    if ignored and _varies(spec.parameters.get(LR)):
        allowed = f"no learning-rate axis beside {ignored[0]}, which replaces the learning rate"
        raise InputError(f"parameters.{LR}", point[LR], allowed)
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
    allowed = f"parameters that {chosen.get('name')} has too; what only some have goes into {axis}: {example}"
    return InputError(f"parameters.{error.key}", point[error.key], allowed)


def _check_count(spec: SweepSpec) -> None:
    axes = _positioned(spec).parameters.values()
    configurations = spec.trials or math.prod(len(axis.listed) for axis in axes)
    if configurations * len(spec.seeds.values) > MAX_TRIALS:
        count = f"{configurations} configurations × {len(spec.seeds.values)} seeds"
        raise InputError("parameters", count, f"at most {MAX_TRIALS} trials")


def _varies(axis: Axis | None) -> bool:
    return axis is not None and (axis.values is None or len(axis.values) > 1)
