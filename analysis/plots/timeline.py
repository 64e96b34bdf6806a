"""When and where each trial was trained: was the hardware busy, what blocked it, what failed?

data = timeline_data(results)      # one row per stretch of training of a trial
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.plots.sweep_health import HATCHES, STATUS_COLOURS
from analysis.study.results import Results
from analysis.study.stretches import UNKNOWN, stretches
from ch6dist.catalog.wording import format_count, format_seconds, status_label

MAX_DEVICES = 24
MAX_LANES = 320  # rows of bars in the figure; more lanes than that share rows
MAX_BARS = 1500  # above, bars of one lane and status that nearly touch are drawn as one
NEARLY = 1 / 800  # of the width
UNITS = ((7200.0, 1.0, "seconds"), (7200.0 * 24, 60.0, "minutes"), (np.inf, 3600.0, "hours"))


def timeline_data(results: Results) -> pd.DataFrame:
    """Return (stretches, stretches.COLUMNS): from when to when a trial was trained, on which device, how that ended."""
    return stretches(results.study)


def draw_timeline(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a row of lanes per device, a bar per stretch, by how it ended; a dashed line: a pause that is left out."""
    ax = figure.subplots()
    devices = _devices(data)
    shown = _folded(data[data["device"].isin(devices)])
    lanes = shown.groupby("device")["lane"].max() + 1
    tops = np.concatenate([[0.0], np.cumsum([lanes[device] / lanes.max() * 0.86 + 0.14 for device in devices])])
    total = shown["end"].max()
    unit, name = _unit(total)
    merged = _merged(shown)
    for status in [status for status in STATUS_COLOURS if status in set(merged["status"])]:
        bars = merged[merged["status"] == status]
        top = bars["device"].map(dict(zip(devices, tops[:-1], strict=True))) + 0.07
        height = 0.86 / lanes.max()
        low = top + bars["lane"] * height
        gap = 0.0 if lanes.sum() > MAX_LANES / 2 else 0.08 * height
        left, right = bars["start"] / unit, np.maximum(bars["end"], bars["start"] + NEARLY * total) / unit
        corners = np.stack(
            [np.column_stack([left, low + gap]), np.column_stack([right, low + gap]),
             np.column_stack([right, low + height - gap]), np.column_stack([left, low + height - gap])], axis=1,
        )  # fmt: skip
        ax.add_collection(
            PolyCollection(
                list(corners), fc=STATUS_COLOURS[status], ec="white", lw=0.3 if gap else 0.0, hatch=HATCHES[status]
            )
        )
    for pause in _pauses(data):
        ax.axvline(pause / unit, color="black", lw=1, ls="--")
    centres = (tops[:-1] + tops[1:]) / 2
    ax.set_yticks(centres, [_tick_label(device, shown, data) for device in devices])
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


def _tick_label(device: str, shown: pd.DataFrame, data: pd.DataFrame) -> str:
    """Return the device and how busy it was; what ran on unknown devices says nothing of any one of them."""
    if device == UNKNOWN:
        return f"{device}s"
    return f"{device}\nbusy {100 * _busy(shown[shown['device'] == device], data):.0f} %"


def _folded(data: pd.DataFrame) -> pd.DataFrame:
    """Return the stretches with neighbouring lanes in one where there are too many of them."""
    return data.assign(lane=data["lane"] // _fold(data))


def _fold(data: pd.DataFrame) -> int:
    """Return how many lanes share a row of the figure."""
    return math.ceil((data.groupby("device")["lane"].max() + 1).sum() / MAX_LANES)


def _merged(data: pd.DataFrame) -> pd.DataFrame:
    """Return the bars, those of one lane and status that nearly touch as one if they are many."""
    if len(data) <= MAX_BARS:
        return data
    data = data.sort_values(["device", "lane", "start"], kind="stable")
    same = (data[["device", "lane", "status"]] == data[["device", "lane", "status"]].shift()).all(axis=1)
    reached = data.groupby((~same).cumsum())["end"].cummax()
    near = data["start"] - reached.shift() < NEARLY * data["end"].max()
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
    again = f", {format_count(more, 'time')} more after a pause, a failure or a stop," if more else ""
    merged = " Bars that nearly touch are drawn as one." if len(data) > MAX_BARS else ""
    fold = _fold(data[data["device"].isin(_devices(data))])
    merged += f" {fold} lanes share a row." if fold > 1 else ""
    unknown = (data["device"] == UNKNOWN).any()
    known = devices - int(unknown)
    where = [format_count(known, "device")] * bool(known) + [f"{UNKNOWN}s"] * bool(unknown)
    busy = " Busy: the share of the time in which a device trained anything." if known else ""
    return (
        f"{format_count(data['trial'].nunique(), 'trial')}{again} on {' and '.join(where)}, "
        f"{format_seconds(data['end'].max())} in all; a bar: a trial from its start on a device to its end there. "
        f"Trials that {'share a device, as the lanes of a pack do,' if known else 'ran at once'} stand below each "
        f"other (up to {most}).{busy}{cut}{merged}" + style.cut_note(devices, MAX_DEVICES, "devices", "timeline")
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
    empty="No trial has been trained for any time yet, so there is no timeline.",
)
