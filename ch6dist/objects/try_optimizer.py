"""What an optimizer needs of the loop, found out by three steps of a small network.

    optimizer_facts(SOAP)       # {"momentum": "betas", "state_tensors": 4, "closure": False, …}

Raises what it raises itself, as InputError with one line, when it cannot train however it is asked.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ch6dist.catalog.parameters import REQUIRED
from ch6dist.errors import InputError
from ch6dist.objects.find import why
from ch6dist.objects.signature import parameters_of

HOW = {"foreach", "fused", "capturable", "differentiable", "maximize", "verbose"}  # only how it computes, or talks
STEPS = 3
LR = 1e-3  # where it has to be given
WAYS: tuple[dict[str, bool], ...] = (  # of taking a step, the plainest first
    {"closure": False, "second_order": False},
    {"closure": True, "second_order": False},
    {"closure": False, "second_order": True},
)


def optimizer_facts(found: Callable[..., Any]) -> dict[str, Any]:
    """Return the facts of an optimizer's entry."""
    parameters = {one.name: one for one in parameters_of(found)}
    if "lr" not in parameters:
        raise InputError("name", found, "an optimizer with a parameter lr")
    required = [name for name, one in parameters.items() if one.default is REQUIRED and name not in ("params", "lr")]
    momentum = next((name for name in ("betas", "momentum") if name in parameters), None)
    facts = {"momentum": momentum, "needs": required}
    if required:  # only the file says what they are
        return {**facts, "state_tensors": 4}
    first: Exception | None = None
    for way in WAYS:
        try:
            tensors = _state_tensors(found, **way)
        except Exception as error:
            first = first or error
            continue
        kind = getattr(found, "func", found)
        modes = all(callable(getattr(kind, mode, None)) for mode in ("train", "eval"))
        return {**facts, **way, "modes": modes, "state_tensors": tensors}
    assert first is not None
    raise InputError("name", found, f"an optimizer that trains a small network: {why(first)}")


def _state_tensors(found: Callable[..., Any], *, closure: bool, second_order: bool) -> int:
    """Train a small network; return how many tensors of a parameter's size the optimizer keeps for each."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        images, labels = torch.rand(16, 3, 8, 8), torch.arange(16) % 10
    lr = {"lr": LR} if inspect.Parameter.empty is _default_of_lr(found) else {}
    optimizer = found(model.parameters(), **lr)
    if callable(getattr(optimizer, "train", None)):
        optimizer.train()

    def again() -> torch.Tensor:
        """Compute loss and gradients."""
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward(create_graph=second_order)
        return loss

    for _ in range(STEPS):
        if closure:
            optimizer.step(again)
        else:
            again()
            optimizer.step()
    if not all(torch.isfinite(one).all() for one in model.parameters()):
        raise ArithmeticError("its weights are not finite after three steps at its default learning rate")
    kept = sum(
        one.numel()
        for state in optimizer.state.values()
        if isinstance(state, dict)
        for one in state.values()
        if isinstance(one, torch.Tensor)
    )
    return math.ceil(kept / sum(one.numel() for one in model.parameters()) - 0.05)


def _default_of_lr(found: Callable[..., Any]) -> Any:
    default = next(one.default for one in parameters_of(found) if one.name == "lr")
    return inspect.Parameter.empty if default is REQUIRED else default
