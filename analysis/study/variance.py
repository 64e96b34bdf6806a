"""How much of the variance of scores each axis explains, alone and in pairs.

    shares = variance_shares(table, scores)         # one row per axis, pair, the rest, the seeds

Balanced (every combination of values equally often): the classical decomposition, in which shares do not depend on an
order (Fisher 1925): SS_A = Σ n_a (mean_a − mean)², SS_AB = Σ n_ab (mean_ab − mean)² − SS_A − SS_B, η² = SS / SS_total.
Not balanced: what each term adds to a least-squares fit of the terms before it (type I), the axes first, the one that
explains most alone leading (one that only some optimizers have comes last), then the pairs, as far as half of the
trials remain to judge them by; shares then depend on that order.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_LEVELS = 12  # of an axis; the numbers of a random search, of which there are more, are cut into groups
GROUPS, TRIALS_PER_GROUP = 4, 50  # at least so many groups, of about equally many trials; more of them for more trials
MAX_AXES = 7  # those that explain most alone; 21 pairs
REST, SEEDS, BOTH = "three axes or more together", "the seed alone", "all else, the seed included"
COLUMNS = ["term", "order", "share", "by_chance"]
Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Term = tuple[str, ...]


def variance_shares(table: pd.DataFrame, scores: pd.Series) -> tuple[pd.DataFrame, bool]:
    """Return (terms, COLUMNS) and whether the grid is balanced; no rows where scores do not vary.

    Args:
        table: (trials, axes), a trial's value on each axis.
        scores: (trials,), finite.

    `order` is 1 for an axis, 2 for a pair, 3 for the rest, 4 for seeds. `by_chance` is the share that a term would have
    if it did nothing: its degrees of freedom × the variance that no term explains (balanced: between seeds); NaN where
    that is unknown.
    """
    y = scores.to_numpy(dtype=np.float64)
    y = y - y.mean() if len(y) else y
    total = float(y @ y)
    codes = {name: _codes(table[name]) for name in table.columns}
    codes = {name: code for name, code in codes.items() if code.max(initial=0) > 0}
    if not codes or total <= 1e-18 * len(y):
        return pd.DataFrame(columns=pd.Index(COLUMNS)), True
    alone = {name: _between(y, code) for name, code in codes.items()}
    kept = sorted(codes, key=lambda name: (bool(table[name].isna().any()), -alone[name]))[:MAX_AXES]
    cell = _joint(list(codes.values()))
    seeds = 1 - _between(y, cell) / total, len(y) - int(cell.max()) - 1  # share within cells, degrees of freedom
    joint: dict[Term, Codes] = {pair: _joint([codes[name] for name in pair]) for pair in combinations(kept, 2)}
    whole = len(kept) == len(codes) and not any(_is_cut(table[name]) for name in kept)
    balanced = whole and _is_balanced([codes[name] for name in kept], cell)
    if balanced:
        found: dict[Term, tuple[float, int]] = {(name,): (alone[name], int(codes[name].max())) for name in kept}
        for a, b in combinations(kept, 2):
            df = int(codes[a].max() * codes[b].max())
            found[a, b] = _between(y, joint[a, b]) - alone[a] - alone[b], df
        noise = seeds[0] / seeds[1] if seeds[1] else np.nan
    else:
        terms: dict[Term, Codes] = {**{(name,): codes[name] for name in kept}, **joint}
        found = _sequential(y, terms, most=len(y) // 2)
        left = len(y) - 1 - sum(df for _, df in found.values())
        noise = (1 - sum(part for part, _ in found.values()) / total) / left if left > 0 else np.nan
    records = [
        (" × ".join(term), len(term), max(0.0, part / total), min(1.0, df * max(0.0, noise)))
        for term, (part, df) in found.items()
    ]
    rest = 1 - sum(record[2] for record in records)
    if whole and seeds[1]:
        if len(kept) > 2 or len(found) < len(kept) + len(joint):
            records.append((REST, 3, max(0.0, rest - seeds[0]), np.nan))
        records.append((SEEDS, 4, seeds[0], np.nan))
    else:
        records.append((BOTH, 3, max(0.0, rest), np.nan))
    return pd.DataFrame(records, columns=pd.Index(COLUMNS)), balanced


def groups_of(trials: int) -> int:
    """Return into how many groups the numbers of a search are cut."""
    return min(MAX_LEVELS, max(GROUPS, trials // TRIALS_PER_GROUP))


def _is_cut(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_LEVELS)


def _codes(values: pd.Series) -> Codes:
    """Return each value as the number of its level; many numbers are cut into groups; a missing one is a level."""
    if _is_cut(values):
        groups = pd.qcut(values, groups_of(len(values)), labels=False, duplicates="drop")
        return np.asarray(pd.factorize(groups, use_na_sentinel=False)[0], dtype=np.int64)
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0], dtype=np.int64)


def _joint(codes: list[Codes]) -> Codes:
    found = np.zeros_like(codes[0])
    for code in codes:
        found = np.unique(found * (int(code.max()) + 1) + code, return_inverse=True)[1]
    return found


def _between(y: Floats, code: Codes) -> float:
    """Return the sum of squares between the levels of centred `y`."""
    counts = np.bincount(code)
    sums = np.bincount(code, weights=y)
    return float((sums[counts > 0] ** 2 / counts[counts > 0]).sum())


def _is_balanced(codes: list[Codes], cell: Codes) -> bool:
    counts = np.bincount(cell)
    return len(counts) == np.prod([int(code.max()) + 1 for code in codes]) and len(set(counts.tolist())) == 1


def _sequential(y: Floats, terms: dict[Term, Codes], *, most: int) -> dict[Term, tuple[float, int]]:
    """Return what each term adds to the sum of squares that the terms before it explain, and by how many dimensions.

    A pair that would bring these above `most` is left out.
    """
    basis = np.full((len(y), 1), len(y) ** -0.5)
    found: dict[Term, tuple[float, int]] = {}
    for term, code in terms.items():
        dummies = np.zeros((len(y), int(code.max()) + 1))
        dummies[np.arange(len(y)), code] = 1 / np.sqrt(np.bincount(code))[code]
        for _ in range(2):  # twice is enough (Giraud, Langou and Rozloznik 2005)
            dummies -= basis @ (basis.T @ dummies)
        vectors, values, _ = np.linalg.svd(dummies, full_matrices=False)
        fresh = vectors[:, values > 1e-6]
        if len(term) > 1 and basis.shape[1] + fresh.shape[1] > most:
            continue
        found[term] = float(((fresh.T @ y) ** 2).sum()), fresh.shape[1]
        basis = np.hstack([basis, fresh])
    return found
