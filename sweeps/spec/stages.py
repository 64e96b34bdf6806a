"""A sweep in two stages: range tests first, then training runs whose learning rates lie between the bounds they give.

    axes = with_positions(spec.parameters, drawn=False)         # points of these say where between the bounds
    place = placing(spec.parameters, test_of, bounds, drawn=False)      # a point's position → its learning rate
    tests = range_tests(spec.parameters, test_of, grid(axes))

The configurations that are equal in all but learning rate, schedule and epochs (and the seed of the data) share their
range tests: what these are is said by the identity of a range test (ch6dist/config.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ch6dist.catalog.lookup import optimizer_of
from ch6dist.catalog.text import number_text
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.sections import parse_section
from sweeps.spec.axes import Axis, Point
from sweeps.spec.range_axis import LR, STEPS, Bounds

TestOf = Callable[[Point], TrialConfig]  # from a point without its learning rate to its range test


def range_axis(parameters: Mapping[str, Axis]) -> Axis | None:
    """Return the axis whose bounds come from range tests, if there is one."""
    axis = parameters.get(LR)
    return axis if axis is not None and axis.source else None


def check_range_axis(parameters: Mapping[str, Axis], *, method: str) -> None:
    """Raise InputError for an axis from range tests of anything but the learning rate, or `points` that are drawn."""
    for key, axis in parameters.items():
        if axis.source is None:
            continue
        if key != LR:
            raise InputError(f"parameters.{key}.from", axis.source, f"values: […] ({LR} alone has range tests)")
        if method == "optuna":
            raise InputError(f"parameters.{key}.from", axis.source, "method grid, random or quasi beside it")
        for name in ("points", "default") if method != "grid" else ():
            if name in axis.model_fields_set:
                given = getattr(axis, name)
                raise InputError(f"parameters.{key}.{name}", given, "nothing (only method grid takes it)")


def check_bounded(config: TrialConfig) -> None:
    """Raise InputError for a configuration whose learning rate cannot be left to range tests."""
    allowed = ""
    if config.type != "train":
        allowed = "nothing in a sweep of range tests: `type` is train"
    elif any("base_lr" in part for part in (config.schedule, *config.schedule.get("schedulers", ()))):
        allowed = (
            "no base_lr in a schedule, as bounds below it would be no cycle; left out: a tenth of each learning rate"
        )
    if allowed:
        raise InputError(f"parameters.{LR}.from", "range_test", allowed)


def with_positions(parameters: Mapping[str, Axis], *, drawn: bool) -> dict[str, Axis]:
    """Return the axes, that of the range tests as one of positions between bounds to come: whole numbers from 0.

    In a grid there are as many as `points`, and one for a default; drawn ones are from 0 to STEPS.
    """
    axis = range_axis(parameters)
    if axis is None:
        return dict(parameters)
    drawing = {"distribution": "int_uniform", "min": 0, "max": STEPS}
    positions = parse_section(Axis, drawing if drawn else {"values": list(range(axis.points + axis.default))})
    return {**parameters, LR: positions}


def placing(
    parameters: Mapping[str, Axis], test_of: TestOf, bounds: Mapping[str, Bounds] | None, *, drawn: bool
) -> Callable[[Point], Point | None]:
    """Return what puts a learning rate in the place of a point's position; None where its bounds are not known.

    Args:
        bounds: by the configuration id of the range tests; None: the stated ones for all.
        drawn: as for `with_positions`.
    """
    axis = range_axis(parameters)
    if axis is None:
        return dict
    known: dict[str, Bounds | None] = {}

    def place(point: Point) -> Point | None:
        """Return the point with the learning rate at its position between the bounds of its range tests."""
        rest = _without_lr(point)
        name = repr(rest)
        if name not in known:
            known[name] = stated(axis) if bounds is None else bounds.get(test_of(rest).configuration_id)
        found, position = known[name], point[LR]
        if found is None:
            return None
        if drawn:
            return {**point, LR: found.at(position)}
        default = test_of(rest).optimizer["lr"] if axis.default else None  # as_range_test
        lrs = found.grid(axis.points) if default is None else found.beside(default, axis.points)
        return {**point, LR: lrs[position]}

    return place


def range_tests(parameters: Mapping[str, Axis], test_of: TestOf, points: Iterable[Point]) -> list[TrialConfig]:
    """Return the range tests that points need, each once, the seeds of each together."""
    axis = range_axis(parameters)
    if axis is None:
        return []
    rests = {repr(rest): rest for rest in map(_without_lr, points)}
    groups: dict[str, TrialConfig] = {}
    for test in map(test_of, rests.values()):
        groups.setdefault(test.configuration_id, test)
    return [test.model_copy(update={"seed": seed}) for test in groups.values() for seed in range(axis.seeds)]


def as_range_test(config: TrialConfig, *, data_seed: int) -> TrialConfig:
    """Return the range test of a configuration: without schedule or capture, on the data of `data_seed`.

    The learning rate, which it sets itself, is the optimizer's default, as in a sweep of range tests.
    """
    optimizer = {**config.optimizer, "lr": optimizer_of(config.optimizer).default("lr", config.optimizer["lr"])}
    data = config.data.model_copy(update={"seed": data_seed})
    update = {"type": "range_test", "data": data, "optimizer": optimizer, "schedule": {"name": "none"}, "capture": None}
    return config.model_copy(update=update)


def stated(axis: Axis) -> Bounds:
    """Return the bounds that a file states for where range tests have no signal."""
    assert axis.otherwise is not None  # check_range_fields
    low, high = axis.otherwise
    return Bounds(low, high, why=f"the stated bounds, {number_text(low)} to {number_text(high)}")


def _without_lr(point: Point) -> Point:
    return {key: value for key, value in point.items() if key != LR}
