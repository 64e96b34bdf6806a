"""Where several range tests say that learning rates work: the span of one, and the median of several.

    span_of(artifact["value"])                      # (0.0008, 0.0023), or None without a signal
    median_span([span_of(value) for value in values])

A range test suggests several learning rates: where its loss begins to fall, the valley, a tenth of that of the lowest
loss. Its span reaches from the smallest of them to the largest. The interval alone would be too high: a loss falls by
more than its noise within a hundred batches only where the learning rate is large, while a training of many epochs
does as well or better below.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Span = tuple[float, float]  # two learning rates, the lower first
NO_SIGNAL = "no signal"  # of artifacts that have no advice


def span_of(value: Mapping[str, Any] | None) -> Span | None:
    """Return the smallest and the largest learning rate that a range test suggests; None if it suggests none.

    Args:
        value: of the artifact `range_test`; None if the test has left none.
    """
    if value is None or value.get("no_signal"):
        return None
    found = [*(value.get("interval") or ()), value.get("valley"), value.get("minimum")]
    known = [lr for lr in found if lr is not None]
    return (min(known), max(known)) if known else None


def median_span(spans: Sequence[Span | None]) -> Span | None:
    """Return the median of the lower ends and that of the upper ends; None if half of the tests or more have no span.

    A test without a span counts as a wider one than all others, so that it never narrows the result. Of an even number
    the outer one of the two in the middle is taken.
    """
    if not spans:
        return None
    low = statistics.median_low([span[0] if span else -math.inf for span in spans])
    high = statistics.median_high([span[1] if span else math.inf for span in spans])
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def why_no_span(value: Mapping[str, Any] | None) -> str:
    """Return why a range test has no span, for a person."""
    if value is None:
        return "it did not end"
    return str(value.get("advice") or NO_SIGNAL)
