"""What of a resolved schedule cannot act, or acts otherwise than it reads: a line each, for `sweeps plan` and the log.

    list(schedule_warnings({"name": "StepLR", "step_size": 30, …}, epochs=10, steps_per_epoch=352))
    # ['StepLR: step_size 30 is never reached: training ends after 10 epochs']

Nothing here is refused: a schedule may be cut short on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ch6dist.catalog.lookup import known
from ch6dist.catalog.parameters import Entry
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.catalog.schedules import count_steps, parts
from ch6dist.catalog.text import value_text
from ch6dist.catalog.wording import format_count

CHANGES = ("step_size", "milestones", "step_size_up", "T_0")  # after them the learning rate changes its course
ENDS = ("T_max", "total_iters", "total_steps")  # with them a course ends; the training may end at the same time

Schedule = Mapping[str, Any]


def schedule_warnings(schedule: Schedule, *, epochs: int, steps_per_epoch: int) -> Iterator[str]:
    """Yield a line for everything in a resolved schedule that a training run of `epochs` leaves without effect.

    Besides lengths that are never reached, or have passed when their schedule begins: a plateau whose patience
    outlasts the training run, and a chain whose learning rates are not the product of those of its schedules.
    """
    for number, (part, begin, end) in enumerate(parts(schedule, epochs=epochs)):
        inside = f"schedulers.{number}." if "schedulers" in schedule else ""
        until = f"training ends after {format_count(epochs, 'epoch')}"
        if end - begin < epochs:
            until = f"the schedule has {end - begin} of the {format_count(epochs, 'epoch')}"
        for key, value in unreached(part, epochs=epochs, steps_per_epoch=steps_per_epoch, begin=begin, end=end):
            yield f"{schedule['name']}: {inside}{key} {_text(value)} is never reached: {until}"
        for key, value in _passed(part, epochs, steps_per_epoch, begin):
            effect = "it begins decayed" if key == "milestones" else "its course is over at once"
            where = f"has passed when the schedule begins, after epoch {begin}"
            yield f"{schedule['name']}: {inside}{key} {_text(value)} {where}: {effect}"
        if part["name"] == "ReduceLROnPlateau" and part["patience"] + 2 >= end - begin:
            # the first metric is the best so far; the decay after patience + 1 worse ones is for the epoch after them
            yield f"ReduceLROnPlateau: patience {part['patience']} is never exceeded in time: {until}"
    if schedule["name"] == "ChainedScheduler":
        yield from _chain(schedule, epochs, steps_per_epoch)


def has_moved_fractions(schedule: Schedule, *, epochs: int) -> bool:
    """Return whether a resolved schedule has a fraction that is a moment of the training run, but begins later than it.

    Up to format 1 of runs such a fraction was counted from the beginning of its schedule.
    """
    late = (part for part, begin, _ in parts(schedule, epochs=epochs) if begin > 0)
    return any(_has_moment(part) for part in late)


def _has_moment(part: Schedule) -> bool:
    for p in _entry(part).parameters:
        given = part.get(p.name)
        values = given if p.kind == "durations" else [given] if p.until else []
        if any(isinstance(value, float) for value in values or ()):
            return True
    return False


def unreached(part: Schedule, *, epochs: int, steps_per_epoch: int, begin: int, end: int) -> Iterator[tuple[str, Any]]:
    """Yield the lengths of a single schedule, by key, that would change its course but lie beyond its end.

    Args:
        epochs: of the whole training run.
        begin: first epoch of the schedule, from 0.
        end: the epoch after its last.
    """
    changes = (*CHANGES, "total_iters") if part["name"] == "ConstantLR" else CHANGES
    for key, value, steps in _lengths(part, epochs, steps_per_epoch, begin):
        whole = (end - begin) * _per_epoch(part, key, steps_per_epoch)
        if steps > whole or (steps == whole and key in changes):
            yield key, value


def _passed(part: Schedule, epochs: int, steps_per_epoch: int, begin: int) -> Iterator[tuple[str, Any]]:
    """Yield the moments that are not after the beginning of a schedule."""
    for key, value, steps in _lengths(part, epochs, steps_per_epoch, begin):
        if steps <= 0:
            yield key, value


def _lengths(part: Schedule, epochs: int, steps_per_epoch: int, begin: int) -> Iterator[tuple[str, Any, int]]:
    """Yield key, value and steps from the beginning of a schedule of every length that says when something happens."""
    known = {p.name: p for p in _entry(part).parameters}
    for key in sorted({*CHANGES, *ENDS} & part.keys()):
        several = known[key].kind == "durations"
        since = begin if several or known[key].until else 0
        for value in part[key] if several else [part[key]]:
            per_epoch = _per_epoch(part, key, steps_per_epoch)
            yield key, value, count_steps(value, epochs=epochs, per_epoch=per_epoch, begin=since)


def _entry(part: Schedule) -> Entry:
    """Return the entry of a schedule, its lambda preset's parameters included."""
    entry = known("schedule", part)
    preset = LAMBDA_PRESETS[part["recipe"]].parameters if "recipe" in part else ()
    return Entry(entry.name, entry.description, (*entry.parameters, *preset))


def _per_epoch(part: Schedule, key: str, steps_per_epoch: int) -> int:
    return steps_per_epoch if part.get("interval") == "batch" and key != "T_0" else 1


def _chain(schedule: Schedule, epochs: int, steps_per_epoch: int) -> Iterator[str]:
    """Yield a line for a chain that is no product: torch's cosine goes from the current learning rate to eta_min."""
    every = schedule["schedulers"]
    per_epoch = _per_epoch(every[0], "", steps_per_epoch)
    changes = [_first_change(part, epochs, per_epoch) for part in every]
    for number, part in enumerate(every):
        if part.get("eta_min", 0) == 0:
            continue
        last = min(count_steps(part.get("T_max", 1.0), epochs=epochs, per_epoch=per_epoch), epochs * per_epoch - 1)
        # what the others change after the cosine's last step is only multiplied; those before it act first in a step
        before, after = changes[:number], changes[number + 1 :]
        if any(change <= last for change in before) or any(change < last for change in after):
            yield (
                f"ChainedScheduler: schedulers.{number} moves the learning rate that the others leave towards eta_min "
                f"{value_text(part['eta_min'])}, so the factors do not multiply: see `ch6dist preview`"
            )


def _first_change(part: Schedule, epochs: int, per_epoch: int) -> float:
    """Return the first step at which a schedule of a chain sets another learning rate than the optimizer's."""
    if part.get("gamma") == 1:
        return math.inf
    for key in ("step_size", "milestones"):
        if key in part:
            first = part[key][0] if key == "milestones" else part[key]
            return count_steps(first, epochs=epochs, per_epoch=per_epoch)
    if part.get("factor", part.get("start_factor", 1)) != 1:
        return 0
    constant = part["name"] == "ConstantLR" or part.get("end_factor") == 1
    return math.inf if constant else 1


def _text(length: Any) -> str:
    """Return a length as it is written: 1.0, all of the training run, is not 1, one step."""
    return repr(length) if isinstance(length, float) else value_text(length)
