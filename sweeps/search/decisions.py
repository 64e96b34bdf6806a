"""How far each trial of a run may train: by the early stopping rule, and by the budget.

    decider = Decider(spec)
    decider.decide(observed, over="")["sgd-…"]      # Decision(until=3, out=False, why="rung of 3 epochs: …")

The answer is a function of what has been observed. Between two calls a decider keeps the groups as far as they have
come, so that one row costs what follows from it, and not what thousands of rows before it did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from functools import partial

from ch6dist.runs.early_stops import OVER
from sweeps.search.groups import Group, contestant, groups
from sweeps.search.observed import Observed
from sweeps.search.rules.comparison import Comparison
from sweeps.search.rules.contestant import Decision
from sweeps.search.rules.decide import compare
from sweeps.spec.sweep_file import SweepSpec

Decisions = dict[str, Decision]


class Decider:
    """The decisions of one sweep, over what is observed of it."""

    def __init__(self, spec: SweepSpec | None) -> None:
        self._spec = spec
        self._rule = spec.early_stop if spec else None
        self._upheavals = -1  # of the observed, when the groups were made
        self._found: Decisions = {}  # by the rule alone
        self._compared: list[tuple[Group, Comparison]] = []
        self._places: dict[str, tuple[int, int]] = {}  # by trial, the number of its group and its place there
        self._repeated: list[str] = []  # trials of configurations that have several

    def decide(self, observed: Observed, *, over: str) -> Decisions:
        """Return the decision of every trial.

        Args:
            over: the bound of the budget that is reached, as text; empty while none is. Running trials then finish
                their epoch, and confirmations train on: a person has asked for them.
        """
        if self._upheavals != observed.upheavals:
            self._begin(observed)
        else:
            self._go_on(observed)
        observed.fresh.clear()
        found = dict(self._found)
        if self._rule and not self._rule.together:
            self._stop_all_seeds(found, observed)
        for trial, seen in observed.trials.items() if over else ():
            if not seen.confirms and not seen.closed and seen.epoch < found[trial].until:
                found[trial] = Decision(seen.epoch, False, partial(str, f"{OVER}: {over}"))
        return found

    def _begin(self, observed: Observed) -> None:
        """Decide from nothing; seeds that a race adds train in full."""
        self._upheavals, self._compared, self._places = observed.upheavals, [], {}
        self._found = {trial: Decision(seen.epochs, False, str) for trial, seen in observed.trials.items()}
        if self._spec is None or (rule := self._rule) is None:
            return
        seeds = set(self._spec.seeds.values) if self._spec.seeds.up_to else None
        for number, group in enumerate(groups(observed, seeds=seeds, together=rule.together)):
            contestants = [contestant(name, trials) for name, trials in group.members]
            comparison = compare(rule, contestants, epochs=group.epochs, share=group.share, metric=observed.metric)
            self._compared.append((group, comparison))
            for place, (_, trials) in enumerate(group.members):
                self._places |= {seen.line["trial"]: (number, place) for seen in trials}
            self._write(group, comparison, range(len(contestants)))
        of_each = defaultdict(list)
        for trial, seen in observed.trials.items():
            of_each[seen.line["configuration"]].append(trial)
        self._repeated = [trial for trials in of_each.values() if len(trials) > 1 for trial in trials]

    def _go_on(self, observed: Observed) -> None:
        """Decide of those alone of which new epochs have come."""
        came: dict[int, set[int]] = defaultdict(set)
        for trial in observed.fresh.intersection(self._places):
            number, place = self._places[trial]
            came[number].add(place)
        for number, places in came.items():
            group, comparison = self._compared[number]
            for place in places:
                comparison.group[place] = contestant(*group.members[place])
            self._write(group, comparison, comparison.take(places))

    def _write(self, group: Group, comparison: Comparison, places: Collection[int]) -> None:
        for place in places:
            for seen in group.members[place][1]:
                self._found[seen.line["trial"]] = comparison.decisions[place]

    def _stop_all_seeds(self, found: Decisions, observed: Observed) -> None:
        """Stop all seeds of a configuration once the rule has stopped one."""
        out: dict[str, tuple[str, Decision]] = {}
        repeated = [(trial, observed.trials[trial]) for trial in self._repeated]
        for trial, seen in repeated:
            if found[trial].out and found[trial].until < seen.epochs:
                out.setdefault(seen.line["configuration"], (trial, found[trial]))
        for trial, seen in repeated if out else ():
            first, why = out.get(seen.line["configuration"], (trial, None))
            if why and first != trial and not found[trial].out and not seen.confirms:
                found[trial] = Decision(min(seen.epoch, seen.epochs), True, partial(_with, first, why))


def _with(first: str, decision: Decision) -> str:
    return f"stopped with {first}: {decision.why}"
