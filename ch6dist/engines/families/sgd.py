"""Stochastic gradient descent: SGD with its kinds of momentum, and ASGD, which averages the weights beside it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ch6dist.engines.families.family import MOMENTUM_BEGUN, Config, Epoch, Family
from ch6dist.engines.families.terms import decay_scalars, decayed, has_momentum, momentum_scalars, stepped


def _sgd_state(config: Config) -> dict[str, float]:
    return {"momentum_buffer": 0.0} if has_momentum(config) else {}


def _sgd_scalars(epoch: Epoch) -> dict[str, Tensor]:
    return decay_scalars(epoch) | momentum_scalars(epoch)


def _sgd(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    return stepped(weights, gradient, state, c)


SGD = Family(
    name="SGD",
    state_tensors=_sgd_state,
    scalars=_sgd_scalars,
    update=_sgd,
    scalar_state={MOMENTUM_BEGUN: 0.0},
    step="nowhere",
)


def _asgd_state(config: Config) -> dict[str, float]:
    return {"ax": 0.0}


def _asgd_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return `eta`, the learning rate of a step, set by the step before it.

    `average`: the share of the new weights in `ax`.

    eta ← lr / (1 + lambd · lr · step)^alpha,  average ← 1 / max(1, step − t0); torch keeps both as float32.
    """
    lambd, lr, step = epoch.option("lambd"), epoch.lr, epoch.step
    first_eta = torch.where(epoch.steps == 0, lr[0].float().double(), epoch.scalar_state["eta"])
    next_eta = (lr / (1 + lambd * lr * step) ** epoch.option("alpha")).float().double()
    next_average = (1 / (step - epoch.option("t0")).clamp(min=1)).float().double()
    eta = torch.cat([first_eta[None], next_eta])
    average = torch.cat([epoch.scalar_state["mu"][None], next_average])
    epoch.scalar_state["eta"].copy_(eta[-1])
    epoch.scalar_state["mu"].copy_(average[-1])
    return decay_scalars(epoch) | {"shrink": 1 - lambd * eta[:-1], "eta": eta[:-1], "average": average[:-1]}


def _asgd(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Update weights ← (1 − lambd · eta) · weights − eta · gradient;  ax ← ax + average · (weights − ax)."""
    weights, gradient = decayed(weights, gradient, c)
    moved = torch.addcmul(weights, gradient, c["eta"], value=-1)
    state["ax"].lerp_(moved, c["average"])
    return moved


ASGD = Family(
    name="ASGD",
    state_tensors=_asgd_state,
    scalars=_asgd_scalars,
    update=_asgd,
    scalar_state={"eta": 0.0, "mu": 1.0},  # the first step sets eta to its learning rate
)
