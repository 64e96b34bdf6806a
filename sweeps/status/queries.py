"""Query a run folder: its progress, its best configurations, one trial. What to train next, best.py says.

    data = status(find_run("demo"))          # plain data, for --json
    console.print(render_status(data))       # sweeps/status/views.py

Everything is read from the ledger, so it works while a driver writes, after it died, and on a copied folder.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from ch6dist.catalog.datasets import is_synthetic
from ch6dist.catalog.labels import explain, label_all
from ch6dist.catalog.wording import format_count
from ch6dist.errors import InputError
from ch6dist.runs.confirmations import counted_confirmations, open_confirmation
from ch6dist.runs.early_stops import rule_name, stopped_by_rule
from ch6dist.runs.ledger import Ledger, find_trial, observe
from ch6dist.runs.names import LEDGER
from ch6dist.runs.ranking import CONFIRMED_FIRST, RANKED_ROWS, rank, rule
from ch6dist.runs.schema import BROKEN, ENDED, HALTED, UNFINISHED, Line, Metric, Status
from ch6dist.shell import command
from sweeps.record.pace_file import NOTHING, read_pace
from sweeps.status.waiting import Waiting, waiting

SHOWN_ROWS = 5
SHOWN_EVENTS = 20


def status(run: Path | str) -> dict[str, Any]:
    """Return how far a run is: trials by status, epochs and steps done, failures, the driver, and what to do next."""
    folder, (ledger, driver) = Path(run), observe(run, last=1)
    states = {trial: ledger.status(trial) for trial in ledger.trials}
    counts = Counter(states.values())
    found = waiting(folder) if driver is None and ledger.spec.get("budget") else None
    return {
        "run": str(folder),
        "name": ledger.spec.get("name", folder.name),
        "question": ledger.spec.get("question", ""),
        "trials": len(states),
        "counts": {status.value: counts[status] for status in Status if counts[status]},
        "stopped_by_rule": sum(stopped_by_rule(ledger, trial) for trial in states),
        "rule": rule_name(ledger.spec),
        "waiting": found,
        "progress": _progress(ledger, states),
        **_running(folder, ledger, states, alive=driver is not None),
        "driver": {"host": driver.host, "pid": driver.pid} if driver else None,
        "seconds_since_last_line": _age_seconds(folder),
        "drivers": len(ledger.sweeps),
        "halts": sum(line["broken"] == HALTED for line in ledger.events),
        "retries": dict(Counter(line["broken"] for line in ledger.events if line["broken"] != HALTED)),
        "events": [_without_kind(line) for line in ledger.events[-SHOWN_EVENTS:]],
        "failures": [_failure(ledger, trial) for trial, state in states.items() if state in BROKEN],
        "bounds": _bounds(ledger),
        "next": _next(folder, ledger, counts, alive=driver is not None, found=found),
    }


def top(run: Path | str, n: int = 10) -> dict[str, Any]:
    """Return the best `n` configurations and the rule that ranks them (ranking.py); raise InputError for n below 1."""
    if n < 1:
        raise InputError("-n", n, "a whole number ≥ 1")
    ledger, driver = observe(run, last=RANKED_ROWS)
    waits = driver is None and open_confirmation(ledger)
    ranked, metric = rank(ledger), Metric.of(ledger.spec)
    labels, numbered = labels_of(ledger)
    return {
        "run": str(run),
        "rule": rule_of(ledger),
        "metric": metric.name,
        "goal": metric.goal,
        "synthetic": is_on_synthetic(ledger),
        "configurations": len(ranked),
        "top": [
            {
                "rank": position if item.complete else None,
                "configuration": item.configuration,
                "name": labels[item.configuration],
                "score": item.score,
                "latest": item.latest,
                "scores": list(item.scores),
                "seeds": len(item.trials),
                "diverged": item.diverged,
                "eligible": item.eligible,
                "confirmed": item.confirmed,
                "fresh": list(item.fresh),
                "note": item.note,
                "trials": list(item.trials),
            }
            for position, item in enumerate(ranked[:n], start=1)
        ],
        "numbered": explain((labels[item.configuration] for item in ranked[:n]), numbered),
        "next": _next(Path(run), ledger, Counter(), alive=False) if waits else "",
    }


def show(run: Path | str, trial: str) -> dict[str, Any]:
    """Return the configuration, statuses, last rows and artifacts of a trial, given by its id or the start of it."""
    ledger, _ = observe(run, last=SHOWN_ROWS)
    name = find_trial(ledger, trial)
    line = ledger.trials[name]
    artifacts = [found for (owner, _), found in ledger.artifacts.items() if owner == name]
    history, rows = ledger.history.get(name, []), ledger.rows_by_trial()[name]
    return {
        "run": str(run),
        "trial": name,
        "configuration": line["configuration"],
        "case": line.get("case"),
        "status": ledger.status(name).value,
        "confirmation": line.get("confirmation"),
        "engine": next((found["engine"] for found in reversed(history) if "engine" in found), None),
        "lanes": rows[-1].get("lanes") if rows else None,
        "config": line["config"],
        "history": [_without_kind(found) for found in history],
        "rows": [_without_kind(row) for row in rows],
        "artifacts": {found["name"]: found.get("path", found.get("value")) for found in artifacts},
    }


def labels_of(ledger: Ledger) -> tuple[dict[str, str], dict[str, str]]:
    """Return the label of every configuration, and what the numbered parts of labels stand for."""
    lines = {line["configuration"]: line for line in ledger.trials.values()}
    configs, cases = [line["config"] for line in lines.values()], [line.get("case") for line in lines.values()]
    found = label_all(configs, cases=cases)
    return dict(zip(lines, map(str, found.labels), strict=True)), found.numbered


def _progress(ledger: Ledger, states: dict[str, Status]) -> dict[str, dict[str, int]]:
    """Return epochs of training runs and steps of range tests: done, and in total. An ended trial has none left."""
    progress: dict[str, dict[str, int]] = {}
    for trial, rows in ledger.rows_by_trial().items():
        config = ledger.trials[trial]["config"] if trial in ledger.trials else {}
        if not config:
            continue
        is_training = config["type"] == "train"
        unit, planned = ("epochs", config["epochs"]) if is_training else ("steps", config["range_test"]["steps"])
        done = rows[-1]["epoch" if is_training else "step"] if rows else 0
        sums = progress.setdefault(unit, {"done": 0, "total": 0})
        sums["done"] += done
        sums["total"] += done if states[trial] in ENDED else planned
    return progress


def _running(folder: Path, ledger: Ledger, states: dict[str, Status], *, alive: bool) -> dict[str, Any]:
    """Return how far each running trial is, and the time to go of the whole run as its driver estimates it."""
    pace, rows = read_pace(folder) if alive else NOTHING, ledger.rows_by_trial()
    running = []
    for trial, state in states.items():
        if alive and state == Status.RUNNING:
            config, last = ledger.trials[trial]["config"], rows[trial][-1:]
            epochs = config["epochs"] if config["type"] == "train" else 1
            place = {"trial": trial, "epoch": last[0]["epoch"] if last else 0, "epochs": epochs}
            running.append(place | pace["trials"].get(trial, {}))
    return {"remaining_seconds": pace["remaining_seconds"], "running": running}


def _failure(ledger: Ledger, trial: str) -> dict[str, Any]:
    line = ledger.statuses[trial]
    return {key: line.get(key) for key in ("trial", "status", "reason", "attempt", "epoch")}


def _age_seconds(folder: Path) -> float:
    newest = max(path.stat().st_mtime for path in (folder / LEDGER).glob("[0-9]*.jsonl"))
    return max(0.0, time.time() - newest)


def _next(folder: Path, ledger: Ledger, counts: Counter[Status], *, alive: bool, found: Waiting | None = None) -> str:
    """Return what the user may do now, in one sentence.

    Args:
        found: what waits on a larger budget.
    """

    def of(program: str, name: str, *more: object) -> str:
        """Return a command of this run."""
        return command(program, name, folder, *more)

    left = sum(counts[state] for state in UNFINISHED)
    broken = sum(counts[state] for state in BROKEN)
    if alive:
        return f"running: `{of('sweeps', 'stop')}` stops it, `{of('sweeps', 'top')}` ranks the trials so far"
    address = ledger.sweeps[-1].get("address") if ledger.sweeps else None
    joined = ["--address", address] if address else []
    again = of("sweeps", "resume", *joined)
    if open_confirmation(ledger):
        return f"a confirmation is unfinished: `{again}` trains what is left of it"
    if found:
        more = of("sweeps", "resume", *joined, *found["changes"])
        wait = "trial waits" if found["trials"] == 1 else "trials wait"
        return f"{found['why']}, and {found['trials']} {wait}: `{more}` goes on"
    if left:
        return f"the driver is not running: `{again}` trains the remaining {format_count(left, 'trial')}"
    if _between_stages(ledger):
        return f"the range tests have ended: `{again}` trains between the bounds that they give"
    if broken:
        shown, anew = of("sweeps", "show", "TRIAL"), of("sweeps", "rerun", "TRIAL")
        return f"`{shown}` shows a failure in detail, `{anew}` trains it again"
    ended, report = "all trials have ended", f"`{of('analysis', 'report')}`"
    if "chosen_from" in ledger.spec:
        return f"{ended}: {report} shows their test accuracy"
    if any(line["config"]["type"] == "train" for line in ledger.trials.values()):
        return f"{ended}: `{of('sweeps', 'top')}` ranks them, {report} plots them"
    return f"{ended}: {report} plots them"


def _bounds(ledger: Ledger) -> list[str]:
    """Return where the bounds of learning rates come from, a sentence for each configuration of range tests."""
    began = [line["why"] for line in ledger.decisions if line["what"] == "begin"]
    return [why for why in dict.fromkeys(began) if " range test" in why]


def _between_stages(ledger: Ledger) -> bool:
    """Return whether a sweep has only begun with the range tests that give its learning rates their bounds."""
    bounded = "from" in ledger.spec.get("parameters", {}).get("optimizer.lr", {})
    return bounded and all(line["config"]["type"] == "range_test" for line in ledger.trials.values())


def rule_of(ledger: Ledger) -> str:
    """Return the rule by which a run is ranked, as printed beside every ranking."""
    configs = [line["config"] for line in ledger.trials.values()]
    epochs = max((config["epochs"] for config in configs if config["type"] == "train"), default=1)
    first = CONFIRMED_FIRST if counted_confirmations(ledger) else ""
    return "; ".join(filter(None, (rule(epochs, Metric.of(ledger.spec).name), first, Metric.note(ledger.spec))))


def is_on_synthetic(ledger: Ledger) -> bool:
    """Return whether any trial was trained on generated images."""
    return any(is_synthetic(line["config"]["data"]["name"]) for line in ledger.trials.values())


def _without_kind(line: Line) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in ("kind", "trial")}
