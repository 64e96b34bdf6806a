"""What tells apart the learning rates and momenta of trials, epoch by epoch: what `ch6dist digests` prints.

    digests([none, step])       # [['5f1…', 'a07…', '3be…'], ['5f1…', 'a07…', '94c…']]: two epochs are the same

The digest of an epoch is a hash of the steps per epoch and of the exact bytes of both tables from the first step to the
epoch's end, so that equal ones stand for equal tables up to there.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Sequence

import torch

from ch6dist.config import TrialConfig
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedules import UNCHANGING, build_schedule

BYTES = 10  # of a digest: among a billion of them two would be equal with a probability of 4e-7
_TABLE = ("name", "lr", "momentum", "betas")  # of an optimizer, what its tables depend on


def digests(trials: Sequence[TrialConfig]) -> list[list[str | None]]:
    """Return a digest per epoch of each trial, None from the first epoch on that depends on a metric.

    A range test has none. InputError where a schedule fits no training of the trial's steps.
    """
    known: dict[str, list[str | None]] = {}
    found: list[list[str | None]] = []
    for trial in trials:
        if trial.type != "train":
            found.append([])
            continue
        steps = trial.data.steps_per_epoch
        optimizer = {key: trial.optimizer[key] for key in _TABLE if key in trial.optimizer}
        key = json.dumps([trial.schedule, trial.epochs, steps, optimizer])
        if key not in known:
            known[key] = list(_digests(trial, steps_per_epoch=steps))
        found.append(known[key])
    return found


def _digests(trial: TrialConfig, *, steps_per_epoch: int) -> Iterator[str | None]:
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(()))], trial.optimizer)
    schedule = build_schedule(trial, optimizer, steps_per_epoch=steps_per_epoch)
    optimizer.step()  # without gradients nothing moves, and torch knows that optimizers step before schedulers
    whole = hashlib.blake2b(struct.pack("<q", steps_per_epoch), digest_size=BYTES)
    for epoch in range(trial.epochs):
        if schedule.known_epochs is not None and epoch >= schedule.known_epochs:
            yield None
            continue
        for batch in range(steps_per_epoch):
            if batch == 0 or schedule.interval == "batch":
                momentum = momentum_of(optimizer)
                used = struct.pack("<dd", optimizer.param_groups[0]["lr"], math.nan if momentum is None else momentum)
            whole.update(used)
            schedule.after_step(epoch=epoch, batch=batch)
        schedule.after_epoch(UNCHANGING)
        yield whole.hexdigest()
