"""What a report says of the runs themselves: how each was made, and several beside each other.

made(run)                    # {"Command": …, "Commit": …, …}
runs_table(results)          # a row per run: question, what was swept, the best of it, device time
nothing_yet(study)           # that nothing has finished yet
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from analysis.report.tables import Table
from analysis.study.load import Run, Study
from analysis.study.results import Results
from ch6dist.catalog.text import list_text
from ch6dist.catalog.wording import (
    DASH,
    format_count,
    format_mean_std,
    format_seconds,
    metric_label,
    short_number,
)
from ch6dist.runs.schema import UNFINISHED

MAX_NAMES = 6  # optimizers that are named; of more, only how many


def question(run: Run) -> str:
    """Return the question of a run's sweep; empty if it has none."""
    return str(run.head.get("question") or run.ledger.spec.get("question") or "")


def made(run: Run) -> dict[str, str]:
    """Return how a run was made: command, commit, versions, hardware, dates, as far as its ledger holds them."""
    head, drivers = run.head, run.ledger.sweeps
    lines = [*drivers, *run.ledger.statuses.values()]
    times = sorted(float(line["time"]) for line in lines if line.get("time"))
    facts = {
        "Command": ", then ".join(str(line["command"]) for line in drivers if line.get("command")),
        "Commit": head.get("git_commit"),
        "Versions": ", ".join(f"{name} {version}" for name, version in (head.get("versions") or {}).items() if version),
        "Hardware": _hardware(head.get("hardware") or {}),
        "Dates": f"{_date(times[0])} to {_date(times[-1])} (UTC)" if times else "",
        "Drivers": f"{len(drivers)} (stopped and resumed)" if len(drivers) > 1 else "",
    }
    return {name: str(value) for name, value in facts.items() if value}


def runs_table(results: Results) -> Table:
    """Return a row per run of several: question, what was swept, its best configuration, score, n, device time."""
    heads = ["run", "question", "swept", "best configuration", f"{metric_label(results.study.metric)}, mean ± std"]
    rows, keys = [], []
    for run in run_facts(results):
        score = format_mean_std(run["score"], run["std"], results.study.metric)
        texts = [run["name"], run["question"] or DASH, run["swept"] or DASH, run["best"] or DASH, score]
        rows.append([*texts, f"{run['n']}", format_seconds(run["device_seconds"])])
        keys.append([None] * 4 + [run["score"], float(run["n"]), run["device_seconds"]])
    return Table([*heads, "seeds", "device time"], rows, keys)


def run_facts(results: Results) -> list[dict[str, Any]]:
    """Return for each run what `runs_table` shows, as numbers and text; `best` is None without a finished one."""
    study, board = results.study, results.board
    facts = []
    for run in study.runs:
        of_run = board[(board["run"] == run.name) & board["score"].notna() & (board["diverged"] == 0)]
        best = of_run.iloc[0] if len(of_run) else None
        trials = study.trials[study.trials["run"] == run.name]
        std = math.nan if best is None else float(best["std"])
        facts.append(
            {
                "name": run.name,
                "question": question(run),
                "swept": _swept(trials),
                "best": None if best is None else str(best["label"]),
                "score": None if best is None else float(best["score"]),
                "std": None if math.isnan(std) else std,
                "n": 0 if best is None else int(best["n"]),
                "device_seconds": _device_seconds(study, trials["trial"]),
                "made": made(run),
            }
        )
    return facts


def nothing_yet(study: Study) -> str:
    """Return that nothing has finished yet, with what runs and waits; empty once a trial has ended."""
    counts = study.trials["status"].value_counts()
    waiting = [status for status in UNFINISHED if counts.get(status, 0)]
    if len(study.trials) and sum(counts[status] for status in waiting) < len(study.trials):
        return ""
    if not waiting:
        return "Nothing has finished yet: the run has no trials so far."
    return f"Nothing has finished yet: {', '.join(f'{counts[s]} {s.value}' for s in waiting)}."


def _swept(trials: pd.DataFrame) -> str:
    train = trials[(trials["type"] == "train") & ~trials["final"]]
    if train.empty:
        return ""
    lrs, seeds = train["lr"].dropna(), sorted(train["seed"].unique())
    names = list(dict.fromkeys(train["optimizer"]))
    parts = [", ".join(names) if len(names) <= MAX_NAMES else format_count(len(names), "optimizer")]
    parts += [format_count(n, "schedule")] if (n := train["scheduler"].nunique()) > 1 else []
    parts += [format_count(n, "setting")] if (n := train["setting"].nunique()) > 1 else []
    if lrs.nunique() > 1:
        parts.append(f"{lrs.nunique()} learning rates from {short_number(lrs.min())} to {short_number(lrs.max())}")
    return " · ".join([*parts, list_text("seed", [int(seed) for seed in seeds])])


def _device_seconds(study: Study, trials: pd.Series) -> float:
    """Return the seconds of training and evaluation of trials, those of each lane counted, what is shared once."""
    rows = study.trained[study.trained["trial"].isin(trials)]
    return float(rows[["seconds", "eval_seconds"]].sum().sum())


def _date(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, tz=UTC).strftime("%Y-%m-%d %H:%M")


def _hardware(hardware: dict[str, Any]) -> str:
    gpus = [gpu if isinstance(gpu, str) else str(gpu.get("name", gpu)) for gpu in hardware.get("gpus") or []]
    parts = [
        hardware.get("host"),
        f"{hardware['cpus']} CPUs" if hardware.get("cpus") else "",
        hardware.get("cpu"),
        ", ".join(f"{gpus.count(name)} × {name}" for name in dict.fromkeys(gpus)) or "no GPU",
        f"{hardware['memory_bytes'] / 2**30:.0f} GiB memory" if hardware.get("memory_bytes") else "",
    ]
    return ", ".join(str(part) for part in parts if part) if hardware else ""
