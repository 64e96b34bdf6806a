"""Seeds where they decide: one more in each round, for the configurations that cannot be told from the best.

    rounds(observed, spec, seeds, settled=search.settled, decided={})
    # [Round(seed=1, members=("…", "…"), why="…"), …]

A round's members are decided by the seeds of the rounds before it alone, so that a kill in the middle of a round
changes nothing; all seeds of a round end before the next one. It is racing as in irace (López-Ibáñez et al. 2016), with
the verdict's set of the best as the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ch6dist.catalog.wording import format_count
from ch6dist.runs.ranking import rank
from sweeps.search.observed import Observed, Seen
from sweeps.spec.sections import Seeds

if TYPE_CHECKING:
    from ch6dist.verdict.verdict import Verdict

VERDICT = "ch6dist.verdict.candidates"  # by name: it imports scipy, and who only looks at a run needs no verdict
WITHOUT_A_SET = 5  # best configurations that get a second seed where one each tells nothing apart


@dataclass(frozen=True)
class Round:
    """A further seed for some configurations, or why there is none."""

    seed: int
    members: tuple[str, ...]  # configurations
    why: str


DecidedRounds = dict[tuple[int, int, int], Round]  # by seed, trials before it, and the place of their newest status


def rounds(
    observed: Observed,
    spec: Mapping[str, Any],
    seeds: Seeds,
    *,
    settled: Callable[[Seen], bool],
    decided: DecidedRounds,
) -> list[Round]:
    """Return the rounds that have been decided, the last one perhaps without members: then it says why seeds end.

    Args:
        spec: of the sweep, as `dump` gives it.
        settled: whether a trial is done with, by the early stopping rule too.
        decided: rounds that were decided before, added to: a verdict over thousands of trials takes a second.
    """
    assert seeds.up_to is not None
    own = [seen for seen in observed.trials.values() if not seen.confirms and seen.config["type"] == "train"]
    made: list[Round] = []
    used = list(seeds.values)
    for seed in range(len(used), seeds.up_to):
        before = [seen for seen in own if seen.config["seed"] in used]
        members = {name for item in made[-1:] for name in item.members}
        there = {seen.line["configuration"] for seen in before if seen.config["seed"] == used[-1]}
        if not before or not all(map(settled, before)) or not members <= there:
            return made
        key = (seed, len(before), max(seen.closed_at for seen in before))
        if key not in decided:
            decided[key] = _round(observed, spec, seeds, before, seed)
        made.append(decided[key])
        if not made[-1].members:
            return made
        used.append(seed)
    return made


def _round(observed: Observed, spec: Mapping[str, Any], seeds: Seeds, before: Sequence[Seen], seed: int) -> Round:
    margin = {} if seeds.margin is None else {"margin": seeds.margin}
    ledger = observed.as_ledger({**spec, **margin}, [seen.line["trial"] for seen in before])
    judge, ranked = import_module(VERDICT).verdict_on, rank(ledger, observed.metric)
    return round_of(judge(ledger, ranked, observed.metric, beliefs=False), seed)


def round_of(verdict: Verdict, seed: int) -> Round:
    """Return the round that follows a verdict on what has been trained."""
    names = tuple(member.configuration for member in verdict.members)
    if verdict.state == "repeat":
        best = tuple(member.configuration for member in verdict.compared[:WITHOUT_A_SET])
        why = f"one seed each tells nothing apart, so the {len(best)} with the best scores get another"
        return Round(seed, best if len(verdict.compared) > 1 else (), why)
    if verdict.state != "compared" or not names:
        return Round(seed, (), "no configuration is of use: there is nothing to repeat")
    if len(names) == 1:
        return Round(seed, (), "one configuration is left: no other can be the best")
    if set(names) <= {*verdict.equivalent, verdict.leader}:
        return Round(seed, (), f"the {len(names)} that are left are equivalent: they differ by less than the margin")
    return Round(
        seed, names, f"{format_count(len(names), 'configuration')} cannot be told from the best: {_set(verdict)}"
    )


def _set(verdict: Verdict) -> str:
    seeds = sorted({member.n for member in verdict.members})
    return f"they have {' or '.join(map(str, seeds))} seeds each".replace("1 seeds", "1 seed")
