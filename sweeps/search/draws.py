"""A search by a model as trials: what earlier batches came to, and the next batch when all of them are done with.

    batch = next_batch(observed, spec, settled=search.settled)     # [TrialLine, …]: every seed of each new point

Batches are drawn one after another, each by the results of those before it alone: so the order in which trials end
changes nothing, and a batch that a kill has cut off is drawn again as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ch6dist.runs.provenance import trial_line
from ch6dist.runs.ranking import rank
from ch6dist.runs.schema import BROKEN, Status, TrialLine
from sweeps.search.fresh_trials import with_seed
from sweeps.search.model_based import Told, propose, write_journal
from sweeps.search.observed import Observed, Seen
from sweeps.spec.expand import cases_at, configure
from sweeps.spec.sweep_file import SweepSpec

Drawn = dict[str, list[Seen]]  # by configuration, in the order of the ledger, the trials of the sweep's first seeds


def next_batch(observed: Observed, spec: SweepSpec, *, settled: Callable[[Seen], bool]) -> list[TrialLine]:
    """Return the lines of the next batch; none while an earlier one trains, and when all have been drawn."""
    assert spec.batch is not None
    assert spec.trials is not None
    there = drawn(observed, spec)
    before = len(there) // spec.batch * spec.batch
    count = min(spec.batch, spec.trials - before)
    done = dict(list(there.items())[:before])
    if count <= 0 or not all(settled(seen) for trials in done.values() for seen in trials):
        return []
    points = propose(spec, told(observed, done), count)
    lines = []
    for point in points:
        config = configure(spec, point)
        for seed in spec.seeds.values:
            line = trial_line(config.model_copy(update={"seed": seed}), case=cases_at(spec, point))
            lines.append({**line, "point": dict(point)})
    return lines  # type: ignore[return-value]


def keep_journal(path: Path, observed: Observed, spec: SweepSpec, *, settled: Callable[[Seen], bool]) -> None:
    """Write what is known of the configurations that are done with as a journal that optuna-dashboard opens."""
    there = drawn(observed, spec)
    done = {name: trials for name, trials in there.items() if all(map(settled, trials))}
    write_journal(path, spec, told(observed, done))


def missing_seeds(observed: Observed, spec: SweepSpec) -> list[TrialLine]:
    """Return the lines of seeds that the sweep was given after points were drawn, for each of these."""
    return [
        {**with_seed(trials[0].line, seed), "point": trials[0].line["point"]}
        for trials in drawn(observed, spec).values()
        for seed in spec.seeds.values
        if seed not in {seen.config["seed"] for seen in trials}
    ]


def drawn(observed: Observed, spec: SweepSpec) -> Drawn:
    """Return the configurations that have been drawn so far."""
    found: Drawn = {}
    for seen in observed.trials.values():
        if "point" in seen.line and not seen.confirms and seen.config["seed"] in spec.seeds.values:
            found.setdefault(seen.line["configuration"], []).append(seen)
    return found


def told(observed: Observed, done: Mapping[str, Sequence[Seen]]) -> list[Told]:
    """Return what each configuration came to, for the model."""
    trials = [seen.line["trial"] for members in done.values() for seen in members]
    scores = {item.configuration: item for item in rank(observed.as_ledger({}, trials), observed.metric)}
    return [
        Told(
            point=dict(members[0].line["point"]),
            value=scores[name].score if scores[name].eligible and not scores[name].diverged else None,
            state=_state(members),
            values=_values(observed, members),
            name=name,
            span=(min(seen.span[0] for seen in members), max(seen.span[1] for seen in members)),
        )
        for name, members in done.items()
    ]


def _state(members: Sequence[Seen]) -> Any:
    """Return the state of a configuration: the worst of its seeds'."""
    states = {seen.status for seen in members}
    if Status.DIVERGED in states:
        return "diverged"
    if states & BROKEN:
        return "broken"
    return "finished" if states == {Status.FINISHED} else "stopped"


def _values(observed: Observed, members: Sequence[Seen]) -> dict[int, float]:
    """Return the metric by epoch, in its own sign: the mean of the seeds where all have it."""
    epochs = set.intersection(*(set(seen.values) for seen in members))
    return {e: observed.sign * sum(seen.values[e] for seen in members) / len(members) for e in sorted(epochs)}
