"""Epochs that trials share: where a trial leaves another, the rows it has from there, and when it may begin.

    lines = with_branches(lines)                # of trials that are added together: `branch` where one leaves another
    copies = copies_due(observed, until)        # rows of others, for those that share their epochs and have not begun
    branch_points(observed)                     # {trial: [3, 6]}: epochs whose checkpoints others begin from

Two trials that differ in schedule or length alone are one training up to where their learning rates part
(ch6dist/branches.py). The first one trains it; the others have its rows, marked as shared, and begin from its
checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ch6dist.branches import Branch, alike, branches_of, read_digests
from ch6dist.config import parse_trial
from ch6dist.runs.schema import ENDED, Line, TrialLine
from sweeps.search.observed import Observed, Seen


def with_branches(lines: Sequence[TrialLine]) -> list[TrialLine]:
    """Return lines of trials that are added together, with where each leaves another of them.

    Learning rates are computed, by a program that has torch, only where trials differ in schedule or length alone.
    """
    lengths = {(str(line["config"]["schedule"]), line["config"]["epochs"]) for line in lines}
    trials = alike([parse_trial(line["config"]) for line in lines]) if len(lengths) > 1 else []
    if not trials:
        return list(lines)
    found = branches_of(trials, read_digests(trials))
    return [
        {**line, "branch": {"trial": found[line["trial"]].trial, "epoch": found[line["trial"]].epoch}}
        if line["trial"] in found
        else line
        for line in lines
    ]


def copies_due(observed: Observed, until: Callable[[str], int]) -> list[Line]:
    """Return copies of rows, marked as shared, for trials that share epochs and have not begun.

    Args:
        until: how many epochs a trial may have by now: a rung that stops it stops its copies.

    It follows from the record alone, so what a kill has left out is due again.
    """
    copies: list[Line] = []
    for source, names in observed.branching.items():
        rows = observed.rows[source]
        for name in names:
            seen = observed.trials[name]
            if seen.begun or seen.status in ENDED:
                continue
            last = min(seen.line["branch"]["epoch"], until(name))
            for epoch in range(seen.epoch + 1, last + 1):
                if epoch not in rows:
                    break
                trainer = rows[epoch].get("shared", source)
                copies.append({**rows[epoch], "trial": name, "attempt": seen.attempt, "shared": trainer})
    return copies


def may_begin(observed: Observed, seen: Seen, *, settled: bool) -> bool:
    """Return whether a trial that leaves another can be trained: the other has come so far, or never will.

    Args:
        settled: whether the other is done with.
    """
    branch = seen.line.get("branch")
    source = observed.trials.get(branch["trial"]) if branch else None
    if source is None or branch is None or seen.begun:
        return True
    return settled or branch["epoch"] in source.kept


def branch_of(observed: Observed, trial: str) -> Branch | None:
    """Return from which checkpoint a trial begins that has shared epochs: as many as it has rows of."""
    seen = observed.trials[trial]
    if not seen.shared:
        return None
    source = seen.line["branch"]["trial"]
    return Branch(trial=source, epoch=seen.shared, attempt=observed.trials[source].attempt)


def branch_points(observed: Observed, trials: Iterable[str]) -> dict[str, list[int]]:
    """Return of trials the epochs at whose end others leave them."""
    found = {}
    for trial in trials:
        names = observed.branching.get(trial, ())
        epochs = {observed.trials[name].line["branch"]["epoch"] for name in names if not observed.trials[name].closed}
        if epochs:
            found[trial] = sorted(epochs)
    return found


def points_done_with(observed: Observed) -> list[tuple[str, int]]:
    """Return the branch points that are kept, and from which nobody will begin any more."""
    found = []
    for trial in observed.branching:
        wanted = branch_points(observed, [trial]).get(trial, [])
        found += [(trial, epoch) for epoch in sorted(observed.trials[trial].kept) if epoch not in wanted]
    return found
