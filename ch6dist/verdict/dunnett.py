"""The quantile behind a comparison with the best: how far the largest of several t statistics goes by chance.

    dunnett_quantile(df=56, control=3, others={3: 27})      # 3.0: 28 configurations with 3 seeds each
    pairwise_quantiles([2.4, 3.9], comparisons=27)          # for pairs with degrees of freedom of their own

One-sided, as in Dunnett (1955): T_j = (x_j − x_0) / (s √(1/n_j + 1/n_0)) for the g others j against one control 0. The
T_j share x_0 and s. Given x_0 = z and s/σ = u they are independent, so that

    P(max T_j ≤ d) = ∫∫ Π_j Φ((λ_j z + d u) / √(1 − λ_j²)) φ(z) f(u) dz du,    λ_j² = n_j / (n_j + n_0),

f the density of √(χ²_df / df). Both integrals are sums over even steps (in z and in log u), which converge
exponentially for such integrands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaincinv, gammaln, log_ndtr, ndtri, stdtrit

CONFIDENCE = 0.95
NODES_Z, NODES_U = 121, 61
LARGE_DF = 1e5  # from here on s counts as known
DF_GRID = tuple(float(df) for df in np.geomspace(1.0, LARGE_DF, 41))  # between them 1/df is interpolated
Floats = NDArray[np.float64]


def dunnett_quantile(
    *, df: float, control: float, others: Mapping[float, int], confidence: float = CONFIDENCE
) -> float:
    """Return d with P(max T_j ≤ d) = confidence.

    Args:
        df: degrees of freedom of the pooled standard deviation.
        control: number of seeds of the configuration that the others are compared with.
        others: how many of the others have how many seeds: {3: 27}.
    """
    groups = tuple(sorted((float(n), int(count)) for n, count in others.items() if count))
    return _quantile(float(df), float(control), groups, confidence) if groups else 0.0


def pairwise_quantiles(dfs: Sequence[float] | Floats, *, comparisons: int, confidence: float = CONFIDENCE) -> Floats:
    """Return the quantile for each pair's own degrees of freedom, (m,), at correlation ½ (Games and Howell 1976).

    Args:
        comparisons: with how many others each is compared.
    """
    if not comparisons:
        return np.zeros(len(dfs))
    grid = [_quantile(df, 1.0, ((1.0, comparisons),), confidence) for df in DF_GRID]
    inverse = 1 / np.asarray(DF_GRID)
    # rising x for interp: from large df to small; in the logarithm, since d grows steeply towards df = 1
    logs = np.interp(1 / np.clip(dfs, 1.0, LARGE_DF), inverse[::-1], np.log(grid)[::-1])
    return np.asarray(np.exp(logs), dtype=np.float64)


@lru_cache(maxsize=4096)
def _quantile(df: float, control: float, groups: tuple[tuple[float, int], ...], confidence: float) -> float:
    count = sum(number for _, number in groups)
    if count == 1:
        return float(ndtri(confidence) if df >= LARGE_DF else stdtrit(df, confidence))
    z, z_weight = _normal_nodes()
    u, u_weight = _chi_nodes(df)
    loading = np.array([np.sqrt(n / (n + control)) for n, _ in groups])
    numbers = np.array([number for _, number in groups], dtype=np.float64)

    def missing(d: float) -> float:
        log_p = np.zeros((len(u), len(z)))
        for share, number in zip(loading, numbers, strict=True):
            log_p += number * log_ndtr((share * z + d * u[:, None]) / np.sqrt(1 - share**2))
        return float(u_weight @ np.exp(log_p) @ z_weight) - confidence

    single = float(ndtri(confidence) if df >= LARGE_DF else stdtrit(df, confidence))
    apart = 1 - (1 - confidence) / count  # Bonferroni: an upper bound
    most = float(ndtri(apart) if df >= LARGE_DF else stdtrit(df, apart)) + 1e-6
    if missing(single - 1e-6) >= 0 or missing(most) <= 0:
        return most  # thousands of seeds beside one: the sums over steps are too coarse for it, the bound is not
    return float(brentq(missing, single - 1e-6, most, xtol=1e-6))


def _normal_nodes() -> tuple[Floats, Floats]:
    z = np.linspace(-7.5, 7.5, NODES_Z)
    weight = np.exp(-(z**2) / 2)
    return z, weight / weight.sum()


def _chi_nodes(df: float) -> tuple[Floats, Floats]:
    """Return nodes and weights (NODES_U,) of √(χ²_df / df), even in the logarithm."""
    if df >= LARGE_DF:
        return np.ones(1), np.ones(1)
    low, high = (0.5 * np.log(gammaincinv(df / 2, p) * 2 / df) for p in (1e-9, 1 - 1e-11))
    log_u = np.linspace(low, high, NODES_U)
    log_density = df * log_u - df / 2 * np.exp(2 * log_u) + df / 2 * np.log(df / 2) - gammaln(df / 2)
    weight = np.exp(log_density - log_density.max())
    return np.exp(log_u), weight / weight.sum()
