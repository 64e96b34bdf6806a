"""How much of the variance of scores each axis of the sweep explains, alone and together with another.

data = variance_explained_data(results)      # one row per axis, pair, rest and seeds, the largest first
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from analysis.study.scores import as_worst
from analysis.study.variance import MAX_LEVELS, groups_of, variance_shares
from ch6dist.catalog.wording import format_count, metric_label
from ch6dist.runs.schema import Status

SHOWN = 14
LOOKS = {1: ("#0072B2", ""), 2: ("#56B4E9", "///"), 3: ("#d9d9d9", "..."), 4: ("#8a8a8a", "")}
NAMES = {1: "one axis", 2: "two axes together, beyond each alone", 3: "what no axis or pair explains", 4: "seeds"}
COLUMNS = ["term", "order", "share", "by_chance", "metric", "trials", "diverged", "balanced", "cut"]


def variance_explained_data(results: Results) -> pd.DataFrame:
    """Return (terms, COLUMNS): the share of each term, the largest first, then the rest and the seeds.

    A diverged trial counts with the worst score that any trial finished with. Statistics: analysis/study/variance.py.
    """
    scores = results.scores
    values = as_worst(scores, sign=results.study.sign)
    used = values.notna()
    table = results.axes.table.reindex(scores.loc[used, "configuration"])
    shares, balanced = variance_shares(table, values[used])
    many = [name for name in results.axes.numeric if table[name].nunique() > MAX_LEVELS]
    shares = shares.assign(
        metric=results.study.metric,
        trials=int(used.sum()),
        diverged=int((scores["status"] == Status.DIVERGED).sum()),
        balanced=balanced,
        cut=", ".join(many),
    )
    terms = shares[shares["order"] <= 2].sort_values("share", ascending=False, kind="stable")
    return pd.concat([terms, shares[shares["order"] > 2]], ignore_index=True)[COLUMNS]


def draw_variance_explained(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a bar per term; a tick: what a term that does nothing would show by chance."""
    ax = figure.subplots()
    shown = _shown(data)
    for order, (colour, hatch) in LOOKS.items():
        bars = shown[shown["order"] == order]
        if len(bars):
            ax.barh(bars.index, bars["share"], color=colour, hatch=hatch, edgecolor="white", lw=0, label=NAMES[order])
    chance = shown[shown["by_chance"].notna() & (shown["by_chance"] < 1)]
    if len(chance):
        ax.plot(chance["by_chance"], chance.index, "|", color="black", ms=13, mew=1.6, label="expected by chance")
    for y, (_, row) in enumerate(shown.iterrows()):
        right = max(row["share"], row["by_chance"] if row["by_chance"] < 1 else 0.0)
        ax.annotate(
            f"{100 * row['share']:.1f} %", (right, y), (5, 0), textcoords="offset points", va="center", fontsize=9
        )
    ax.set_yticks(shown.index, shown["term"])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set_xlim(0, max(0.1, 1.14 * max(shown["share"].max(), chance["by_chance"].max() if len(chance) else 0)))
    ax.xaxis.set_major_formatter(style.percent())
    ax.set_xlabel(f"share of the variance of {metric_label(data['metric'].iloc[0])}")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=9, borderaxespad=0)


def _shown(data: pd.DataFrame) -> pd.DataFrame:
    terms = data[data["order"] <= 2].head(SHOWN)
    return pd.concat([terms, data[data["order"] > 2]]).reset_index(drop=True)


def _caption(data: pd.DataFrame) -> str:
    first = data.iloc[0]
    how = (
        "The grid is balanced: η² of the analysis of variance, which adds up to 100 %."
        if first["balanced"]
        else "The grid is not balanced (not every combination was tried equally often), so shares depend on an order: "
        "what each axis, the most telling first, and then each pair adds to those before it (type I), as far as half "
        "of the trials remain to judge by."
    )
    diverged = int(first["diverged"])
    lost = (
        f" {format_count(diverged, 'diverged one')} count{'s' * (diverged == 1)} as the worst score that finished."
        if diverged
        else ""
    )
    groups = groups_of(int(first["trials"]))
    cut = (
        f" Cut into {groups} groups of equal size, which have more than {MAX_LEVELS} values: {first['cut']}."
        if first["cut"]
        else ""
    )
    chance = " Tick: what an axis that does nothing would show." if data["by_chance"].notna().any() else ""
    rest = style.cut_note(int((data["order"] <= 2).sum()), SHOWN, "terms", "variance_explained")
    return f"{format_count(int(first['trials']), 'trial')}.{lost} {how}{cut}{chance}{rest}"


def _size(data: pd.DataFrame) -> tuple[float, float]:
    return 9.0, 2.3 + 0.32 * len(_shown(data))


PLOT = Plot(
    name="variance_explained",
    section="How sure",
    heading="What matters",
    title="What changes the result, and what must be tuned together?",
    data=variance_explained_data,
    draw=draw_variance_explained,
    size=_size,
    caption=_caption,
    empty="Nothing was varied but seeds, or all scores are equal, so there is no variance to explain.",
    of_scores=True,
)
