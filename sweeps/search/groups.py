"""Who is compared with whom at a rung: trials of one schedule and one number of planned epochs.

    for group in groups(observed, seeds={0, 1}, together=True):
        contestants = [contestant(name, trials) for name, trials in group.members]
        compare(rule, contestants, epochs=group.epochs, share=group.share, metric=metric)

Rankings flip while learning rates decay, so each such group is ranked by itself. A rule that lets trials wait compares
configurations, by the mean of their seeds. One that does not compares trials of one seed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sweeps.search.observed import Observed, Seen
from sweeps.search.rules.contestant import Contestant


@dataclass(frozen=True)
class Group:
    """The trials that are compared, by contestant."""

    members: list[tuple[str, list[Seen]]]  # of each contestant its name and its trials
    epochs: int  # planned, of each
    share: float  # the part of all contestants of the sweep that is in this group


def groups(observed: Observed, *, seeds: Collection[int] | None, together: bool) -> list[Group]:
    """Return the groups of a sweep's training trials, in the ledger's order; confirmations are no part of it.

    Args:
        seeds: with which configurations take part; None: all. Seeds that are added later train in full.
        together: the seeds of a configuration are compared together.
    """
    found: dict[tuple[object, ...], dict[str, list[Seen]]] = {}
    for trial, seen in observed.trials.items():
        config = seen.config
        if config["type"] != "train" or seen.confirms or (seeds is not None and config["seed"] not in seeds):
            continue
        if together:
            found.setdefault(seen.alike, {}).setdefault(seen.line["configuration"], []).append(seen)
        else:
            found.setdefault((*seen.alike, config["seed"]), {})[trial] = [seen]
    total = sum(map(len, found.values()))
    return [
        Group(
            members=list(members.items()),
            epochs=next(iter(members.values()))[0].epochs,
            share=len(members) / total,
        )
        for members in found.values()
    ]


def contestant(name: str, trials: Sequence[Seen]) -> Contestant:
    """Return the seeds of a configuration as one, by the mean of their values where all have come.

    Once a seed is lost it stays as it was then: rows that the others still get take nothing back that was decided.
    """
    if len(trials) == 1:
        [seen] = trials
        return Contestant(name, seen.values, seen.arrived, ended=seen.lost)
    end = min((seen.closed_at for seen in trials if seen.lost), default=None)
    came = [{e: at for e, at in seen.arrived.items() if end is None or at < end} for seen in trials]
    everywhere = set.intersection(*map(set, came))
    epochs = everywhere if end is None else set().union(*came)  # a seed that is lost is not waited for
    values = {
        epoch: sum(seen.values[epoch] for seen in trials) / len(trials)
        for epoch in sorted(everywhere)
        if all(epoch in seen.values for seen in trials)
    }
    arrived = {epoch: max(each[epoch] for each in came if epoch in each) for epoch in sorted(epochs)}
    return Contestant(name, values, arrived, ended=end is not None)
