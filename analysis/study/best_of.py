"""The best of k values drawn without replacement from n: its expectation and its quartiles, both exact.

best_of([0.1, 0.4, 0.2], [1, 2, 3])        # expected 0.2333, 0.3333, 0.4
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

QUARTILES = (0.25, 0.75)


def best_of(values: ArrayLike, numbers: Sequence[int] | NDArray[np.int_]) -> pd.DataFrame:
    """Return one row per k of `numbers`, 1 ≤ k ≤ n: expected largest of k of the (n,) values, and its quartiles.

    With the values in order, y_(1) ≤ … ≤ y_(n), P(best ≤ y_(i)) = C(i, k) / C(n, k), so that the expectation is
    Σ y_(i) C(i − 1, k − 1) / C(n, k): the unbiased estimate of Tang et al. 2020 (arXiv 2004.13705), who show the bias
    of drawing with replacement. `low` and `high` are the smallest values that are not exceeded
    with probability ¼ and ¾.
    """
    y, k = np.sort(np.asarray(values, dtype=np.float64)), np.asarray(numbers)[:, None]
    n, i = len(y), np.arange(1, len(y) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = gammaln(i + 1.0) - gammaln(i - k + 1.0) - gammaln(n + 1.0) + gammaln(n - k + 1.0)
    below = np.where(i >= k, np.exp(logs), 0.0)
    below[:, -1] = 1.0
    weights = np.diff(below, axis=1, prepend=0.0)
    low, high = (y[np.argmax(below >= q - 1e-12, axis=1)] for q in QUARTILES)
    return pd.DataFrame({"expected": weights @ y, "low": low, "high": high})
