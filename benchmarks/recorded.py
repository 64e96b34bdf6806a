"""A recorded grid trained again by stand-ins: what a rule of early stopping would have spent on it, and what won.

    curves = read_curves(Path("benchmarks/early_stopping/curves.csv"))
    end = replay(parse_early_stop({"name": "halving", "first": 1}), curves, lanes=8, metric=Metric("val_accuracy"))
    end.epochs, end.finished                # epochs trained, the configurations that were trained to the end

A stand-in takes as long as its recording for every epoch, on one of `lanes` lanes, and its rows arrive in that order
(sweeps/plan/rehearsal.py).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from ch6dist.catalog.labels import label_all
from ch6dist.runs.confirmations import key_of
from ch6dist.runs.ledger import read
from ch6dist.runs.ranking import last_k
from ch6dist.runs.schema import Metric
from ch6dist.sections import parse_section
from ch6dist.verdict.candidates import noise_of_chance
from ch6dist.verdict.contenders import Candidate
from ch6dist.verdict.verdict import Verdict, judge
from sweeps.plan.rehearsal import Recording, rehearse
from sweeps.search.next_trials import Search
from sweeps.search.observed import Observed
from sweeps.spec.early_stop import EarlyStop
from sweeps.spec.sweep_file import SweepSpec, dump

COLUMNS = ("configuration", "optimizer", "lr", "seed", "epoch", "val_accuracy", "val_loss", "seconds")
CHANCE, IMAGES, MARGIN = 0.01, 5000, 0.005  # of CIFAR-100's validation split; half a point does not matter


@dataclass
class Curve:
    """The recording of one trial: a value per epoch that it was trained; None where there was no number."""

    configuration: str
    seed: int
    values: dict[str, list[float | None]] = field(default_factory=lambda: {"val_accuracy": [], "val_loss": []})
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Return how many epochs it was trained."""
        return len(self.seconds)

    def score(self, metric: str, epochs: int) -> float | None:
        """Return the mean of the last epochs, as every ranking has it; None if it did not train to the end."""
        last = [value for value in self.values[metric][-last_k(epochs) :] if value is not None]
        return fmean(last) if self.epochs == epochs and len(last) == last_k(epochs) else None


@dataclass(frozen=True)
class End:
    """What a replayed sweep came to."""

    epochs: int
    finished: tuple[str, ...]  # configurations all of whose seeds were trained to the end


def write_curves(run: Path, path: Path) -> None:
    """Write the recordings of a run folder, without the trials of a confirmation."""
    ledger = read(run)
    trials = [trial for trial, line in ledger.trials.items() if not key_of(line)]
    configs = [ledger.trials[trial]["config"] for trial in trials]
    rows = ledger.rows_by_trial()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for trial, config, label in zip(trials, configs, label_all(configs).labels, strict=True):
            for row in rows.get(trial, []):
                values = [_short(row.get(name), 5) for name in ("val_accuracy", "val_loss")]
                begin = [str(label), label.optimizer, label.lr, config["seed"], row["epoch"]]
                table.writerow([*begin, *values, _short(row.get("seconds"), 3)])


def read_curves(path: Path) -> list[Curve]:
    """Return the recordings of a file, in its order."""
    found: dict[tuple[str, int], Curve] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row["configuration"], int(row["seed"])
            curve = found.setdefault(key, Curve(*key))
            for name, values in curve.values.items():
                values.append(float(row[name]) if row[name] else None)
            curve.seconds.append(float(row["seconds"]))
    return list(found.values())


def by_configuration(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """Return the recordings of every configuration."""
    found: dict[str, list[Curve]] = {}
    for curve in curves:
        found.setdefault(curve.configuration, []).append(curve)
    return found


def grid_verdict(curves: Sequence[Curve], metric: Metric) -> Verdict:
    """Return the verdict on the whole grid: what every trial, trained to the end, says."""
    epochs = max(curve.epochs for curve in curves)
    candidates = []
    for name, own in by_configuration(curves).items():
        scores = [score for curve in own if (score := curve.score(metric.name, epochs)) is not None]
        accuracies = [a for curve in own if (a := curve.score("val_accuracy", epochs)) is not None]
        gain = fmean(accuracies) - CHANCE if accuracies else None
        at_chance = gain is not None and gain <= noise_of_chance(CHANCE, IMAGES)
        lost = len(own) - len(scores)
        candidates.append(Candidate(name, tuple(scores), diverged=lost, gain=gain, at_chance=at_chance))
    return judge(candidates, metric=metric, margin=MARGIN if metric.name == "val_accuracy" else None)


def replay(rule: EarlyStop, trials: Sequence[Curve], *, lanes: int, metric: Metric) -> End:
    """Return what a sweep of these trials, in their order, comes to.

    Args:
        trials: the seeds of each configuration side by side, the same for all.
    """
    epochs = max(curve.epochs for curve in trials)
    search = search_over(rule, trials, epochs, metric)
    curves = dict(zip(search.observed.trials, trials, strict=True))
    recordings = {trial: Recording(curve.values[metric.name], curve.seconds) for trial, curve in curves.items()}
    done = rehearse(search, recordings, lanes=lanes)
    short = {curve.configuration for trial, curve in curves.items() if done[trial] < epochs}
    return End(sum(done.values()), tuple(name for name in by_configuration(trials) if name not in short))


def search_over(rule: EarlyStop, trials: Sequence[Curve], epochs: int, metric: Metric) -> Search:
    """Return the decisions of a sweep that has as many configurations and seeds; its learning rates mean nothing."""
    configurations = by_configuration(trials)
    spec = {
        "name": "replay",
        "trial": {"epochs": epochs},
        "parameters": {"optimizer.lr": [(i + 1) / 1000 for i in range(len(configurations))]},
        "seeds": [curve.seed for curve in next(iter(configurations.values()))],
        "metric": metric.name,
        "early_stop": rule.model_dump(),
    }
    search = Search(dump(parse_section(SweepSpec, spec)), Observed(metric))
    search.take([new.line for new in search.new_trials()])
    return search


def winner(finished: Sequence[str], means: Mapping[str, float], metric: Metric) -> str | None:
    """Return the best of the configurations that a sweep has trained to the end; None without one that has a score."""
    sign = 1.0 if metric.goal == "maximize" else -1.0
    return max((name for name in finished if name in means), key=lambda name: sign * means[name], default=None)


def _short(value: float | None, digits: int) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"
