"""What one more trial costs before it trains: a lane of a pack against a trial of Ray Tune.

    python -m benchmarks.start_up -o benchmarks/results/start_up.md

A lane: packs of n and of 2n trials are trained through `train`, each lane one step on one small batch and one
validation, its ledger lines and its two checkpoints written and synced as in a sweep. What n more lanes take, divided
by n, is a lane. A trial of Tune: a function trainable that returns at once; the time from the end of one to the end of
the next, with and without `reuse_actors`. Each side is a process of its own, warmed up by a pack of n or by one trial.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ray import tune

from benchmarks.common import Measures, Row, document, in_turn, module, new_parser, publish, row, run
from benchmarks.work import Work
from ch6dist.config import parse_trial
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from ch6dist.runs.writer import Writer
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.on_ray.session import ray_session

TUNE_SECONDS = 1.55  # of a trial of Ray Tune, as measured when the goal was set
GOAL = f"Goal P4: 1/30 of {TUNE_SECONDS} s at most, aim 1/300."
TINY = Work(data="synthetic_cifar100", train_size=32, val_size=32, batch_size=32)


def lanes(count: int, *, device: str, engine: str) -> float:
    """Return the seconds that a pack of `count` lanes takes from its configurations to its last checkpoint."""
    contents = [TINY.trial({"name": "SGD"}, lr=0.01 / (1 + index)) for index in range(count)]
    with tempfile.TemporaryDirectory() as folder, Writer(folder) as writer:

        def report(lines: Sequence[Line]) -> Orders:
            writer.append(lines)
            return Orders()

        started = time.perf_counter()
        trials = [parse_trial(content) for content in contents]
        store = Checkpoints(Path(folder) / "checkpoints")
        train(trials, report=report, checkpoints=store, engine=engine, device=device, threads=1)
        return time.perf_counter() - started


def lane_seconds(count: int, *, device: str, engine: str) -> dict[str, float]:
    """Return `lane_s`: a further lane, between packs of `count` and twice as many; `pack_s`: what a pack takes besides.

    Each pack is timed three times, in turn, and its median counts.
    """
    lanes(count, device=device, engine=engine)
    timed = [[lanes(number, device=device, engine=engine) for number in (count, 2 * count)] for _ in range(3)]
    small, large = (statistics.median(seconds) for seconds in zip(*timed, strict=True))
    lane = (large - small) / count
    return {"lane_s": lane, "pack_s": small - count * lane}


class Completions(tune.Callback):
    """When each trial was complete."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())


def nothing(config: dict[str, Any]) -> None:
    """Return at once, as a function trainable."""


def trial_seconds(count: int, *, reuse: bool) -> float:
    """Return the seconds from one empty trial to the next: the mean over `count` trials after a first one."""
    completions = Completions()
    with tempfile.TemporaryDirectory() as scratch:
        tuner = tune.Tuner(
            tune.with_resources(nothing, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(count + 1)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=reuse),
            run_config=tune.RunConfig(storage_path=scratch, verbose=0, callbacks=[completions]),
        )
        tuner.fit()
    return (completions.times[-1] - completions.times[0]) / count


def tune_seconds(count: int) -> dict[str, float]:
    """Return `trial_s`, a further trial; `reused_s`, the same with actors used again, over four times as many."""
    with ray_session(address=None, cpus=1, gpus=0):
        return {"trial_s": trial_seconds(count, reuse=False), "reused_s": trial_seconds(4 * count, reuse=True)}


def rows_of(measured: dict[str, list[Measures]]) -> list[Row]:
    """Return the table: milliseconds of each, ratios."""
    ours, theirs = measured["ours"], measured["Ray Tune"]
    pairs = [{**mine, **other} for mine, other in zip(ours, theirs, strict=True)]
    rows = [
        row("a further trial of Ray Tune, ms", theirs, "trial_s", ".0f", scale=1000),
        row("the same with `reuse_actors`, ms", theirs, "reused_s", ".0f", scale=1000),
        row("a further lane of a pack, ms", ours, "lane_s", ".2f", scale=1000),
        row("a pack besides its lanes, ms", ours, "pack_s", ".1f", scale=1000),
    ]
    for name, key in (("a trial ÷ a lane", "trial_s"), ("a trial with `reuse_actors` ÷ a lane", "reused_s")):
        rows.append(Row(name, [pair[key] / pair["lane_s"] for pair in pairs], ".0f"))
    return [*rows, Row(f"{TUNE_SECONDS} s ÷ a lane", [TUNE_SECONDS / pair["lane_s"] for pair in ours], ".0f")]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table; `--side`: be one side once."""
    cuda = torch.cuda.is_available()
    device, engine = ("cuda", "fused") if cuda else ("cpu", "eager")
    parser = new_parser(__doc__)
    parser.add_argument("--lanes", type=int, default=100, help="of the smaller pack (default 100)")
    parser.add_argument("--trials", type=int, default=8, help="of Tune, four times as many with reuse")
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device, help=f"default {device}")
    parser.add_argument("--engine", choices=("eager", "fused"), default=engine, help=f"default {engine}")
    parser.add_argument("--side", choices=("ours", "tune"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    ours = partial(lane_seconds, arguments.lanes, device=arguments.device, engine=arguments.engine)
    theirs = partial(tune_seconds, arguments.trials)
    if arguments.side:
        print(json.dumps(ours() if arguments.side == "ours" else theirs()))
        return
    options = [f"--{name}={getattr(arguments, name)}" for name in ("lanes", "trials", "device", "engine")]
    command = partial(module, "benchmarks.start_up", *options, "--side")
    sides = {"Ray Tune": lambda number: run(command("tune")), "ours": lambda number: run(command("ours"))}
    measured = in_turn(sides, pairs=arguments.pairs)
    what = (
        f"Lanes: {TINY}, packs of {arguments.lanes} and {2 * arguments.lanes}, the {arguments.engine} engine. Tune: "
        f"{arguments.trials} trials after a first one, {4 * arguments.trials} with reuse, one at a time. {GOAL}"
    )
    publish(document("Start-up of a trial", rows_of(measured), what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
