"""What reading a large run costs: `sweeps status`, `sweeps top`, `analysis table` and `analysis report`.

    python -m benchmarks.report_scale -o benchmarks/results/report_scale.md
    python -m benchmarks.report_scale --trials 100 --keep /tmp/run

The run is made up, but written by the project's own writer: six optimizers × learning rates × three schedules, five
seeds each, in packs of twenty, two at a time. A curve follows from optimizer, learning rate and seed; far above the
best learning rate it diverges. Every command is a process of its own, interpreter start and imports included.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import QUIET, ROOT, document, in_turn, module, new_parser, publish, row
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.runs.provenance import sweep_line, trial_line
from ch6dist.runs.schema import Line, Status
from ch6dist.runs.writer import Writer

TRIALS, EPOCHS, SEEDS, LANES, STEPS = 10_000, 30, 5, 20, 352
START = 1_760_000_000.0  # unix seconds of the first row
GOAL = "Goals at 10,000 trials × 30 epochs on two cores: status and top 1.5 s each, the report 20 s and 1 GB at most."
OPTIMIZERS: tuple[tuple[dict[str, Any], float], ...] = (  # and the learning rate at which each is best
    ({"name": "SGD"}, 0.1),
    ({"name": "SGD", "momentum": 0.9}, 0.02),
    ({"name": "SGD", "momentum": 0.9, "nesterov": True}, 0.03),
    ({"name": "Adam"}, 1e-3),
    ({"name": "AdamW"}, 2e-3),
    ({"name": "RMSprop"}, 5e-4),
)
SCHEDULES: tuple[dict[str, Any], ...] = (
    {},
    {"schedule": {"name": "CosineAnnealingLR"}},
    {"schedule": {"name": "LinearLR"}},
)
COMMANDS = {"status": "sweeps", "top": "sweeps", "table": "analysis", "report": "analysis"}


def configs(trials: int) -> list[TrialConfig]:
    """Return so many trials, the seeds of a configuration side by side."""
    lrs = math.ceil(trials / (len(OPTIMIZERS) * len(SCHEDULES) * SEEDS))
    made = []
    for index, (optimizer, best), schedule, seed in itertools.product(range(lrs), OPTIMIZERS, SCHEDULES, range(SEEDS)):
        lr = best * 10 ** (4 * (index + 0.5) / lrs - 2)
        content = {"data": {"name": "synthetic_cifar100"}, "optimizer": {**optimizer, "lr": lr}, "epochs": EPOCHS}
        made.append(parse_trial({**content, **schedule, "seed": seed}))
    return made[:trials]


def write_run(folder: Path, trials: Sequence[TrialConfig]) -> Path:
    """Write the run folder of these trials, all of which have ended, and return it."""
    spec = {"name": folder.name, "question": "Which optimizer?", "metric": {"name": "val_accuracy", "goal": "maximize"}}
    packs = [_reports(trials[start : start + LANES], start) for start in range(0, len(trials), LANES)]
    with Writer(folder) as writer:
        writer.append([sweep_line(spec), *map(trial_line, trials)])
        for first in range(0, len(packs), 2):  # two packs train at once, so their lines alternate
            writer.append(line for lines in itertools.zip_longest(*packs[first : first + 2]) for line in lines if line)
    return folder


def _reports(pack: Sequence[TrialConfig], start: int) -> Iterator[Line]:
    """Yield the lines of a pack in their order: beginnings, a row of each trial per epoch, ends."""
    names = [trial.trial_id for trial in pack]
    yield {"kind": "pack", "trials": names, "engine": "fused", "time": START + start}
    begun = {"epoch": 0, "host": "hand", "device": "cpu", "engine": "fused", "workers": 1, "batch_size": 128}
    yield from (_line("status", name, status=Status.RUNNING, time=START + start, **begun) for name in names)
    alive = dict(zip(names, pack, strict=True))
    for epoch in range(1, EPOCHS + 1):
        lanes = len(alive)
        for name, trial in list(alive.items()):
            measured = _measured(trial, epoch, random.Random(f"{name} {epoch}").gauss(0, 0.003))
            facts = {"lanes": lanes, "images_per_second": 45_000 / (60 / lanes), "peak_memory_bytes": 2**29}
            facts |= {"time": START + start + 60 * epoch, "seconds": 60 / lanes + 1e-3 * epoch, "eval_seconds": 0.1}
            yield _line("row", name, epoch=epoch, step=STEPS * epoch, **measured, **facts)
            bad = measured["train_loss"] > 20
            if bad or epoch == EPOCHS:
                end = {"reason": "loss above 4 × its start" if bad else "", "epoch": epoch, "step": STEPS * epoch}
                status = Status.DIVERGED if bad else Status.FINISHED
                yield _line("status", name, status=status, **end, time=START + start + 60 * epoch)
                del alive[name]


def _measured(trial: TrialConfig, epoch: int, noise: float) -> dict[str, float | None]:
    optimizer, lr = trial.optimizer, trial.optimizer["lr"]
    best = next(found for given, found in OPTIMIZERS if given.items() <= optimizer.items())
    off = math.log10(lr / best)
    accuracy = min(max(0.5 / (1 + off**2) * (1 - math.exp(-epoch / 8)) + noise + 0.002 * trial.seed, 0.005), 1)
    loss = 4.6 * 1.6**epoch if off > 1.5 else -math.log(accuracy)
    measured = {"train_loss": loss, "train_accuracy": 0.9 * accuracy, "val_loss": 1.1 * loss, "val_accuracy": accuracy}
    return {"lr": lr * (1 - epoch / (EPOCHS + 1)), "momentum": optimizer.get("momentum"), **measured}


def _line(kind: str, trial: str, **content: Any) -> Line:
    return {"kind": kind, "trial": trial, "attempt": 1, **content}


def measure(command: Sequence[str], number: int) -> dict[str, float]:
    """Run a command, the same in every pair; return its wall-clock seconds, CPU seconds and peak memory in bytes."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu_s": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * 1024}


def main(argv: Sequence[str] | None = None) -> None:
    """Make the run, measure the commands and print their table."""
    parser = new_parser(__doc__, pairs=3)
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"default {TRIALS}")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="the run folder; made where it is not there, and kept")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        run = arguments.keep or Path(scratch) / "made_up"
        if not run.exists():
            write_run(run, configs(arguments.trials))
        sides = {name: partial(measure, module(package, name, run)) for name, package in COMMANDS.items()}
        measured = in_turn(sides, pairs=arguments.pairs)
    rows = []
    for name, runs in measured.items():
        rows += [row(f"{name}, s", runs, "seconds"), row(f"{name}, CPU s", runs, "cpu_s")]
        rows.append(row(f"{name}, peak memory, GB", runs, "peak_bytes", scale=1e-9))
    what = f"{arguments.trials:,} trials × {EPOCHS} epochs, made up. {GOAL}"
    publish(document("Reading a large run", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
