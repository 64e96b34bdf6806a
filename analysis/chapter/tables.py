"""The numbers of a chapter's figure as text for a terminal.

print(statistics_text(statistics_data(data)))
"""

from __future__ import annotations

import pandas as pd

from ch6dist.catalog.text import aligned
from ch6dist.catalog.wording import DASH, is_finite

DEFINITIONS = (
    "kept: variance ÷ that of the values; white noise: what the average would keep of values that know nothing of each "
    "other; peak: largest absolute value; autocorrelation: of neighbours"
)


def statistics_text(found: pd.DataFrame) -> str:
    """Return `statistics_data` as a table with the definitions of its columns."""
    steps = int(found["steps"].iloc[0])
    heads = ["", "variance", "kept", "white noise", "peak", "low", "high", "autocorrelation"]
    rows = [heads]
    for row in found.to_dict("records"):
        shares = [f"{100 * row[name]:.1f} %" if is_finite(row[name]) else DASH for name in ("kept", "white_noise")]
        peak, low, high, alike = (_number(row[name]) for name in ("peak", "low", "high", "autocorrelation"))
        rows.append([row["series"], _number(row["variance"]), *shares, peak, low, high, alike])
    return "\n".join([*aligned(rows, left=(0,)), f"over the {steps} steps that have all of them; {DEFINITIONS}"])


def _number(number: float) -> str:
    return f"{number:.4g}" if is_finite(number) else DASH
