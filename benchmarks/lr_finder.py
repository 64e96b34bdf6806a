"""The learning-rate range test as davidtvs/pytorch-lr-finder (MIT) runs it, written again for a fair comparison.

    python -m benchmarks.lr_finder 0 1 2        # the first three curves, in this process: JSON in the last line

Per curve a DataLoader that starts again when it is exhausted, a learning rate that rises exponentially with each batch,
the loss read on the host each step, smoothed (0.05 of the new loss, 0.95 of the old), and a stop at five times the
smallest smoothed loss; model and optimizer are put back to their first state at the end.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from benchmarks.common import new_parser
from benchmarks.plain import build_optimizer, lenet5, loaders
from benchmarks.work import Work, add_work, work_of

START_LR, END_LR, STEPS = 1e-6, 1.0, 100
SMOOTHING, DIVERGED = 0.05, 5.0
CURVES: tuple[dict[str, Any], ...] = tuple(
    {"name": "SGD", "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    for (momentum, nesterov) in ((0.0, False), (0.9, False), (0.9, True), (0.95, False))
    for weight_decay in (0.0, 1e-4, 5e-4, 5e-3)
)


def range_test(
    model: nn.Module, optimizer: Optimizer, loader: DataLoader, *, end_lr: float, steps: int, device: str
) -> tuple[list[float], list[float]]:
    """Return learning rates, from the optimizer's own to `end_lr`, and smoothed losses, as many as there were steps."""
    kept = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    growth = end_lr / optimizer.param_groups[0]["lr"]
    schedule = LambdaLR(optimizer, lambda step: growth ** (step / (steps - 1)))
    batches, lrs, losses = _endless(loader), [], []
    for _ in range(steps):
        loss = _train_batch(model, optimizer, next(batches), device)
        lrs.append(schedule.get_last_lr()[0])
        schedule.step()
        losses.append(SMOOTHING * loss + (1 - SMOOTHING) * losses[-1] if losses else loss)
        if losses[-1] > DIVERGED * min(losses):
            break
    model.load_state_dict(kept[0])
    optimizer.load_state_dict(kept[1])
    return lrs, losses


def _train_batch(model: nn.Module, optimizer: Optimizer, batch: tuple[Tensor, Tensor], device: str) -> float:
    model.train()
    optimizer.zero_grad()
    images, labels = (tensor.to(device, non_blocking=True) for tensor in batch)
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def _endless(loader: DataLoader) -> Iterable[tuple[Tensor, Tensor]]:
    return itertools.chain.from_iterable(itertools.repeat(loader))


def curves(work: Work, which: Iterable[int], *, seed: int = 0) -> list[tuple[list[float], list[float]]]:
    """Run the curves of `which` of CURVES, one after another; the images are read once."""
    torch.manual_seed(seed)
    loader = loaders(work)[0]
    return [_curve(work, CURVES[number], loader, seed) for number in which]


def _curve(work: Work, optimizer: Mapping[str, Any], loader: DataLoader, seed: int) -> tuple[list[float], list[float]]:
    model = lenet5(seed=seed).to(work.device)
    updater = build_optimizer(model, optimizer, lr=START_LR)
    return range_test(model, updater, loader, end_lr=END_LR, steps=STEPS, device=work.device)


def main() -> None:
    """Run some curves in one process on one thread."""
    parser = new_parser(__doc__)
    add_work(parser, Work())
    parser.add_argument("which", type=int, nargs="+", help=f"numbers of curves, 0 to {len(CURVES) - 1}")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = curves(work_of(arguments), arguments.which)
    print(json.dumps({"curves": found, "steps": sum(len(lrs) for lrs, _ in found)}))


if __name__ == "__main__":
    main()
