"""When and where each trial was trained, from the status lines of the ledger.

table = stretches(study)            # one row per time that a trial was trained without a break
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.study.load import Run, Study
from analysis.study.scores import Floats
from ch6dist.runs.schema import Status

COLUMNS = ["device", "lane", "trial", "optimizer", "status", "start", "end", "begun", "ended"]
UNKNOWN = "unknown device"  # of a status line that names neither host nor device
PAUSE, SHORTEST_PAUSE = 0.1, 60.0  # of all the time that anything ran, and seconds: a longer pause is cut out


def stretches(study: Study) -> pd.DataFrame:
    """Return (stretches, COLUMNS): from when to when a trial was trained, on which device, and how that ended.

    `begun`, `ended`: unix seconds; `start`, `end`: seconds since the first start, in which long pauses of the whole
    sweep are left out. `lane`: from 0, a place on the device that is free of others in that time. A stretch without an
    end in the ledger (a driver was killed) ends with the trial's last row before the next one, or where it began; one
    of a driver that is alive reaches to the newest line. No rows before any of them has lasted.
    """
    optimizers = dict(zip(study.trials["trial"], study.trials["optimizer"], strict=True))
    rows = _row_times(study)
    several = len(study.runs) > 1
    records = [record for run in study.runs for record in _stretches(run, rows, prefix=f"{run.name}/" * several)]
    if not any(record["ended"] > record["begun"] for record in records):
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    table = pd.DataFrame(records).sort_values(["device", "begun"], kind="stable").reset_index(drop=True)
    table["optimizer"] = table["trial"].map(optimizers)
    table["lane"] = [lane for _, group in table.groupby("device", sort=False) for lane in _lanes(group)]
    table["start"], table["end"] = _without_pauses(table["begun"].to_numpy(), table["ended"].to_numpy())
    return table[COLUMNS]


def _row_times(study: Study) -> dict[str, Floats]:
    history = study.trained
    known = history[history["time"].notna()]
    codes, times = known["trial"].cat.codes.to_numpy(), known["time"].to_numpy()
    names = known["trial"].cat.categories
    ends = np.flatnonzero(np.diff(codes)) + 1
    return {names[codes[part[0]]]: times[part] for part in np.split(np.arange(len(codes)), ends) if len(part)}


def _stretches(run: Run, rows: dict[str, Floats], *, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the stretches of a run's trials, each from a status line `running` to the next line of its trial."""
    ends = [times.max() for name, times in rows.items() if name.startswith(prefix)]
    latest = max([*ends, *(float(line.get("time") or 0) for line in run.ledger.statuses.values())], default=0.0)
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
                ended = latest if status == Status.RUNNING else ended
            place = " ".join(part for part in (line.get("host", ""), line.get("device", "")) if part)
            yield {
                "device": place or UNKNOWN,
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
    cut = np.where(gaps > max(PAUSE * active, SHORTEST_PAUSE), gaps - PAUSE * active / 10, 0.0)
    at, cuts = begun[order][1:][cut > 0], cut[cut > 0]
    before = np.concatenate([[0.0], np.cumsum(cuts)])
    first = begun.min()
    return (
        begun - first - before[np.searchsorted(at, begun, side="right")],
        ended - first - before[np.searchsorted(at, ended, side="right")],
    )
