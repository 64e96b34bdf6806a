"""What more workers for one trial, or more lanes in one pack, bring: images per second and efficiency.

data = scaling_data(results)      # one row per kind of training and number of workers or lanes
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count_range
from ch6dist.runs.schema import Line, Status

SHOWN = 6  # lines in a panel
LEFT_OUT = 1  # epochs at the start of a stretch: they include the building of kernels
BY = {"workers": "workers of one trial", "lanes": "lanes of one pack"}
LOOKS = list(zip(style.COLOURS, style.MARKERS, ("-", "--", "-.", ":", "-", "--"), strict=False))
COLUMNS = ["by", "kind", "count", "images_per_second", "low", "high", "efficiency", "trials", "epochs"]


def scaling_data(results: Results) -> pd.DataFrame:
    """Return (kinds × counts, COLUMNS): the median throughput of a pack by its number of workers, then of lanes.

    A kind is what must be equal to be compared: device, engine, batch size, model, and the number of lanes (by workers)
    or of workers (by lanes). `low`, `high`: quartiles over epochs, without the first of each stretch of training;
    `efficiency`: throughput ÷ count, relative to the smallest count of the kind. Kinds with one count are left out.
    """
    rows = _rows(results)
    if rows.empty:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    tables = [_by(rows, count, other) for count, other in (("workers", "lanes"), ("lanes", "workers"))]
    found = [table for table in tables if len(table)]
    return pd.concat(found, ignore_index=True)[COLUMNS] if found else pd.DataFrame(columns=pd.Index(COLUMNS))


def _rows(results: Results) -> pd.DataFrame:
    """Return the rows of training runs with what they were trained by: workers and kind, of their status line."""
    study = results.study
    history = study.trained[["trial", "epoch", "images_per_second", "lanes"]].dropna()
    history = history[history["images_per_second"] > 0]
    trials = study.trials[study.trials["type"] == "train"]
    several = len(study.runs) > 1
    starts: list[dict[str, Any]] = []
    for run in study.runs:
        for trial, lines in run.ledger.history.items():
            config = run.ledger.trials[trial]["config"]
            name = f"{run.name}/{trial}" if several else trial
            running = [line for line in lines if line["status"] == Status.RUNNING]
            starts += [{"trial": name, "first": line["epoch"], **_facts(line, config)} for line in running]
    begun = pd.DataFrame(starts, columns=pd.Index(["trial", "first", "workers", "kind"]))
    begun = begun[begun["trial"].isin(trials["trial"])].drop_duplicates(["trial", "first"], keep="last")
    if begun.empty:
        return begun
    codes = {name: code for code, name in enumerate(history["trial"].cat.categories)}
    rows = history.assign(code=history["trial"].cat.codes.astype("int64")).sort_values("epoch", kind="stable")
    begun = begun.assign(code=begun["trial"].map(codes).astype("int64")).sort_values("first", kind="stable")
    begun = begun.drop(columns="trial")
    joined = pd.merge_asof(rows, begun, left_on="epoch", right_on="first", by="code", allow_exact_matches=False)
    joined = joined.dropna(subset="workers")
    after = joined["epoch"] > joined["first"] + LEFT_OUT
    return joined[after] if after.any() else joined


def _facts(line: Line, config: Line) -> dict[str, Any]:
    device = str(line.get("device") or "unknown device").partition(":")[0]
    batch = line.get("batch_size") or config["data"]["batch_size"]
    parts = [device, line.get("engine") or "", config["model"]["name"], f"batch {batch}"]
    return {"workers": int(line.get("workers") or 1), "kind": ", ".join(part for part in parts if part)}


def _by(rows: pd.DataFrame, count: str, other: str) -> pd.DataFrame:
    rows = rows.assign(count=rows[count].astype(int), other=rows[other].astype(int))
    groups = rows.groupby(["kind", "other", "count"])
    speeds = groups["images_per_second"].quantile(np.array([0.25, 0.5, 0.75])).unstack()
    table = speeds.set_axis(["low", "images_per_second", "high"], axis=1)
    table = table.assign(trials=groups["code"].nunique(), epochs=groups.size()).reset_index()
    lines = table.groupby(["kind", "other"])
    table = table[lines["count"].transform("size") > 1]
    if table.empty:
        return table
    each = table["images_per_second"] / table["count"]
    table["efficiency"] = each / each.groupby([table["kind"], table["other"]]).transform("first")
    names = [f"{n} {other if n > 1 else other[:-1]}" for n in table["other"]]
    table["kind"] = [
        f"{kind}, {name}" if n > 1 or len(set(names)) > 1 else kind
        for kind, name, n in zip(table["kind"], names, table["other"], strict=True)
    ]
    size = table.groupby("kind")["epochs"].transform("sum")
    return table.assign(by=count, size=size).sort_values(["size", "kind", "count"], ascending=[False, True, True])


def draw_scaling(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw throughput over workers, and over lanes, with efficiencies beside the points; dotted: all of it."""
    panels = [(by, data[data["by"] == by]) for by in BY if (data["by"] == by).any()]
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (by, panel) in zip(axes, panels, strict=True):
        kinds = list(dict.fromkeys(panel["kind"]))[:SHOWN]
        for kind, (colour, marker, dash) in zip(kinds, LOOKS, strict=False):
            _draw_line(ax, panel[panel["kind"] == kind], kind, colour=colour, marker=marker, dash=dash)
        counts = sorted(set(panel.loc[panel["kind"].isin(kinds), "count"]))
        number = FuncFormatter(lambda value, _: f"{value:,.0f}")
        style.log_axis(ax, "x", number)
        style.log_axis(ax, "y", number)
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        shown = _apart(counts)
        ax.set_xticks(shown, [str(count) for count in shown])
        ax.set_xticks([], minor=True)
        ax.set_xlim(counts[0] / 1.15, counts[-1] * 1.25)
        speeds = panel.loc[panel["kind"].isin(kinds)]
        ax.set_ylim(speeds["low"].min() / 1.4, speeds["high"].max() * 1.4)
        ax.set_xlabel(BY[by])
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8.5, borderaxespad=0)
    axes[0].set_ylabel("images per second, whole pack")


