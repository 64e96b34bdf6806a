"""ADOPT: Adam that divides by the average without this step's gradient in it (Taniguchi et al. 2024).

The first step moves nothing but that average. Both libraries clip what was divided, by a bound that grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family
from ch6dist.engines.families.terms import decay_scalars, decayed

UNBOUNDED = torch.finfo(torch.float64).max  # the bound of a lane that does not clip
POWER = 0.25  # of the step, in pytorch_optimizer's bound


def _adopt_state(config: Config) -> dict[str, float]:
    return {"exp_avg": 0.0, "exp_avg_sq": 0.0}


def _adopt_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return `bound`, and all that the first step does differently: it keeps 1 and takes 1 of squared gradients."""
    begins, beta2 = epoch.step == 1, epoch.option("betas", index=1)
    return decay_scalars(epoch) | {
        "share1": torch.where(begins, 0.0, 1 - epoch.momentum),
        "keep2": torch.where(begins, 1.0, beta2),
        "take2": torch.where(begins, 1.0, 1 - beta2),
        "eps": torch.where(begins, 1.0, epoch.option("eps")),
        "bound": epoch.step**POWER,
        "step_size": torch.where(begins, 0.0, epoch.lr),
    }


def _timm_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return the same for timm, whose bound lags a step, and whose decoupled decay spares the first one."""
    found, begins = _adopt_scalars(epoch), epoch.step == 1
    clips = torch.tensor([config["clip_exp"] is not None for config in epoch.configs])
    powers = torch.tensor([config["clip_exp"] or 0.0 for config in epoch.configs], dtype=torch.float64)
    found["bound"] = torch.where(clips, (epoch.step - 1) ** powers, UNBOUNDED)
    return found | ({"shrink": torch.where(begins, 1.0, found["shrink"])} if "shrink" in found else {})


def _adopt(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    square = state["exp_avg_sq"]
    direction = (gradient / square.sqrt().clamp_(min=c["eps"])).clamp_(-c["bound"], c["bound"])
    average = state["exp_avg"].lerp_(direction, c["share1"])
    square.mul_(c["keep2"]).addcmul_(gradient.square(), c["take2"])
    return torch.addcmul(weights, average, c["step_size"], value=-1)


PYTORCH_OPTIMIZER_ADOPT = Family(
    name="ADOPT of pytorch_optimizer", state_tensors=_adopt_state, scalars=_adopt_scalars, update=_adopt, step="group"
)
TIMM_ADOPT = replace(PYTORCH_OPTIMIZER_ADOPT, name="ADOPT of timm", scalars=_timm_scalars, step="tensor")
