"""Why each trial of a run began, paused, went on and stopped, in words: what `sweeps explain` prints.

    explain("runs/demo")                    # the sweep: method, rungs, rounds of seeds, budget
    explain("runs/demo", "sgd-…")           # one trial, from its beginning

All of it follows from the record; `checked` says whether what happened is what `next_trials` decides, line by line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ch6dist.catalog.wording import format_count, format_metric
from ch6dist.runs.ledger import Ledger, find_trial, read
from ch6dist.runs.schema import Line, Metric, Status
from sweeps.search.next_trials import Search
from sweeps.search.replay import departures

SAID = {
    Status.PLANNED: "is to begin",
    Status.RUNNING: "trains",
    Status.PAUSED: "waits",
    Status.FINISHED: "has finished",
    Status.STOPPED: "was stopped",
    Status.DIVERGED: "diverged",
    Status.OUT_OF_MEMORY: "ran out of memory",
    Status.FAILED: "failed",
}


def explain(run: Path | str, trial: str | None = None) -> dict[str, Any]:
    """Return the decisions of a run, or of one of its trials, given by its id or the beginning of it."""
    ledger = read(run)
    search = Search.of(ledger.spec, ledger)
    search.rounds_of_seeds()
    if trial is not None:
        return _of_trial(run, ledger, search, find_trial(ledger, trial))
    return {
        "run": str(run),
        "trials": len(ledger.trials),
        "says": list(_of_sweep(ledger, search)),
        "rungs": _rungs(search),
        "rounds": [{"seed": item.seed, "configurations": len(item.members), "why": item.why} for item in search.rounds],
        "departures": departures(ledger),
    }


def _of_sweep(ledger: Ledger, search: Search) -> Iterator[str]:
    method = ledger.spec.get("method", "grid")
    began = {line["trial"] for line in ledger.decisions if line["what"] == "begin"}
    first = format_count(len(ledger.trials) - len(began), "trial")
    yield f"method {method}: {first} from the start, {len(began)} added"
    if search.rule:
        yield f"early stopping: {search.rule.name}: {type(search.rule).text}"
    confirmed = sum(seen.confirms for seen in search.observed.trials.values())
    if confirmed:
        yield f"confirmation: {format_count(confirmed, 'fresh seed')}"
    copies = sum(line["kind"] == "row" and "shared" in line for line in ledger.lines)
    if copies:
        yield f"shared: {format_count(copies, 'epoch')} that another trial has trained too"
    seconds = search.observed.seconds
    yield f"spent: {seconds / 3600:.2f} device hours"
    if search.spent:
        yield f"the budget is spent: {search.spent}"


def _rungs(search: Search) -> list[dict[str, Any]]:
    """Return how many trials came to each rung, and how many went beyond it."""
    if search.rule is None:
        return []
    came: Counter[int] = Counter()
    beyond: Counter[int] = Counter()
    seeds = search.spec.seeds if search.spec else None
    for seen in search.observed.trials.values():
        added = seeds and seeds.up_to and seen.config["seed"] not in seeds.values
        if seen.config["type"] == "train" and not seen.confirms and not added:
            for rung in search.rule.rungs(seen.epochs):
                came[rung] += rung in seen.arrived
                beyond[rung] += any(epoch > rung for epoch in seen.arrived)
    return [{"epochs": rung, "came": came[rung], "went_on": beyond[rung]} for rung in sorted(came)]


def _of_trial(run: Path | str, ledger: Ledger, search: Search, trial: str) -> dict[str, Any]:
    decision = search.decision(trial)
    return {
        "run": str(run),
        "trial": trial,
        "status": ledger.status(trial).value,
        "steps": list(_steps(ledger, trial)),
        "now": decision.why or "it trains all of its epochs",
    }


def _steps(ledger: Ledger, trial: str) -> Iterator[dict[str, Any]]:
    """Yield what happened to a trial, in order, each with its time, epoch and reason."""
    metric, last = Metric.of(ledger.spec), None
    line = ledger.trials[trial]
    yield {"time": None, "epoch": 0, "what": "is part of the sweep", "why": _origin(ledger, line)}
    if branch := line.get("branch"):
        why = f"up to there its learning rates are those of {branch['trial']}, which trains these epochs for both"
        yield {"time": None, "epoch": 0, "what": f"begins after epoch {branch['epoch']}", "why": why}
    for found in ledger.lines:
        if found.get("trial") != trial:
            continue
        if found["kind"] == "row":
            last = found
        elif found["kind"] == "status":
            value = format_metric(last.get(metric.name), metric.name) if last else ""
            yield _step(found, SAID[Status(found["status"])], found.get("reason", "") or "", value)
        elif found["kind"] == "decision":
            what = "may go on" if found["what"] == "go_on" else "is added"
            yield _step(found, f"{what}, to epoch {found['until']}", found["why"], "")


def _step(line: Line, what: str, why: str, value: str) -> dict[str, Any]:
    return {"time": line.get("time"), "epoch": line.get("epoch"), "what": what, "why": why, "value": value}


def _origin(ledger: Ledger, line: Mapping[str, Any]) -> str:
    if "confirms" in line:
        return f"a fresh seed of confirmation {line.get('confirmation', 1)}"
    method = ledger.spec.get("method", "grid")
    chosen = {"grid": "a combination of the axes' values", "random": "drawn at random", "quasi": "a quasi-random point"}
    return f"{chosen.get(method, f'chosen by {method}')}, seed {line['seed']}"


def render_explain(data: Mapping[str, Any]) -> RenderableType:
    """Return what `explain` found for a terminal."""
    return Text("\n".join(explain_lines(data)))


def explain_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `explain` found as lines for a terminal."""
    if "trial" in data:
        yield f"{data['trial']}: {data['status']}"
        for step in data["steps"]:
            when = f"{datetime.fromtimestamp(step['time']):%H:%M:%S} " if step["time"] else ""
            epoch = f"after epoch {step['epoch']}: " if step["epoch"] else ""
            value = f" ({step['value']})" if step.get("value") else ""
            why = f": {step['why']}" if step["why"] else ""
            yield f"  {when}{epoch}{step['what']}{value}{why}"
        yield f"  now: {data['now']}"
        return
    yield data["run"]
    yield from (f"  {text}" for text in data["says"])
    for rung in data["rungs"]:
        yield f"  rung of {format_count(rung['epochs'], 'epoch')}: {rung['came']} came, {rung['went_on']} went on"
    for item in data["rounds"]:
        got = f"{item['configurations']} get it: " if item["configurations"] else ""
        yield f"  seed {item['seed']}: {got}{item['why']}"
    found = data["departures"]
    yield (
        "  every decision follows from the record"
        if not found
        else f"  {len(found)} steps do not follow from the record:"
    )
    yield from (f"    {text}" for text in found)
