"""The best configurations in pairs: how much better is each than each other, and how often does it win?

data = pairwise_data(results)      # one row per ordered pair of the best 12 that are compared
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from analysis.plots import style
from analysis.plots.cells import draw_cells, plain_frame, text_colour
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from analysis.study.stats import CONFIDENCE
from ch6dist.catalog.wording import format_count, format_count_range, is_fraction, metric_label
from ch6dist.verdict.verdict import Member, Verdict

SHOWN = 12
LARGE_DF = 30  # degrees of freedom
MAP = "RdBu"  # blue: the one that is ranked higher is better
COLUMNS = [
    "a", "b", "rank_a", "rank_b", "optimizer_a", "metric", "difference", "low", "high", "told_apart", "p_improvement",
    "n_a", "n_b", "configurations", "sd", "own", "why_not_pooled",
]  # fmt: skip


def pairwise_data(results: Results) -> pd.DataFrame:
    """Return (pairs, COLUMNS): by how much a is better than b, its simultaneous 95 % interval, and P(a beats b).

    Differences are positive where a is better, whatever the goal. The interval is Tukey–Kramer's, over all pairs of
    configurations that are compared: ± q/√2 · s · √(1/n_a + 1/n_b), q the studentized range and s the pooled standard
    deviation of the verdict (Tukey 1953, Kramer 1956). In a pair with a configuration that the verdict compares by a
    standard deviation of its `own`, that and the pooled one or the other's own, Welch's degrees of freedom and
    Bonferroni's t. NaN where one of them is unknown.
    """
    verdict, sign = results.verdict, results.study.sign
    board = results.board.set_index("configuration")
    best = verdict.compared[:SHOWN]
    k = len(verdict.compared)
    scores = {m.configuration: sign * np.asarray(board.loc[m.configuration, "scores"]) for m in best}
    records = []
    for i, a in enumerate(best):
        for j, b in enumerate(best):
            if i == j:
                continue
            one, other = scores[a.configuration], scores[b.configuration]
            own = a.own or b.own
            if own:
                half = _own_half_width(_mean_error(a, verdict), _mean_error(b, verdict), pairs=k * (k - 1) // 2)
            else:
                half = _half_width(k, verdict.sd, verdict.df, a.n, b.n)
            difference = sign * (a.mean - b.mean)
            records.append(
                {
                    "a": board.loc[a.configuration, "label"],
                    "b": board.loc[b.configuration, "label"],
                    "rank_a": i + 1,
                    "rank_b": j + 1,
                    "optimizer_a": board.loc[a.configuration, "optimizer"],
                    "metric": results.study.metric,
                    "difference": difference,
                    "low": difference - half,
                    "high": difference + half,
                    "told_apart": abs(difference) > half,
                    "p_improvement": probability_of_improvement(one, other),
                    "n_a": a.n,
                    "n_b": b.n,
                    "configurations": k,
                    "sd": math.nan if verdict.sd is None else verdict.sd,
                    "own": own,
                    "why_not_pooled": verdict.why_not_pooled,
                }
            )
    return pd.DataFrame(records, columns=pd.Index(COLUMNS))


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """Return P(a seed of a scores higher than one of b), ties ½: Mann–Whitney's U / (n_a n_b); NaN for n < 2."""
    if min(len(np.asarray(a)), len(np.asarray(b))) < 2:
        return math.nan
    differences = np.subtract.outer(np.asarray(a), np.asarray(b))
    return float((differences > 0).mean() + (differences == 0).mean() / 2)


def _half_width(k: int, sd: float | None, df: float, n_a: int, n_b: int) -> float:
    if sd is None or df <= 0:
        return math.nan
    return _studentized_range(k, df) / math.sqrt(2) * sd * math.sqrt(1 / n_a + 1 / n_b)


@lru_cache(maxsize=256)
def _studentized_range(k: int, df: float) -> float:
    """Return the 95 % quantile of the studentized range; from its limit for large df on, a few evaluations suffice."""
    distribution = scipy.stats.studentized_range
    if df < LARGE_DF:
        return float(distribution.ppf(CONFIDENCE, k, df))
    limit = float(distribution.ppf(CONFIDENCE, k, np.inf))
    found = scipy.optimize.root_scalar(
        lambda q: distribution.cdf(q, k, df) - CONFIDENCE, x0=limit, x1=limit * (1 + 1 / df), method="secant", xtol=1e-4
    )
    return float(found.root)


def _mean_error(member: Member, verdict: Verdict) -> tuple[float, float]:
    """Return the squared standard error of a mean and its degrees of freedom, as the verdict has them."""
    sd, df = (member.sd, member.n - 1) if member.own else (verdict.sd, verdict.df)
    return (math.nan if sd is None else sd**2 / member.n), df


def _own_half_width(a: tuple[float, float], b: tuple[float, float], *, pairs: int) -> float:
    (part_a, df_a), (part_b, df_b) = a, b
    total = part_a + part_b
    if math.isnan(total) or not total:
        return total
    df = total**2 / (part_a**2 / df_a + part_b**2 / df_b)
    return float(scipy.stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * pairs), df)) * math.sqrt(total)


