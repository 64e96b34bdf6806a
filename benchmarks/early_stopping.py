"""Early stopping on recorded trainings: what each rule spends of a whole grid, and whether it finds its best.

    python -m benchmarks.early_stopping -o benchmarks/results/early_stopping.md
    python -m benchmarks.early_stopping --record RUN        # write --curves from the run folder of a whole grid

No speed: every configuration has been trained to the end with every seed, and the rules decide on these curves, in
shuffled orders of the sweep. The set of the best is the verdict's on the whole grid.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, command_line, machine, new_parser, publish, versions
from benchmarks.recorded import CHANCE, Curve, by_configuration, grid_verdict, read_curves, replay, winner, write_curves
from ch6dist.catalog.wording import format_difference, format_metric
from ch6dist.runs.schema import Metric
from ch6dist.verdict.verdict import Verdict
from sweeps.spec.early_stop import EarlyStop, parse_early_stop

CURVES = ROOT / "benchmarks" / "early_stopping" / "curves.csv"
LANES, BLIND = 8, 2000  # trials at once; how often configurations are chosen blindly
GOAL = 1 / 3  # of the grid's epochs
METRIC = Metric("val_accuracy")


@dataclass(frozen=True)
class Try:
    """What one replayed sweep is worth."""

    share: float  # of the grid's epochs
    in_the_set: bool
    is_best: bool
    regret: float  # how far the winner is behind the best of the grid; without a winner, how far chance is


class Grid:
    """The recorded grid: what it cost, and which of its configurations are the best."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.curves = curves
        self.configurations = by_configuration(curves)
        self.epochs = max(curve.epochs for curve in curves)
        self.cost = sum(curve.epochs for curve in curves)
        self.verdict: Verdict = grid_verdict(curves, METRIC)
        scores = {name: [c.score(METRIC.name, self.epochs) for c in own] for name, own in self.configurations.items()}
        self.means = {
            name: statistics.fmean(score for score in own if score is not None)
            for name, own in scores.items()
            if None not in own
        }
        self.set = {member.configuration for member in self.verdict.members}

    def shuffled(self, seed: int) -> list[Curve]:
        """Return the trials with the configurations in another order, the seeds of each side by side."""
        names = list(self.configurations)
        random.Random(seed).shuffle(names)
        return [curve for name in names for curve in self.configurations[name]]

    def judge(self, epochs: int, finished: Sequence[str]) -> Try:
        """Return what a sweep is worth that has trained these configurations to the end."""
        best, found = self.means[self.verdict.leader or ""], winner(finished, self.means, METRIC)
        regret = best - (self.means[found] if found else CHANCE)
        return Try(epochs / self.cost, found in self.set, found == self.verdict.leader, regret)

    def blindly(self, share: float, seed: int) -> Try:
        """Return what as many epochs are worth that train some configurations in full, chosen without looking."""
        spent, finished = 0, []
        for name in dict.fromkeys(curve.configuration for curve in self.shuffled(seed)):
            spent += sum(curve.epochs for curve in self.configurations[name])
            if spent > share * self.cost + 1e-9:
                break
            finished.append(name)
        return self.judge(round(share * self.cost), finished)


