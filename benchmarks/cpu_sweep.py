"""A sweep on a CPU: `sweeps run` against the loop most people write with Ray Tune. Whole command against whole command.

    python -m benchmarks.cpu_sweep --pairs 3 -o benchmarks/results/cpu_sweep.md

16 LeNet-5 trials (4 optimizers × 4 learning rates), 10,000 real CIFAR-100 images with crop and flip, 1 epoch, 1,000
images of validation; one thread per process on both sides. The other side is a function trainable with torchvision's
transforms on PIL images and a DataLoader, one CPU per trial, as many at once as there are cores. The two run in turn,
so that a machine that slows down slows both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from benchmarks.common import Measures, document, in_turn, module, new_parser, publish, ratio, row, run
from benchmarks.work import Work
from ch6dist.catalog.dataset_files import check_files

WORK = Work()
GOAL = "Goal P6: 3.5× at least, aim 5×."


def tune_loop(number: int) -> Measures:
    """Run the plain loop: what a person writes from the tutorials of Ray Tune and PyTorch."""
    return run(module("benchmarks.tune_loop", *WORK.options()))


def sweeps_run(number: int, *, folder: Path) -> Measures:
    """Run `sweeps run` on the same trials; `number` keeps the run folders apart."""
    spec = folder / "sweep.yaml"
    spec.write_text(yaml.safe_dump(WORK.sweep("cpu-sweep")), encoding="utf-8")
    return run(module("sweeps", "run", spec, "--name", f"run{number}", "--runs", folder))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table, or be the other side once."""
    parser = new_parser(__doc__)
    parser.add_argument("--tune-loop", action="store_true", help="run the other side once")
    arguments = parser.parse_args(argv)
    check_files(WORK.data)
    if arguments.tune_loop:
        print(tune_loop(0))
        return
    with tempfile.TemporaryDirectory() as scratch:
        sides = {"plain": tune_loop, "ours": partial(sweeps_run, folder=Path(scratch))}
        measured = in_turn(sides, pairs=arguments.pairs)
    rows = [
        row("plain Ray Tune loop, s", measured["plain"], "seconds", ".1f"),
        row("`sweeps run`, s", measured["ours"], "seconds", ".1f"),
        ratio("ratio", measured, "plain", "ours", "seconds"),
    ]
    what = f"16 trials: {WORK}; seconds of the whole command. {GOAL}"
    publish(document("CPU sweep", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