def draw_pairwise(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw differences above the diagonal and probabilities below; bold with a frame: told apart."""
    ax = figure.subplots()
    firsts = data.drop_duplicates("rank_a").sort_values("rank_a")
    ranks = firsts["rank_a"].tolist()
    percent = is_fraction(data["metric"].iloc[0])
    decimals = _decimals(data, percent=percent)
    above = data["rank_a"] < data["rank_b"]
    # below the diagonal: how often the column, which is ranked higher, beats the row
    chance = (1 - data["p_improvement"]).where(~above)
    height = (data["difference"] / (data["difference"].abs().max() or 1)).where(above, 2 * chance - 1).fillna(0.0)
    colours = colormaps[MAP](0.5 + 0.42 * height.to_numpy())
    x, y, told = data["rank_b"] - 1, data["rank_a"] - 1, data["told_apart"]
    draw_cells(ax, x, y, facecolors=colours, edgecolors="white", linewidths=1)
    draw_cells(ax, x[told], y[told], inset=0.03, facecolors="none", edgecolors="black", linewidths=1.5)
    rows: Iterable[Any] = data.itertuples()  # its columns by name, which the types of pandas do not know
    for row, colour, is_above in zip(rows, colours, above, strict=True):
        text = (
            _difference_text(row, percent=percent, decimals=decimals) if is_above else _chance_text(row.p_improvement)
        )
        weight = "bold" if row.told_apart else "normal"
        place = (row.rank_b - 1, row.rank_a - 1)
        ax.text(*place, text, ha="center", va="center", fontsize=8, weight=weight, color=text_colour(colour))
    ax.set_xticks(range(len(ranks)), [f"{rank}." for rank in ranks])
    ax.set_yticks(range(len(ranks)), [f"{rank}. {label}" for rank, label in zip(ranks, firsts["a"], strict=True)])
    style.colour_labels(ax.yaxis, firsts["optimizer_a"], palette)
    ax.xaxis.tick_top()
    plain_frame(ax, len(ranks), len(ranks))


def _difference_text(row: Any, *, percent: bool, decimals: int) -> str:
    scale = 100 if percent else 1
    text = f"{scale * row.difference:+.{decimals}f}"
    half = row.high - row.difference
    return text if math.isnan(half) else f"{text}\n±{scale * half:.{decimals}f}"


def _chance_text(p: float) -> str:
    return "–" if math.isnan(p) else f"{100 * (1 - p):.0f} %"


def _decimals(data: pd.DataFrame, *, percent: bool) -> int:
    """Return how many decimals show the intervals, or else the differences, with two digits."""
    size = (data["high"] - data["difference"]).median()
    size = data["difference"].abs().median() if pd.isna(size) or not size else size
    return max(0, 1 - math.floor(math.log10((100 if percent else 1) * size))) if size else 2


def _caption(data: pd.DataFrame) -> str:
    first = data.iloc[0]
    chances = (
        " Below: how often a seed of the column beats one of the row (Mann–Whitney, ties count half; 50 %: a coin)."
        if data["p_improvement"].notna().any()
        else ""
    )
    metric, unit = metric_label(first["metric"]), " in points" if is_fraction(first["metric"]) else ""
    k, shown = int(first["configurations"]), data["rank_a"].nunique()
    judged = (
        "No interval: every configuration has one seed, which says nothing about how far seeds differ."
        if data["low"].isna().all()
        else _interval_note(data)
    )
    rest = f" Shown are the best {shown} of {k} that are compared." if k > shown else ""
    return (
        f"Above the diagonal: by how much the row's mean {metric} (seeds: n = {format_count_range(data['n_a'])}) is "
        f"better than the column's{unit}. {judged}{chances}{rest}"
    )


def _interval_note(data: pd.DataFrame) -> str:
    """Return what ± is, by which standard deviations, and how it stands to the verdict's comparison with the best."""
    k, why = int(data["configurations"].iloc[0]), data["why_not_pooled"].iloc[0]
    if k == 2:
        return f"± is the 95 % interval of the pair (Welch), since {why}; bold and framed: it does not reach 0."
    if why:
        by = f"by each configuration's own standard deviation (Welch, Bonferroni), since {why}"
    else:
        by = "by the standard deviation pooled as in the verdict (Tukey–Kramer)"
        own = " and, with a configuration that keeps its own larger one, by that (Welch, Bonferroni)"
        by += own if data["own"].any() else ""
    return (
        f"± is a 95 % interval that holds for all {format_count(k * (k - 1) // 2, 'pair')} at once, so it is wider "
        f"than in the verdict, which compares with the best alone; {by}. Bold and framed: it does not reach 0."
    )


PLOT = Plot(
    has_shades=True,
    name="pairwise",
    section="How sure",
    heading="The best in pairs",
    title="Is one of two configurations really better, or is it noise?",
    data=pairwise_data,
    draw=draw_pairwise,
    size=lambda data: (max(8.5, 4.0 + 0.62 * data["rank_a"].nunique()), 1.4 + 0.44 * data["rank_a"].nunique()),
    caption=_caption,
    empty="Fewer than two configurations have finished without a diverged seed and learned, so there is no pair.",
    of_scores=True,
)
