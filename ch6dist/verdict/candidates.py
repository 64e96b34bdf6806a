"""From a ledger to what a verdict is made of: the configurations with the scores of their seeds, chance and cost.

verdict = verdict_of(ledger)                     # of the training runs, final ones left out
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ch6dist.catalog.lookup import known, known_dataset
from ch6dist.catalog.naming import differences
from ch6dist.catalog.wording import DEFAULT_MARGIN, is_fraction
from ch6dist.runs.confirmations import open_confirmation
from ch6dist.runs.early_stops import over_budget, rule_name, stopped_by_rule
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.ranking import Ranked, rank, trial_score
from ch6dist.runs.schema import BROKEN, ENDED, Line, Metric, Status
from ch6dist.verdict.contenders import BY_RULE, Candidate, Missing
from ch6dist.verdict.verdict import Verdict, judge


def verdict_of(ledger: Ledger, metric: Metric | None = None) -> Verdict:
    """Return the verdict on the configurations of a ledger, by its sweep's metric unless another is given."""
    metric = metric or Metric.of(ledger.spec)
    return verdict_on(ledger, rank(ledger, metric), metric)


def verdict_on(ledger: Ledger, ranked: Sequence[Ranked], metric: Metric) -> Verdict:
    """Return the verdict on configurations that have been ranked by `metric`."""
    found = candidates(ledger, ranked)
    complete = sum(item.complete for item in ranked)
    return judge(
        found,
        metric=metric,
        margin=margin_of(ledger.spec, metric),
        confirming=open_confirmation(ledger),
        before=complete - sum(not c.missing for c in found),
        rule=rule_name(ledger.spec),
        over_budget=bool(over_budget(ledger)),
    )


def margin_of(spec: Mapping[str, Any], metric: Metric) -> float | None:
    """Return the difference that does not matter, as the sweep says it for its metric; else half a point."""
    default = DEFAULT_MARGIN if is_fraction(metric.name) else None
    return spec.get("margin", default) if Metric.of(spec).name == metric.name else default


def candidates(ledger: Ledger, ranked: Sequence[Ranked]) -> list[Candidate]:
    """Return ranked configurations as candidates, in their order.

    After a confirmation these are the ones with fresh seeds, which are no longer compared with the others, and those
    that may yet win. If nothing that was confirmed is of use (diverged, failed, at chance), all are compared by the
    seeds that rank them.
    """
    rows = ledger.rows_by_trial()
    fresh = [(item, _candidate(ledger, item, rows, fresh=True)) for item in ranked if item.fresh_trials]
    if not any(item.confirmed and _is_usable(candidate) for item, candidate in fresh):
        return [_candidate(ledger, item, rows, fresh=item.confirmed) for item in ranked]
    others = [_candidate(ledger, item, rows, fresh=False) for item in ranked if not item.fresh_trials]
    return [*(candidate for _, candidate in fresh), *(c for c in others if c.missing)]


def at_chance(ledger: Ledger, ranked: Sequence[Ranked]) -> set[str]:
    """Return the configurations, of all that are ranked, whose accuracy is at chance on the seeds that rank them."""
    rows = ledger.rows_by_trial()
    found = (_candidate(ledger, item, rows, fresh=item.confirmed) for item in ranked)
    return {candidate.configuration for candidate in found if candidate.at_chance}


def _is_usable(candidate: Candidate) -> bool:
    return bool(candidate.scores) and not (candidate.missing or candidate.diverged or candidate.at_chance)


def _candidate(ledger: Ledger, item: Ranked, rows: Mapping[str, Sequence[Line]], *, fresh: bool) -> Candidate:
    config = ledger.trials[item.trials[0]]["config"]
    trials, scores = (item.fresh_trials, item.fresh) if fresh else (item.trials, item.scores)
    diverged = sum(ledger.status(trial) == Status.DIVERGED for trial in trials)
    finished = [trial for trial in trials if ledger.status(trial) == Status.FINISHED and rows[trial]]
    accuracy = _mean([trial_score(rows[trial], "val_accuracy", epochs=config["epochs"]) for trial in finished])
    data = known_dataset(config["data"])
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
        seconds=_mean([ledger.seconds.get(trial) for trial in finished]),
        parts=_parts(config),
        fresh=fresh,
    )


def _missing(ledger: Ledger, trials: Sequence[str], *, scored: int, diverged: int) -> Missing:
    statuses = {ledger.status(trial) for trial in trials}
    if statuses & BROKEN:
        return "failed"
    if statuses - ENDED:
        return "not finished"
    if any(stopped_by_rule(ledger, trial) for trial in trials):
        return BY_RULE
    if Status.STOPPED in statuses:
        return "stopped early"
    return "" if scored + diverged == len(trials) else "without a score"


def noise_of_chance(chance: float, images: int) -> float:
    """Return two binomial standard deviations of an accuracy at chance, measured on `images` images."""
    return 2 * float((chance * (1 - chance) / images) ** 0.5)


def _parts(config: Mapping[str, Any]) -> int:
    """Return how many settings differ from the defaults, a schedule and each of its parts being one."""
    optimizer = set(differences(known("optimizer", config["optimizer"]), config["optimizer"])) - {"lr"}
    smoothing = bool(config.get("label_smoothing"))
    return smoothing + len(optimizer) + _schedule_parts(config.get("schedule") or {})


def _schedule_parts(schedule: Mapping[str, Any]) -> int:
    name = schedule.get("name", "none")
    inner = schedule.get("schedulers")
    if inner is not None:
        parts = 1 + sum(map(_schedule_parts, inner))
    else:
        parts = 0 if name == "none" else 1 + len(differences(known("schedule", schedule), schedule))
    return parts + bool(schedule.get("warmup"))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
