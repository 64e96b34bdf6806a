"""How probable it is that each configuration is the best, and what it costs to take the wrong one.

    belief = believe(groups, spread)
    belief.p_best                     # (k,), sums to 1
    belief.loss                       # (k,) what is lost, on average, by taking each instead of the best

Given the scores, and nothing known before, the true mean of a configuration is its mean plus a t-distributed error:
μ_i = mean_i + s_i / (√n_i u) · z_i with z_i normal and u = √(χ²_df / df). u is one for all, with the pooled degrees of
freedom (also where a few configurations have an s_i of their own: the heavy tails of two degrees of freedom each would
make nearly anything possible), or each configuration's where nothing is pooled. Given u, P(best) is
∫ Π_{j≠i} F_j(x) dF_i(x) and the best's expectation ∫ x dΠF_j(x): sums over a grid, averaged over u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv, ndtr, stdtr

from ch6dist.verdict.compare import Groups, Spread
from ch6dist.verdict.dunnett import Floats

NODES_U = 24  # quantiles of u
NODES_X = 600  # of the grid over scores
MAX_CELLS = 10_000_000  # configurations × NODES_X × NODES_U; with more configurations the grids are coarser
REACH = 8.0  # standard errors below the leader beyond which a configuration is none of the best
TINY = 1e-300


@dataclass(frozen=True)
class Belief:
    """Probabilities and losses of k configurations, (k,) each, in the unit of the scores. Larger scores are better."""

    p_best: Floats
    loss: Floats


def believe(groups: Groups, spread: Spread) -> Belief | None:
    """Return P(best) and expected loss, or None where no configuration has two seeds, so that nothing is known."""
    if not spread.df:
        return None
    errors = _errors(groups, spread)
    apart = spread.own if spread.why else np.zeros_like(spread.own)
    dfs = np.where(apart, groups.counts - 1, spread.df)
    reach = REACH * (1 + 8 / dfs) * errors  # wider where tails are heavy
    near = groups.means + reach >= groups.means[groups.leader] - reach[groups.leader]
    means, errors, own = groups.means[near], errors[near], apart[near]
    own_df = dfs[near][:, None]
    coarser = min(1.0, np.sqrt(MAX_CELLS / (len(means) * NODES_X * NODES_U)))
    probabilities = (np.arange(n := max(6, int(coarser * NODES_U))) + 0.5) / n
    p_best, expected = np.zeros(len(means)), 0.0
    for u in np.sqrt(gammaincinv(spread.df / 2, probabilities) * 2 / spread.df):
        scale = np.where(own, errors, errors / u)
        grid = _grid(means, scale, nodes=max(150, int(coarser * NODES_X)))
        steps = (grid - means[:, None]) / scale[:, None]
        cumulative = ndtr(steps)
        cumulative[own] = stdtr(own_df[own], steps[own])
        p, best = _largest(cumulative, grid)
        p_best, expected = p_best + p, expected + best
    found = np.zeros(len(groups.means))
    found[near] = p_best / p_best.sum()
    return Belief(found, np.maximum(expected / n - groups.means, 0.0))


def selection_bias(means: Floats, errors: Floats) -> float:
    """Return by how much the largest of k observed means exceeds the true mean of the one that shows it, on average.

    Args:
        means: true means, (k,).
        errors: their normal standard errors, (k,).
    """
    if not errors.any():
        return 0.0
    scale = np.maximum(errors, 1e-12 * (1 + np.abs(means)))
    grid = _grid(means, scale, nodes=NODES_X)
    p, expected = _largest(ndtr((grid - means[:, None]) / scale[:, None]), grid)
    return float(expected - p @ means / p.sum())


def _largest(cumulative: Floats, grid: Floats) -> tuple[Floats, float]:
    """Return of independent variables with these distributions, (k, x), each one's P(largest), and E(largest)."""
    logs = np.log(np.maximum(cumulative, TINY))
    together = logs.sum(axis=0)
    others = np.exp(together - logs)
    p = (np.diff(cumulative, axis=1) * (others[:, 1:] + others[:, :-1]) / 2).sum(axis=1)
    return p, float(grid[-1] - np.trapezoid(np.exp(together), grid))  # ∫ x dF = x_max − ∫ F


def _errors(groups: Groups, spread: Spread) -> Floats:
    """Return the standard error of each mean, (k,); of a single seed by the pooled standard deviation."""
    sds = np.where(spread.own & np.isfinite(groups.sds), groups.sds, spread.sd)
    return np.maximum(sds / np.sqrt(groups.counts), 1e-12 * (1 + np.abs(groups.means)))


def _grid(means: Floats, scale: Floats, *, nodes: int) -> Floats:
    """Return a grid over the scores, fine around the largest mean and wide enough for heavy tails."""
    width = float(np.median(scale))
    far = np.arcsinh((REACH**3 * scale.max() + np.ptp(means)) / width)
    return float(means.max()) + width * np.sinh(np.linspace(-far, far, nodes))
