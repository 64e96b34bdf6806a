"""How lanes of a network can be one model: tried, and held against each lane alone.

    lane_form([build_model(…, seed=0), build_model(…, seed=1)], shape)      # ("layers", ""), or ("", the reason)

First put together of lane layers, then as a whole by `torch.func.vmap`.
"""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ch6dist.catalog.models import LaneForm
from ch6dist.engines.graph import NotFusedError, lane_layer
from ch6dist.engines.kernels import AutotuneCache
from ch6dist.engines.lanes import Activations, LaneLayer, MaskKeys, Rows, join, lanes_first
from ch6dist.engines.whole import whole_network
from ch6dist.models.build import build_model
from ch6dist.models.dropout import Dropout, set_dropout_position
from ch6dist.objects.find import where, why
from ch6dist.seeding import seeded

IMAGES = 3
PASSES = 2  # of training: what one leaves behind in a network, the next may read
CLOSE = 1e-9  # relative, of outputs, gradients and buffers, in fp64
FORMS: dict[LaneForm, Callable[[nn.Module], LaneLayer]] = {"layers": lane_layer, "vmap": whole_network}

# what torch says of a forward that cannot be computed for several lanes, and what that means
_TORCH_SAYS = (
    (("data-dependent control flow", ".item()"), "its forward looks at numbers, which differ between lanes"),
    (("not possible because there exists a Tensor",), "its forward writes into a tensor that all lanes share"),
    (("called random operation",), "its forward draws random numbers"),
    (("appears to not have been used",), "some of its parameters have no part in what it puts out"),
    (("Batching rule not", "batching operators"), "its forward uses an operation that vmap does not know"),
    (
        ("escaped from inside", "being transformed"),
        "its forward keeps tensors, or asks for gradients, behind vmap's back",
    ),
)


class _Untimed(AutotuneCache):
    """Chooses one kernel variant, and measures nothing."""

    def choose(self, key: str, allowed: Container[str], measure: Callable[[], str]) -> str:
        """Return the variant that there is for every convolution."""
        return "grouped"


def form_of(model: Mapping[str, Any], shape: Mapping[str, int]) -> tuple[LaneForm, str]:
    """Return what `lane_form` does, of a resolved model. Raises InputError where it cannot be built."""
    return lane_form([build_model(model, **shape, seed=seed) for seed in (0, 1)], shape)


def lane_form(lanes: Sequence[nn.Module], shape: Mapping[str, int]) -> tuple[LaneForm, str]:
    """Return how networks that differ in their weights can be lanes of one model, or "" and why they cannot.

    They are computed together and alone, in training and in evaluation, on images that they share and on their own.
    The global generators are left as they were.
    """
    if not all(parameter.requires_grad for parameter in lanes[0].parameters()):
        return "", "some of its parameters do not learn"
    if len(list(lanes[0].named_parameters(remove_duplicate=False))) > len(list(lanes[0].named_parameters())):
        return "", "some of its layers share parameters"
    twins = [copy.deepcopy(lane).double() for lane in lanes]
    source = torch.Generator().manual_seed(0)
    size = (shape["channels"], shape["height"], shape["width"])
    images = torch.randn(len(lanes), IMAGES, *size, generator=source, dtype=torch.float64)
    with seeded(0):
        if reason := _why_never(twins[0], images[0]):
            return "", reason
        for form, make in FORMS.items():
            reason = _why_not(make, twins, images)
            if not reason:
                return form, ""
    return "", reason


def _why_never(lane: nn.Module, images: Tensor) -> str:
    """Return what of a network alone keeps its lanes from being one model in any form; empty where nothing does."""
    lane, before = copy.deepcopy(lane).train(), _generators()
    try:
        lane(images)
        drawn, held = _generators() != before, _held(lane)
        lane(images)
    except Exception as error:  # whatever torch, or the user's code, says
        return f"its forward cannot be computed: {why(error)}"
    if drawn:
        return "its forward draws random numbers"
    changed = [name for name, value in _held(lane).items() if held.get(name) != value]
    return f"its forward changes {changed[0]}, which its state does not hold" if changed else ""


