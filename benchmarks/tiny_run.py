"""A sweep too short to matter: `sweeps run` of two trials of one epoch against the start and stop of Ray alone.

    python -m benchmarks.tiny_run -o benchmarks/results/tiny_run.md

What is above 1 is what the command adds to Ray: imports, two workers that load torch, two trials, and the end. The
other side is `import ray; ray.init(); ray.shutdown()`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from benchmarks.common import Measures, document, in_turn, module, new_parser, publish, ratio, row, run

SWEEP = {
    "name": "tiny",
    "trial": {
        "data": {"name": "synthetic_mnist", "train_size": 1000, "val_size": 200, "batch_size": 100},
        "model": "simple_nn",
        "epochs": 1,
    },
    "parameters": {"optimizer.lr": {"values": [0.1, 0.01]}},
}
GOAL = "Goal: 1.5 at most."


def ray_alone(number: int) -> Measures:
    """Start and stop Ray."""
    return run([sys.executable, "-c", "import ray; ray.init(); ray.shutdown()"])


def sweeps_run(number: int, *, folder: Path) -> Measures:
    """Run the sweep; `number` keeps the run folders apart."""
    spec = folder / "sweep.yaml"
    spec.write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
    return run(module("sweeps", "run", spec, "--name", f"run{number}", "--runs", folder))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table."""
    arguments = new_parser(__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        sides = {"ray": ray_alone, "ours": partial(sweeps_run, folder=Path(scratch))}
        measured = in_turn(sides, pairs=arguments.pairs)
    rows = [
        row("`import ray; ray.init(); ray.shutdown()`, s", measured["ray"], "seconds"),
        row("`sweeps run`, s", measured["ours"], "seconds"),
        ratio("ratio", measured, "ours", "ray", "seconds"),
    ]
    what = f"Two trials of one epoch over 1,000 synthetic images, on all cores; seconds of the whole command. {GOAL}"
    publish(document("A tiny run", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
