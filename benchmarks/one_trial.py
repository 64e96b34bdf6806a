"""One LeNet-5 trial: our `train` against the loop of the tutorials at its best DataLoader settings. No Ray.

    python -m benchmarks.one_trial -o benchmarks/results/one_trial.md

Both sides are processes that train and validate the same images for the same epochs from the same initial weights. An
epoch's seconds are those of the epochs after the first; what the first takes longer (warm-up, graph capture) has a row
of its own and is also in the seconds of the whole command. The plain loop is first tried with a few numbers of loader
workers. On a CPU it runs twice in every pair, on one thread and on all cores, and the faster run counts: on a machine
that has other work to do, threads that wait for each other can make it ten times slower.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from benchmarks.common import (
    Measures,
    Row,
    document,
    in_turn,
    module,
    new_parser,
    num_cores,
    publish,
    ratio,
    row,
    run,
)
from benchmarks.work import Work, add_work, work_of
from ch6dist.config import parse_trial
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from ch6dist.training.loop import train

LR = 0.05
OPTIMIZER = {"name": "SGD", "momentum": 0.9}
GOAL = "Goal P2, on a GPU: 6× at least, aim 12×."
GPU, CPU = Work(train_size=45_000, val_size=5_000, epochs=6, device="cuda"), Work(epochs=3)


def ours(work: Work, *, engine: str, seed: int) -> dict[str, float]:
    """Train one trial through `train`; return what `plain.train_plain` returns."""
    rows: list[Line] = []

    def report(lines: Sequence[Line]) -> Orders:
        rows.extend(line for line in lines if line["kind"] == "row")
        return Orders()

    trial = parse_trial(work.trial(OPTIMIZER, lr=LR, seed=seed))
    train([trial], report=report, engine=engine, device=work.device, threads=1)
    seconds = [line["seconds"] for line in rows]
    return {
        "first_epoch_s": seconds[0],
        "epoch_s": statistics.median(seconds[1:] or seconds),
        "val_accuracy": rows[-1]["val_accuracy"],
    }


def finalists(work: Work) -> list[dict[str, int]]:
    """Return for each number of threads (on a CPU: one, and one per core) the fastest number of loader workers."""
    cores = num_cores()
    found = []
    for threads in sorted({1, cores}) if work.device == "cpu" else [1]:
        tried = {}
        for workers in (number for number in (0, 1, 2, 4, 8, 16) if number <= cores):
            command = plain_command(replace(work, epochs=2), {"loader-workers": workers, "threads": threads}, seed=0)
            tried[workers] = run(command)["epoch_s"]
            print(f"threads {threads}, loader workers {workers}: {tried[workers]:.3g} s per epoch", file=sys.stderr)
        found.append({"loader-workers": min(tried, key=lambda number: tried[number]), "threads": threads})
    return found


def plain(number: int, *, work: Work, settings: Sequence[Mapping[str, int]]) -> Measures:
    """Run the plain loop with each of `settings`; return the run that was fastest as a whole."""
    runs = [run(plain_command(work, setting, seed=number)) for setting in settings]
    return min(runs, key=lambda measures: measures["seconds"])


def plain_command(work: Work, settings: Mapping[str, int], *, seed: int) -> list[str]:
    """Return the command that runs the plain loop."""
    options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    return module("benchmarks.plain", *work.options(), *options, "--lr", LR, "--seed", seed)


def rows_of(measured: Mapping[str, Sequence[Measures]]) -> list[Row]:
    """Return the table: per epoch, the first epoch's surplus, the whole command, accuracy."""
    rows = []
    for key, name in (("epoch_s", "an epoch"), ("seconds", "the whole command")):
        rows += [row(f"{side}: {name}, s", runs, key) for side, runs in measured.items()]
        rows.append(ratio(f"ratio of {name}", measured, "plain loop", "ours", key))
    for side, runs in measured.items():
        rows.append(
            Row(f"{side}: what the first epoch takes longer, s", [r["first_epoch_s"] - r["epoch_s"] for r in runs])
        )
        rows.append(row(f"{side}: validation accuracy, %", runs, "val_accuracy", ".1f", scale=100))
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table; `--ours SEED`: be our side once."""
    parser = new_parser(__doc__)
    add_work(parser, GPU if torch.cuda.is_available() else CPU)
    engine = "fused" if torch.cuda.is_available() else "eager"
    parser.add_argument("--engine", choices=("eager", "fused"), default=engine, help=f"of our side (default {engine})")
    parser.add_argument("--ours", type=int, metavar="SEED", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    work = work_of(arguments)
    if arguments.ours is not None:
        print(json.dumps(ours(work, engine=arguments.engine, seed=arguments.ours)))
        return
    settings = finalists(work)
    mine = module("benchmarks.one_trial", *work.options(), "--engine", arguments.engine, "--ours")
    sides = {
        "plain loop": partial(plain, work=work, settings=settings),
        "ours": lambda number: run([*mine, str(number)]),
    }
    measured = in_turn(sides, pairs=arguments.pairs)
    told = " or ".join(f"{one['loader-workers']} loader workers and {one['threads']} threads" for one in settings)
    what = f"{work}. The plain loop with {told}, the faster in each pair; ours: the {arguments.engine} engine. "
    publish(document("One trial", rows_of(measured), what=what + GOAL, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
