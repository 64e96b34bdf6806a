"""Which optimizer is forgiving: the distribution of its scores over everything that was tried with it.

data = edf_data(results)      # one row per trial that has ended, the worst of each optimizer first
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_count_range, is_fraction, metric_label
from ch6dist.runs.schema import Status

MARKS = 8  # along a line, so that lines are told apart without colours
COLUMNS = ["optimizer", "look", "trial", "score", "share", "trials", "diverged", "stopped", "metric", "goal"]


def edf_data(results: Results) -> pd.DataFrame:
    """Return (ended trials, COLUMNS): `share` of the optimizer's trials score no better than this one.

    Diverged trials have no score and are the worst; so are, as far as is known, those that the sweep's own rule
    stopped: `stopped` counts them, `diverged` the others without a score. `look`: the label by which the palette knows
    the optimizer.
    """
    sign = results.study.sign
    scores = results.scores
    axes = results.axes
    scores = scores.assign(look=scores["optimizer"], worth=sign * scores["score"])
    if axes.optimizers.nunique() > 1:
        scores["optimizer"] = axes.optimizers.reindex(scores["configuration"]).to_numpy()
        scores["look"] = scores["optimizer"].map(axes.looks)
    by_rule = scores["trial"].map(results.study.trials.set_index("trial")["by_rule"]).eq(True)
    ended = scores.assign(by_rule=by_rule)[scores["score"].notna() | (scores["status"] == Status.DIVERGED) | by_rule]
    ended = ended.sort_values(["optimizer", "worth"], na_position="first", kind="stable")
    groups = ended.groupby("optimizer")["worth"]
    trials = groups.transform("size")
    lost = trials - groups.transform("count")
    stopped = ended.groupby("optimizer")["by_rule"].transform("sum").astype(int)
    share = (groups.rank(method="max") + lost) / trials
    ended = ended.assign(
        share=share.fillna(lost / trials),
        trials=trials,
        diverged=lost - stopped,
        stopped=stopped,
        metric=results.study.metric,
        goal=results.study.goal,
    )
    return ended[COLUMNS] if ended["score"].notna().any() else ended.head(0)[COLUMNS]


def draw_edf(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a step line per optimizer; it begins at the share that diverged."""
    ax = figure.subplots()
    finished = data["score"].dropna()
    low, high = finished.min(), finished.max()
    pad = 0.04 * (high - low) or 0.05 * abs(high) or 0.01
    worst, best = (low - pad, high + pad) if data["goal"].iloc[0] == "maximize" else (high + pad, low - pad)
    handles, labels = [], []
    for name, group in sorted(data.groupby("optimizer"), key=lambda item: _median(item[1])):
        look = palette[group["look"].iloc[0]]
        steps = group.dropna(subset="score").drop_duplicates("score", keep="last")
        lost = (group["diverged"].iloc[0] + group["stopped"].iloc[0]) / len(group)
        x, y = [worst, *steps["score"], best], [lost, *steps["share"], 1.0]
        every = max(1, len(x) // MARKS)
        line = Line2D(x, y, color=look.colour, ls=look.line, lw=1.8, drawstyle="steps-post")
        line.set(marker=look.marker, markevery=(every // 2, every), ms=5)
        handles.append(ax.add_line(line))
        labels.append(f"{name} ({_parts(group)})")
    ax.set(xlim=(worst, best), ylim=(-0.02, 1.02))
    ax.yaxis.set_major_formatter(style.percent())
    if is_fraction(data["metric"].iloc[0]):
        ax.xaxis.set_major_formatter(style.percent())
    ax.set_xlabel(f"{metric_label(data['metric'].iloc[0])}, last epochs   (better →)")
    ax.set_ylabel("trials that are no better")
    style.legend(ax, handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9)


def _median(group: pd.DataFrame) -> float:
    """Return where a line crosses one half, so that the legend lists forgiving optimizers first."""
    scores = group["score"].fillna(float("-inf") if group["goal"].iloc[0] == "maximize" else float("inf"))
    return float(scores.median()) * (-1 if group["goal"].iloc[0] == "maximize" else 1)


def _parts(group: pd.DataFrame) -> str:
    counts = [(int(group[name].iloc[0]), name) for name in ("diverged", "stopped")]
    return ", ".join([f"n = {len(group)}", *(f"{count} {name}" for count, name in counts if count)])


def _caption(data: pd.DataFrame) -> str:
    n = format_count_range(data.groupby("optimizer").size())
    behind = " or was stopped early, since an early rung saw it behind: its score is not known"
    stopped = behind if data["stopped"].any() else ""
    return (
        f"Empirical distribution of the scores of {format_count(len(data), 'trial')} (n = {n} per optimizer), over "
        "every learning rate, schedule and seed that was tried: the lower and the further right a line runs, the less "
        f"tuning the optimizer needs. A line begins at the share that diverged{stopped}. It depends on the values "
        "tried: an optimizer whose good learning rates fill the grid looks forgiving. The legend is in the order of "
        "medians."
    )


PLOT = Plot(
    name="edf",
    section="How sure",
    heading="Untuned",
    title="Which optimizer is forgiving when it is not tuned?",
    data=edf_data,
    draw=draw_edf,
    size=lambda data: (9.5, max(4.2, 1.2 + 0.27 * data["optimizer"].nunique())),
    caption=_caption,
    empty="No training run has finished with a score, so scores have no distribution.",
)
