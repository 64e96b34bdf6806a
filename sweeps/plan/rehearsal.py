"""A sweep rehearsed on recordings: stand-ins that take as long as trials once did, and the sweep's own decisions.

    done = rehearse(search, recordings, lanes=8)        # epochs that each trial comes to, by id

A free lane takes of all trials that may train the one that is furthest, then the first. What may train next is asked of
the search, as a driver asks it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ch6dist.runs.schema import Line, Status
from sweeps.search.next_trials import Search


@dataclass(frozen=True)
class Recording:
    """What a trial came to: a value per epoch, None where there was no number; one that ends early has diverged."""

    values: Sequence[float | None]
    seconds: Sequence[float]  # of each epoch


def rehearse(search: Search, recordings: Mapping[str, Recording], *, lanes: int) -> dict[str, int]:
    """Return the epochs that each trial comes to.

    Args:
        search: it has the lines of all trials, and nothing of their training.
        recordings: of every trial, by id.
        lanes: trials that train at once.
    """
    place = {trial: number for number, trial in enumerate(recordings)}
    ends = {trial: len(recording.values) for trial, recording in recordings.items()}
    done = dict.fromkeys(recordings, 0)
    until: dict[str, int] = {}
    running: list[tuple[float, str]] = []  # when a lane is done with an epoch, and of which trial
    now = 0.0
    while True:
        if search.stale or not until:
            until = {step.trial: step.until for step in search.steps()}
        busy = {trial for _, trial in running}
        able = [trial for trial, end in until.items() if trial not in busy and done[trial] < min(end, ends[trial])]
        for trial in sorted(able, key=lambda trial: (-done[trial], place[trial]))[: lanes - len(running)]:
            heapq.heappush(running, (now + recordings[trial].seconds[done[trial]], trial))
        if not running:
            return done
        now, trial = heapq.heappop(running)
        done[trial] += 1
        search.take(_lines(search, trial, recordings[trial], done[trial]))


def _lines(search: Search, trial: str, recording: Recording, epoch: int) -> Iterator[Line]:
    """Yield what a ledger would have of an epoch of a stand-in: its row, and its end."""
    ids = {"trial": trial, "attempt": 1}
    value, seconds = recording.values[epoch - 1], recording.seconds[epoch - 1]
    yield {
        "kind": "row",
        **ids,
        "epoch": epoch,
        "step": epoch,
        search.observed.metric.name: value,
        "seconds": seconds,
    }
    if epoch == len(recording.values):
        is_whole = epoch == search.observed.trials[trial].epochs
        yield {"kind": "status", **ids, "status": Status.FINISHED if is_whole else Status.DIVERGED}
