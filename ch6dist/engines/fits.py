"""Whether lanes of a network can be one model: tried, and held against each lane alone.

why_not_fused([build_model(…, seed=0), build_model(…, seed=1)], shape)      # "", or the reason
"""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ch6dist.engines.graph import NotFusedError, lane_layer
from ch6dist.engines.kernels import AutotuneCache
from ch6dist.engines.lanes import Activations, Rows, lanes_first
from ch6dist.models.dropout import Dropout, dropout_key, set_dropout_position
from ch6dist.objects.find import why

IMAGES = 3
CLOSE = 1e-9  # relative, of outputs, gradients and buffers, in fp64


class _Untimed(AutotuneCache):
    """Chooses one kernel variant, and measures nothing."""

    def choose(self, key: str, allowed: Container[str], measure: Callable[[], str]) -> str:
        """Return the variant that there is for every convolution."""
        return "grouped"


def why_not_fused(lanes: Sequence[nn.Module], shape: Mapping[str, int]) -> str:
    """Return why networks that differ in their weights cannot be lanes of one model; empty where they can.

    They are computed together and alone, in training and in evaluation, on images that they share and on their own.
    """
    if not all(parameter.requires_grad for parameter in lanes[0].parameters()):
        return "some of its parameters do not learn"
    if len(list(lanes[0].named_parameters(remove_duplicate=False))) > len(list(lanes[0].named_parameters())):
        return "some of its layers share parameters"
    twins = [copy.deepcopy(lane).double() for lane in lanes]
    source = torch.Generator().manual_seed(0)
    size = (shape["channels"], shape["height"], shape["width"])
    images = torch.randn(len(lanes), IMAGES, *size, generator=source, dtype=torch.float64)
    try:
        if _draws(twins[0], images[0]):
            return "its forward draws random numbers"
        for training in (True, False):
            for own in (False, True):
                seen = images if own else images[:1]
                if found := _difference(twins, seen, training=training):
                    return found
    except NotFusedError as error:
        return str(error)
    except Exception as error:  # whatever torch, or the user's code, says
        return f"its forward cannot be computed for several lanes at once: {why(error)}"
    return ""


def _difference(lanes: Sequence[nn.Module], images: Tensor, *, training: bool) -> str:
    """Return what differs between lanes together and alone; empty where nothing does."""
    lanes = [copy.deepcopy(lane).train(training) for lane in lanes]
    rows = _rows(lanes, training=training)
    values = images.clone()
    out = lane_layer(lanes[0])(Activations(values.transpose(0, 1).flatten(1, 2), len(values)), rows)
    logits = lanes_first(rows.spread(out))
    gradients = torch.autograd.grad(logits.square().sum(), list(rows.weights.values()))
    for index, lane in enumerate(lanes):
        set_dropout_position(lane, seed=index, step=0, first_row=0)
        alone = lane(images[index % len(images)].clone())
        own = torch.autograd.grad(alone.square().sum(), list(lane.parameters()))
        kept = lane.state_dict()
        pairs = [(logits[index], alone), *((rows.buffers[name][index], kept[name]) for name in rows.buffers)]
        # together: before a normalisation a bias has no gradient but rounding
        pairs.append((_flat(gradient[index] for gradient in gradients), _flat(own)))
        if not all(_close(a.detach(), b.detach()) for a, b in pairs):
            return "lanes that are computed together differ from each alone"
    return ""


def _draws(lane: nn.Module, images: Tensor) -> bool:
    """Return whether a forward pass of training draws from a global generator."""
    before = _generators()
    copy.deepcopy(lane).train()(images)
    return _generators() != before


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _close(a: Tensor, b: Tensor) -> bool:
    if not b.is_floating_point():
        return torch.equal(a, b)
    return bool((a - b).norm() <= CLOSE * b.norm().clamp(min=1e-12))


def _rows(lanes: Sequence[nn.Module], *, training: bool) -> Rows:
    names = [name for name, _ in lanes[0].named_parameters()]
    states = [lane.state_dict() for lane in lanes]
    numbers = {module.layer for module in lanes[0].modules() if isinstance(module, Dropout)}
    return Rows(
        lanes=len(lanes),
        weights={name: torch.stack([state[name] for state in states]).requires_grad_() for name in names},
        buffers={
            name: torch.stack([state[name] for state in states]).contiguous() for name in states[0] if name not in names
        },
        group_of=None,
        step=torch.zeros(len(lanes), dtype=torch.int64),
        keys={n: torch.tensor([dropout_key(seed, layer=n) for seed in range(len(lanes))]) for n in numbers},
        training=training,
        autotune=_Untimed(),
    )


def _generators() -> tuple[bytes, bytes, object]:
    """Return what shows whether somebody drew from the global generators."""
    of_torch = torch.default_generator.get_state().numpy().tobytes()
    return of_torch, pickle.dumps(np.random.get_state()), random.getstate()
