"""One trial in this process (or in the processes of `torchrun`), with a run folder of its own and no Ray.

    status = run_trial(parse_trial(content), run=Path("runs/one"), console=Console())

Rank 0 is the driver: it holds the lease and writes the ledger.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from ch6dist.catalog.dataset_files import check_files
from ch6dist.config import TrialConfig
from ch6dist.distributed.group import Group, default_device, from_environment
from ch6dist.errors import UsageError
from ch6dist.optim.schedules import preview
from ch6dist.packs import Orders, Report, engine_for, no_report
from ch6dist.runs import lease
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.names import LEDGER
from ch6dist.runs.narration import describe
from ch6dist.runs.provenance import sweep_line, sweep_of_one, trial_line
from ch6dist.runs.schema import BROKEN, ENDED, Line
from ch6dist.runs.writer import Writer
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train


def run_trial(trial: TrialConfig, *, run: Path, resume: bool = False, console: Console) -> int:
    """Train `trial` into `run`; return the exit status.

    Args:
        resume: continue a run that is there, from the trial's checkpoint if there is one.
    """
    check_files(trial.data.name, root=trial.data.root, test=trial.evaluate_test)
    preview(trial, steps_per_epoch=trial.data.steps_per_epoch)  # raises before anything is written
    there = any((run / LEDGER).glob("*.jsonl"))
    if there and not resume:
        raise UsageError(f"{run} holds a run already", "name another one with --run, or continue it with --resume")
    before = read(run) if there else Ledger()
    if (status := before.status(trial.trial_id)) in ENDED:
        console.print(f"{trial.trial_id} has ended: {status}", highlight=False)
        return 1 if status in BROKEN else 0
    with from_environment() as group, _reporting(trial, before, run, group, console) as report:
        device = default_device()
        kind, attempts = "gpu" if device.type == "cuda" else "cpu", {trial.trial_id: before.attempt(trial.trial_id)}
        status = train(
            [trial],
            report=report,
            checkpoints=Checkpoints(run / "checkpoints", attempts),
            attempts=attempts,
            variants=before.variants,
            device=device,
            group=group,
            checkpoint_seconds=before.spec.get("checkpoints", {}).get("seconds", 30.0),
            engine=engine_for(trial.optimizer["name"], kind=kind, workers=group.world_size)[0],
            threads=1,
        )[trial.trial_id]
    return 1 if status in BROKEN else 0


@contextlib.contextmanager
def _reporting(trial: TrialConfig, before: Ledger, run: Path, group: Group, console: Console) -> Iterator[Report]:
    """Give rank 0 the function that writes the ledger and prints each epoch, other ranks one that does nothing."""
    if group.rank != 0:
        yield no_report
        return
    run.mkdir(parents=True, exist_ok=True)
    with lease.hold(run), Writer(run) as writer:
        spec = before.spec or sweep_of_one(run.name, [trial])  # in a run that a sweep began, the sweep's stays
        writer.append([sweep_line(spec), trial_line(trial)])

        def report(lines: Sequence[Line]) -> Orders:
            writer.append(lines)
            for line in lines:
                for text in describe(line, trial):
                    console.print(text, highlight=False)
            return Orders()

        console.print(f"run folder: {run}", highlight=False)
        yield report


def default_run(trial: TrialConfig, root: Path) -> Path:
    """Return a free folder for a trial without a name."""
    return root / f"{trial.name}-{time.strftime('%Y%m%d-%H%M%S')}"
