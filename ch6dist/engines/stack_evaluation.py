"""The weights with which a stack is evaluated, where its family has others for that than for training.

    stack.evaluated = evaluation_of(steps, epoch, [lane.momentum for lane in lanes])

As evaluation_weights.py finds them of one lane, here of all at once: statistics of batch normalisation are estimated
anew over the epoch's first batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ch6dist.engines.epoch_batches import EpochBatches
from ch6dist.engines.evaluation_weights import BATCHES
from ch6dist.engines.lanes import Rows
from ch6dist.engines.stack import EvaluationWeights
from ch6dist.engines.step import StackSteps, forward
from ch6dist.engines.step_counter import StepCounter


@torch.no_grad()
def evaluation_of(steps: StackSteps, epoch: EpochBatches, momentum: Sequence[float | None]) -> EvaluationWeights:
    """Return the weights for evaluation of lanes that have just trained `epoch`; the lanes stay as they are.

    Args:
        momentum: of each lane's optimizer, as it stands behind the last step.
    """
    stack = steps.stack
    assert stack.family.evaluated is not None
    point = torch.tensor([[m] for m in momentum], dtype=torch.float64)  # [K, 1]
    found = EvaluationWeights(
        stack.family.evaluated(stack.weights, stack.state, point),
        {name: values.clone() for name, values in stack.buffers.items()},
    )
    if steps.net.statistics:
        _estimate(steps, epoch, found)
    return found


def _estimate(steps: StackSteps, epoch: EpochBatches, found: EvaluationWeights) -> None:
    """Set running statistics to those of each batch, averaged."""
    rows = Rows(
        lanes=steps.stack.lanes,
        weights=steps.stack.layout.views(found.weights),
        buffers=found.buffers,
        group_of=steps.groups,
        step=torch.zeros(0),
        keys={},
        training=False,
        autotune=steps.autotune,
        estimating=True,
    )
    seen: list[Mapping[str, Tensor]] = []
    first = replace(epoch, steps=min(epoch.steps, BATCHES), counter=StepCounter())  # no step is counted twice
    for index, count in enumerate(first.each_step()):
        steps.stage(index, count)
        steps.t.fill_(index)
        images, _ = steps.images(count)
        forward(steps.net, images, rows, precision=steps.precision)
        seen.append({name: found.buffers[name].clone() for name in steps.net.statistics})
    for name in steps.net.statistics:
        found.buffers[name].copy_(torch.stack([each[name] for each in seen]).mean(0))
