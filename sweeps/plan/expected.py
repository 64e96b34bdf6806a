"""How many of a sweep's epochs will be trained, where it stops early or shares epochs: what both forecasts return.

    found = expected(outcomes, trials, branches, rule)      # outcomes: how far each trial came, once or several times
    found.asked, found.epochs                               # 1800, 470.0
    found.of_trials["sgd-…"]                                # 2.3, in the mean over the outcomes

by_rule.py makes outcomes of the rule alone, rehearsal.py of recorded curves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ch6dist.branches import Branches
from ch6dist.config import TrialConfig
from sweeps.plan.further_seeds import Contest
from sweeps.spec.early_stop import EarlyStop, Median

Reached = Mapping[str, int]  # epochs that each trial comes to, by id


@dataclass(frozen=True)
class Group:
    """Configurations of one schedule and one length: a rule compares those alone."""

    configurations: tuple[str, ...]
    epochs: int  # of each
    trials: tuple[str, ...]  # of all seeds


@dataclass(frozen=True)
class Stair:
    """How many configurations of a group come to each rung, and to the end; equal groups are one stair."""

    groups: int
    steps: tuple[tuple[int, float], ...]  # epochs, configurations of each group


@dataclass(frozen=True)
class Expected:
    """What of a sweep's epochs will be trained."""

    asked: int
    epochs: float
    reached: float  # epochs that the trials come to, those of others that they take over included
    of_trials: Mapping[str, float]  # epochs that each trial is expected to train itself, by id
    levels: tuple[tuple[int, int, float], ...]  # from one epoch to another: how many trials
    stairs: tuple[Stair, ...]
    finished: float  # configurations that train to the end
    contest: Contest  # between these
    basis: str = ""  # of what it is forecast; empty: it follows from the sweep file


def expected(
    outcomes: Sequence[Reached],
    trials: Sequence[TrialConfig],
    branches: Branches,
    rule: EarlyStop | None,
    *,
    basis: str = "",
    contest: Contest | None = None,
) -> Expected:
    """Return the mean of some outcomes of a sweep.

    Args:
        trials: the training runs, all of them.
        contest: between the configurations that train to the end; None: nothing is known of it.
    """
    groups = groups_of(trials)
    count, own = max(1, len(outcomes)), dict.fromkeys((name for group in groups for name in group.trials), 0)
    for outcome in outcomes:
        for trial, epochs in to_train(outcome, branches).items():
            own[trial] += epochs
    stairs = [_stair(group, outcomes, rule) for group in groups]
    return Expected(
        asked=sum(group.epochs * len(group.trials) for group in groups),
        epochs=sum(own.values()) / count,
        reached=sum(sum(outcome.values()) for outcome in outcomes) / count,
        of_trials={trial: epochs / count for trial, epochs in own.items()},
        levels=tuple(_levels(groups, stairs)),
        stairs=tuple(Stair(stairs.count(steps), steps) for steps in dict.fromkeys(stairs)),
        finished=sum(steps[-1][1] for steps in stairs),
        contest=contest
        or Contest.evenly_spread(
            [(len(group.configurations), steps[-1][1]) for group, steps in zip(groups, stairs, strict=True)]
        ),
        basis=basis,
    )


def groups_of(trials: Iterable[TrialConfig]) -> list[Group]:
    """Return the groups of training runs that a rule compares, in the order of the sweep."""
    found: dict[tuple[str, int], dict[str, list[str]]] = {}
    for trial in trials:
        key = json.dumps(trial.schedule, sort_keys=True), trial.epochs
        found.setdefault(key, {}).setdefault(trial.configuration_id, []).append(trial.trial_id)
    return [
        Group(tuple(members), epochs, tuple(name for own in members.values() for name in own))
        for (_, epochs), members in found.items()
    ]


def to_train(reached: Reached, branches: Branches) -> dict[str, int]:
    """Return the epochs that each trial trains itself where each is trained once, by the first trial that has it.

    Beyond the end of the trial that it branches off from, which may have been stopped, a trial trains what is missing.
    """
    trunks = {branch.trial for branch in branches.values()}
    trained: set[tuple[str, int]] = set()  # epochs, each known by the trial that leads through it
    found = dict(reached)
    for trial, epochs in reached.items():
        if trial in branches or trial in trunks:
            path = _path(trial, epochs, branches)
            found[trial] = len(path - trained)
            trained |= path
    return found


def _path(trial: str, epochs: int, branches: Branches) -> set[tuple[str, int]]:
    """Return the epochs on the way of a trial to one of its epochs."""
    branch = branches.get(trial)
    start = min(branch.epoch, epochs) if branch else 0
    before = _path(branch.trial, start, branches) if branch else set()
    return before | {(trial, epoch) for epoch in range(start, epochs)}


def _stair(group: Group, outcomes: Sequence[Reached], rule: EarlyStop | None) -> tuple[tuple[int, float], ...]:
    """Return how many configurations of a group come to each rung; all seeds of one are counted as its share."""
    rungs = rule.rungs(group.epochs) if rule else ()
    shown = rungs[:1] if isinstance(rule, Median) else rungs
    whole = len(group.trials) * max(1, len(outcomes))
    return tuple(
        (
            epoch,
            len(group.configurations)
            * sum(outcome[trial] >= epoch for outcome in outcomes for trial in group.trials)
            / whole,
        )
        for epoch in (*shown, group.epochs)
    )


def _levels(
    groups: Sequence[Group], stairs: Sequence[tuple[tuple[int, float], ...]]
) -> Iterable[tuple[int, int, float]]:
    """Yield from which epoch to which how many trials train, over all groups, where they wait for each other."""
    found: dict[tuple[int, int], float] = {}
    for group, steps in zip(groups, stairs, strict=True):
        seeds, before = len(group.trials) / len(group.configurations), 0
        for epoch, count in steps:
            found[before, epoch] = found.get((before, epoch), 0.0) + seeds * count
            before = epoch
    return ((low, high, count) for (low, high), count in sorted(found.items()))
