"""What it costs to look inside a training: a trial that captures ÷ the same trial that does not.

    python -m benchmarks.capture -n 5 -o benchmarks/results/capture.md

All sides train in this process, in turn, with one thread: LeNet-5 through `train`, files of captures included. Goal:
the norms of all gradients and parameters in every step, what `capture: {}` keeps, cost less than a tenth.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import Measures, document, in_turn, new_parser, publish, ratio, row
from ch6dist.capture import KINDS
from ch6dist.config import parse_trial
from ch6dist.training.captures import Captures
from ch6dist.training.loop import train

GOAL = "Goal: 1.10 at most for the norms."
SIDES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "norms": {},
    "summaries": {kind: {"keep": "summary"} for kind in KINDS},
    "summaries, every 10th step": {kind: {"keep": "summary", "every": 10} for kind in KINDS},
}


def seconds(number: int, *, capture: dict[str, Any] | None, data: str, images: int) -> Measures:
    """Train a trial of one epoch; return the seconds of all of `train`."""
    split = {"name": data, "train_size": images, "val_size": 100}
    trial = parse_trial({"data": split, "optimizer": {"name": "Adam"}, "epochs": 1, "capture": capture})
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train([trial], captures=Captures(Path(folder)), threads=1)
        return {"seconds": time.perf_counter() - started}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table."""
    parser = new_parser(__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--data", default="cifar100")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    same = {"data": arguments.data, "images": arguments.images}
    seconds(0, capture=SIDES["norms"], **same)  # the first training of a process loads and allocates
    sides = {name: partial(seconds, capture=capture, **same) for name, capture in SIDES.items()}
    measured = in_turn(sides, pairs=arguments.pairs)
    rows = [row("no capture, s", measured["none"], "seconds")]
    rows += [ratio(f"{name} ÷ none", measured, name, "none", "seconds") for name in SIDES if name != "none"]
    what = f"LeNet-5, Adam, {arguments.images:,} images of {arguments.data}, one epoch, one thread. {GOAL}"
    publish(document("Captures", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