def _held(lane: nn.Module) -> dict[str, Any]:
    """Return the numbers, texts and buffers that a network has and that its state does not hold."""
    found: dict[str, Any] = {}
    for name, module in lane.named_modules():
        if not isinstance(module, Dropout):
            plain = {key: value for key, value in vars(module).items() if isinstance(value, int | float | str)}
            found |= {join(name, key): repr(value) for key, value in plain.items()}
    kept = lane.state_dict().keys()
    return found | {name: buffer.tolist() for name, buffer in lane.named_buffers() if name not in kept}


def _why_not(make: Callable[[nn.Module], LaneLayer], lanes: Sequence[nn.Module], images: Tensor) -> str:
    """Return why lanes cannot be computed together by what `make` makes of one; empty where they can."""
    try:
        layer = make(copy.deepcopy(lanes[0]))
        for training in (True, False):
            for seen in (images[:1], images):
                if not _agree(layer, lanes, seen, training=training):
                    return "lanes that are computed together differ from each alone"
    except NotFusedError as error:
        return str(error)
    except Exception as error:  # whatever torch, or the user's code, says
        meant = [meaning for signs, meaning in _TORCH_SAYS if any(sign in str(error) for sign in signs)]
        if meant:
            return meant[0] + where(error)
        return f"its forward cannot be computed for several lanes at once: {why(error)}"
    return ""


def _agree(layer: LaneLayer, lanes: Sequence[nn.Module], images: Tensor, *, training: bool) -> bool:
    """Return whether lanes together are each alone: outputs, buffers and, in training, gradients."""
    lanes = [copy.deepcopy(lane).train(training) for lane in lanes]
    rows = _rows(lanes, training=training)
    with torch.set_grad_enabled(training):
        return all(_pass_agrees(layer, lanes, images, rows, step) for step in range(PASSES if training else 1))


def _pass_agrees(layer: LaneLayer, lanes: Sequence[nn.Module], images: Tensor, rows: Rows, step: int) -> bool:
    """Compute one pass together and alone, lane k at optimizer step `step` + k."""
    values = images.clone()
    rows = replace(rows, step=step + torch.arange(len(lanes)))
    out = layer(Activations(values.transpose(0, 1).flatten(1, 2), len(values)), rows)
    logits = lanes_first(rows.spread(out))
    together = torch.autograd.grad(logits.square().sum(), list(rows.weights.values())) if rows.training else ()
    for index, lane in enumerate(lanes):
        set_dropout_position(lane, seed=index, step=step + index, first_row=0)
        alone = lane(images[index % len(images)].clone())
        kept = lane.state_dict()
        pairs = [(logits[index], alone), *((rows.buffers[name][index], kept[name]) for name in rows.buffers)]
        if rows.training:  # in one: before a normalisation a bias has no gradient but rounding
            own = torch.autograd.grad(alone.square().sum(), list(lane.parameters()))
            pairs.append((_flat(gradient[index] for gradient in together), _flat(own)))
        if not all(_close(a.detach(), b.detach()) for a, b in pairs):
            return False
    return True


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:  # a forward may assign anything to a buffer
        return False
    if not b.is_floating_point():
        return torch.equal(a, b)
    return bool((a - b).norm() <= CLOSE * b.norm().clamp(min=1e-12))


def _rows(lanes: Sequence[nn.Module], *, training: bool) -> Rows:
    names = [name for name, _ in lanes[0].named_parameters()]
    states = [lane.state_dict() for lane in lanes]
    return Rows(
        lanes=len(lanes),
        weights={name: torch.stack([state[name] for state in states]).requires_grad_() for name in names},
        buffers={
            name: torch.stack([state[name] for state in states]).contiguous() for name in states[0] if name not in names
        },
        group_of=None,
        step=torch.zeros(len(lanes), dtype=torch.int64),
        keys=MaskKeys(range(len(lanes))),
        training=training,
        autotune=_Untimed(),
    )


def _generators() -> tuple[bytes, bytes, object]:
    """Return what shows whether somebody drew from the global generators."""
    of_torch = torch.default_generator.get_state().numpy().tobytes()
    return of_torch, pickle.dumps(np.random.get_state()), random.getstate()
