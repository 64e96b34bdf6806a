"""The weights with which a lane is evaluated, where its optimizer has others for that than for training.

    found = evaluation_weights(lane.model, lane.optimizer, batches)     # [name → tensor], as a state dict
    with weights_in(lane.model, found):                                 # and back to those of the training, bit for bit

Schedule-Free and its kind train at one point and are judged at another, an average (Defazio et al. 2024). The running
statistics of batch normalisation belong to the point of training: for the other they are estimated anew, as the plain
mean over some training batches, with everything else as in an evaluation: nothing in it is random.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ch6dist.data.further import TrainBatch

BATCHES = 50  # of the epoch, the first ones, over which statistics are estimated
Weights = dict[str, Tensor]


@torch.no_grad()
def evaluation_weights(model: nn.Module, optimizer: Any, batches: Iterable[TrainBatch], *, autocast: bool) -> Weights:
    """Return the tensors of `model` for evaluation; model and optimizer are left as they were, bit for bit."""
    training = copied(model)
    optimizer.eval()
    try:
        if norms := averaging(model):
            _estimate(model, norms.values(), batches, autocast=autocast)
        found = copied(model)
    finally:
        optimizer.train()  # it computes its way back, and rounds: the copy says what the weights were
        load(model, training)
    return found


@contextlib.contextmanager
def weights_in(model: nn.Module, weights: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Give `model` other weights for the length of the block; None: its own."""
    if weights is None:
        yield
        return
    own = copied(model)
    load(model, weights)
    try:
        yield
    finally:
        load(model, own)


def averaging(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the layers of batch normalisation that average statistics in training: not those that are frozen.

    The model is put into training for it, and stays there.
    """
    model.train()
    return {
        name: one
        for name, one in model.named_modules()
        if isinstance(one, _BatchNorm) and one.track_running_stats and one.training
    }


def statistics_of(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the running means and variances that a training of `model` averages."""
    return tuple(
        f"{name}.{key}".removeprefix(".") for name in averaging(model) for key in ("running_mean", "running_var")
    )


def copied(model: nn.Module) -> Weights:
    """Return a copy of the model's tensors."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Write tensors into those of the model, which stay the same objects."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(weights[name])


def _estimate(model: nn.Module, norms: Iterable[_BatchNorm], batches: Iterable[TrainBatch], *, autocast: bool) -> None:
    """Set running statistics to those of each batch, averaged over `batches`."""
    model.eval()
    shares = {norm: norm.momentum for norm in norms}
    seen: list[list[Tensor]] = []
    for norm in shares:
        norm.train()
        norm.momentum = 1.0  # the statistics of one batch, whole
    for images, _ in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=autocast):
            model(images)
        seen.append([one.clone() for one in _statistics(shares)])
    for kept, each in zip(_statistics(shares), zip(*seen, strict=True), strict=True):
        kept.copy_(torch.stack(each).mean(0))
    for norm, share in shares.items():
        norm.momentum = share
    model.train()


def _statistics(norms: Iterable[_BatchNorm]) -> list[Tensor]:
    found = [one for norm in norms for one in (norm.running_mean, norm.running_var)]
    return [one for one in found if one is not None]
