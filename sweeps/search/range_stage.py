"""Between the stages of a sweep: from its range tests to the bounds of its learning rates.

    tests = range_trials(spec)                              # the first stage
    bounds = bounds_of(spec, results)                       # once all of them have ended
    trials = expand(spec, bounds=bounds)                    # the second

Pure: what an undisturbed sweep finds, one that was killed and resumed finds again from its ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ch6dist.catalog.labels import label_all
from ch6dist.catalog.text import distinct_numbers, number_text
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.range_spans import median_span, span_of, why_no_span
from ch6dist.runs.schema import TrialLine
from sweeps.spec.axes import Axis
from sweeps.spec.expand import case_names, expand, range_test_of
from sweeps.spec.range_axis import DIGITS, Bounds
from sweeps.spec.stages import range_axis, stated
from sweeps.spec.sweep_file import SweepSpec

Result = Mapping[str, Any]  # the value of a trial's artifact `range_test`


def range_trials(spec: SweepSpec) -> list[TrialConfig]:
    """Return the range tests of a sweep, the seeds of each together; none without an axis `from: range_test`."""
    return expand(spec) if range_axis(spec.parameters) else []


def bounds_of(spec: SweepSpec, results: Mapping[str, Result | None]) -> dict[str, Bounds]:
    """Return the bounds of the learning rates, by the configuration id of the range tests; of those that have ended.

    The lower bound is the median of what the tests of a configuration suggest at least, divided by `widen`, the upper
    one that of what they suggest at most, times it, both to two digits. Where half of the tests or more suggest
    nothing, the bounds are those that the axis states.

    Args:
        results: of every range test that has ended, by trial id; None for one that left nothing. A configuration of
            whose tests one is missing has no bounds yet.
    """
    axis = range_axis(spec.parameters)
    if axis is None:
        return {}
    groups: dict[str, list[TrialConfig]] = {}
    for trial in range_trials(spec):
        groups.setdefault(trial.configuration_id, []).append(trial)
    labels = label_all([trials[0].model_dump() for trials in groups.values()]).labels
    found = {}
    for (key, trials), label in zip(groups.items(), labels, strict=True):
        if all(trial.trial_id in results for trial in trials):
            found[key] = _bounds(axis, [results[trial.trial_id] for trial in trials], name=str(label))
    return found


def second_stage(spec: SweepSpec, results: Mapping[str, Result | None]) -> list[tuple[TrialLine, str]]:
    """Return the lines of the training runs whose bounds are known, in the order of the file, each with why it begins.

    Args:
        results: as for `bounds_of`.
    """
    bounds = bounds_of(spec, results)
    names = case_names(spec, bounds)
    trials = expand(spec, bounds=bounds)
    return [
        (
            trial_line(trial, case=names.get(trial.configuration_id)),
            bounds[range_test_of(spec, trial).configuration_id].why,
        )
        for trial in trials
    ]


def _bounds(axis: Axis, values: Sequence[Result | None], *, name: str) -> Bounds:
    """Return the bounds that the results of one configuration's range tests give, and in words why."""
    spans, tests = [span_of(value) for value in values], format_count(len(values), "range test")
    span, lost = median_span(spans), [value for value, span in zip(values, spans, strict=True) if span is None]
    reason = why_no_span(lost[0]) if lost else ""
    low, high = _widened(span, axis.widen) if span else (0.0, 0.0)
    if span is None or low >= high:
        otherwise = stated(axis)
        said = f"{len(lost)} of {tests} found nothing ({reason})" if lost else f"{tests} found a single learning rate"
        return Bounds(otherwise.low, otherwise.high, why=f"{name}: {said}: {otherwise.why}")
    median = " to ".join(number_text(number) for number in distinct_numbers(span, digits=DIGITS).values())
    also = f", {len(lost)} of which found nothing ({reason})" if lost else ""
    widened = f"widened by {axis.widen:g}: {number_text(low)} to {number_text(high)}"
    return Bounds(low, high, why=f"{name}: {tests}{also}, median {median}, {widened}", measured=True)


def _widened(span: tuple[float, float], factor: float) -> tuple[float, float]:
    low, high = span[0] / factor, span[1] * factor
    rounded = distinct_numbers((low, high), digits=DIGITS)
    return rounded[low], rounded[high]
