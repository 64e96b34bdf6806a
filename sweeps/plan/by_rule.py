"""How far trials will come by the early stopping rule alone, on made-up ranks: nobody knows yet which are good.

    found = by_rule(spec, trials, branches)     # Expected

Every order of the configurations is as likely as any other, and at all rungs the same; what shares epochs with another
is as good as that one. The rules themselves (sweeps/search/rules) decide on it. How many go on at a rung of top_k and
halving depends on no order. Of median, which looks at curves, it is assumed that all but its percentile end at its
first look and the rest never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random

from ch6dist.branches import Branches
from ch6dist.config import TrialConfig
from ch6dist.runs.schema import Metric
from sweeps.plan.expected import Expected, Group, expected, groups_of
from sweeps.search.rules.contestant import Contestant
from sweeps.search.rules.decide import decide
from sweeps.search.rules.median import LEAST
from sweeps.spec.early_stop import EarlyStop, Median
from sweeps.spec.sweep_file import SweepSpec

DRAWS = 20  # orders of the configurations, at most
EFFORT = 50_000  # decisions on one configuration in all, below a second: larger sweeps are drawn less often


def by_rule(spec: SweepSpec, trials: Sequence[TrialConfig], branches: Branches) -> Expected:
    """Return what is expected of the rule alone, and of the epochs that trials share.

    Args:
        trials: of the plan; range tests have no epochs.
        branches: where trials leave others (ch6dist/branches.py).
    """
    trained, rule = [trial for trial in trials if trial.type == "train"], spec.early_stop
    if rule is None or not trained:
        return expected([{trial.trial_id: trial.epochs for trial in trained}], trained, branches, None)
    groups, rng = groups_of(trained), Random(0)
    owner = {trial.trial_id: trial.configuration_id for trial in trained}
    root = _roots(owner, branches)
    batches = list(_batches(list(dict.fromkeys(owner.values())), spec.batch))
    draws = max(1, min(DRAWS, EFFORT // sum(len(known) for known in batches)))
    outcomes = []
    for _ in range(draws):
        luck = {name: rng.random() for name in root}
        rank = {name: luck[first] for name, first in root.items()}
        until = _draw(rule, groups, batches, rank, Metric(spec.metric.name))
        outcomes.append({trial: until[name] for trial, name in owner.items()})
    return expected(outcomes, trained, branches, rule, basis=_basis(rule))


def _roots(owner: Mapping[str, str], branches: Branches) -> dict[str, str]:
    """Return of each configuration the one whose epochs its own begin with: one training has one value at a rung.

    Args:
        owner: the configuration of each trial, a trial before those that leave it.
    """
    found: dict[str, str] = {}
    for trial, name in owner.items():
        leaves = branches.get(trial)
        found.setdefault(name, found[owner[leaves.trial]] if leaves else name)
    return found


def _batches(names: Sequence[str], batch: int | None) -> Iterator[set[str]]:
    """Yield the configurations that are known when the rule decides: all, or of a search by a model batch by batch."""
    size = batch or len(names)
    for end in range(size, len(names) + size, size):
        yield set(names[:end])


def _draw(
    rule: EarlyStop, groups: Sequence[Group], batches: Sequence[set[str]], rank: Mapping[str, float], metric: Metric
) -> dict[str, int]:
    """Return how far each configuration comes in one order of them; what more of them decide takes nothing back."""
    found: dict[str, int] = {}
    total = len(rank)
    for known in batches:
        for group in groups:
            members = [name for name in group.configurations if name in known]
            share = len(members) / min(total, len(known))
            for name, epochs in _until(rule, members, group.epochs, rank, metric, share).items():
                found[name] = max(epochs, found.get(name, 0))
    return found


def _until(
    rule: EarlyStop, names: Sequence[str], epochs: int, rank: Mapping[str, float], metric: Metric, share: float
) -> dict[str, int]:
    """Return how far the configurations of a group come that are as good as their rank."""
    rungs = (*rule.rungs(epochs), epochs)
    if isinstance(rule, Median):
        judged = sorted(names[LEAST:], key=rank.__getitem__)
        out = set(judged[: int((1 - rule.percentile / 100) * len(judged))])
        return {name: rungs[0] if name in out else epochs for name in names}
    group = [
        Contestant(name, dict.fromkeys(rungs, rank[name]), dict.fromkeys(rungs, place))
        for place, name in enumerate(names)
    ]
    decided = decide(rule, group, epochs=epochs, share=share, metric=metric)
    return {name: decision.until for name, decision in decided.items()}


def _basis(rule: EarlyStop) -> str:
    """Return what is assumed, as a sentence; of rules whose rungs wait for all, nothing but that nobody is lost."""
    if isinstance(rule, Median):
        ending = f"{1 - rule.percentile / 100:.0%} are assumed to end after {rule.after} epochs"
        return f"median stops by curves, which nobody has yet: {ending}"
    if rule.name == "asha":
        return "asha decides by the order in which trials come: the mean over random orders of the configurations"
    return ""
