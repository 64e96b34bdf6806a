"""Could the sweep have stopped earlier: from which epoch on is the ranking the final one?

data = stop_earlier_data(results)      # one row per epoch
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.stats
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from analysis.study.scores import Floats, curves
from ch6dist.catalog.wording import format_count, is_fraction
from ch6dist.runs.ranking import last_k

SAME = 0.95  # rank correlation from which on two rankings are called the same
FEWEST = 3  # configurations, for a correlation
LINES = {("correlation", "settled"): ("#0072B2", "o", "-"), ("kept", "set_settled"): ("#D55E00", "s", "--")}
COLUMNS = [
    "epoch", "correlation", "kept", "regret", "configurations", "others", "set_size", "reach", "settled", "set_settled",
    "decay", "metric",
]  # fmt: skip


def stop_earlier_data(results: Results) -> pd.DataFrame:
    """Return (epochs, COLUMNS) of the configurations that trained for the most common number of epochs.

    Each epoch ranks them as if training had ended there. `correlation`: Spearman's, with the final ranking; `kept`: the
    share of the final set of the best that is among the first `reach`, which hold all of it at the end; `regret`: by
    how much the final score of the one then first is worse than that of the best. `settled`, `set_settled`: the first
    epoch from which on correlation ≥ 0.95, kept = 1, until the end. Configurations with a seed that did not finish are
    left out.
    """
    study, scores = results.study, results.scores
    usable = scores[~scores["score"].isna().groupby(scores["configuration"]).transform("any")]
    empty = pd.DataFrame(columns=pd.Index(COLUMNS))
    if usable.empty:
        return empty
    epochs = int(usable.drop_duplicates("configuration")["epochs"].mode().max())
    chosen = usable[usable["epochs"] == epochs]
    values = study.sign * _as_if_ended(curves(study, study.metric, chosen["trial"], epochs=epochs))
    means = pd.DataFrame(values).groupby(chosen["configuration"].to_numpy(), sort=False).mean()
    means = means[means.notna().all(axis=1)]
    if len(means) < FEWEST or epochs < 2:
        return empty
    table, final = means.to_numpy(), means.to_numpy()[:, -1]
    members = _members(means, results)
    size = int(members.sum())
    ranks = scipy.stats.rankdata(table, axis=0)
    first = np.argsort(-table, axis=0, kind="stable")
    correlation = np.array([_correlation(ranks[:, e], ranks[:, -1]) for e in range(epochs)])
    reach = int(np.flatnonzero(members[first[:, -1]]).max()) + 1  # the set may have gaps: unequal spreads
    kept = members[first[:reach]].sum(axis=0) / size
    data = pd.DataFrame(
        {
            "epoch": np.arange(1, epochs + 1),
            "correlation": correlation,
            "kept": kept,
            "regret": final.max() - final[first[0]],
            "configurations": len(means),
            "others": usable["configuration"].nunique() - len(means),
            "set_size": size,
            "reach": reach,
            "settled": _from_then_on(correlation >= SAME),
            "set_settled": _from_then_on(kept == 1),
            "decay": bool((study.trials["scheduler"] != "none").any()),
            "metric": study.metric,
        }
    )
    return data[COLUMNS]


def _members(means: pd.DataFrame, results: Results) -> np.ndarray:
    """Return which configurations are in the verdict's set of the best; if none is, which is the first at the end."""
    verdict = results.verdict
    names = [member.configuration for member in verdict.members] if verdict.state == "compared" else []
    inside = np.asarray(means.index.isin(names))
    return inside if inside.any() else np.arange(len(means)) == int(means.iloc[:, -1].argmax())


def _as_if_ended(values: Floats) -> Floats:
    """Return the score of each (trials, epochs) as if training had ended at the epoch: the mean of its last epochs."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    ends = np.arange(1, values.shape[1] + 1)
    kept = np.array([last_k(int(end)) for end in ends])
    return np.asarray((sums[:, ends] - sums[:, ends - kept]) / kept)


def _correlation(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation of ranks, which is Spearman's; 0 where one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _from_then_on(holds: np.ndarray) -> float:
    """Return the first epoch from which on it holds until the end; NaN if it does not hold at the end."""
    if not holds[-1]:
        return np.nan
    return float(len(holds) - np.argmin(holds[::-1]) + 1) if not holds.all() else 1.0


def draw_stop_earlier(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw by epoch how far the ranking is the final one, and below what the choice made then would have cost."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
    marks = max(1, len(data) // 15)
    for (column, settled), (colour, marker, dash) in LINES.items():
        epoch = data[settled].iloc[0]
        label = f"{_name(column, data)} ({'never settles' if pd.isna(epoch) else f'settled from epoch {epoch:.0f} on'})"
        upper.plot(
            data["epoch"], data[column], ls=dash, marker=marker, markevery=marks, ms=5, color=colour, label=label
        )
        if pd.notna(epoch):
            upper.axvline(epoch, color=colour, lw=1.2, ls=":", zorder=1)
    upper.axhline(SAME, color=style.GREY, lw=1, ls=":", zorder=1)
    upper.set_ylim(min(-0.02, data["correlation"].min() - 0.05), 1.05)
    upper.legend(loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=9, borderaxespad=0)
    lower.plot(data["epoch"], data["regret"], marker="D", markevery=marks, ms=4, color="black", lw=1.4)
    lower.set_ylim(bottom=-0.02 * (data["regret"].max() or 1))
    if is_fraction(data["metric"].iloc[0]):
        lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
    lower.set_ylabel(("points " if is_fraction(data["metric"].iloc[0]) else "") + "lost by\nchoosing then")
    lower.set_xlabel("epoch at which training would have ended")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _name(column: str, data: pd.DataFrame) -> str:
    size, reach = int(data["set_size"].iloc[0]), int(data["reach"].iloc[0])
    if column == "correlation":
        return "rank correlation with the end"
    return "the best is first" if size == 1 else f"share of the {size} best that is among the first {reach}"


def _caption(data: pd.DataFrame) -> str:
    first = data.iloc[0]
    left = (
        f" {format_count(int(first['others']), 'configuration')} with other numbers of epochs are left out."
        if first["others"]
        else ""
    )
    decay = (
        " Early ranks mislead where learning rates decay: a schedule that starts high is behind until it has decayed, "
        "and ending earlier would also have meant to decay earlier."
        if first["decay"]
        else ""
    )
    early = f"{first['settled']:.0f} of {data['epoch'].max()}" if pd.notna(first["settled"]) else "none"
    size, reach = int(first["set_size"]), int(first["reach"])
    which = (
        f"The {size} best are the set of the verdict, at the end among the first {reach}."
        if size > 1
        else "The best is that of the end."
    )
    return (
        f"{format_count(int(first['configurations']), 'configuration')} of equal epochs, ranked at each epoch as if "
        "training had ended there, by the mean over seeds. Spearman's correlation with the final ranking stays at "
        f"{SAME:g} or more from epoch {early} on (dotted: where a line has settled). {which} Below: the final score of "
        f"the best less that of the one then first.{left}{decay}"
    )


PLOT = Plot(
    name="stop_earlier",
    section="Training",
    heading="Could it have stopped earlier?",
    title="From which epoch on is the ranking the final one?",
    data=stop_earlier_data,
    draw=draw_stop_earlier,
    size=lambda data: (9.0, 5.2),
    caption=_caption,
    empty="Fewer than three configurations of equal length have finished with all seeds: no ranking to follow.",
    of_scores=True,
)
