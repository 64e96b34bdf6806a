"""Did the search find better configurations as it went on: the best score so far against the epochs that were spent.

data = search_history_data(results)     # a row per configuration that has ended, in the order of their ends
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots import style
from analysis.plots.early_stopping import DIVERGED, FINISHED, STOPPED, state_of
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.load import Run
from analysis.study.results import Results
from analysis.study.searched import DRAWN, compared_trials
from ch6dist.catalog.wording import format_count, metric_label
from ch6dist.runs.schema import ENDED

MAX_PANELS = 6
METHODS = {"random": "drawn at random", "quasi": "spread evenly (quasi-random)", "optuna": "drawn by a model"}
LOOKS = {FINISHED: ("o", "#0072B2"), STOPPED: ("v", "#E69F00"), DIVERGED: ("x", style.RED)}
COLUMNS = [
    "panel", "order", "label", "optimizer", "configuration", "state", "epochs", "spent", "value", "best", "method",
    "metric", "goal",
]  # fmt: skip


def search_history_data(results: Results) -> pd.DataFrame:
    """Return (configurations that have ended, COLUMNS), in the order of their ends.

    `epochs`: trained for it, all seeds, what is shared once; `spent`: the sum of that up to here; `value`: its score,
    or, where it was stopped early, the mean of its last values; `best`: the best score so far, of those that finished.
    Empty unless a sweep draws its configurations.
    """
    study = results.study
    runs = [run for run in study.runs if run.ledger.spec.get("method") in DRAWN]
    tables = [_history(results, run).assign(panel=run.name if len(study.runs) > 1 else "") for run in runs]
    data = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if data.empty or not (data["state"] == FINISHED).any():
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    return data.assign(metric=study.metric, goal=study.goal)[COLUMNS]


def _history(results: Results, run: Run) -> pd.DataFrame:
    study = results.study
    trials = compared_trials(study, run)
    trained = study.trained["trial"].value_counts()
    scores = results.scores.set_index("trial")["score"]
    records = []
    for configuration, group in trials.groupby("configuration", sort=False):
        state = state_of(group)
        if state not in LOOKS or set(group["status"]) - ENDED:
            continue
        last = [study.last(trial, study.metric) for trial in group["trial"]]
        known = [value for value in last if value is not None]
        value = float(scores.reindex(group["trial"]).mean(skipna=False)) if state == FINISHED else None
        if state == STOPPED and known:
            value = sum(known) / len(known)
        first = group.iloc[0]
        records.append(
            {
                "ended": max(float(study.ledger.statuses[trial].get("time") or 0) for trial in group["trial"]),
                "label": first["label"],
                "optimizer": first["optimizer"],
                "configuration": configuration,
                "state": state,
                "epochs": int(trained.reindex(group["trial"]).fillna(0).sum()),
                "value": value,
            }
        )
    table = pd.DataFrame(records, columns=pd.Index(["ended", *COLUMNS[2:7], "value"])).astype({"value": "float64"})
    table = table.sort_values("ended", kind="stable").reset_index(drop=True)
    finished = study.sign * table["value"].where(table["state"] == FINISHED)
    return table.assign(
        order=range(1, len(table) + 1),
        spent=table["epochs"].cumsum(),
        best=study.sign * finished.cummax().ffill(),
        method=run.ledger.spec.get("method"),
    )


def draw_search_history(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a marker per configuration and the best so far as a step line, a panel per run."""
    panels = [panel for _, panel in data.groupby("panel", sort=False)][:MAX_PANELS]
    rows, columns = style.grid_shape(len(panels), max_columns=2)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for position, (ax, panel) in enumerate(zip(axes.flat, panels, strict=False)):
        _draw_panel(ax, panel)
        ax.set_title(panel["panel"].iloc[0])
        ax.set_xlabel("epochs spent")
        if position % columns == 0:
            ax.set_ylabel(metric_label(data["metric"].iloc[0]))
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    shown = [state for state in LOOKS if (data["state"] == state).any()]
    handles = [Line2D([], [], color="black", lw=1.8)]
    handles += [_marker(state) for state in shown]
    labels = {FINISHED: "finished: its score", STOPPED: "stopped early: its last value", DIVERGED: "diverged"}
    names = ["best score so far", *(labels[state] for state in shown)]
    style.legend(axes[0, columns - 1], handles, names, loc="upper left", bbox_to_anchor=(1.02, 1))


def _marker(state: str) -> Line2D:
    marker, colour = LOOKS[state]
    return Line2D([], [], color=colour, marker=marker, ls="", mfc=colour if state == FINISHED else "none", mew=1.4)


def _draw_panel(ax: Axes, panel: pd.DataFrame) -> None:
    best = panel.dropna(subset="best")
    ax.step(best["spent"], best["best"], where="post", color="black", lw=1.8, zorder=2)
    for state in (STOPPED, FINISHED):
        marker, colour = LOOKS[state]
        part = panel[panel["state"] == state]
        face = colour if state == FINISHED else "none"
        ax.plot(part["spent"], part["value"], marker, color=colour, mfc=face, mew=1.4, ms=5.5, zorder=3)
    lost = panel[panel["state"] == DIVERGED]
    at = 0.02 if panel["goal"].iloc[0] == "maximize" else 0.98
    ax.plot(lost["spent"], [at] * len(lost), "x", color=style.RED, ms=7, mew=1.8, transform=ax.get_xaxis_transform())
    style.metric_axis(ax, panel["metric"].iloc[0])
    ax.set_xlim(0, 1.03 * panel["spent"].max())


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = style.grid_shape(min(MAX_PANELS, data["panel"].nunique()), max_columns=2)
    return (8.5, 4.2) if columns == 1 else (11.5, 0.8 + 3.4 * rows)


def _caption(data: pd.DataFrame) -> str:
    methods = " and ".join(METHODS[method] for method in dict.fromkeys(data["method"]))
    counts = data["state"].value_counts()
    ended = f", {counts[STOPPED]} of them stopped early" if STOPPED in counts else ""
    hollow = (
        " A hollow marker is where a training was stopped, after fewer epochs: no score, and never the best so far."
        if STOPPED in counts
        else ""
    )
    lost = " Red X, at the edge: diverged." if DIVERGED in counts else ""
    return (
        f"{format_count(len(data), 'configuration')}, {methods}{ended}, in the order in which they ended; across: the "
        f"epochs that all of them up to there had trained. Line: best score so far, of those trained in full.{hollow}"
        f"{lost} A line that is flat at the right: more of the same search finds little."
        + style.cut_note(data["panel"].nunique(), MAX_PANELS, "runs", "search_history")
    )


PLOT = Plot(
    name="search_history",
    section="How it was searched",
    heading="Best so far",
    title="Did the search find better configurations as it went on?",
    data=search_history_data,
    draw=draw_search_history,
    size=_size,
    caption=_caption,
    empty="No sweep drew its configurations one after another, or none of them has finished.",
)
