"""Lion: steps of one size, by the sign of a mixture of gradient and its average (Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family
from ch6dist.engines.families.terms import average_scalars, decay_scalars, decayed


def _lion_state(config: Config) -> dict[str, float]:
    return {"exp_avg": 0.0}


def _lion_scalars(epoch: Epoch) -> dict[str, Tensor]:
    return decay_scalars(epoch) | average_scalars(epoch) | {"step_size": epoch.lr}


def _lion(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Update by the sign of the average with β1; the average that is kept has β2."""
    weights, gradient = decayed(weights, gradient, c)
    direction = torch.lerp(state["exp_avg"], gradient, c["share1"]).sign_()
    state["exp_avg"].lerp_(gradient, c["share2"])
    return torch.addcmul(weights, direction, c["step_size"], value=-1)


TIMM_LION = Family(name="Lion of timm", state_tensors=_lion_state, scalars=_lion_scalars, update=_lion, step="nowhere")
PYTORCH_OPTIMIZER_LION = replace(TIMM_LION, name="Lion of pytorch_optimizer", step="group")
