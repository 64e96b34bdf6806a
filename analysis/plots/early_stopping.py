"""Who was stopped early and who went on: the curve of every configuration, and the rungs at which the rule decided.

data = early_stopping_data(results)     # a row per configuration and epoch, then one per rung
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.load import Study
from analysis.study.results import Results
from analysis.study.searched import compared_trials, rungs_of
from ch6dist.catalog.wording import format_count, metric_label
from ch6dist.runs.early_stops import rule_name
from ch6dist.runs.schema import ENDED, Status

MAX_PANELS = 6
FINISHED, STOPPED, DIVERGED, OPEN = "finished", "stopped by the rule", "diverged", "not finished"
LOOKS = {  # width, opacity, line and the marker at the end of a curve
    STOPPED: (0.8, 0.55, "-", "o"),
    OPEN: (0.9, 0.7, "--", ">"),
    DIVERGED: (0.8, 0.55, "-", "x"),
    FINISHED: (1.8, 1.0, "-", ""),
}
COLUMNS = [
    "kind", "panel", "label", "optimizer", "configuration", "state", "epochs", "epoch", "value", "came", "went_on",
    "rule", "metric", "goal",
]  # fmt: skip


def early_stopping_data(results: Results) -> pd.DataFrame:
    """Return (rows, COLUMNS): `kind` curve, a configuration's metric after an epoch, mean over seeds; `kind` rung.

    A panel holds the trials that the rule compares: of one schedule and number of epochs. Of a rung, `came` trials
    completed it, and `went_on` trained beyond it. Empty unless a sweep stops early.
    """
    study = results.study
    tables = []
    for run in study.runs:
        if not rule_name(run.ledger.spec):
            continue
        trials = compared_trials(study, run)
        several = trials[["scheduler", "epochs"]].drop_duplicates()
        key: Any
        for key, group in trials.groupby(["scheduler", "epochs"], sort=False):
            scheduler, epochs = str(key[0]), int(key[1])
            title = [run.name] if len(study.runs) > 1 else []
            title += ["no schedule" if scheduler == "none" else scheduler] if len(several) > 1 else []
            title += [format_count(epochs, "epoch")] if several["epochs"].nunique() > 1 else []
            found = [_curves(study, group), _rungs(run.ledger.spec, study, group)]
            tables.append(pd.concat(found, ignore_index=True).assign(panel=" · ".join(title), epochs=epochs))
            tables[-1]["rule"] = rule_name(run.ledger.spec)
    data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if data.empty or not (data["kind"] == "curve").any():
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    return data.assign(metric=study.metric, goal=study.goal).reindex(columns=pd.Index(COLUMNS))


def _curves(study: Study, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the mean curve of each configuration, over the epochs that all of its seeds have."""
    named = trials.set_index("trial")["configuration"]
    rows = study.history.loc[study.history["trial"].isin(trials["trial"]), ["trial", "epoch", study.metric]]
    rows = rows.assign(configuration=rows["trial"].astype("object").map(named))
    groups = rows.groupby(["configuration", "epoch"], sort=False)[study.metric]
    means = pd.DataFrame({"value": groups.mean(), "seeds": groups.size()}).reset_index()
    seeds = trials.groupby("configuration").size()
    means = means[means["seeds"] == means["configuration"].map(seeds)]
    firsts = trials.drop_duplicates("configuration").set_index("configuration")
    for column in ("label", "optimizer"):
        means[column] = means["configuration"].map(firsts[column])
    states = {name: state_of(group) for name, group in trials.groupby("configuration")}
    return means.assign(kind="curve", state=means["configuration"].map(states)).drop(columns="seeds")


def state_of(trials: pd.DataFrame) -> str:
    """Return how a configuration ended, by its trials."""
    statuses = set(trials["status"])
    if Status.DIVERGED in statuses:
        return DIVERGED
    if trials["by_rule"].any():
        return STOPPED
    return FINISHED if statuses == {Status.FINISHED} else OPEN if statuses - ENDED else "failed"


def _rungs(spec: Any, study: Study, trials: pd.DataFrame) -> pd.DataFrame:
    found = rungs_of(spec, study, trials)
    records = [{"kind": "rung", "epoch": item.epochs, "came": item.came, "went_on": item.went_on} for item in found]
    return pd.DataFrame(records, columns=pd.Index(["kind", "epoch", "came", "went_on"]))


