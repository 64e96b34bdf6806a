"""Who trains in which pack of a launch: packs wait in a queue, begin, and end; what broke comes back to the queue.

    lineup = Lineup(packs, board)
    number = lineup.next()          # the next pack to be given to Ray Tune; None when none waits
    pack = lineup.begin(number)     # its worker is there: who is in it now
    admitted = lineup.refill(number)    # at an epoch's end: who joins it
    lineup.end(number)              # its worker is done with it, or dead

As lanes of a running pack end, trials that wait in later packs take them over. Only the driver moves trials, one report
at a time, and only out of packs that have not begun: so no trial trains twice.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from ch6dist.packs import shared
from ch6dist.runs.schema import ENDED
from sweeps.driver.jobs import PackJob
from sweeps.driver.trial_table import Board


class Lineup:
    """The packs of a launch by number, in the order in which they were planned or came back."""

    def __init__(self, packs: Sequence[PackJob], board: Board) -> None:
        self.packs, self.board = list(packs), board
        self.planned = len(packs)  # packs beyond it are what broke and came back
        self.queue = deque(range(len(packs)))
        self.under_way: set[int] = set()  # given to Ray Tune and not ended
        self.lanes: dict[int, int] = {}  # of packs that train: how many lanes each began with
        self.keys = [self._key(pack) for pack in packs]
        self.waiting: dict[str, list[int]] = {}
        for number, key in enumerate(self.keys):
            self.waiting.setdefault(key, []).append(number)

    @property
    def over(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.queue and not self.under_way

    @property
    def stalled(self) -> bool:
        """Whether packs are under way and none of them has a place to train."""
        return bool(self.under_way) and not self.lanes

    def next(self) -> int | None:
        """The number of the next pack that has trials, which is under way from now on; None when none waits."""
        while self.queue:
            number = self.queue.popleft()
            if self.packs[number].trials:
                self.under_way.add(number)
                return number
        return None

    def come_back(self, pack: PackJob) -> None:
        """Try a pack again before those that have not begun. Its trials take no lanes of other packs."""
        self.packs.append(pack)
        self.queue.appendleft(len(self.packs) - 1)

    def leave(self, number: int, trials: Collection[str]) -> None:
        """Trials that will not train leave their pack before it begins."""
        pack = self.packs[number]
        self.packs[number] = replace(pack, trials=tuple(trial for trial in pack.trials if trial not in trials))

    def begin(self, number: int) -> PackJob:
        """A pack takes no more part in the waiting; who is in it, less those that have gone to other packs."""
        self._settle(number)
        self.lanes[number] = len(self.packs[number].trials)
        return self.packs[number]

    def end(self, number: int) -> list[str]:
        """A pack's worker is done with it, or dead; its trials that have not ended."""
        self._settle(number)
        self.under_way.discard(number)
        self.lanes.pop(number, None)
        return [trial for trial in self.packs[number].trials if self.board.entries[trial].status not in ENDED]

    def refill(self, number: int, *, without: Collection[str] = ()) -> list[str]:
        """Waiting trials that join a running pack, as many as it has lanes to spare; they are its own from now on.

        A pack whose last lanes are ending gets none: its place goes to the next pack as a whole. (A range test counts
        as one round, so its packs are never refilled.) Trials that go on from a checkpoint are not moved: the last bits
        of a fused lane depend on its company. `without` are those that shall not begin at all.
        """
        if number >= self.planned:
            return []
        entries = self.board.entries
        members = [trial for trial in self.packs[number].trials if entries[trial].status not in ENDED]
        staying = sum(entries[trial].done < entries[trial].epochs for trial in members)
        if not 0 < staying < self.lanes[number]:
            return []
        admitted = self._take(self.keys[number], self.lanes[number] - staying, without)
        if admitted:
            self.packs[number] = replace(self.packs[number], trials=(*members, *admitted))
        return admitted

    def _settle(self, number: int) -> None:
        """Take nothing from a pack any more: it has begun, or its process has died."""
        if number < self.planned and number in self.waiting[self.keys[number]]:
            self.waiting[self.keys[number]].remove(number)

    def _take(self, key: str, count: int, without: Collection[str]) -> list[str]:
        """Up to `count` trials that have not begun, from the pack that would begin last: the next ones stay whole."""
        taken: list[str] = []
        for number in reversed(self.waiting[key]):
            trials = self.packs[number].trials
            fresh = [trial for trial in trials if not self.board.entries[trial].last and trial not in without]
            chosen = set(fresh[max(0, len(fresh) - (count - len(taken))) :])
            taken += [trial for trial in trials if trial in chosen]
            self.leave(number, chosen)
            if len(taken) == count:
                break
        return taken

    def _key(self, pack: PackJob) -> str:
        """Packs with one key may exchange trials."""
        return json.dumps(shared(self.board.entries[pack.trials[0]].config, engine=pack.engine), sort_keys=True)
