"""Which trials train in which pack of a launch: packs wait, begin and end; failed ones return to the queue.

    queue = PackQueue(table)
    queue.add(pack)
    number = queue.next()           # the next pack to be given to Ray Tune; None when none waits
    pack = queue.begin(number)      # its worker is there: the trials that it trains
    admitted = queue.refill(number) # at the end of an epoch: trials that join it
    queue.end(number)               # its worker is done with it, or dead

As lanes of a running pack end, trials that wait in later packs take them over. Only the driver moves trials, one report
at a time, and only out of packs that have not begun: so no trial trains twice. A trial that pauses leaves its pack, and
comes back in any other.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection
from dataclasses import replace

from ch6dist.packs import shared
from ch6dist.runs.schema import ENDED, Status
from sweeps.driver.jobs import PackJob
from sweeps.driver.trial_table import TrialTable


class PackQueue:
    """The packs of a launch by number, in the order in which they were added or put back."""

    def __init__(self, table: TrialTable) -> None:
        self.packs: list[PackJob] = []
        self.table = table
        self.queue: deque[int] = deque()
        self.under_way: set[int] = set()  # given to Ray Tune, not ended
        self.lanes: dict[int, int] = {}  # of running packs: how many lanes each began with
        self.keys: dict[int, str] = {}  # of packs that exchange trials: not of those put back after a failure
        self.waiting: dict[str, list[int]] = {}
        self.place: dict[str, int] = {}  # of trials that wait or train: the number of their pack

    def add(self, pack: PackJob) -> None:
        """Add a pack behind those that wait."""
        number = self._append(pack)
        self.queue.append(number)
        self.keys[number] = self._key(pack)
        self.waiting.setdefault(self.keys[number], []).append(number)

    @property
    def over(self) -> bool:
        """Return whether nothing waits and nothing is under way."""
        return not self.queue and not self.under_way

    @property
    def stalled(self) -> bool:
        """Return whether packs are under way and none of them is running."""
        return bool(self.under_way) and not self.lanes

    def next(self) -> int | None:
        """Return the number of the next pack that has trials, which is under way from now on; None when none waits."""
        while self.queue:
            number = self.queue.popleft()
            if self.packs[number].trials:
                self.under_way.add(number)
                return number
        return None

    def put_back(self, pack: PackJob) -> None:
        """Put a pack before those that have not begun. Its trials take no lanes of other packs."""
        self.queue.appendleft(self._append(pack))

    def leave(self, number: int, trials: Collection[str]) -> None:
        """Take trials that will not train in it, or no longer, out of a pack."""
        pack = self.packs[number]
        self.packs[number] = replace(pack, trials=tuple(trial for trial in pack.trials if trial not in trials))
        for trial in trials:
            if self.place.get(trial) == number:
                del self.place[trial]

    def trains(self, trial: str) -> bool:
        """Return whether a pack that has begun trains a trial."""
        return self.place.get(trial) in self.lanes

    def begin(self, number: int) -> PackJob:
        """Return the pack that begins: its trials, less those that other packs have taken."""
        self._close(number)
        self.lanes[number] = len(self.packs[number].trials)
        return self.packs[number]

    def end(self, number: int) -> list[str]:
        """Return the trials that a pack, whose worker is done with it or dead, has left unfinished."""
        self._close(number)
        self.under_way.discard(number)
        self.lanes.pop(number, None)
        rest = [trial for trial in self.packs[number].trials if self._unfinished(trial)]
        for trial in self.packs[number].trials:
            if self.place.get(trial) == number:
                del self.place[trial]
        return rest

    def refill(self, number: int, *, without: Collection[str] = (), slots: int = 1) -> list[str]:
        """Move waiting trials to a running pack, as many as it has free lanes, and return their ids.

        A pack whose last lanes are ending gets none: its slot goes to the next pack as a whole. (A range test counts as
        one epoch, so its packs are never refilled.) Trials that resume after a kill are not moved: the last bits of a
        fused lane depend on its batch group. Paused ones are: they left theirs.

        Args:
            without: trials that are to stop before they begin.
            slots: how many packs train at once; the packs that an idle one will train are left to it.
        """
        if number not in self.keys:
            return []
        entries = self.table.entries
        members = [trial for trial in self.packs[number].trials if self._unfinished(trial)]
        staying = sum(not entries[trial].waits for trial in members)
        if not 0 < staying < self.lanes[number]:
            return []
        idle = max(0, slots - len(self.lanes))
        spared = sorted(n for numbers in self.waiting.values() for n in numbers if self.packs[n].trials)[:idle]
        admitted = self._take(self.keys[number], self.lanes[number] - staying, without, spared=spared)
        if admitted:
            self.packs[number] = replace(self.packs[number], trials=(*members, *admitted))
            self.place |= dict.fromkeys(admitted, number)
        return admitted

    def _close(self, number: int) -> None:
        """Take no more trials from a pack: it has begun, or its process has died."""
        if number in self.keys and number in self.waiting[self.keys[number]]:
            self.waiting[self.keys[number]].remove(number)

    def _append(self, pack: PackJob) -> int:
        self.packs.append(pack)
        self.place |= dict.fromkeys(pack.trials, len(self.packs) - 1)
        return len(self.packs) - 1

    def _unfinished(self, trial: str) -> bool:
        return self.table.entries[trial].status not in ENDED

    def _movable(self, trial: str) -> bool:
        entry = self.table.entries[trial]
        return not entry.last or entry.status == Status.PAUSED

    def _take(self, key: str, count: int, without: Collection[str], *, spared: Collection[int]) -> list[str]:
        """Take up to `count` trials that have not begun or are paused, from the pack that would begin last."""
        taken: list[str] = []
        for number in reversed(self.waiting[key]):
            if number in spared:
                continue
            trials = self.packs[number].trials
            fresh = [trial for trial in trials if self._movable(trial) and trial not in without]
            chosen = set(fresh[max(0, len(fresh) - (count - len(taken))) :])
            taken += [trial for trial in trials if trial in chosen]
            self.leave(number, chosen)
            if len(taken) == count:
                break
        return taken

    def _key(self, pack: PackJob) -> str:
        """Return the key of a pack; packs with equal keys may exchange trials."""
        return json.dumps(shared(self.table.entries[pack.trials[0]].config, engine=pack.engine), sort_keys=True)
