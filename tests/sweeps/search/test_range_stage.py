"""From what range tests recorded to bounds: the median of their spans, widened, and the stated bounds without them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.runs.range_spans import median_span, span_of
from sweeps.search.range_stage import bounds_of, range_trials
from sweeps.spec.expand import expand
from sweeps.spec.range_axis import Bounds
from sweeps.spec.sweep_file import SweepSpec
from tests.support.bad_sweeps import ranged
from tests.support.sweep_files import spec_of, sweep

STATED = (1e-8, 1e3)  # wider than all that is drawn below
Result = Mapping[str, Any]
NO_SIGNAL: Result = {"interval": None, "valley": None, "minimum": None, "no_signal": True, "advice": "take more steps"}


def result(low: float, high: float) -> Result:
    return {"interval": [low, high], "valley": low, "minimum": None, "no_signal": False, "advice": ""}


def spec_for(seeds: int, **changes: Any) -> SweepSpec:
    return spec_of(sweep(parameters=ranged(seeds=seeds, **{"otherwise": STATED, **changes})))


def bounds(results: Sequence[Result | None], **changes: Any) -> Bounds:
    spec = spec_for(len(results), **changes)
    trials = [trial.trial_id for trial in range_trials(spec)]
    (found,) = bounds_of(spec, dict(zip(trials, results, strict=True))).values()
    return found


def test_the_bounds_are_the_medians_of_the_ends_widened() -> None:
    found = bounds([result(1e-3, 0.02), result(2e-3, 0.1), result(4e-3, 0.03)], widen=2)
    assert (found.low, found.high, found.measured) == (1e-3, 0.06, True)
    assert found.why == "SGD: 3 range tests, median 2e-3 to 0.03, widened by 2: 1e-3 to 0.06"


def test_a_span_reaches_over_all_that_a_test_suggests() -> None:
    """Adam on CIFAR-100: its best learning rate in a sweep, 0.001, is below the interval, and above the minimum."""
    value = {"interval": [1.5e-3, 2.3e-3], "valley": 2.3e-3, "minimum": 8.5e-4, "no_signal": False}
    assert span_of(value) == (8.5e-4, 2.3e-3)
    assert span_of({**value, "interval": None}) == (8.5e-4, 2.3e-3)
    assert span_of({**value, "minimum": None}) == (1.5e-3, 2.3e-3)
    assert span_of(NO_SIGNAL) is None
    assert span_of(None) is None


def test_half_of_the_tests_without_a_signal_give_the_stated_bounds_and_say_so() -> None:
    for results in ([NO_SIGNAL], [NO_SIGNAL, result(0.01, 0.1)], [None, NO_SIGNAL, result(0.01, 0.1)]):
        found = bounds(results)
        assert (found.low, found.high, found.measured) == (*STATED, False)
        assert "the stated bounds, 1e-8 to 1e3" in found.why
        assert "2 of 3 range tests found nothing (it did not end)" in found.why or len(results) < 3
    assert bounds([NO_SIGNAL]).why.startswith("SGD: 1 of 1 range test found nothing (take more steps): the stated")


def test_a_test_that_left_nothing_is_one_without_a_signal() -> None:
    found = bounds([result(0.01, 0.1), None, result(0.01, 0.1)])
    assert found.measured
    assert "3 range tests, 1 of which found nothing (it did not end)" in found.why


def test_a_configuration_has_no_bounds_before_all_of_its_range_tests_have_ended() -> None:
    spec = spec_of(sweep(parameters={"optimizer": ["SGD", "Adam"], **ranged(seeds=2)}))
    tests = [trial.trial_id for trial in range_trials(spec)]
    assert bounds_of(spec, dict.fromkeys(tests[:1])) == {}
    found = bounds_of(spec, dict.fromkeys(tests[1:]))
    assert len(found) == 1
    trained = expand(spec, bounds=found)
    assert {trial.optimizer["name"] for trial in trained} == {"Adam"}
    whole = expand(spec, bounds=bounds_of(spec, dict.fromkeys(tests)))
    assert [trial for trial in whole if trial in trained] == trained


def test_tests_that_all_suggest_one_learning_rate_give_no_empty_bounds() -> None:
    found = bounds([result(0.1, 0.1)], widen=1)
    assert (found.low, found.high, found.measured) == (*STATED, False)
    widened = bounds([result(0.1, 0.1)], widen=2)
    assert (widened.low, widened.high) == (0.05, 0.2)
    assert widened.why == "SGD: 1 range test, median 0.1, widened by 2: 0.05 to 0.2"


def test_every_configuration_has_bounds_of_its_own() -> None:
    spec = spec_of(sweep(parameters={"optimizer": ["SGD", "Adam"], **ranged(seeds=1, widen=1)}))
    sgd, adam = range_trials(spec)
    found = bounds_of(spec, {sgd.trial_id: result(0.1, 0.3), adam.trial_id: result(1e-3, 3e-3)})
    assert [(one.low, one.high) for one in found.values()] == [(0.1, 0.3), (1e-3, 3e-3)]
    assert [one.why.partition(":")[0] for one in found.values()] == ["SGD", "Adam"]
    assert list(found) == [sgd.configuration_id, adam.configuration_id]


def test_a_sweep_without_range_tests_has_no_bounds() -> None:
    spec = spec_of(sweep())
    assert range_trials(spec) == []
    assert bounds_of(spec, {}) == {}


spans = st.tuples(st.floats(1e-5, 1.0), st.floats(1.1, 100.0)).map(lambda pair: (pair[0], pair[0] * pair[1]))
results = st.lists(st.one_of(st.none(), spans), min_size=1, max_size=5)


def as_results(found: Sequence[tuple[float, float] | None]) -> list[Result]:
    return [NO_SIGNAL if span is None else result(*span) for span in found]


@settings(max_examples=40, deadline=None)
@given(results, st.floats(1.0, 10.0))
def test_bounds_lie_within_what_was_measured_times_the_factor(
    found: list[tuple[float, float] | None], widen: float
) -> None:
    made, known = bounds(as_results(found), widen=widen), [span for span in found if span]
    assert made.low < made.high
    assert made.measured == (2 * len(known) > len(found))
    if made.measured:
        assert min(low for low, _ in known) / widen * 0.94 <= made.low  # two digits
        assert made.high <= max(high for _, high in known) * widen * 1.06


@settings(max_examples=40, deadline=None)
@given(results, st.randoms(use_true_random=False))
def test_bounds_are_the_same_for_any_order_of_seeds(found: list[tuple[float, float] | None], rng: Any) -> None:
    made, shuffled = bounds(as_results(found)), list(found)
    rng.shuffle(shuffled)
    again = bounds(as_results(shuffled))
    assert (made.low, made.high, made.measured) == (again.low, again.high, again.measured)


@pytest.mark.parametrize("count", range(1, 6))
def test_a_test_without_a_signal_never_narrows(count: int) -> None:
    """Whichever of the tests loses its signal, and however many have lost theirs."""
    every = [(0.01, 0.5), (0.02, 0.2), (0.005, 0.3), (0.04, 0.1), (0.03, 0.9)][:count]
    for lost in itertools.product([False, True], repeat=count):
        spans_left = [None if gone else span for gone, span in zip(lost, every, strict=True)]
        before = median_span(spans_left) or STATED
        for number in range(count):
            after = median_span([None if place == number else span for place, span in enumerate(spans_left)]) or STATED
            assert after[0] <= before[0]
            assert after[1] >= before[1]