def _draw_line(ax: Axes, line: pd.DataFrame, kind: str, *, colour: str, marker: str, dash: str) -> None:
    x, y = line["count"].to_numpy(), line["images_per_second"].to_numpy()
    ax.fill_between(x, line["low"], line["high"], color=colour, alpha=0.2, lw=0)
    ax.plot(x, y, marker=marker, ls=dash, color=colour, label=kind)
    ideal = np.geomspace(x[0], x[-1], 30)
    ax.plot(ideal, y[0] * ideal / x[0], color=colour, lw=0.9, ls=":", zorder=1)
    shown = set(_apart(x.tolist()))
    for count, speed, efficiency in zip(x[1:], y[1:], line["efficiency"].to_numpy()[1:], strict=True):
        if count in shown:
            text = f"{100 * efficiency:.0f} %"
            ax.annotate(text, (count, speed), (4, -12), textcoords="offset points", fontsize=8, color=colour)


def _apart(counts: list[int]) -> list[int]:
    """Return the first, the last and those between that a logarithmic axis has room for."""
    room = max(1.12, (counts[-1] / counts[0]) ** (1 / 9))
    kept = [counts[0]]
    for count, following in pairwise([*counts[1:], counts[-1] * 2]):
        if count == counts[-1] or (count >= kept[-1] * room and counts[-1] >= count * room and following):
            kept.append(count)
    return kept


def _caption(data: pd.DataFrame) -> str:
    kinds = [data.loc[data["by"] == by, "kind"].nunique() for by in BY]
    notes = [
        style.cut_note(kinds[0], SHOWN, "kinds by workers", "scaling"),
        style.cut_note(kinds[1], SHOWN, "kinds by lanes", "scaling"),
    ]
    return (
        f"Training images per second of a whole pack: median over epochs (n = {format_count_range(data['epochs'])}, "
        "the first of each start left out), band: quartiles. Numbers: efficiency, throughput ÷ count relative to the "
        "smallest count; dotted: 100 %. Compared is only what has equal device, engine, "
        "model and batch size." + "".join(notes)
    )


PLOT = Plot(
    name="scaling",
    section="Cost",
    heading="Scaling",
    title="Are more workers per trial, or more lanes per pack, worth it?",
    data=scaling_data,
    draw=draw_scaling,
    size=lambda data: (10.0 if data["by"].nunique() > 1 else 7.5, 4.2 + 0.17 * min(SHOWN, data["kind"].nunique())),
    caption=_caption,
    empty="All training runs used one number of workers and of lanes, so there is no scaling to show.",
)
