"""How far each contestant of a group may train: one pure function of the rule and of what the ledger has of the group.

group = [Contestant("a", values={1: 0.10, 2: 0.14}, arrived={1: 0, 2: 5}), …]
decide(TopK(name="top_k", after=2, keep=1), group, epochs=9, metric=Metric("val_accuracy"))["a"]
# Decision(until=9, out=False, why="rung of 2 epochs: 1st of 3 by validation accuracy (14.00 %), goes on: 1 goes on, …")

Nothing is remembered from one call to the next: the same rows give the same decisions after any kill. More rows never
take back an `until`. `compare` gives what decides anew when more has come, and costs as much as that is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import partial

from ch6dist.runs.schema import Metric
from sweeps.search.rules.asha import AtOnce, Promoting
from sweeps.search.rules.comparison import Comparison
from sweeps.search.rules.contestant import Contestant, Decision
from sweeps.search.rules.median import AgainstTheMedian
from sweeps.search.rules.waiting import WhenAllAreThere
from sweeps.search.rules.words import ENDED, Words
from sweeps.spec.early_stop import Asha, EarlyStop, Halving, TopK

ROUNDING = 1e-9  # a third of 9 is 3, whatever a float says


def decide(
    rule: EarlyStop, group: Sequence[Contestant], *, epochs: int, metric: Metric, share: float = 1.0
) -> dict[str, Decision]:
    """Return the decision of each contestant, by its name; the arguments are those of `compare`."""
    comparison = compare(rule, group, epochs=epochs, metric=metric, share=share)
    return {one.name: decision for one, decision in zip(group, comparison.decisions, strict=True)}


def compare(
    rule: EarlyStop, group: Sequence[Contestant], *, epochs: int, metric: Metric, share: float = 1.0
) -> Comparison:
    """Return a group with the decisions that the rule takes by now.

    Args:
        group: what is compared: of one schedule and one number of planned epochs, in the order of the sweep, which is
            that of ties. Values are larger where they are better.
        epochs: that number.
        metric: how values are said: of one that is minimized, `values` are negative and said without the sign.
        share: the part of the sweep's contestants that this group is: of `keep` it keeps its share, at least one.
    """
    rungs, words = rule.rungs(epochs), Words(metric)
    made: Comparison
    if not rungs:
        made = ToTheEnd(group, [epochs])
    elif isinstance(rule, TopK):
        keep = max(1, math.floor(rule.keep * share + ROUNDING))
        made = WhenAllAreThere(group, rungs, epochs=epochs, keep=lambda _: keep, words=words)
    elif isinstance(rule, Halving):
        factor = rule.factor
        made = WhenAllAreThere(group, rungs, epochs=epochs, keep=lambda n: max(1, n // factor), words=words)
    elif isinstance(rule, Asha):
        kind = Promoting if rule.promote else AtOnce
        made = kind(group, rungs, epochs=epochs, factor=rule.factor, words=words)
    else:
        made = AgainstTheMedian(group, rungs, percentile=rule.percentile, words=words)
    made.take(range(len(group)))
    return made


class ToTheEnd(Comparison):
    """A group with no rung before its last epoch."""

    def take(self, came: Collection[int]) -> Collection[int]:
        """Decide by what has come of some; return whose decisions may be others now."""
        for i in came:
            [epochs], is_out = self.rungs, self.group[i].ends_before(self.rungs[0])
            why = partial("all epochs: {}".format, ENDED if is_out else "no rung is left")
            self.decisions[i] = Decision(epochs, is_out, why)
        return came
