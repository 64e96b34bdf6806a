"""The numbers of a chapter's figure as text for a terminal.

print(statistics_text(statistics_data(data)))
"""

from __future__ import annotations

import pandas as pd

from ch6dist.catalog.text import aligned, number_text
from ch6dist.catalog.wording import DASH, format_count, is_finite

DEFINITIONS = (
    "kept: variance ÷ that of the values; white noise: what the average would keep of values that know nothing of each "
    "other; peak: largest absolute value; autocorrelation: of neighbours"
)
CHANGES = (
    "peak: largest absolute value; autocorrelation: of neighbours; sign changes: share of steps whose sign is opposite "
    "to that of the step before; window: 2 ÷ (1 − β) − 1, the steps of the simple average of the same age"
)


def statistics_text(found: pd.DataFrame) -> str:
    """Return `statistics_data` as a table with the definitions of its columns; a line where there is nothing in it."""
    if not len(found):
        return "no step has all of them: they are not finite from the first on"
    heads = ["", "variance", "kept", "white noise", "peak", "low", "high", "autocorrelation"]
    rows = [heads]
    for row in found.to_dict("records"):
        shares = [f"{100 * row[name]:.1f} %" if is_finite(row[name]) else DASH for name in ("kept", "white_noise")]
        peak, low, high, alike = (_number(row[name]) for name in ("peak", "low", "high", "autocorrelation"))
        rows.append([row["series"], _number(row["variance"]), *shares, peak, low, high, alike])
    return "\n".join([*aligned(rows, left=(0,)), f"{_over(found)}; {DEFINITIONS}"])


def influence_text(found: pd.DataFrame) -> str:
    """Return `influence_statistics` as a table with the definitions of its columns."""
    rows = [["", "", "", "variance", "peak", "autocorrelation", "sign changes", "window"]]
    for row in found.to_dict("records"):
        numbers = [_number(row[name]) for name in ("variance", "peak", "autocorrelation")]
        signs = f"{100 * row['sign_changes']:.1f} %" if is_finite(row["sign_changes"]) else DASH
        window = f"{row['window']:.0f}" if is_finite(row["window"]) else DASH
        own = "the trial's" if row["own"] else ""
        rows.append([row["setting"], number_text(row["value"]), own, *numbers, signs, window])
    return "\n".join([*aligned(rows, left=(0, 2)), f"{_over(found)}; {CHANGES}"])


def _over(found: pd.DataFrame) -> str:
    steps = int(found["steps"].iloc[0])
    if "elements" not in found:
        return f"over the {steps:,} steps that have all of them"
    elements = format_count(int(found["elements"].iloc[0]), "element")
    return (
        f"over {format_count(steps, 'step')} of {elements}: means over the elements, of peak, low and high the extremes"
    )


def _number(number: float) -> str:
    return f"{number:.4g}" if is_finite(number) else DASH
