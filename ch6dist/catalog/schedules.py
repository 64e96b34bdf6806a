"""The learning-rate schedules as data: torch's by class name, `none` and ours, and the check of what a trial gives.

    resolve_schedule("CosineAnnealingLR", optimizer=…)      # {'name': 'CosineAnnealingLR', 'eta_min': 0.0, …}
    resolve_schedule({"name": "StepLR", "step_size": 15, "warmup": {"epochs": 5}}, optimizer=…)
    resolve_schedule([{"name": "LinearLR", "epochs": 5}, "CosineAnnealingLR"], optimizer=…)     # one after the other

`interval` says how often a schedule steps. A length is a whole number of such steps, a fraction of the training run
(0 < x ≤ 1.0) or {epochs: x}: `1` is one step, `1.0` the whole training run. T_0 of CosineAnnealingWarmRestarts and
SequentialLR's milestones always count epochs. After a warm-up or in a sequence, whole numbers and {epochs: x} count
from where the schedule begins, but a fraction is always one of the whole training run: of milestones, T_max and
total_iters (`Parameter.until`) a moment of it, of step_size, T_0, timescale and decay as long a part of it. A decay
given in epochs keeps what lies before it the same, whatever the length of the training run. Left out, these follow
the trial: T_max, total_steps and PolynomialLR's total_iters (torch: 5) the epochs that are left; max_lr optimizer.lr;
base_lr a tenth of max_lr; cycle_momentum whether the optimizer has momentum > 0 or betas; mode the monitored metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from ch6dist.catalog.lookup import cycles_momentum, is_foreign, parse_named, schedule_of
from ch6dist.catalog.metrics import goal_of
from ch6dist.catalog.parameters import REQUIRED, Entry, Parameter
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import ScheduleEntry
from ch6dist.errors import MISSING, InputError, unknown_name

Resolved = dict[str, Any]

_EPOCHS = Parameter("epochs", "int", REQUIRED, "length in epochs", low=1)
WARMUP = Entry(
    "warmup",
    "a linear rise of the learning rate before the schedule begins (Goyal et al. 2017)",
    (
        _EPOCHS,
        Parameter("start_factor", "float", 0.1, "fraction of the learning rate to begin with", above=0, high=1),
    ),
)


def resolve_schedule(given: Any, *, optimizer: Mapping[str, Any]) -> Resolved:
    """Check a schedule against the resolved `optimizer` it drives and return it with the defaults filled in.

    A resolved schedule resolves to itself. InputError keys are relative to the schedule (`schedulers.1.gamma`).
    """
    if isinstance(given, (list, tuple)):
        return _from_list(given, optimizer)
    name, rest = _split(given, SCHEDULES)
    if name in ("SequentialLR", "ChainedScheduler"):
        return _combined(name, rest, optimizer)
    warmup = rest.pop("warmup", None)
    if not is_foreign("schedule", name):
        _check_warmup(name, warmup)
    if warmup is None:
        return _single(name, rest, optimizer, alone=True)
    return {**_single(name, rest, optimizer, alone=False), "warmup": _warmup(warmup)}


def _check_warmup(name: str, warmup: Any) -> None:
    if warmup is None and SCHEDULES[name].needs_warmup:
        raise InputError("warmup", MISSING, f"a mapping {{epochs: n, start_factor: x}} ({name} needs it)")
    if warmup is not None and SCHEDULES[name].sets_lr:
        raise InputError("warmup", warmup, f"nothing beside {name}: it has a warm-up of its own")


def check_lengths(schedule: Mapping[str, Any], *, epochs: int, steps_per_epoch: int) -> None:
    """Raise InputError if the parts of a resolved schedule do not fit into a training run of `epochs`."""
    warmup = schedule.get("warmup")
    if warmup and warmup["epochs"] >= epochs:
        raise InputError("warmup.epochs", warmup["epochs"], f"less than the {epochs} epochs of the training run")
    if schedule["name"] == "SequentialLR":
        ends = [0, *(count_steps(m, epochs=epochs, per_epoch=1) for m in schedule["milestones"]), epochs]
        if any(end <= start for start, end in pairwise(ends)):
            allowed = f"increasing epochs below the {epochs} of the training run"
            raise InputError("milestones", schedule["milestones"], allowed)
    for number, (part, begin, end) in enumerate(parts(schedule, epochs=epochs)):
        if part["name"] != "WSD":
            continue
        steps = (end - begin) * steps_per_epoch
        if count_steps(part["decay"], epochs=epochs, per_epoch=steps_per_epoch) > steps:
            key = f"schedulers.{number}.decay" if "schedulers" in schedule else "decay"
            raise InputError(key, part["decay"], f"at most the {steps} steps ({end - begin} epochs) of the schedule")


def count_steps(length: Any, *, epochs: int, per_epoch: int, begin: int = 0) -> int:
    """Return a length as a number of steps: itself, a fraction of the training run, or {epochs: x}.

    Args:
        begin: epochs of the training run before the steps are counted, for a fraction that is a moment of it.

    At least 1, but for a moment at or before `begin`: 0 or less.
    """
    if isinstance(length, Mapping):
        return max(1, round(length["epochs"] * per_epoch))
    if isinstance(length, float):
        return max(1, round(length * epochs * per_epoch)) - begin * per_epoch
    return int(length)


def parts(schedule: Mapping[str, Any], *, epochs: int) -> list[tuple[Resolved, int, int]]:
    """Return the schedules of which a resolved one is made, each with its first epoch, from 0, and its end.

    Itself without its warm-up, unless it is a combination; all of a ChainedScheduler have the whole training run.
    """
    if "schedulers" not in schedule:
        return [(dict(schedule), schedule.get("warmup", {}).get("epochs", 0), epochs)]
    if schedule["name"] != "SequentialLR":
        return [(child, 0, epochs) for child in schedule["schedulers"]]
    ends = [count_steps(end, epochs=epochs, per_epoch=1) for end in schedule["milestones"]]
    return [(child, *span) for child, span in zip(schedule["schedulers"], pairwise([0, *ends, epochs]), strict=True)]


def lr_overrides(schedule: Mapping[str, Any]) -> list[str]:
    """Return the keys that override `optimizer.lr`; sweeping it beside one would repeat the same trial."""
    return ["schedule.max_lr"] if schedule_of(schedule).sets_lr and "max_lr" in schedule else []


def _split(given: Any, valid: Mapping[str, ScheduleEntry]) -> tuple[str, dict[str, Any]]:
    given = {"name": given} if isinstance(given, str) else given
    if isinstance(given, Mapping) and "name" not in given:
        raise InputError("name", MISSING, f"one of {', '.join(valid)}")
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise InputError("name", given, f"a schedule's name or a mapping with one: {', '.join(valid)}")
    if given["name"] not in valid and not is_foreign("schedule", given["name"]):
        error = unknown_name("name", given["name"], valid)
        raise InputError("name", given["name"], f"{error.allowed}, or an import path, package.module:name")
    return given["name"], {key: value for key, value in given.items() if key != "name"}


def _warmup(given: Any) -> Resolved:
    if not isinstance(given, Mapping):
        raise InputError("warmup", given, "a mapping {epochs: n, start_factor: x}")
    with _inside("warmup"):
        return WARMUP.resolve(given)


def _single(name: str, rest: dict[str, Any], optimizer: Mapping[str, Any], *, alone: bool) -> Resolved:
    """Resolve one schedule; after a warm-up or in a sequence (not `alone`) torch steps by no fraction of an epoch."""
    by_epoch = not alone and name in SCHEDULES and SCHEDULES[name].fractional
    resolved = parse_named("schedule", {"name": name, **({"interval": "epoch"} if by_epoch else {}), **rest})
    if by_epoch and resolved["interval"] != "epoch":
        raise InputError("interval", resolved["interval"], f"epoch ({name} after another schedule)")
    if schedule_of(resolved).sets_lr:
        _check_cycle(resolved, optimizer)
    if "monitor" in resolved:
        mode = goal_of(resolved["monitor"])[:3]  # min or max
        if resolved.setdefault("mode", mode) != mode:
            raise InputError("mode", resolved["mode"], f"{mode}, which follows from {resolved['monitor']}")
    return resolved


def _check_cycle(resolved: Resolved, optimizer: Mapping[str, Any]) -> None:
    cycles = cycles_momentum(optimizer)
    if resolved.get("cycle_momentum") and not cycles:
        allowed = f"false, or an optimizer with momentum > 0 or betas ({optimizer['name']} as given has neither)"
        raise InputError("cycle_momentum", True, allowed)
    if resolved.get("cycle_momentum") == cycles:
        del resolved["cycle_momentum"]  # it follows from the optimizer anyway: one trial, one identity
    max_lr = resolved.get("max_lr", optimizer["lr"])
    if resolved.get("base_lr", 0) >= max_lr:
        raise InputError("base_lr", resolved["base_lr"], f"a number < max_lr ({max_lr:g})")
    if resolved.get("three_phase") and resolved["pct_start"] > 0.5:
        raise InputError("pct_start", resolved["pct_start"], "at most 0.5 (three_phase: the decay takes as long)")


def _from_list(given: Sequence[Any], optimizer: Mapping[str, Any]) -> Resolved:
    """Resolve [{name, …, epochs: n}, …, {name, …}] as SequentialLR with milestones in epochs."""
    children, milestones = [], [0]
    for index, child in enumerate(given):
        with _inside(str(index)):
            name, rest = _part(child, "SequentialLR")
            if index < len(given) - 1:
                if "epochs" not in rest:
                    raise InputError("epochs", MISSING, f"{_EPOCHS.allowed()} (only the last schedule needs none)")
                milestones.append(milestones[-1] + _EPOCHS.parse(rest.pop("epochs")))
            elif "epochs" in rest:
                raise InputError("epochs", rest["epochs"], "nothing: the last schedule has the epochs that are left")
            children.append({"name": name, **rest})
    return _combined("SequentialLR", {"schedulers": children, "milestones": milestones[1:]}, optimizer, key="")


def _combined(name: str, rest: Resolved, optimizer: Mapping[str, Any], *, key: str = "schedulers") -> Resolved:
    """Resolve SequentialLR or ChainedScheduler; their schedules need no metric and do not set lr themselves."""
    given = rest.pop("schedulers", MISSING)
    if "warmup" in rest:
        raise InputError("warmup", rest["warmup"], f"nothing in {name}: a list may begin with LinearLR")
    if not isinstance(given, (list, tuple)) or len(given) < 2:
        raise InputError(key, given, "a list of at least two schedules")
    children: list[Resolved] = []
    for index, child in enumerate(given):
        with _inside(f"{key}.{index}".lstrip(".")):
            children.append(_single(*_part(child, name), optimizer, alone=False))
            interval, first = children[-1]["interval"], children[0]["interval"]
            if interval != first:
                raise InputError("interval", interval, f"{first}, as the first schedule has it")
    resolved = {"name": name, **SCHEDULES[name].resolve(rest), "schedulers": children}
    if name == "SequentialLR" and len(resolved["milestones"]) != len(children) - 1:
        raise InputError("milestones", resolved["milestones"], f"one less than the {len(children)} schedules")
    return resolved


def _part(given: Any, combination: str) -> tuple[str, dict[str, Any]]:
    """Return name and parameters of a schedule in a combination."""
    name, rest = _split(given, _allowed_in(combination))
    if is_foreign("schedule", name) and combination != "SequentialLR":
        raise unknown_name("name", name, _allowed_in(combination))
    return name, rest


def _allowed_in(combination: str) -> dict[str, ScheduleEntry]:
    return {name: entry for name, entry in SCHEDULES.items() if combination in entry.within}


@contextmanager
def _inside(key: str) -> Iterator[None]:
    """Raise errors again, seen from one level further out."""
    try:
        yield
    except InputError as error:
        raise (error.within(key) if key else error) from None
