"""How far trials will come by the curves of a run that has been: `sweeps plan SPEC --from RUN`.

    found = by_recording(spec, trials, branches, run, lanes=8)      # Expected

A trial that the run has is rehearsed on its own curve, any other on that of a trial of as many epochs or more. Where a
curve ends early, because a rule stopped the trial or it still waits, its last value stands for the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from ch6dist.branches import Branches
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from ch6dist.errors import UsageError
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.ranking import last_k
from ch6dist.runs.schema import Metric
from sweeps.plan.expected import Expected, expected
from sweeps.plan.further_seeds import Contest
from sweeps.plan.rehearsal import Recording, rehearse
from sweeps.search.next_trials import Search
from sweeps.search.observed import Observed, Seen
from sweeps.spec.expand import stand_in
from sweeps.spec.sweep_file import SweepSpec, dump


def by_recording(
    spec: SweepSpec, trials: Sequence[TrialConfig], branches: Branches, run: Path, *, lanes: int
) -> Expected:
    """Return what is expected of the rule on the curves of a run.

    Args:
        trials: of the plan.
        lanes: trials that train at once.

    Raises UsageError for a run whose trainings are all too short.
    """
    trained = [trial for trial in trials if trial.type == "train"]
    metric = Metric(spec.metric.name)
    seen = [one for one in Observed.from_ledger(read(run), metric).trials.values() if one.arrived and not one.confirms]
    curves = {one.line["trial"]: one for one in seen if one.config["type"] == "train"}
    chosen = _curves(trained, curves, run.name)
    sign = 1.0 if metric.goal == "maximize" else -1.0
    recordings = {trial.trial_id: _recording(chosen[trial.trial_id], trial.epochs, sign) for trial in trained}
    alone = stand_in(spec).model_copy(update={"budget": None})  # all known at once, and trained to the rule's end
    search = Search(dump(alone), Observed(metric))
    search.take(trial_line(trial) for trial in trained)
    outcome = rehearse(search, recordings, lanes=lanes)
    own = sum(trial.trial_id in curves for trial in trained)
    basis = f"rehearsed on the curves of {run.name}, which has {own} of the {format_count(len(trained), 'trial')}"
    basis += "" if own == len(trained) else "; its other curves stand for the rest"
    short = sum(not one.lost and max(one.arrived) < one.epochs for one in curves.values())
    basis += f"; of {short} that end early the last value stands for the rest" if short else ""
    finished = {
        trial.configuration_id: (chosen[trial.trial_id].line["configuration"], trial.epochs)
        for trial in trained
        if outcome[trial.trial_id] == trial.epochs
    }
    seeds = _by_configuration(curves)
    scores = [
        [sign * s for one in seeds[source] if (s := _score(_recording(one, epochs, sign).values, epochs)) is not None]
        for source, epochs in dict.fromkeys(finished.values())
    ]
    contest = Contest.of_scores([own for own in scores if own], count=len(finished))
    return expected([outcome], trained, branches, spec.early_stop, basis=basis, contest=contest)


def _score(values: Sequence[float | None], epochs: int) -> float | None:
    """Return what ranks a trial; None of one that was lost."""
    last = [value for value in values[epochs - last_k(epochs) :] if value is not None]
    return statistics.fmean(last) if len(last) == last_k(epochs) else None


def _by_configuration(curves: Mapping[str, Seen]) -> dict[str, list[Seen]]:
    """Return the curves of each configuration of the run, one per seed."""
    found: dict[str, list[Seen]] = {}
    for one in curves.values():
        found.setdefault(one.line["configuration"], []).append(one)
    return found


def _curves(trials: Sequence[TrialConfig], curves: Mapping[str, Seen], run: str) -> dict[str, Seen]:
    """Return the curve of each trial: its own, or that of a configuration of the run, the seeds of one side by side."""
    by_configuration = _by_configuration(curves)
    found: dict[str, Seen] = {}
    others: dict[str, list[Seen]] = {}  # of configurations that the run has not
    rng, seeds = Random(0), list(dict.fromkeys(trial.seed for trial in trials))
    for trial in trials:
        own = curves.get(trial.trial_id)
        if own is None:
            long = [members for members in by_configuration.values() if members[0].epochs >= trial.epochs]
            if not long:
                most = max((one.epochs for one in curves.values()), default=0)
                raise UsageError(
                    f"--from {run}: its trainings have at most {format_count(most, 'epoch')}, the sweep's "
                    f"{trial.epochs}: they say nothing about its end"
                )
            name = trial.configuration_id
            members = others[name] = others.get(name) or rng.choice(long)
            own = members[seeds.index(trial.seed) % len(members)]
        found[trial.trial_id] = own
    return found


def _recording(seen: Seen, epochs: int, sign: float) -> Recording:
    """Return the curve of a trial as one of so many epochs; one that was lost ends where it was."""
    end = min(epochs, max(seen.arrived)) if seen.lost else epochs
    values: list[float | None] = []
    for epoch in range(1, end + 1):
        value = seen.values.get(epoch)
        goes_on = epoch > max(seen.arrived) and values
        values.append(values[-1] if goes_on else None if value is None else sign * value)
    return Recording(values, [seen.seconds / len(seen.arrived)] * end)
