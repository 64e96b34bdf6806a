"""Check a ledger against its own decisions: every epoch was allowed when it was trained, every stop decided by then.

departures(ledger)          # [] where what happened is what `next_trials` says, line by line
"""

from __future__ import annotations

from typing import cast

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Line, Status, SweepLine
from sweeps.search.decisions import Decisions
from sweeps.search.next_trials import Search


def departures(ledger: Ledger) -> list[str]:
    """Return what in a ledger does not follow from what stood before it; empty for a sound one.

    Args:
        ledger: read with all of its lines.
    """
    found: list[str] = []
    heads: list[SweepLine] = []
    search: Search | None = None
    allowed = _Allowed()
    for line in ledger.lines:
        if line["kind"] == "sweep":
            heads.append(cast(SweepLine, line))
            search = _from_here(search, heads)
        if search is None:
            continue
        said = _departure(search, line, allowed)
        search.take([line])
        allowed.take(search, line)
        found += [said] if said else []
    return found


class _Allowed:
    """The most epochs that each trial was given since it began its newest one: that is ended, whatever is decided."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}
        self._newest: Decisions = {}

    def take(self, search: Search, line: Line) -> None:
        """Take what is decided once a line is there."""
        if line["kind"] not in ("row", "status"):
            return
        until = search.decision(line["trial"]).until
        if search.decisions is not self._newest:
            self._newest = search.decisions
            for trial, decision in self._newest.items():
                self.epochs[trial] = max(self.epochs.get(trial, 0), decision.until)
        self.epochs[line["trial"]] = until


def _from_here(before: Search | None, heads: list[SweepLine]) -> Search:
    """Return the search as the head line of a driver has it: the sweep may have been extended."""
    search = Search.of(heads[-1]["spec"], Ledger(sweeps=heads))
    search.observed.curves = True  # what comes later may be decided by what comes now
    if before:
        search.observed = before.observed
    return search


def _departure(search: Search, line: Line, allowed: _Allowed) -> str:
    trial = line.get("trial", "")
    if trial not in search.observed.trials or search.observed.trials[trial].config["type"] != "train":
        return ""
    if line["kind"] == "row" and "shared" not in line:
        decision = search.decision(trial)
        if line["epoch"] > max(decision.until, allowed.epochs.get(trial, 0)):
            return f"{trial} trained epoch {line['epoch']}, and was allowed {decision.until}: {decision.why}"
    if line["kind"] == "decision" and line["what"] == "go_on":
        decision = search.decision(trial)
        if line["until"] != decision.until:
            return f"{trial} was given {line['until']} epochs, and {decision.until} follow: {decision.why}"
    if line["kind"] == "status" and line["status"] == Status.STOPPED and line.get("rule"):
        decision = search.decision(trial)
        if not decision.out:
            return f"{trial} was stopped, and may go on: {decision.why}"
    return ""