def rules(configurations: int) -> dict[str, EarlyStop]:
    """Return the rules as somebody would write them: a look after one or two epochs, a tenth or a third goes on."""
    written: Sequence[dict[str, Any]] = (
        {"name": "top_k", "after": 2, "keep": max(1, configurations // 10)},
        {"name": "halving", "first": 1, "factor": 3},
        {"name": "asha", "first": 1, "factor": 3},
        {"name": "asha", "first": 1, "factor": 4},
        {"name": "asha", "first": 1, "factor": 3, "promote": False},
        {"name": "median", "after": 1},
        {"name": "median", "after": 1, "percentile": 25},
    )
    return {_text(content): parse_early_stop(content) for content in written}


def _text(rule: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {str(value).lower()}" for key, value in rule.items()) + "}"


HEAD = (
    "rule",
    "epochs, share of the grid's",
    "found the set",
    "found the best",
    "regret, points",
    "blindly: found the set",
    "goal",
)


def cells(name: str, tries: Sequence[Try], blind: Sequence[Try]) -> tuple[str, ...]:
    """Return a row of the table: medians, and the range over the shuffles."""
    shares, regrets = [t.share for t in tries], [100 * t.regret for t in tries]
    found = sum(t.in_the_set for t in tries)
    return (
        name,
        f"{statistics.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})",
        f"{found} of {len(tries)}",
        f"{sum(t.is_best for t in tries)} of {len(tries)}",
        f"{statistics.median(regrets):.2f} ({min(regrets):.2f} to {max(regrets):.2f})",
        f"{sum(t.in_the_set for t in blind) / len(blind):.0%}" if blind else "–",
        "" if not blind else "met" if statistics.median(shares) <= GOAL and found > len(tries) / 2 else "not met",
    )


def measure(grid: Grid, shuffles: int) -> list[tuple[str, ...]]:
    """Return the rows of the table."""
    found = [cells("the whole grid", [grid.judge(grid.cost, list(grid.configurations))], ())]
    third = [grid.blindly(GOAL, seed) for seed in range(BLIND)]
    found.append(cells("a third of it, chosen blindly", third, ()))
    for name, rule in rules(len(grid.configurations)).items():
        orders = (grid.shuffled(seed) for seed in range(shuffles))
        ends = [replay(rule, order, lanes=LANES, metric=METRIC) for order in orders]
        tries = [grid.judge(end.epochs, end.finished) for end in ends]
        share = statistics.median(t.share for t in tries)
        found.append(cells(f"`{name}`", tries, [grid.blindly(share, seed) for seed in range(BLIND)]))
    return found


def page(grid: Grid, rows: Sequence[Sequence[str]], shuffles: int) -> str:
    """Return the dated page."""
    seeds = len(grid.curves) / len(grid.configurations)
    lost = sum(curve.epochs < grid.epochs for curve in grid.curves)
    leader = grid.verdict.leader or ""
    what = (
        f"{len(grid.configurations)} configurations × {seeds:g} seeds × {grid.epochs} epochs, {lost} of the trials "
        f"diverged before; the grid is {grid.cost} epochs. Best is {leader} with "
        f"{format_metric(grid.means[leader], METRIC.name)}; {len(grid.set)} configurations are in the set of the best. "
        f"{shuffles} orders of the configurations, {LANES} trials at once; in brackets the range over the orders. A "
        "rule's winner is the best of what it trained to the end. “Blindly” is as many epochs, spent on whole "
        "trainings of configurations that nobody looked at before: the share of such choices whose best is in it, of "
        f"{BLIND:,}. Regret is in points of validation accuracy. The goal: in the median, the set for at most a "
        "third of the grid's epochs."
    )
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    members = ", ".join(
        f"{member.configuration} ({format_metric(member.mean, METRIC.name)}, "
        f"{format_difference(member.behind, METRIC.name)} behind)"
        for member in grid.verdict.members
    )
    title = f"# Early stopping on a recorded grid, {date.today()}"
    head = " · ".join([f"`{command_line()}`", machine(), versions()])
    return "\n\n".join([title, head, what, table, f"The set: {members}."]) + "\n"


def main() -> None:
    """Replay, and print the page; or write the curves of a run."""
    parser = new_parser(__doc__, pairs=20)
    parser.add_argument("--curves", type=Path, default=CURVES, help="the recorded curves")
    parser.add_argument("--record", type=Path, metavar="RUN", help="write the curves of this run folder, and no more")
    arguments = parser.parse_args()
    if arguments.record:
        write_curves(arguments.record, arguments.curves)
        return
    grid = Grid(read_curves(arguments.curves))
    rows = measure(grid, arguments.pairs)
    publish(page(grid, rows, arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
