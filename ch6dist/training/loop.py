"""The one loop: trains a pack of trials that share data and epochs; a pack of one is the ordinary case.

    statuses = train([trial], report=print_rows, checkpoints=Checkpoints("runs/one/checkpoints"))

`report(lines) -> Orders` gets ledger lines (rows, statuses, artifacts) after every epoch, before the checkpoint of that
epoch is written: what a checkpoint holds, the ledger holds. Its orders stop trials and admit new ones.
A range test is the same loop with another schedule, a row per step and a stop rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from ch6dist.branches import Branches
from ch6dist.config import TrialConfig
from ch6dist.data.images import load_split
from ch6dist.distributed.group import SOLO, Group, default_device
from ch6dist.engines.choice import make_engine
from ch6dist.engines.kernels import AutotuneCache
from ch6dist.engines.step_counter import StepCounter
from ch6dist.packs import Report, check_shared, no_report
from ch6dist.runs.schema import EngineName, Status
from ch6dist.seeding import numerics
from ch6dist.training.captures import Captures
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.epoch import finish_epoch, save_captured, train_epoch, validate
from ch6dist.training.finalize import apply_orders, finalize
from ch6dist.training.lane import Lane
from ch6dist.training.ledger_lines import opening_line, variant_line
from ch6dist.training.pack import Pack


def train(
    trials: Sequence[TrialConfig],
    *,
    report: Report = no_report,
    checkpoints: Checkpoints | None = None,
    captures: Captures | None = None,
    attempts: Mapping[str, int] | None = None,
    branches: Branches | None = None,
    keep: Mapping[str, Collection[int]] | None = None,
    variants: Mapping[str, str] | None = None,
    device: torch.device | str | None = None,
    group: Group = SOLO,
    engine: EngineName = "eager",
    checkpoint_seconds: float = 30.0,
    threads: int | None = None,
    counter: StepCounter | None = None,
) -> dict[str, Status]:
    """Train a pack to its end, resuming from checkpoints where there are any; return each trial's status.

    Trials that have not ended when the orders say to halt have none; their checkpoints are written.

    Args:
        trials: configurations that share type, data, model, epochs, precision and determinism (else InputError).
        report: called on rank 0 after each epoch of the pack, and before a kernel variant that was measured is used
            (orders in that answer are not heard).
        checkpoints: where `last` and `best` are kept, used on rank 0 alone; None keeps nothing.
        captures: where what is captured is kept, used on rank 0 alone; None keeps nothing.
        attempts: attempt of each trial, 1 where left out; stamped on every line.
        branches: where a trial leaves another, by its id, also of trials that join later; one without a `last` of its
            own starts there, and reports no rows of the epochs that it shares. Used on rank 0 alone.
        keep: epochs, by trial id, at whose end its checkpoint for branches is written; also may grow while it trains.
            Used on rank 0 alone.
        variants: kernel variants that the run has recorded, by key; the answer to a measured one may add to them.
        device: left out: this process's GPU, else the CPU.
        group: the processes that train together (distributed/group.py).
        engine: `eager`, or `fused` for element-wise optimizers of one family in one process (engines/fused.py).
        checkpoint_seconds: how often `last` is written; also at a stop and at the end.
        threads: of this process, on a CPU; a resume is bit-exact with the same number.
        counter: counts the steps of the current epoch, for another thread to read.
    """
    check_shared(trials, engine=engine)
    if threads is not None:
        torch.set_num_threads(threads)
    where = torch.device(device) if device is not None else default_device()
    autotune = AutotuneCache(variants, lambda key, variant: report([variant_line(key, variant)]))
    with numerics(where, deterministic=trials[0].deterministic):
        pack = Pack(
            first=trials[0],
            engine=make_engine(engine, data=trials[0].data, device=where, group=group, autotune=autotune),
            data=load_split(trials[0].data, device=where, seed=trials[0].split_seed),
            device=where,
            group=group,
            report=report,
            attempts=attempts or {},
            checkpoints=checkpoints if group.rank == 0 else None,
            captures=captures if group.rank == 0 else None,
            branches={} if branches is None else branches,  # an empty one may be filled later
            keep={} if keep is None else keep,
            checkpoint_seconds=checkpoint_seconds,
            counter=counter or StepCounter(),
        )
        return _run(pack, trials)


def _run(pack: Pack, trials: Sequence[TrialConfig]) -> dict[str, Status]:
    """Train epoch after epoch until no lane is left, or the driver halts; return the status of each that has ended."""
    statuses, lanes = _begin(pack, trials)
    while lanes and not pack.halted:
        records = train_epoch(pack, lanes)
        validate(pack, lanes, records)
        save_captured(pack, lanes, records)
        orders = pack.send(finish_epoch(pack, lanes, records))
        apply_orders(lanes, orders)
        ended, lanes = finalize(pack, lanes)
        statuses |= ended
        while pack.joining:
            joining, pack.joining = pack.joining, []
            check_shared([pack.first, *joining], engine=pack.engine.name)
            ended, joined = _begin(pack, joining)
            statuses |= ended
            lanes += joined
    return statuses


def _begin(pack: Pack, trials: Sequence[TrialConfig]) -> tuple[dict[str, Status], list[Lane]]:
    """Open lanes for `trials` and report them; return what `finalize` does: a finished checkpoint ends its lane."""
    lanes = [pack.open(trial) for trial in trials]
    orders = pack.send(
        [opening_line(lane, pack.group, device=str(pack.device), engine=pack.engine.name) for lane in lanes]
    )
    apply_orders(lanes, orders)
    return finalize(pack, lanes)
