"""What the search wants next, carried out: trials that are added, packs of what is to train, trials that wait or end.

    ahead = LookAhead(search, table, queue, ledger, pack=make_packs)
    ahead.look()                        # after lines were written; nothing happens unless they decide something
    ahead.leaving(3)                    # what a pack's trials are to do that have trained as far as they may

The search decides (sweeps/search/next_trials.py); the ledger has a decision before a worker follows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ch6dist.packs import Leave
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import checkpoint_name, epoch_checkpoint
from ch6dist.runs.schema import ENDED, Line, Status
from sweeps.driver.jobs import PackJob
from sweeps.driver.ledger_writer import LedgerWriter
from sweeps.driver.pack_queue import PackQueue
from sweeps.driver.trial_table import TrialState, TrialTable
from sweeps.search.next_trials import Search
from sweeps.search.sharing import branch_of, branch_points, missing_rows, points_done_with, shared_rows
from sweeps.wire.messages import Reply

ASKED = Leave(Status.STOPPED, "asked to stop")  # by a person
Pack = Callable[[Sequence[Mapping[str, Any]]], Sequence[PackJob]]  # makes packs of configurations


class LookAhead:
    """The search, as the driver follows it."""

    def __init__(self, search: Search, table: TrialTable, queue: PackQueue, ledger: LedgerWriter, *, pack: Pack):
        self.search, self.table, self.queue, self.ledger, self.pack = search, table, queue, ledger, pack

    def look(self) -> None:
        """Carry out what the search decides by now."""
        if not self.search.stale:
            return
        self._add_trials()
        steps = {step.trial: step for step in self.search.steps()}
        lines: list[Line] = []
        for trial, entry in self.table.entries.items():
            before, step = entry.until, steps.get(trial)
            entry.until = self.search.decision(trial).until if entry.config["type"] == "train" else None
            if step is None:
                lines += self._waiting(entry)
            elif before is not None and entry.epoch and step.until > max(before, entry.epoch) and self.search.waits:
                lines.append(_decision(trial, "go_on", step.until, step.why))
                if entry.status == Status.STOPPED:  # the sweep was extended
                    lines.append(self.ledger.ending(trial, Status.PAUSED, step.why))
        self.ledger.write(lines)
        self._drop_branch_points()
        to_pack = [self.table.entries[trial].config for trial in steps if trial not in self.queue.place]
        if to_pack:
            packs = self.pack(to_pack)
            self.ledger.write_packs(packs)
            for pack in packs:
                self.queue.add(pack)

    def begin(self, ledger: Ledger) -> None:
        """Write what a kill has left out: copies of rows for the trials that share them.

        Args:
            ledger: of the run as it is now, with its rows.
        """
        if self.search.observed.branching:
            self.ledger.write(missing_rows(self.search.observed, ledger.rows))

    def with_copies(self, lines: Sequence[Line]) -> list[Line]:
        """Return lines that have come, and copies of rows for the trials that share them."""
        copies = shared_rows(self.search.observed, lines) if self.search.observed.branching else []
        return [*lines, *copies]

    def with_branches(self, reply: Reply) -> Reply:
        """Return a reply with where the trials that it admits leave others, and at which epochs others leave them."""
        found = {trial: branch_of(self.search.observed, trial) for trial in reply.attempts}
        branches = {trial: branch for trial, branch in found.items() if branch}
        return replace(reply, branches=branches, keep=branch_points(self.search.observed, reply.attempts))

    def leaving(self, number: int) -> dict[str, Leave]:
        """Return the trials of a pack that have trained as far as they may, and how they leave it."""
        found = {}
        for trial in self.queue.packs[number].trials if not self.search.static else ():
            entry = self.table.entries[trial]
            unclear = self.search.observed.trials[trial].unclear
            if entry.status == Status.RUNNING and entry.waits and entry.done < entry.epochs and not unclear:
                decision = self.search.decision(trial)
                status = Status.STOPPED if decision.out else Status.PAUSED
                found[trial] = Leave(status, decision.why, rule=decision.out)
        return found

    def let_go(self, lines: Iterable[tuple[int, Line]]) -> None:
        """Take trials that have paused out of the packs that wrote so."""
        for number, line in lines:
            if line.get("status") == Status.PAUSED:
                self.queue.leave(number, {line["trial"]})

    def stop_paused(self, trials: Iterable[str]) -> None:
        """Stop trials that wait for a decision, as a person has asked."""
        for trial in trials:
            if self.table.entries[trial].status == Status.PAUSED and not self.queue.trains(trial):
                if trial in self.queue.place:
                    self.queue.leave(self.queue.place[trial], {trial})
                self.ledger.write([self.ledger.ending(trial, Status.STOPPED, ASKED.reason)])

    def _add_trials(self) -> None:
        """Write the trials that are to be added, and why."""
        while new := self.search.new_trials():
            now = time.time()
            reasons = [
                _decision(item.line["trial"], "begin", item.line["config"]["epochs"], item.why, now)
                for item in new
                if item.why
            ]
            self.ledger.write([*(item.line for item in new), *reasons])
            self.search.keep_journal(self.ledger.record.run)

    def _drop_branch_points(self) -> None:
        """Remove the checkpoints from which nobody will begin any more, once the ledger says so."""
        observed, gone, files = self.search.observed, [], []
        for trial, epoch in points_done_with(observed):
            attempt, name = observed.trials[trial].attempt, epoch_checkpoint(epoch)
            files.append(f"checkpoints/{checkpoint_name(trial, name, attempt=attempt)}")
            place = {"kind": "artifact", "trial": trial, "attempt": attempt, "name": name, "epoch": epoch}
            gone.append({**place, "path": None, "reason": "every branch has ended", "time": time.time()})
        if gone:
            self.ledger.write(gone)
            self.ledger.record.uploader.remove(files)

    def _waiting(self, entry: TrialState) -> list[Line]:
        """Return the line of a trial that is given nothing more by now: it waits, or that was its end."""
        trial, place = entry.trial, self.queue.place.get(entry.trial)
        if entry.status in ENDED or self.queue.trains(trial):
            return []  # its worker reports how it leaves
        if place is not None:
            self.queue.leave(place, {trial})
        decision = self.search.decision(trial)
        if decision.out:
            return [self.ledger.ending(trial, Status.STOPPED, decision.why) | {"rule": True}]
        if entry.status == Status.RUNNING:  # it has trained so far, and was cut off before it could say that it waits
            return [self.ledger.ending(trial, Status.PAUSED, decision.why)]
        return []


def _decision(trial: str, what: str, until: int, why: str, now: float | None = None) -> Line:
    moment = time.time() if now is None else now
    return {"kind": "decision", "trial": trial, "what": what, "until": until, "why": why, "time": moment}
