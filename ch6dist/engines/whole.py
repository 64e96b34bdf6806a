"""A network as a whole over K lanes, by `torch.func.vmap`: for what cannot be put together of lane layers.

    net = whole_network(build_model(…))
    logits = net(Activations(images, width=1), rows).values      # [K, B, classes]

The network's own forward runs once, on stacked parameters and buffers. It may branch on shapes and call what
`torch.fx` cannot follow, not look at numbers. Each lane has its own dropout masks, and keeps the buffers that a
training writes. Fusing it by hand may be faster: no more is claimed than that a lane is its solo run.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ch6dist.engines.evaluation_weights import averaging
from ch6dist.engines.lanes import Activations, LaneLayer, Rows, lanes_first
from ch6dist.models.dropout import Dropout

Tensors = dict[str, Tensor]


def whole_network(model: nn.Module) -> LaneLayer:
    """Return `model` over many lanes; nothing of it is tried here. The model is left as it is."""
    return _Whole(model)


class _Lane:
    """What dropouts read of the lane that is computed."""

    keys: Mapping[int | str, Tensor]  # by mask: [K]
    index: Tensor  # [1]: the lane, a tensor of `vmap`


class _LaneDropout(Dropout):
    """A dropout whose masks are those of a lane."""

    def __init__(self, solo: Dropout, lane: _Lane) -> None:
        super().__init__(solo.p, layer=solo.layer)
        self.lane = lane

    def mask_key(self) -> Tensor:
        """Return the key of the next mask in this lane: [1]."""
        return self.lane.keys[self.next_layer()].index_select(0, self.lane.index)


class _Whole:
    """The network, and the dropouts in it."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.lane, self.device = copy.deepcopy(model), _Lane(), torch.device("cpu")
        self.norms = {one: one.momentum for one in averaging(self.model).values()}
        made: dict[nn.Module, _LaneDropout] = {}
        self.dropouts: dict[str, _LaneDropout] = {}  # by the first name of each
        for name, module in list(self.model.named_modules(remove_duplicate=False)):
            if isinstance(module, Dropout):
                if module not in made:
                    self.dropouts[name] = made[module] = _LaneDropout(module, self.lane)
                parent, _, key = name.rpartition(".")
                setattr(self.model.get_submodule(parent), key, made[module])

    def __call__(self, x: Activations, rows: Rows) -> Activations:
        """Compute the network over lanes; write the buffers of each lane in training."""
        images = lanes_first(rows.spread(x))
        if images.device != self.device:  # what is no parameter and not in the state, such as a constant mask
            self.model, self.device = self.model.to(images.device), images.device
        self._set_modes(rows)
        self.lane.keys = rows.keys
        indices = torch.arange(rows.lanes, device=images.device)[:, None]
        steps = {f"{name}.step": rows.step for name in self.dropouts if rows.training}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # an operation is done lane by lane
            vmapped = torch.func.vmap(self._one)
            logits, buffers = vmapped(dict(rows.weights), dict(rows.buffers), steps, indices, images)
        if rows.training or rows.estimating:  # an evaluation writes none: fits.py tries it
            for name, values in buffers.items():
                rows.buffers[name].copy_(values)
        return Activations(logits, rows.lanes, apart=True)

    def _set_modes(self, rows: Rows) -> None:
        """Put the network into training or evaluation, and its batch normalisation into what the rows say."""
        self.model.train(rows.training)
        for norm, momentum in self.norms.items():
            norm.momentum = 1.0 if rows.estimating else momentum
            if rows.estimating:
                norm.train()

    def _one(
        self, weights: Tensors, buffers: Tensors, steps: Tensors, index: Tensor, images: Tensor
    ) -> tuple[Tensor, Tensors]:
        """Return a lane's logits [B, classes], and its buffers as its forward leaves them."""
        self.lane.index = index
        for dropout in self.dropouts.values():
            dropout.uses = 0
        own = {**weights, **{name: values.clone() for name, values in buffers.items()}, **steps}
        logits: Tensor = torch.func.functional_call(self.model, own, (images,))
        return logits, {name: own[name].detach() for name in buffers}  # it writes what a forward assigns into `own`
