"""Who trains in which pack of a launch. As lanes of a running pack end, trials that wait in later packs take them over.

    lineup = Lineup(packs, board)
    moved = lineup.begin(3)         # its worker is there: what other packs have taken from it meanwhile
    admitted = lineup.refill(3)     # at an epoch's end: who joins it

Only the driver moves trials, one report at a time, and only out of packs that have not begun: so no trial trains twice.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace

from ch6dist.records import ENDED
from sweeps.board import Board
from sweeps.packs import shared
from sweeps.requests import PackJob


class Lineup:
    """The packs of a launch by number, and the waiting ones by what their trials share."""

    def __init__(self, packs: Sequence[PackJob], board: Board) -> None:
        self.packs, self.board = list(packs), board
        self.planned = tuple(packs)
        self.lanes: dict[int, int] = {}  # of packs that have begun: how many lanes each began with
        self.keys = [self._key(pack) for pack in packs]
        self.waiting: dict[str, list[int]] = {}
        for number, key in enumerate(self.keys):
            self.waiting.setdefault(key, []).append(number)

    def begin(self, number: int) -> list[str]:
        """A pack takes no more part in the waiting; the trials of its plan that have gone to other packs."""
        self.drop(number)
        trials = self.packs[number].trials
        self.lanes[number] = len(trials)
        kept = set(trials)
        return [trial for trial in self.planned[number].trials if trial not in kept]

    def drop(self, number: int) -> None:
        """Take nothing from a pack any more: it has begun, or its process has died."""
        if number in self.waiting[self.keys[number]]:
            self.waiting[self.keys[number]].remove(number)

    def refill(self, number: int, *, without: Collection[str] = ()) -> list[str]:
        """Waiting trials that join a running pack, as many as it has lanes to spare; they are its own from now on.

        A pack whose last lanes are ending gets none: its place goes to the next pack as a whole. (A range test counts
        as one round, so its packs are never refilled.) Trials that go on from a checkpoint are not moved: the last bits
        of a fused lane depend on its company. `without` are those that shall not begin at all.
        """
        entries = self.board.entries
        members = [trial for trial in self.packs[number].trials if entries[trial].status not in ENDED]
        staying = sum(entries[trial].done < entries[trial].epochs for trial in members)
        if not 0 < staying < self.lanes[number]:
            return []
        admitted = self._take(self.keys[number], self.lanes[number] - staying, without)
        if admitted:
            self.packs[number] = replace(self.packs[number], trials=(*members, *admitted))
        return admitted

    def _take(self, key: str, count: int, without: Collection[str]) -> list[str]:
        """Up to `count` trials that have not begun, from the pack that would begin last: the next ones stay whole."""
        taken: list[str] = []
        for number in reversed(self.waiting[key]):
            trials = self.packs[number].trials
            fresh = [trial for trial in trials if not self.board.entries[trial].last and trial not in without]
            chosen = set(fresh[max(0, len(fresh) - (count - len(taken))) :])
            taken += [trial for trial in trials if trial in chosen]
            self.packs[number] = replace(self.packs[number], trials=tuple(t for t in trials if t not in chosen))
            if len(taken) == count:
                break
        return taken

    def _key(self, pack: PackJob) -> str:
        """Packs with one key may exchange trials."""
        return json.dumps(shared(self.board.entries[pack.trials[0]].config, engine=pack.engine), sort_keys=True)
