"""When and where each trial was trained: was the hardware busy, what blocked it, what failed?

data = timeline_data(results)      # one row per stretch of training of a trial
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.plots.sweep_health import HATCHES, STATUS_COLOURS
from analysis.study.load import Run
from analysis.study.results import Results
from ch6dist.catalog.wording import format_count, format_seconds, status_label
from ch6dist.runs.schema import Status

MAX_DEVICES = 24
MAX_BARS = 1500  # above, bars of one lane and status that nearly touch are drawn as one
NEARLY = 1 / 800  # of the width
PAUSE = 0.1  # of all the time that anything ran: a longer time in which nothing did is cut out
COLUMNS = ["device", "lane", "trial", "optimizer", "status", "start", "end", "begun", "ended"]
UNITS = ((7200.0, 1.0, "seconds"), (7200.0 * 24, 60.0, "minutes"), (np.inf, 3600.0, "hours"))
Floats = NDArray[np.float64]


def timeline_data(results: Results) -> pd.DataFrame:
    """Return (stretches, COLUMNS): from when to when a trial was trained, on which device, and how that ended.

    `begun`, `ended`: unix seconds; `start`, `end`: seconds since the first start, in which long pauses of the whole
    sweep are left out. `lane`: from 0, a place on the device that is free of others in that time. A stretch without an
    end in the ledger (a driver was killed) ends with the trial's last row before the next one, or where it began.
    """
    study = results.study
    optimizers = dict(zip(study.trials["trial"], study.trials["optimizer"], strict=True))
    rows = _row_times(results)
    several = len(study.runs) > 1
    records = [record for run in study.runs for record in _stretches(run, rows, prefix=f"{run.name}/" * several)]
    if not records:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    table = pd.DataFrame(records).sort_values(["device", "begun"], kind="stable").reset_index(drop=True)
    table["optimizer"] = table["trial"].map(optimizers)
    table["lane"] = [lane for _, group in table.groupby("device", sort=False) for lane in _lanes(group)]
    table["start"], table["end"] = _without_pauses(table["begun"].to_numpy(), table["ended"].to_numpy())
    return table[COLUMNS]


def _row_times(results: Results) -> dict[str, Floats]:
    history = results.study.history
    known = history[history["time"].notna()]
    codes, times = known["trial"].cat.codes.to_numpy(), known["time"].to_numpy()
    names = known["trial"].cat.categories
    ends = np.flatnonzero(np.diff(codes)) + 1
    return {names[codes[part[0]]]: times[part] for part in np.split(np.arange(len(codes)), ends) if len(part)}


def _stretches(run: Run, rows: dict[str, Floats], *, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the stretches of a run's trials, each from a status line `running` to the next line of its trial."""
    for trial, lines in run.ledger.history.items():
        name = prefix + trial
        for position, line in enumerate(lines):
            if line["status"] != Status.RUNNING or not line.get("time"):
                continue
            following = lines[position + 1] if position + 1 < len(lines) else None
            begun = float(line["time"])
            limit = float(following["time"]) if following and following.get("time") else np.inf
            if following and following["status"] != Status.RUNNING:
                status, ended = following["status"], limit
            else:
                times = rows.get(name, np.empty(0))
                within = times[(times >= begun) & (times <= limit)]
                ended = float(within.max()) if len(within) else begun
                status = Status.INTERRUPTED if following else run.ledger.status(trial)
            place = " ".join(part for part in (line.get("host", ""), line.get("device", "")) if part)
            yield {
                "device": place or "unknown device",
                "trial": name,
                "status": str(status),
                "begun": begun,
                "ended": max(begun, ended),
            }


