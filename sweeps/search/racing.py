"""Seeds where they decide: one more in each round, for the configurations that cannot be told from the best.

    rounds(observed, spec, seeds, settled=search.settled, races=Races())
    # [Round(seed=1, members=("…", "…"), why="…"), …]

A round's members are decided by the seeds of the rounds before it alone, so that a kill in the middle of a round
changes nothing; all seeds of a round end before the next one. It is racing as in irace (López-Ibáñez et al. 2016), with
the verdict's set of the best as the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ch6dist.catalog.wording import format_count
from ch6dist.runs.ranking import rank
from sweeps.search.observed import Observed, Seen
from sweeps.spec.sections import Seeds

if TYPE_CHECKING:
    from ch6dist.verdict.contenders import Candidate, Contenders

# by name: they import scipy, and who only looks at a run needs no verdict
CANDIDATES, CONTENDERS = "ch6dist.verdict.candidates", "ch6dist.verdict.contenders"
AT_A_TIME = 100  # trials whose ends are looked at together, before the last one's
WITHOUT_A_SET = 5  # best configurations that get a second seed where one each tells nothing apart


@dataclass(frozen=True)
class Round:
    """A further seed for some configurations, or why there is none."""

    seed: int
    members: tuple[str, ...]  # configurations
    why: str


@dataclass
class Races:
    """What a search keeps of its races, so that a round's end is quick: all of it follows from the ledger."""

    decided: dict[tuple[int, int, int], Round] = field(default_factory=dict)
    """By seed, trials before it, and the place of their newest status."""
    candidates: dict[str, tuple[tuple[Any, ...], Candidate]] = field(default_factory=dict)
    """By configuration: what its trials were, and what they make of it in a verdict."""
    looked_at: int = 0  # trials whose ends have been looked at

    def candidates_of(self, observed: Observed, spec: Mapping[str, Any], trials: Sequence[Seen]) -> list[Candidate]:
        """Return the configurations of some trials, by name; only those are computed that have changed.

        A configuration's candidate depends on no other one.
        """
        states: dict[str, tuple[Any, ...]] = {}
        for seen in trials:
            name = seen.line["configuration"]
            states[name] = (*states.get(name, ()), seen.line["trial"], seen.status, seen.closed_at, seen.epoch)
        known = self.candidates
        changed = {name for name, state in states.items() if name not in known or known[name][0] != state}
        if changed:
            new = [seen.line["trial"] for seen in trials if seen.line["configuration"] in changed]
            ledger = observed.as_ledger(spec, new)
            for one in import_module(CANDIDATES).candidates(ledger, rank(ledger, observed.metric)):
                known[one.configuration] = states[one.configuration], one
        return [known[name][1] for name in sorted(states)]


def rounds(
    observed: Observed,
    spec: Mapping[str, Any],
    seeds: Seeds,
    *,
    settled: Callable[[Seen], bool],
    races: Races,
) -> list[Round]:
    """Return the rounds that have been decided, the last one perhaps without members: then it says why seeds end.

    Args:
        spec: of the sweep, as `dump` gives it.
        settled: whether a trial is done with, by the early stopping rule too.
        races: what was found before, added to.
    """
    assert seeds.up_to is not None
    own = [seen for seen in observed.trials.values() if not seen.confirms and seen.config["type"] == "train"]
    made: list[Round] = []
    used = list(seeds.values)
    for seed in range(len(used), seeds.up_to):
        before = [seen for seen in own if seen.config["seed"] in used]
        members = {name for item in made[-1:] for name in item.members}
        if not before or not _all_settled(observed, spec, before, settled, races):
            return made
        if not members <= {seen.line["configuration"] for seen in before if seen.config["seed"] == used[-1]}:
            return made
        key = (seed, len(before), max(seen.closed_at for seen in before))
        if key not in races.decided:
            races.decided[key] = _round(observed, spec, seeds, races.candidates_of(observed, spec, before), seed)
        made.append(races.decided[key])
        if not made[-1].members:
            return made
        used.append(seed)
    return made


def _all_settled(
    observed: Observed, spec: Mapping[str, Any], trials: Sequence[Seen], settled: Callable[[Seen], bool], races: Races
) -> bool:
    """Return whether trials are done with; where some are not, look at those that are, many at a time.

    So there is little left to look at when the last one ends, and lanes wait for the next round.
    """
    ended = sum(map(settled, trials))
    if ended == len(trials):
        return True
    if ended - races.looked_at >= AT_A_TIME:
        races.looked_at = ended
        waiting = {seen.line["configuration"] for seen in trials if not settled(seen)}
        races.candidates_of(observed, spec, [seen for seen in trials if seen.line["configuration"] not in waiting])
    return False


def _round(
    observed: Observed, spec: Mapping[str, Any], seeds: Seeds, candidates: Sequence[Candidate], seed: int
) -> Round:
    margin = import_module(CANDIDATES).margin_of(spec, observed.metric) if seeds.margin is None else seeds.margin
    found = import_module(CONTENDERS).contend(candidates, metric=observed.metric)
    return round_of(found, seed, margin=margin)


def round_of(found: Contenders, seed: int, *, margin: float | None) -> Round:
    """Return the round that follows on what has been trained, its best members first.

    Args:
        margin: differences below it do not matter, in the unit of the metric; None: all do.
    """
    if found.state == "repeat":
        best = tuple(one.configuration for one in found.learned[:WITHOUT_A_SET])
        why = f"one seed each tells nothing apart, so the {len(best)} with the best scores get another"
        return Round(seed, best if len(found.learned) > 1 else (), why)
    if found.state != "compared":
        return Round(seed, (), "no configuration is of use: there is nothing to repeat")
    names = found.inside
    if len(names) == 1:
        return Round(seed, (), "one configuration is left: no other can be the best")
    if set(names) <= found.equivalent(margin):
        return Round(seed, (), f"the {len(names)} that are left are equivalent: they differ by less than the margin")
    have = sorted({len(one.scores) for one in found.learned if one.configuration in {*names}})
    seeds = f"they have {' or '.join(map(str, have))} seeds each".replace("1 seeds", "1 seed")
    return Round(seed, names, f"{format_count(len(names), 'configuration')} cannot be told from the best: {seeds}")
