"""What a DDP trial costs besides its training: sweeps of ordinary trials against sweeps of trials with two workers.

    python -m benchmarks.ddp_trial --pairs 3 -o benchmarks/results/ddp_trial.md

`sweeps run` on next to nothing: one trial, and `--more` further ones, one at a time, each a pack of its own. What a
sweep of one takes more with two workers is the first DDP trial's cost; what the further ones take, divided by their
number, is that of every other: they find the workers of the first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from benchmarks.common import Measures, Row, document, in_turn, module, new_parser, publish, row, run
from benchmarks.work import Work

WORK = Work(data="synthetic_cifar100", train_size=64, val_size=32, batch_size=32)
GOAL = "Goal: a DDP trial costs at most 4 s more than an ordinary one."


def sweep(number: int, *, folder: Path, workers: int, cpus: int, more: int) -> Measures:
    """Return `first_s`, a whole sweep of one trial; `further_s`, a further one."""
    seconds = []
    for count in (1, 1 + more):
        lrs = [0.01 / (1 + index) for index in range(count)]
        resources = {"gpus": 0, "workers": workers, "cpus": cpus}  # one trial at a time on either side
        content = {"name": "ddp", "trial": WORK.content(), "parameters": {"optimizer.lr": {"values": lrs}}}
        spec = folder / f"sweep-{workers}-{count}.yaml"
        spec.write_text(yaml.safe_dump(content | {"resources": resources}), encoding="utf-8")
        name = f"run-{workers}-{count}-{number}"
        seconds.append(
            run(module("sweeps", "run", spec, "--packs", "off", "--name", name, "--runs", folder))["seconds"]
        )
    return {"first_s": seconds[0], "further_s": (seconds[1] - seconds[0]) / more}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table."""
    parser = new_parser(__doc__, pairs=3)
    parser.add_argument("--more", type=int, default=20, help="trials after the first one (default 20)")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        side = partial(sweep, folder=Path(scratch), more=arguments.more)
        sides = {"ordinary": partial(side, workers=1, cpus=2), "DDP": partial(side, workers=2, cpus=1)}
        measured = in_turn(sides, pairs=arguments.pairs)
    rows = []
    for key, words in (("first_s", "a sweep of one trial"), ("further_s", "a further trial")):
        rows += [row(f"{words}, {side}, s", measured[side], key) for side in measured]
        pairs = zip(measured["DDP"], measured["ordinary"], strict=True)
        rows.append(Row(f"{words}, DDP − ordinary, s", [ddp[key] - plain[key] for ddp, plain in pairs]))
    what = f"{WORK}; two workers of one core each against one with two. {GOAL}"
    publish(document("DDP trials", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
