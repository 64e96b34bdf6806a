"""The task, for both engines: what the loss of a batch is, and what counts as correct.

    task = Task(metrics=("top5",))
    task.loss(logits, labels, smoothing=0.1)                # the sum over a batch, of one lane
    task.losses(logits, labels, smoothing=smoothing)        # [K], of many
    task.counts(logits, labels)                             # [..., 2]: right answers, and those among the first five

Cross entropy with label smoothing (Szegedy et al. 2016); of mixed images the weighted sum of both labels' losses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ch6dist.catalog.metrics import TOP
from ch6dist.data.further import Labels, Mixed, main_labels


@dataclass(frozen=True)
class Task:
    """What is trained and measured; labels may be mixed."""

    metrics: tuple[str, ...] = ()  # beside the accuracy, in an evaluation
    coarse_of_class: Tensor | None = None  # [classes] int64, for the metric `coarse`

    def loss(self, logits: Tensor, labels: Labels, *, smoothing: float = 0.0) -> Tensor:
        """Return the sum of the losses of a batch: logits [B, classes]."""
        if not isinstance(labels, Mixed):
            return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)

        def entropies(targets: Tensor) -> Tensor:
            return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)

        return _weighted(labels, entropies).sum()

    def losses(self, logits: Tensor, labels: Labels, *, smoothing: Tensor | None) -> Tensor:
        """Return the sums of the losses of each lane [K]: logits [K, B, classes], labels [K, B], smoothing [K, 1]."""
        lanes, count, _ = logits.shape

        def entropies(targets: Tensor) -> Tensor:
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(lanes, count)

        found = _weighted(labels, entropies) if isinstance(labels, Mixed) else entropies(labels)
        if smoothing is not None:
            uniform = -F.log_softmax(logits, dim=2).mean(2)
            found = (1 - smoothing) * found + smoothing * uniform
        return found.sum(1)

    def right(self, logits: Tensor, labels: Labels) -> Tensor:
        """Return how many predictions of the batch are correct: logits [..., B, classes] → [...] int64."""
        return (logits.argmax(-1) == main_labels(labels)).sum(-1)

    def counts(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return what `right` does and the same by each further metric: [..., 1 + metrics] int64."""
        return torch.stack([self.right(logits, labels), *(MEASURES[m](self, logits, labels) for m in self.metrics)], -1)


TASK = Task()  # of a training: beside the loss only what is correct


def _weighted(labels: Mixed, entropies: Callable[[Tensor], Tensor]) -> Tensor:
    return labels.weights * entropies(labels.labels) + (1 - labels.weights) * entropies(labels.others)


def _top(task: Task, logits: Tensor, labels: Tensor) -> Tensor:
    """Return how many labels are among the classes with the five largest outputs."""
    return (logits.topk(TOP, dim=-1).indices == labels[..., None]).any(-1).sum(-1)


def _coarse(task: Task, logits: Tensor, labels: Tensor) -> Tensor:
    """Return how many predictions are of the label's superclass."""
    assert task.coarse_of_class is not None, "a trial with this metric has superclasses"
    return (task.coarse_of_class[logits.argmax(-1)] == task.coarse_of_class[labels]).sum(-1)


MEASURES: dict[str, Callable[[Task, Tensor, Tensor], Tensor]] = {"top5": _top, "coarse": _coarse}
