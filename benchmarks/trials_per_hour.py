"""Trials per hour on one GPU: `sweeps run`, which trains packs, against the plain Ray Tune loop at its best.

    python -m benchmarks.trials_per_hour -o benchmarks/results/trials_per_hour.md
    python -m benchmarks.trials_per_hour --pairs 0                          # only search the plain loop's best settings
    python -m benchmarks.trials_per_hour --at-once 8 --loader-workers 2     # they are known: no search

The plain loop is a process per trial with its own DataLoader, on a fraction of the GPU. How many trials share it (1, 2,
4 …) and how many loader workers each has is searched first, an epoch each; the pairs use the best. Both sides train the
same grid of 16 configurations, ours with more seeds, because it would be over before it began; what counts is trials
per hour, of the whole command and without the start of Ray. Without a GPU the cores are shared instead, and the table
says so.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.common import Measures, Row, document, in_turn, module, new_parser, publish, ratio, row, run
from benchmarks.work import Work, add_work, grid, work_of
from ch6dist.catalog.datasets import DATASETS
from ch6dist.runs.ledger import read
from ch6dist.runs.schema import Status

GOAL = "Goal P1, on a GPU: 20× at least, aim 50×."
GPU, CPU = Work(train_size=45_000, val_size=5_000, epochs=5, device="cuda"), Work(train_size=2_000, val_size=500)


def plain(number: int, *, work: Work, settings: Mapping[str, int], seeds: int) -> Measures:
    """Run the plain loop as a whole command."""
    options = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", value)]
    measures = run(module("benchmarks.tune_loop", *work.options(), *options, "--seeds", seeds))
    return with_rates(measures, trials=len(grid(range(seeds))))


def packs(number: int, *, work: Work, seeds: int, folder: Path) -> Measures:
    """Run `sweeps run` on the same configurations as a whole command."""
    spec, runs = folder / "sweep.yaml", folder / f"runs{number}"
    gpus = 1 if work.device == "cuda" else 0
    spec.write_text(yaml.safe_dump(work.sweep("packs", seeds=seeds) | {"resources": {"gpus": gpus}}), encoding="utf-8")
    measures = run(module("sweeps", "run", spec, "--name", "packs", "--runs", runs))
    return with_rates({**measures, **from_ledger(runs / "packs")}, trials=len(grid(range(seeds))))


def from_ledger(folder: Path) -> dict[str, float]:
    """Return of a run `trials_s`, from the launch of its packs to the last trial's end, and the median accuracy.

    A trial that diverged is no better than chance; the plain loop, which trains it to the end, finds it there too.
    """
    ledger = read(folder)
    begun = min(line["time"] for line in ledger.packs)
    ended = max(line["time"] for line in ledger.statuses.values())
    last = {row["trial"]: row.get("val_accuracy") for row in ledger.rows}
    chance = 1 / DATASETS["cifar100"].classes
    accuracies = [last[trial] if ledger.status(trial) == Status.FINISHED else chance for trial in ledger.trials]
    return {"trials_s": ended - begun, "val_accuracy": statistics.median(accuracies)}


def with_rates(measures: Measures, *, trials: int) -> dict[str, float]:
    """Return a side with trials per hour, of the whole command and without the start of Ray."""
    rates = {f"{key}_per_hour": 3600 * trials / measures[key] for key in ("seconds", "trials_s")}
    return {**measures, **rates}


def search(work: Work) -> list[dict[str, int]]:
    """Return what the plain loop reaches with each of its settings, best first."""
    found: Any = run(module("benchmarks.tune_loop", "--search", *replace(work, epochs=1).options()))
    return found["found"]


def search_table(found: Sequence[Mapping[str, float]]) -> str:
    """Return the search as Markdown."""
    head = ["The plain loop's settings, one epoch, two trials per place:", ""]
    head += ["| trials at once | loader workers of each | trials/h |", "|---|---|---|"]
    lines = [f"| {one['at_once']} | {one['loader_workers']} | {one['trials_per_hour']:.0f} |" for one in found]
    return "\n".join([*head, *lines])


def rows_of(measured: Mapping[str, Sequence[Measures]]) -> list[Row]:
    """Return the table: trials per hour of the whole command and without the start of Ray, seconds, accuracy."""
    rows = []
    for key, name in (("seconds", "whole command"), ("trials_s", "without the start of Ray")):
        rate = f"{key}_per_hour"
        rows += [row(f"{side}: trials/h, {name}", runs, rate, ".0f") for side, runs in measured.items()]
        rows.append(ratio(f"ratio, {name}", measured, "packs", "plain loop", rate))
    for side, runs in measured.items():
        rows.append(row(f"{side}: whole command, s", runs, "seconds", ".1f"))
        rows.append(row(f"{side}: median trial's validation accuracy, %", runs, "val_accuracy", ".1f", scale=100))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Search the other side's settings, measure pairs, print the table."""
    parser = new_parser(__doc__)
    add_work(parser, GPU if torch.cuda.is_available() else CPU)
    many = 16 if torch.cuda.is_available() else 1
    parser.add_argument("--seeds", type=int, default=many, help=f"of our side: 16 trials each (default {many})")
    parser.add_argument("--plain-seeds", type=int, default=1, help="of the plain loop: 16 trials each (default 1)")
    parser.add_argument("--at-once", type=int, help="the plain loop's trials that share the device; left out: searched")
    parser.add_argument("--loader-workers", type=int, default=0, help="of each of its trials, where not searched")
    arguments = parser.parse_args(argv)
    work = work_of(arguments)
    found = [] if arguments.at_once else search(work)
    best = found[0] if found else {"at_once": arguments.at_once, "loader_workers": arguments.loader_workers}
    settings = {name: best[name] for name in ("at_once", "loader_workers")}
    with tempfile.TemporaryDirectory() as scratch:
        other = partial(plain, work=work, settings=settings, seeds=arguments.plain_seeds)
        ours = partial(packs, work=work, seeds=arguments.seeds, folder=Path(scratch))
        measured = in_turn({"plain loop": other, "packs": ours}, pairs=arguments.pairs)
    counts = f"{16 * arguments.plain_seeds} trials of the plain loop, {16 * arguments.seeds} of packs"
    told = f"the plain loop with {settings['at_once']} trials at once, {settings['loader_workers']} loader workers each"
    rows, more = rows_of(measured) if arguments.pairs else [], search_table(found) if found else ""
    text = document("Trials per hour", rows, what=f"{work}; {counts}; {told}. {GOAL}", pairs=arguments.pairs, more=more)
    publish(text, arguments.output)


if __name__ == "__main__":
    main()
