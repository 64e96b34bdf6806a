"""The verdict on simulated sweeps: how often the set holds the best, how large it is, whom it keeps wrongly.

    python -m benchmarks.verdict -o benchmarks/results/verdict.md

A sweep is k configurations with known means and standard deviations, n normal scores each; `judge` sees the scores. The
profile is a real sweep: the 28 means and standard deviations of docs/results/optimizer-lr as first measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from benchmarks.common import command_line, machine, new_parser, publish, versions
from ch6dist.runs.schema import Metric
from ch6dist.verdict.candidates import noise_of_chance
from ch6dist.verdict.contenders import Candidate
from ch6dist.verdict.verdict import Verdict, judge

CHANCE, IMAGES = 0.01, 5000
FAR = 0.03  # a member of the set that is so far behind the best is one too many
# fmt: off
PROFILE = np.array([  # (28, 2): mean and standard deviation over three seeds, 8 epochs of LeNet-5 on CIFAR-100
    (0.2340, 0.0100), (0.2310, 0.0067), (0.2266, 0.0078), (0.2265, 0.0104), (0.2146, 0.0021), (0.2144, 0.0099),
    (0.1916, 0.0042), (0.1807, 0.0035), (0.1502, 0.0063), (0.1459, 0.0085), (0.1343, 0.0048), (0.1299, 0.0050),
    (0.1272, 0.0108), (0.1158, 0.0021), (0.0938, 0.0046), (0.0510, 0.0224), (0.0509, 0.0215), (0.0501, 0.0219),
    (0.0126, 0.0019), (0.0126, 0.0020), (0.0125, 0.0020), (0.0104, 0.0006), (0.0099, 0.0023), (0.0098, 0.0031),
    (0.0098, 0.0031), (0.0098, 0.0030), (0.0097, 0.0024), (0.0096, 0.0006),
])
# fmt: on


@dataclass(frozen=True)
class Case:
    """Configurations with true means and standard deviations, (k,) each, and the number of seeds of each, (k,)."""

    name: str
    means: np.ndarray
    sds: np.ndarray
    seeds: np.ndarray
    watched: int  # index of the true best whose place in the set is counted: of equal ones the one judged worst


def cases() -> Iterator[Case]:
    """Yield the profile, equal means with equal and unequal spreads and numbers of seeds, and evenly spread means."""
    for n in (3, 5, 10):
        yield Case(f"the profile, n = {n}", *PROFILE.T, np.full(28, n), 0)
    for k in (2, 4, 28):
        equal = np.full(k, 0.3)
        for n in (3, 5, 10):
            seeds = np.full(k, n)
            yield Case(f"k = {k}, n = {n}, equal", equal, np.full(k, 0.01), seeds, 0)
            yield Case(f"k = {k}, n = {n}, sd 1 to 4, the least", equal, 0.01 * np.geomspace(1, 4, k), seeds, 0)
            yield Case(f"k = {k}, n = {n}, sd 1 to 4, the largest", equal, 0.01 * np.geomspace(1, 4, k), seeds, k - 1)
            yield Case(
                f"k = {k}, n = {n}, one sd 4 times the others'",
                equal,
                0.01 * np.array([4.0] + [1.0] * (k - 1)),
                seeds,
                0,
            )
        mixed = np.resize([3, 10, 5], k)
        yield Case(f"k = {k}, n = 3, 10, 5, equal", equal, np.full(k, 0.01), mixed, 0)
        yield Case(f"k = {k}, n = 3, 10, 5, sd 2 to 1", equal, 0.01 * np.geomspace(2, 1, k), mixed, 0)
    yield Case("28 evenly over 6 sd, n = 3", np.linspace(0.36, 0.30, 28), np.full(28, 0.01), np.full(28, 3), 0)


def sweep(case: Case, generator: np.random.Generator) -> Verdict:
    """Draw the scores of one sweep and judge it."""
    found = []
    for i, (mean, sd, n) in enumerate(zip(case.means, case.sds, case.seeds, strict=True)):
        scores = tuple(generator.normal(mean, sd, size=int(n)).tolist())
        gain = float(np.mean(scores)) - CHANCE
        at_chance = gain <= noise_of_chance(CHANCE, IMAGES)
        found.append(Candidate(str(i), scores, diverged=0, gain=gain, at_chance=at_chance))
    return judge(found, metric=Metric("val_accuracy"), margin=None)


def once(case: Case, repeats: int, generator: np.random.Generator) -> dict[str, float]:
    """Return the shares and means of `repeats` simulated sweeps."""
    covered = size = far = alone = chance = 0.0
    excess, expected, probability, right = [], [], [], []
    for _ in range(repeats):
        verdict = sweep(case, generator)
        inside = [int(member.configuration) for member in verdict.members]
        leader = int(verdict.leader or 0)
        covered += case.watched in inside
        size += len(inside)
        far += bool((case.means.max() - case.means[inside] > FAR).any())
        chance += bool((case.means[inside] <= CHANCE + noise_of_chance(CHANCE, IMAGES)).any())
        alone += len(inside) == 1 and case.means[leader] < case.means.max()
        sd = float(case.sds[leader])
        excess.append((verdict.compared[0].mean - case.means[leader]) / sd)
        expected.append(((verdict.expected or np.nan) - case.means[leader]) / sd)
        probability.append(verdict.compared[0].p_best or 0.0)
        right.append(case.means[leader] == case.means.max())
    return {
        "best in the set": covered / repeats,
        "size of the set": size / repeats,
        "keeps one > 3 points worse": far / repeats,
        "keeps one at chance": chance / repeats,
        "one winner, wrongly": alone / repeats,
        "leader's mean, excess (sd)": float(np.mean(excess)),
        "expected on fresh seeds, excess (sd)": float(np.mean(expected)),
        "P(best) of the leader": float(np.mean(probability)),
        "leader is the best": float(np.mean(right)),
    }


def table(rows: Sequence[tuple[str, dict[str, float]]]) -> str:
    """Return the cases as a Markdown table."""
    heads = ["case", *rows[0][1]]
    lines = [
        [name, *(f"{value:.3f}" if value < 9.5 else f"{value:.1f}" for value in found.values())] for name, found in rows
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, ["---"] * len(heads), *lines])


def main() -> None:
    """Simulate, and print the page."""
    parser = new_parser(__doc__, pairs=2000)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    rows = [(case.name, once(case, arguments.pairs, generator)) for case in cases()]
    repeats = arguments.pairs
    what = (
        f"{repeats:,} simulated sweeps for each case. “Best in the set” should be 0.95 or more; two standard errors "
        f"of it are {2 * np.sqrt(0.95 * 0.05 / repeats):.3f}. Where means are equal every configuration is a best "
        "one, and one of them is watched. An excess is over the true mean of the leader, in its standard deviations."
    )
    title = f"# The verdict on simulated sweeps, {date.today()}"
    head = " · ".join([f"`{command_line()}`", machine(), versions()])
    publish("\n\n".join([title, head, what, table(rows)]) + "\n", arguments.output)


if __name__ == "__main__":
    main()