def _lanes(group: pd.DataFrame) -> list[int]:
    """Return a lane for each stretch, in order of their beginnings: the lowest that is free."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []  # until when, lane
    lanes, used = [], 0
    for begun, ended in zip(group["begun"], group["ended"], strict=True):
        while busy and busy[0][0] <= begun:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if not free:
            heapq.heappush(free, used)
            used += 1
        lane = heapq.heappop(free)
        heapq.heappush(busy, (ended, lane))
        lanes.append(lane)
    return lanes


def _without_pauses(begun: Floats, ended: Floats) -> tuple[Floats, Floats]:
    """Return beginnings and ends in seconds since the first, pauses cut to a hundredth of the time that is left."""
    order = np.argsort(begun, kind="stable")
    reached = np.maximum.accumulate(ended[order])
    gaps = np.maximum(0.0, begun[order][1:] - reached[:-1])
    active = reached[-1] - begun.min() - gaps.sum()
    cut = np.where(gaps > PAUSE * active, gaps - PAUSE * active / 10, 0.0)
    at, cuts = begun[order][1:][cut > 0], cut[cut > 0]
    before = np.concatenate([[0.0], np.cumsum(cuts)])
    first = begun.min()
    return (
        begun - first - before[np.searchsorted(at, begun, side="right")],
        ended - first - before[np.searchsorted(at, ended, side="right")],
    )


def draw_timeline(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a row of lanes per device, a bar per stretch, by how it ended; a dashed line: a pause that is left out."""
    ax = figure.subplots()
    devices = _devices(data)
    shown = data[data["device"].isin(devices)]
    lanes = shown.groupby("device")["lane"].max() + 1
    tops = np.concatenate([[0.0], np.cumsum([lanes[device] / lanes.max() * 0.86 + 0.14 for device in devices])])
    unit, name = _unit(shown["end"].max())
    merged = _merged(shown)
    for status in [status for status in STATUS_COLOURS if status in set(merged["status"])]:
        bars = merged[merged["status"] == status]
        top = bars["device"].map(dict(zip(devices, tops[:-1], strict=True))) + 0.07
        height = 0.86 / lanes.max()
        low = top + bars["lane"] * height
        gap = 0.08 * height
        left, right = bars["start"] / unit, bars["end"] / unit
        corners = np.stack(
            [np.column_stack([left, low + gap]), np.column_stack([right, low + gap]),
             np.column_stack([right, low + height - gap]), np.column_stack([left, low + height - gap])], axis=1,
        )  # fmt: skip
        ax.add_collection(
            PolyCollection(list(corners), fc=STATUS_COLOURS[status], ec="white", lw=0.3, hatch=HATCHES[status])
        )
    for pause in _pauses(data):
        ax.axvline(pause / unit, color="black", lw=1, ls="--")
    centres = (tops[:-1] + tops[1:]) / 2
    ax.set_yticks(
        centres, [f"{device}\nbusy {100 * _busy(shown[shown['device'] == device], data):.0f} %" for device in devices]
    )
    ax.set(xlim=(0, max(shown["end"].max() / unit, 1e-9) * 1.005), ylim=(tops[-1], 0))
    for top in tops[1:-1]:
        ax.axhline(top, color="#bbbbbb", lw=0.8)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(MaxNLocator(8))
    ax.set_xlabel(f"{name} since the first start")
    found = [status for status in STATUS_COLOURS if status in set(shown["status"])]
    patches = [Patch(fc=STATUS_COLOURS[status], hatch=HATCHES[status], ec="white") for status in found]
    ax.legend(
        patches, [status_label(s) for s in found], loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0
    )


def _merged(data: pd.DataFrame) -> pd.DataFrame:
    """Return the bars, those of one lane and status that nearly touch as one if they are many."""
    if len(data) <= MAX_BARS:
        return data
    data = data.sort_values(["device", "lane", "start"], kind="stable")
    same = (data[["device", "lane", "status"]] == data[["device", "lane", "status"]].shift()).all(axis=1)
    near = data["start"] - data["end"].shift() < NEARLY * data["end"].max()
    groups = data.groupby((~(same & near)).cumsum())
    return groups.agg({"device": "first", "lane": "first", "status": "first", "start": "min", "end": "max"})


def _devices(data: pd.DataFrame) -> list[str]:
    return sorted(data["device"].unique())[:MAX_DEVICES]


def _busy(device: pd.DataFrame, data: pd.DataFrame) -> float:
    """Return the share of the time of the whole sweep in which a device trained anything."""
    bars = device.sort_values("start")
    reached = bars["end"].cummax().shift(fill_value=0.0)
    covered = (bars["end"] - np.maximum(bars["start"], reached)).clip(lower=0).sum()
    return float(covered / data["end"].max()) if data["end"].max() else 1.0


def _pauses(data: pd.DataFrame) -> Iterable[float]:
    """Return where pauses were cut out, in seconds of training time."""
    offset = data["begun"] - data["start"]
    table = data.assign(offset=offset.round(3)).sort_values("start")
    return table.loc[table["offset"] > table["offset"].cummax().shift(fill_value=offset.min()) + 0.01, "start"].tolist()


def _unit(seconds: float) -> tuple[float, str]:
    return next((size, name) for limit, size, name in UNITS if seconds < limit / 12)


def _caption(data: pd.DataFrame) -> str:
    devices = data["device"].nunique()
    pauses = len(list(_pauses(data)))
    most = int(data.groupby("device")["lane"].max().max()) + 1
    cut = (
        f" {format_count(pauses, 'pause')} of the whole sweep {'is' if pauses == 1 else 'are'} left out (dashed)."
        if pauses
        else ""
    )
    more = len(data) - data["trial"].nunique()
    again = f", {format_count(more, 'time')} more after a failure or a stop," if more else ""
    merged = " Bars that nearly touch are drawn as one." if len(data) > MAX_BARS else ""
    return (
        f"{format_count(data['trial'].nunique(), 'trial')}{again} on {format_count(devices, 'device')}, "
        f"{format_seconds(data['end'].max())} in all; a bar: a trial from its start on a device to its end there. "
        f"Trials that share a device, as the lanes of a pack do, stand below each other (up to {most}). Busy: the "
        f"share of the time in which a device trained anything.{cut}{merged}"
        + style.cut_note(devices, MAX_DEVICES, "devices", "timeline")
    )


def _size(data: pd.DataFrame) -> tuple[float, float]:
    devices = _devices(data)
    most = int(data["lane"].max()) + 1
    each = max(0.4, min(2.2, 7.0 / len(devices), 0.25 + 0.09 * most))
    return 10.0, 1.5 + each * len(devices)


PLOT = Plot(
    name="timeline",
    section="Cost",
    heading="Timeline",
    title="Was the hardware busy, and what happened when?",
    data=timeline_data,
    draw=draw_timeline,
    size=_size,
    caption=_caption,
    empty="No trial has been started yet, so there is no timeline.",
)
