"""What the decisions of a large sweep cost: to index its ledger, and to decide anew when one row has come.

    python -m benchmarks.search -o benchmarks/results/search.md

No training: the ledger is made up, rung by rung as the rule allows, and held in memory. A driver decides anew between
two messages of its workers, so this is what they wait for. All trials are one group: the worst case.
"""

from __future__ import annotations

import gc
import itertools
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.common import Measures, document, new_parser, publish, row
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.schema import Line, TrialLine
from ch6dist.sections import parse_section
from sweeps.search.next_trials import Search
from sweeps.spec.expand import expand
from sweeps.spec.sweep_file import SweepSpec, dump

GOAL_SECONDS = 0.1
EPOCHS = 30
SIDES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "top_k": {"early_stop": {"name": "top_k", "after": 2, "keep": 100}},
    "halving": {"early_stop": {"name": "halving", "first": 1, "factor": 3}},
    "asha": {"early_stop": {"name": "asha", "first": 1, "factor": 3}},
    "asha, promote: false": {"early_stop": {"name": "asha", "first": 1, "factor": 3, "promote": False}},
    "median": {"early_stop": {"name": "median", "after": 1}},
    "racing": {"seeds": {"start": 1, "up_to": 5}},
    "budget": {"budget": {"device_hours": 1e6}},
}


def spec_of(trials: int, changes: Mapping[str, Any]) -> SweepSpec:
    """Return a sweep of so many trials."""
    lrs = [1e-5 * (1 + number) for number in range(trials // 2)]
    content = {
        "name": "large",
        "trial": {"data": {"name": "synthetic_mnist"}, "model": "simple_nn", "epochs": EPOCHS},
        "parameters": {"optimizer": ["SGD", "Adam"], "optimizer.lr": lrs},
    }
    return parse_section(SweepSpec, {**content, **changes})


def lines_of(spec: Mapping[str, Any], trials: Sequence[TrialLine]) -> list[Line]:
    """Return a ledger's lines up to the last rung: every trial trained as far as the rule lets it, in a drawn order."""
    head = {"kind": "sweep", "format": 3, "spec": dict(spec), "trials": len(trials), "time": 0.0}
    lines: list[Line] = [head, *trials]  # type: ignore[list-item]
    search = Search.of(spec, Ledger())
    search.take(lines)
    drawn, names = random.Random(0), [line["trial"] for line in trials]
    rungs = search.rule.rungs(EPOCHS) if search.rule else ()
    for epoch in range(1, max(rungs, default=EPOCHS) + 1):
        going = [name for name in names if search.decision(name).until >= epoch]
        drawn.shuffle(going)
        new: list[Line] = [_running(name) for name in going] if epoch == 1 else []
        new += [_row(name, epoch, drawn.random() * epoch / EPOCHS) for name in going]
        search.take(new)
        lines += new
    if not rungs and not search.static:  # what races has ended
        lines += [{**_running(name), "status": "finished", "epoch": EPOCHS} for name in names]
    return lines


def measure(spec: Mapping[str, Any], lines: Sequence[Line], repeats: int) -> list[Measures]:
    """Return the CPU seconds of indexing a ledger, of the first decision, and of one when a row has come."""
    found = []
    for _ in range(repeats):
        gc.collect()
        times = [time.process_time()]
        ledger = Ledger(sweeps=[lines[0]], lines=list(lines[:-1]))  # type: ignore[list-item]
        search = Search.of(spec, ledger)
        times.append(time.process_time())
        search.new_trials()
        search.steps()
        times.append(time.process_time())
        search.take(lines[-1:])
        if search.stale:  # as the driver asks
            search.new_trials()
            search.steps()
        times.append(time.process_time())
        index, first, again = (after - before for before, after in itertools.pairwise(times))
        found.append({"index": index, "first": first, "again": again})
    return found


def _running(trial: str) -> Line:
    place = {"kind": "status", "trial": trial, "attempt": 1, "epoch": 0}
    return {**place, "status": "running", "engine": "eager", "time": 1.0}


def _row(trial: str, epoch: int, value: float) -> Line:
    place = {"kind": "row", "trial": trial, "attempt": 1, "epoch": epoch, "step": epoch}
    return {**place, "seconds": 1.0, "eval_seconds": 0.1, "val_accuracy": value, "time": 1.0 + epoch}


def main() -> None:
    """Measure, and print the page."""
    parser = new_parser(__doc__)
    parser.add_argument("--trials", type=int, default=10_000, help="of the sweep (default 10,000)")
    arguments = parser.parse_args()
    rows = []
    trials = [trial_line(trial) for trial in expand(spec_of(arguments.trials, {}))]
    for name, changes in SIDES.items():
        spec = dump(spec_of(arguments.trials, changes))
        lines = lines_of(spec, trials)
        measured = measure(spec, lines, arguments.pairs)
        print(name, len(lines), "lines", measured[0], file=sys.stderr, flush=True)
        rows.append(row(f"{name}: index of {len(lines):,} lines, CPU s", measured, "index"))
        rows.append(row(f"{name}: the first decisions, CPU s", measured, "first", ".3f"))
        rows.append(row(f"{name}: one row more, CPU ms", measured, "again", ".1f", scale=1000))
    what = (
        f"{arguments.trials:,} trials of {EPOCHS} epochs, in CPU time: machines are shared. Goal: "
        f"{1000 * GOAL_SECONDS:.0f} ms after one more row, which "
        "is the last of a rung where there are rungs. Without a rule nothing is decided, and nothing computed."
    )
    title = "The decisions of a large sweep"
    publish(document(title, rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
