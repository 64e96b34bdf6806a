"""The plain Ray Tune loop: a function trainable, a process per trial, the loop of plain.py in each.

python -m benchmarks.tune_loop --at-once 2                  # 16 trials, JSON in the last line
python -m benchmarks.tune_loop --at-once 8 --loader-workers 2 --device cuda
python -m benchmarks.tune_loop --search                     # which of these settings is fastest here
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import ray
import torch
from ray import tune

from benchmarks.common import num_cores
from benchmarks.plain import train_plain
from benchmarks.work import Work, add_work, grid, work_of


def one_trial(config: dict[str, Any], *, work: Work, loader_workers: int) -> None:
    """Train on one thread and report the accuracy, as a person gives it to Tune."""
    torch.set_num_threads(1)
    point = config["point"]
    done = train_plain(work, point["optimizer"], lr=point["lr"], seed=point["seed"], loader_workers=loader_workers)
    tune.report(done)


def fit(work: Work, points: Sequence[dict[str, Any]], *, at_once: int, loader_workers: int) -> dict[str, float]:
    """Train `points`, `at_once` of them together, which share the cores (and the GPU) equally.

    Returns `trials_s`, seconds from Tune's start to its end, and the median of the trials' `val_accuracy`.
    """
    share = {"cpu": num_cores() / at_once, "gpu": 1 / at_once if work.device == "cuda" else 0}
    trainable = tune.with_parameters(one_trial, work=work, loader_workers=loader_workers)
    with tempfile.TemporaryDirectory() as scratch:
        tuner = tune.Tuner(
            tune.with_resources(trainable, share),
            param_space={"point": tune.grid_search(list(points))},
            run_config=tune.RunConfig(storage_path=scratch, verbose=0),
        )
        started = time.perf_counter()
        results = tuner.fit()
        seconds = time.perf_counter() - started
    if results.errors:
        raise results.errors[0]
    accuracies = [result.metrics["val_accuracy"] for result in results]
    return {"trials_s": seconds, "val_accuracy": statistics.median(accuracies)}


def candidates(number: int) -> list[tuple[int, int]]:
    """Return settings worth trying on `number` cores: trials at once, and loader workers that fill the cores."""
    at_once = [2**power for power in range(number.bit_length()) if 2**power <= number]
    return [(trials, workers) for trials in at_once for workers in sorted({0, number // trials // 2, number // trials})]


def search(work: Work) -> list[dict[str, float]]:
    """Try each candidate with two trials per slot for one epoch; return settings and trials per hour, best first."""
    found = []
    for at_once, workers in candidates(num_cores()):
        points = list(itertools.islice(itertools.cycle(grid([0])), 2 * at_once))
        points = [{**point, "seed": number} for number, point in enumerate(points)]
        seconds = fit(work, points, at_once=at_once, loader_workers=workers)["trials_s"]
        found.append({"at_once": at_once, "loader_workers": workers, "trials_per_hour": len(points) * 3600 / seconds})
    return sorted(found, key=lambda one: -one["trials_per_hour"])


def main() -> None:
    """Run the loop once, or search for its best settings; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_work(parser, Work())
    parser.add_argument("--seeds", type=int, default=1, help="16 trials each (default 1)")
    parser.add_argument(
        "--at-once", type=int, default=num_cores(), help="trials that share the machine (default: cores)"
    )
    parser.add_argument("--loader-workers", type=int, default=0, help="of each trial's DataLoader (default 0)")
    parser.add_argument("--search", action="store_true", help="try settings, one epoch each")
    arguments = parser.parse_args()
    work = work_of(arguments)
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    gpus = {"num_gpus": 1} if work.device == "cuda" else {"num_gpus": 0}
    ray.init(num_cpus=num_cores(), include_dashboard=False, log_to_driver=False, **gpus)
    if arguments.search:
        print(json.dumps({"found": search(work)}))
    else:
        points = grid(range(arguments.seeds))
        settings = {"at_once": arguments.at_once, "loader_workers": arguments.loader_workers}
        print(json.dumps(fit(work, points, **settings)))
    ray.shutdown()


if __name__ == "__main__":
    main()