def draw_early_stopping(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per group that is compared: thick curves finished, thin ones end where they were ended."""
    panels = [panel for _, panel in data.groupby("panel", sort=False)][:MAX_PANELS]
    rows, columns = style.grid_shape(len(panels), max_columns=2)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for position, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
        _draw_panel(ax, panel, palette)
        if panel["panel"].iloc[0]:
            ax.set_title(panel["panel"].iloc[0], pad=18)
        if position % columns == 0:
            ax.set_ylabel(metric_label(data["metric"].iloc[0]))
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    curves = data[data["kind"] == "curve"]
    names = sorted(set(curves["optimizer"]))
    handles = [Line2D([], [], color=palette[name].colour, lw=2) for name in names]
    states = [state for state in reversed(LOOKS) if state in set(curves["state"])]
    handles += [_handle(state) for state in states]
    style.legend(axes[0, columns - 1], handles, [*names, *states], loc="upper left", bbox_to_anchor=(1.02, 1))


def _handle(state: str) -> Line2D:
    width, _, line, marker = LOOKS[state]
    colour = style.RED if state == DIVERGED else style.GREY
    return Line2D([], [], color=style.GREY, lw=width, ls=line, marker=marker, mec=colour, mfc=colour)


def _draw_panel(ax: Axes, panel: pd.DataFrame, palette: Palette) -> None:
    curves, rungs = panel[panel["kind"] == "curve"], panel[panel["kind"] == "rung"]
    for layer, (state, (width, alpha, line, marker)) in enumerate(LOOKS.items()):
        for optimizer, group in curves[curves["state"] == state].groupby("optimizer", sort=True):
            colour = palette[str(optimizer)].colour
            lines = [each[["epoch", "value"]].to_numpy() for _, each in group.groupby("configuration", sort=False)]
            made = LineCollection(lines, colors=colour, lw=width, alpha=alpha, linestyles=line, zorder=2 + layer)
            ax.add_collection(made, autolim=False)
            ends = group.dropna(subset="value").drop_duplicates("configuration", keep="last")
            colour, size = (style.RED, 6.0) if state == DIVERGED else (colour, 3.5)
            if marker or (group["epoch"] == 1).all():
                x, y = ends["epoch"], ends["value"]
                ax.plot(x, y, marker or "o", color=colour, ms=size, alpha=alpha, zorder=2 + layer)
    lost = curves.loc[_without_value(curves), "epoch"]
    ax.plot(lost, [0.015] * len(lost), "x", color=style.RED, ms=6, transform=ax.get_xaxis_transform(), clip_on=False)
    _format_epochs(ax, panel, rungs)
    values = curves["value"].dropna()
    pad = 0.05 * (values.max() - values.min()) if len(values) else 0.0
    if len(values):
        ax.set_ylim(values.min() - (pad or 0.01), values.max() + (pad or 0.01))
    style.metric_axis(ax, panel["metric"].iloc[0])


def _without_value(curves: pd.DataFrame) -> pd.Series:
    """Return which rows are of diverged configurations that have no value at all."""
    known = curves.groupby("configuration")["value"].transform("count")
    return (curves["state"] == DIVERGED) & (known == 0)


def _format_epochs(ax: Axes, panel: pd.DataFrame, rungs: pd.DataFrame) -> None:
    """Draw the rungs; where there are several, each a multiple of the last, epochs are logarithmic."""
    last = int(panel["epochs"].iloc[0])
    several = len(rungs) > 1
    if several:
        ax.set_xscale("log")
        ticks = [int(epoch) for epoch in rungs["epoch"]]
        ticks += [last] if last >= 1.3 * max(ticks) else []
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlim(0.9 * min(1, ticks[0]), last * 1.06)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(0.9, last + 0.1)
    ax.set_xlabel("epoch, logarithmic" if several else "epoch")
    for _, rung in rungs.iterrows():
        ax.axvline(rung["epoch"], color="#555", lw=1, ls=":", zorder=1)
        text = f"{rung['came']:.0f} → {rung['went_on']:.0f}"
        ax.annotate(
            text, (rung["epoch"], 1), (0, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", va="bottom", fontsize=8.5,
        )  # fmt: skip


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = style.grid_shape(min(MAX_PANELS, data["panel"].nunique()), max_columns=2)
    return (7.5, 4.4) if columns == 1 else (11.5, 0.8 + 3.5 * rows)


def _caption(data: pd.DataFrame) -> str:
    curves = data[data["kind"] == "curve"]
    states = curves.drop_duplicates("configuration")["state"].value_counts()
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    names = " and ".join(dict.fromkeys(data["rule"]))
    rungs = (
        " Dotted: rungs, at which the rule compares; above them how many trials came → how many went on."
        if (data["kind"] == "rung").any()
        else " The rule decides after each epoch, so there are no rungs."
    )
    lost = " Red X at the bottom: diverged in its first epoch." if _without_value(curves).any() else ""
    return (
        f"A curve per configuration, the mean over its seeds: {counts}. Thick: trained in full. Thin: until where "
        f"the rule ({names}) or a divergence ended it; what it would have reached is not known.{rungs} A thin curve "
        f"that still rose steeply where it ends may have been stopped too soon.{lost}"
        + style.cut_note(data["panel"].nunique(), MAX_PANELS, "panels", "early_stopping")
    )


PLOT = Plot(
    name="early_stopping",
    section="How it was searched",
    heading="Stopped early",
    title="Who was stopped early, and who went on?",
    data=early_stopping_data,
    draw=draw_early_stopping,
    size=_size,
    caption=_caption,
    empty="The sweep stops no training early.",
)
