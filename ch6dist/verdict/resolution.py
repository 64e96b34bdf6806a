"""How small a difference the seeds of a sweep can tell apart, and how many seeds would tell a smaller one.

smallest_difference(sd=0.01, k=28, n=3)          # the yardstick of a sweep
seeds_to_tell(0.01, sd=0.01, k=6)                # seeds of each of 6 configurations
"""

from __future__ import annotations

import math

from ch6dist.verdict.dunnett import dunnett_quantile

MOST_SEEDS = 10_000


def smallest_difference(*, sd: float, k: int, n: float, df: float | None = None) -> float:
    """Return d · sd · √(2/n): of k configurations with n seeds, one that is further behind the best leaves the set.

    Args:
        df: degrees of freedom of `sd`; left out: k (n − 1).
    """
    df = k * (n - 1) if df is None else df
    if df <= 0:
        return math.inf
    return dunnett_quantile(df=df, control=n, others={n: max(1, k - 1)}) * sd * math.sqrt(2 / n)


def seeds_to_tell(difference: float, *, sd: float, k: int) -> int | None:
    """Return the fewest seeds of each of k configurations that tell `difference` apart; None: more than MOST_SEEDS."""
    if difference <= 0 or not math.isfinite(sd):
        return None
    low, high = 1, 2
    while smallest_difference(sd=sd, k=k, n=high) > difference:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if smallest_difference(sd=sd, k=k, n=middle) > difference:
            low = middle
        else:
            high = middle
    return high
