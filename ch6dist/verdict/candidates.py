"""From a ledger to what a verdict is made of: the configurations with the scores of their seeds, chance and cost.

verdict = verdict_of(ledger)                     # of the training runs, final ones left out
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.naming import optimizer_label, schedule_label
from ch6dist.catalog.wording import is_fraction
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.ranking import Ranked, rank
from ch6dist.runs.schema import BROKEN, ENDED, Line, Metric, Status
from ch6dist.verdict.verdict import Candidate, Missing, Verdict, judge

DEFAULT_MARGIN = 0.005  # half a point; of accuracies only: no size of a loss is small everywhere


def verdict_of(ledger: Ledger, metric: Metric | None = None) -> Verdict:
    """Return the verdict on the configurations of a ledger, by its sweep's metric unless another is given."""
    metric = metric or Metric.of(ledger.spec)
    return verdict_on(ledger, rank(ledger, metric), metric)


def verdict_on(ledger: Ledger, ranked: Sequence[Ranked], metric: Metric) -> Verdict:
    """Return the verdict on configurations that have been ranked by `metric`."""
    return judge(candidates(ledger, ranked), metric=metric, margin=margin_of(ledger.spec, metric))


def margin_of(spec: Mapping[str, Any], metric: Metric) -> float | None:
    """Return the difference that does not matter, as the sweep says it for its metric; else half a point."""
    default = DEFAULT_MARGIN if is_fraction(metric.name) else None
    return spec.get("margin", default) if Metric.of(spec).name == metric.name else default


def candidates(ledger: Ledger, ranked: Sequence[Ranked]) -> list[Candidate]:
    """Return ranked configurations as candidates, in their order; after a confirmation those with fresh seeds alone.

    The others were told apart before, on scores that are no longer compared with.
    """
    rows = ledger.rows_by_trial()
    fresh = [item for item in ranked if item.fresh_trials]
    return [_candidate(ledger, item, rows) for item in fresh or ranked]


def _candidate(ledger: Ledger, item: Ranked, rows: Mapping[str, Sequence[Line]]) -> Candidate:
    config = ledger.trials[item.trials[0]]["config"]
    trials, scores = (item.fresh_trials, item.fresh) if item.fresh_trials else (item.trials, item.scores)
    diverged = sum(ledger.status(trial) == Status.DIVERGED for trial in trials)
    finished = [trial for trial in trials if ledger.status(trial) == Status.FINISHED and rows[trial]]
    accuracy = _mean([rows[trial][-1].get("val_accuracy") for trial in finished])
    data = DATASETS.get(config["data"]["name"])
    chance = 1 / data.classes if data else None
    images = config["data"].get("val_size")
    gain = None if accuracy is None or chance is None else accuracy - chance
    return Candidate(
        configuration=item.configuration,
        scores=scores,
        diverged=diverged,
        missing=_missing(ledger, trials, scored=len(scores), diverged=diverged),
        gain=gain,
        at_chance=gain is not None and chance is not None and bool(images) and gain <= noise_of_chance(chance, images),
        seconds=_mean([ledger.seconds[trial] for trial in finished]),
        parts=_parts(config),
        fresh=bool(item.fresh_trials),
    )


def _missing(ledger: Ledger, trials: Sequence[str], *, scored: int, diverged: int) -> Missing:
    statuses = {ledger.status(trial) for trial in trials}
    if statuses & BROKEN:
        return "failed"
    if statuses - ENDED:
        return "not finished"
    if Status.STOPPED in statuses:
        return "stopped early"
    return "" if scored + diverged == len(trials) else "without a score"


def noise_of_chance(chance: float, images: int) -> float:
    """Return two binomial standard deviations of an accuracy at chance, measured on `images` images."""
    return 2 * float((chance * (1 - chance) / images) ** 0.5)


def _parts(config: Mapping[str, Any]) -> int:
    """Return how many settings of optimizer and schedule differ from the defaults, as their names show them."""
    schedule = config.get("schedule") or {}
    named = "" if schedule.get("name", "none") == "none" else schedule_label(schedule)
    return len(optimizer_label(config["optimizer"]).split()) - 1 + len(named.split())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
