"""The batches of one epoch for lanes that train together: which images, in which order, cut and mirrored how.

    epoch = epoch_batches(data, seeds=[0, 0, 1], epochs=[4, 4, 4], config=trial.data, steps=352, device=…, dtype=…)
    epoch.plans, epoch.plan_of        # two epoch plans, and which of them each lane uses: (0, 0, 1)

Lanes of one seed at one epoch see the same batches; an epoch plan is drawn once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ch6dist.data.further import TrainBatch
from ch6dist.data.images import EpochPlan, TrainData, epoch_plan
from ch6dist.distributed.group import Group
from ch6dist.engines.step_counter import StepCounter
from ch6dist.trial_sections import DataConfig


@dataclass(frozen=True)
class BatchPosition:
    """The position of a batch in its epoch, on which schedules, dropout and gradient weights depend."""

    epoch: int  # epochs completed before it
    batch: int  # its number in the epoch, from 0
    first_row: int  # where this rank's rows begin in the global batch
    rows: int  # size of the global batch


@dataclass(frozen=True)
class EpochBatches:
    """An epoch, or the part of one that a range test takes."""

    data: TrainData
    plans: tuple[EpochPlan, ...]  # one for each different (seed, epoch)
    plan_of: tuple[int, ...]  # each lane's plan, in the order of lanes
    epochs: tuple[int, ...]  # epochs that each lane has completed before this one
    size: int  # images of an epoch
    batch_size: int
    steps: int  # batches to train on; the epoch's last batch may be smaller
    dtype: torch.dtype
    counter: StepCounter = field(default_factory=StepCounter)

    @property
    def counts(self) -> list[int]:
        """Return the images of each step's global batch."""
        return [min(self.batch_size, self.size - index * self.batch_size) for index in range(self.steps)]

    def each_step(self) -> Iterator[int]:
        """Yield the images of each step's global batch; a step is counted when the next one is asked for."""
        for count in self.counts:
            yield count
            self.counter.add(count * len(self.epochs))

    def part(self, lanes: slice) -> EpochBatches:
        """Return the batches of some of the lanes."""
        used = list(dict.fromkeys(self.plan_of[lanes]))
        return replace(
            self,
            plans=tuple(self.plans[plan] for plan in used),
            plan_of=tuple(used.index(plan) for plan in self.plan_of[lanes]),
            epochs=self.epochs[lanes],
        )

    def batches(self, group: Group) -> Iterator[tuple[BatchPosition, TrainBatch]]:
        """Yield this rank's share of each batch; for lanes that share one plan."""
        for index, rows in enumerate(self.each_step()):
            start = index * self.batch_size
            low, high = group.share(start, start + rows)
            position = BatchPosition(epoch=self.epochs[0], batch=index, first_row=low - start, rows=rows)
            whole = slice(start, start + rows)
            yield position, self.plans[0].batch(self.data, low, high, self.dtype, whole=whole)


def epoch_batches(
    data: TrainData,
    *,
    seeds: Sequence[int],
    epochs: Sequence[int],
    config: DataConfig,
    steps: int,
    device: torch.device,
    dtype: torch.dtype,
    counter: StepCounter | None = None,
) -> EpochBatches:
    """Return the batches of an epoch for lanes with `seeds` that have completed `epochs`."""
    lanes = list(zip(seeds, epochs, strict=True))
    keys = list(dict.fromkeys(lanes))
    size = config.train_size
    how: dict[str, Any] = {"augment": config.augment, "batch_size": config.batch_size, "device": device}
    shape = data.train_images.shape
    plans = [epoch_plan(seed=s, epoch=e, count=size, shape=shape, **how) for s, e in keys]
    return EpochBatches(
        data=data,
        plans=tuple(plans),
        plan_of=tuple(keys.index(lane) for lane in lanes),
        epochs=tuple(epochs),
        size=size,
        batch_size=config.batch_size,
        steps=steps,
        dtype=dtype,
        counter=counter or StepCounter(),
    )
