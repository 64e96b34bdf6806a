"""16 learning-rate range tests: one pack against 16 runs of pytorch-lr-finder's algorithm (lr_finder.py).

    python -m benchmarks.range_tests -o benchmarks/results/range_tests.md

The same images, initial weights, optimizers, learning rates and 100 steps on both sides; whole processes, one thread
each. The other side runs twice: a process per curve, as many at once as there are cores, as one does who calls the
finder in a script; and a process per core that draws its share of the curves, the start paid once. Ours too: one pack
in one process, which on a CPU is one core; and `sweeps run`, whose packs fill the cores, with the start of Ray.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
import yaml

from benchmarks.common import Measures, Row, document, in_turn, module, new_parser, num_cores, publish, ratio, row, run
from benchmarks.lr_finder import CURVES, END_LR, START_LR, STEPS
from benchmarks.work import Work, add_work, work_of
from ch6dist.config import parse_trial
from ch6dist.packs import Orders
from ch6dist.runs.ledger import read
from ch6dist.runs.schema import Line
from ch6dist.training.loop import train

GOAL = "Goal P5, one pack against a process per curve: 2× at least on a CPU, aim 4×; 15× and 40× on a GPU."
RANGE_TEST = {"start_lr": START_LR, "end_lr": END_LR, "steps": STEPS, "mode": "exponential"}
PER_CURVE, PER_CORE, PACK, SWEEP = "a process per curve", "a process per core", "one pack", "`sweeps run`"


def finder(number: int, *, work: Work, shares: Sequence[Sequence[int]], at_once: int) -> Measures:
    """Run the curves in a process per share, `at_once` of them together; return the seconds until the last one ends."""
    commands = [module("benchmarks.lr_finder", *share, *work.options()) for share in shares]
    started = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        steps = [done["steps"] for done in pool.map(run, commands)]
    return {"seconds": time.perf_counter() - started, "steps": sum(steps)}


def pack(work: Work, *, engine: str) -> dict[str, float]:
    """Run all curves as lanes of one pack, in this process."""
    found: list[Line] = []

    def report(lines: Sequence[Line]) -> Orders:
        found.extend(lines)
        return Orders()

    contents = [work.trial(one, lr=START_LR, type="range_test", range_test=RANGE_TEST) for one in CURVES]
    trials = [parse_trial(content) for content in contents]
    train(trials, report=report, engine=engine, device=work.device, threads=1)
    return {"steps": count_steps(found)}


def sweep(number: int, *, work: Work, folder: Path) -> Measures:
    """Run all curves through `sweeps run`."""
    spec = folder / "sweep.yaml"
    trial = {**work.content(), "type": "range_test", "range_test": RANGE_TEST}
    axes = {"optimizer": {"values": [dict(optimizer) for optimizer in CURVES]}}
    spec.write_text(yaml.safe_dump({"name": "curves", "trial": trial, "parameters": axes}), encoding="utf-8")
    measures = run(module("sweeps", "run", spec, "--name", f"run{number}", "--runs", folder))
    return {**measures, "steps": count_steps(read(folder / f"run{number}").rows)}


def count_steps(lines: Iterable[Line]) -> int:
    """Return steps of all curves: a range test has a row each, up to the one that diverged."""
    return sum(line["kind"] == "row" for line in lines)


def rows_of(measured: dict[str, list[Measures]]) -> list[Row]:
    """Return the table: seconds and steps of every side, and the ratios."""
    rows = [row(f"{name}, s", runs, "seconds", ".1f") for name, runs in measured.items()]
    for above in (PER_CURVE, PER_CORE):
        rows += [ratio(f"{above} ÷ {below}", measured, above, below, "seconds") for below in (PACK, SWEEP)]
    return rows + [row(f"{name}: points of the 16 curves", runs, "steps", ".0f") for name, runs in measured.items()]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure rounds of the four sides and print their table; `--pack`: be the pack once."""
    cuda = torch.cuda.is_available()
    engine = "fused" if cuda else "eager"
    parser = new_parser(__doc__)
    add_work(parser, Work(train_size=45_000, val_size=5_000, device="cuda" if cuda else "cpu"))
    parser.add_argument("--engine", choices=("eager", "fused"), default=engine, help=f"of the pack (default {engine})")
    parser.add_argument("--pack", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    work = work_of(arguments)
    if arguments.pack:
        print(json.dumps(pack(work, engine=arguments.engine)))
        return
    cores, every = num_cores(), range(len(CURVES))
    mine = module("benchmarks.range_tests", *work.options(), "--engine", arguments.engine, "--pack")
    with tempfile.TemporaryDirectory() as scratch:
        sides = {
            PER_CURVE: partial(finder, work=work, shares=[[number] for number in every], at_once=cores),
            PER_CORE: partial(finder, work=work, shares=[every[core::cores] for core in range(cores)], at_once=cores),
            PACK: lambda number: run(mine),
            SWEEP: partial(sweep, work=work, folder=Path(scratch)),
        }
        measured = in_turn(sides, pairs=arguments.pairs)
    what = f"{len(CURVES)} curves of {STEPS} steps, learning rates {START_LR:g} to {END_LR:g}, SGD; {work}. {GOAL}"
    publish(document("Range tests", rows_of(measured), what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
