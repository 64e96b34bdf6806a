"""10,000 trials that train nothing: what planning, scheduling, recording and reading them costs, in time and memory.

    python -m benchmarks.ten_thousand_trials -o benchmarks/results/ten_thousand_trials.md

One process does what `sweeps plan`, `sweeps run` and the beginning of `analysis report` do with 2,000 configurations ×
5 seeds: expand and check the sweep and plan its packs; run them through Ray Tune with stub_worker.py in place of the
training; read the run folder into a study. Ray, Tune, the packs, the driver and the ledger, synced as ever, are real.
`--packs off` makes every trial a trial of Tune.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from analysis.study.load import load_study
from benchmarks.common import ROOT, document, in_turn, module, new_parser, publish, row, run
from ch6dist.host.hardware import visible_devices
from ch6dist.runs.writer import Writer
from sweeps.launch.run import Launch, start
from sweeps.plan.calibration import read_calibration
from sweeps.plan.plan import make_plan
from sweeps.plan.render import render_plan
from sweeps.spec.expand import expand
from sweeps.spec.sweep_file import SweepSpec, dump

TRIALS, LRS, SEEDS = 10_000, 40, 5
GOAL = "Goal P7: 120 s in all at most, aim 30 s; less than 2 GB in the driver."


def content(trials: int) -> dict[str, Any]:
    """Return a sweep of `trials`: learning rates × weight decays × seeds."""
    decays = trials // (LRS * SEEDS)
    axes = {
        "optimizer.lr": {"values": [1e-4 * 1.2**index for index in range(LRS)]},
        "optimizer.weight_decay": {"values": [1e-6 * (1 + index) for index in range(decays)]},
    }
    data = {"name": "synthetic_cifar100"}
    trial = {"data": data, "model": "lenet5", "optimizer": {"name": "SGD"}, "epochs": 1}
    return {"name": "untrained", "trial": trial, "parameters": axes, "seeds": SEEDS}


def once(trials: int, *, packs: str) -> dict[str, float]:
    """Run everything once; return the seconds of each part, `ledger_s` being a part of `run_s`; packs; peak memory."""
    quiet, ledger = Console(quiet=True), Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        spec = SweepSpec.model_validate(content(trials))
        configs = expand(spec)
        plan = make_plan(spec, configs, devices=visible_devices(), calibration=read_calibration(), packs=packs)
        quiet.print(render_plan(plan))
        planned = time.perf_counter()
        how = Launch(packs=packs, console=quiet, worker="benchmarks.stub_worker:train_pack", paths=(str(ROOT),))
        with ledger.around(Writer, "append"):
            path, status = start(dump(spec), configs, how, name="untrained", runs=Path(folder))
        ran = time.perf_counter()
        study = load_study([path])
        loaded = time.perf_counter()
    finished = (study.trials["status"] == "finished").sum()
    if status != 0 or finished != trials or len(study.history) != trials:
        raise SystemExit(f"{finished} of {trials} trials finished, exit status {status}")
    return {
        "plan_s": planned - began,
        "run_s": ran - planned,
        "ledger_s": ledger.seconds,
        "load_s": loaded - ran,
        "all_s": loaded - began,
        "packs": len(plan.packs),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts kibibytes
    }


class Stopwatch:
    """Seconds spent in a method."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def around(self, owner: type, name: str) -> Iterator[None]:
        """Time every call of `owner.name` for the length of the block."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - started

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, method)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure runs and print their table; `--once`: be one run."""
    parser = new_parser(__doc__, pairs=3)
    each = LRS * SEEDS
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"a multiple of {each} (default {TRIALS})")
    parser.add_argument("--packs", default="auto", help="as of `sweeps run` (default auto)")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.trials < each or arguments.trials % each:
        parser.error(f"--trials {arguments.trials}: a multiple of {each} is needed")
    if arguments.once:
        print(json.dumps(once(arguments.trials, packs=arguments.packs)))
        return
    command = module(
        "benchmarks.ten_thousand_trials", "--once", "--trials", arguments.trials, "--packs", arguments.packs
    )
    runs = in_turn({"run": lambda number: run(command)}, pairs=arguments.pairs)["run"]
    rows = [
        row("plan: expand, check, pack, estimate, s", runs, "plan_s"),
        row("run: Ray, Tune, driver, ledger, s", runs, "run_s"),
        row("of that, writing and syncing the ledger, s", runs, "ledger_s"),
        row("load: ledger to study, s", runs, "load_s"),
        row("these three, s", runs, "all_s", ".1f"),
        row("the whole process, s", runs, "seconds", ".1f"),
        row("packs", runs, "packs", ".0f"),
        row("driver's peak memory, GB", runs, "peak_bytes", scale=1e-9),
    ]
    what = f"{arguments.trials:,} trials that train nothing, a synthetic row each, `--packs {arguments.packs}`. {GOAL}"
    publish(document("Ten thousand trials", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
