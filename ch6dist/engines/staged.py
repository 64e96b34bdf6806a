"""A batch in tensors that stay, for steps that a CUDA graph replays; and the labels of several batches.

staged = Staged(epoch, torch.float32)
staged.fill(plan.batch(data, 0, 128, torch.float32))
staged.rows(128)                                        # the same batch, in the same tensors each time
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ch6dist.data.further import Labels, Mixed, TrainBatch
from ch6dist.engines.epoch_batches import EpochBatches


class Staged:
    """Room for the batches of one plan; whether their labels are mixed is the same for all."""

    def __init__(self, epoch: EpochBatches, dtype: torch.dtype) -> None:
        first, size = epoch.data.train_images, min(epoch.batch_size, epoch.size)
        self.images = torch.zeros(size, *first.shape[1:], dtype=dtype, device=first.device)
        self.labels, self.others = torch.zeros(2, size, dtype=torch.int64, device=first.device)
        self.weights = torch.ones(size, dtype=dtype, device=first.device)
        self.is_mixed = any(plan.further is not None and plan.further.mixing is not None for plan in epoch.plans)

    def fill(self, batch: TrainBatch) -> None:
        """Copy a batch into the first rows."""
        rows, labels = slice(len(batch.images)), batch.labels
        self.images[rows].copy_(batch.images)
        if isinstance(labels, Mixed):
            self.others[rows].copy_(labels.others)
            self.weights[rows].copy_(labels.weights)
            labels = labels.labels
        self.labels[rows].copy_(labels)

    def rows(self, count: int) -> TrainBatch:
        """Return the first rows as a batch."""
        rows = slice(count)
        mixed = Mixed(self.labels[rows], self.others[rows], self.weights[rows])
        return TrainBatch(self.images[rows], mixed if self.is_mixed else mixed.labels)


def stack_labels(batches: Sequence[Labels], group_of: Tensor) -> Labels:
    """Return the labels of each lane's batch, [K, B]; all are mixed, or none is."""

    def stack(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(parts)).index_select(0, group_of)

    mixed = [labels for labels in batches if isinstance(labels, Mixed)]
    if mixed:
        return Mixed(*(stack(parts) for parts in zip(*mixed, strict=True)))
    return stack([labels for labels in batches if isinstance(labels, Tensor)])
