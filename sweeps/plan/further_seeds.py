"""How many trials further seeds will add: races run ahead on made-up scores, until the verdict ends them.

    found = further_seeds(spec.seeds, Contest.evenly_spread([(28, 3)]), margin=0.005)
    found.trials        # 8.9 in the mean; found.races has those of each round

Nobody knows yet how far configurations lie apart. They are taken to be spread evenly over SPREAD, and the seeds of each
to differ by NOISE, as in 100 recorded trainings (benchmarks/early_stopping/curves.csv); on the curves of a run both are
known. Who gets another seed is decided as in the sweep (sweeps/search/racing.py).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from random import Random

from ch6dist.runs.schema import Metric
from sweeps.search.racing import CONTENDERS, WITHOUT_A_SET, round_of
from sweeps.spec.sections import Seeds

NOISE = 0.01  # standard deviation of the accuracy between seeds: LeNet-5 after 9 epochs of CIFAR-100, measured
SPREAD = 0.25  # accuracy from the best configuration to the worst, measured there
REACH = 12  # standard deviations behind the best beyond which no configuration gets another seed
DRAWS = 20  # races, at most
EFFORT = 1000  # seeds that may follow in all races: where many may, fewer races are run, one at least
NAMED = Metric("val_accuracy")  # the larger, the better


@dataclass(frozen=True)
class Contest:
    """Configurations that are trained to the end; both numbers in the unit of the metric."""

    behind: tuple[float, ...]  # how far each is behind the best, ≥ 0, the best first
    noise: float  # standard deviation between seeds
    assumed: bool = False  # nothing is known of them: the numbers are usual accuracies

    @classmethod
    def evenly_spread(cls, groups: Sequence[tuple[int, float]]) -> Contest:
        """Return what is assumed of groups of configurations: of each how many there are, and how many finish."""
        behind = [SPREAD * place / count for count, finished in groups for place in range(round(finished))]
        return cls(tuple(sorted(behind)), NOISE, assumed=True)

    @classmethod
    def of_scores(cls, scores: Sequence[Sequence[float]], *, count: int) -> Contest | None:
        """Return what scores tell, of each configuration one per seed, larger ones better; None without two seeds.

        Args:
            count: configurations that they stand for; where these are more, they lie evenly between them.
        """
        variances = [statistics.variance(own) for own in scores if len(own) > 1]
        if not variances:
            return None
        means = sorted(map(statistics.fmean, scores), reverse=True)
        number, behind = max(count, len(means)), []
        for place in range(number):
            low, above = divmod(place * (len(means) - 1), max(1, number - 1))
            next_one = means[min(low + 1, len(means) - 1)]
            behind.append(means[0] - means[low] + (means[low] - next_one) * above / max(1, number - 1))
        return cls(tuple(behind), math.sqrt(statistics.fmean(variances)))


@dataclass(frozen=True)
class FurtherSeeds:
    """What races have come to: of each, how many trials its rounds have."""

    races: tuple[tuple[int, ...], ...] = ()

    @property
    def trials(self) -> float:
        """Return how many trials follow, in the mean."""
        return self.mean(float)

    def mean(self, of_round: Callable[[int], float]) -> float:
        """Return what races sum up to, in the mean, given what a round of so many trials is worth."""
        return sum(of_round(trials) for race in self.races for trials in race) / max(1, len(self.races))


def further_seeds(seeds: Seeds, contest: Contest, *, margin: float | None) -> FurtherSeeds:
    """Return what further seeds are expected to add.

    Args:
        seeds: of the sweep, with `up_to`.
        margin: differences below it do not matter, in the unit of the metric; None: all do.
    """
    rounds = range(len(seeds.values), seeds.up_to or 0)
    true = {
        str(place): -behind
        for place, behind in enumerate(contest.behind)
        if place < WITHOUT_A_SET or behind <= REACH * contest.noise
    }
    draws = max(1, min(DRAWS, EFFORT // max(1, len(true) * len(rounds))))
    rng = Random(0)
    return FurtherSeeds(tuple(tuple(_race(rounds, true, contest.noise, margin, rng)) for _ in range(draws)))


def _race(rounds: range, true: Mapping[str, float], noise: float, margin: float | None, rng: Random) -> Iterator[int]:
    """Yield how many trials each round of one race has."""
    verdict = import_module(CONTENDERS)
    scores = {name: [rng.gauss(value, noise) for _ in range(rounds.start)] for name, value in true.items()}
    for seed in rounds:
        candidates = [verdict.Candidate(name, tuple(own), diverged=0) for name, own in scores.items()]
        found = round_of(verdict.contend(candidates, metric=NAMED), seed, margin=margin)
        if not found.members:
            return
        yield len(found.members)
        for name in found.members:
            scores[name].append(rng.gauss(true[name], noise))
